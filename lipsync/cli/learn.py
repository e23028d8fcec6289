"""The commands that make datasets and learn people: prepare, validate, finetune, card."""

import argparse
import shutil
from typing import Any

from lipsync.cli.agree import ask_consent, terminal_is_there
from lipsync.cli.run import Outcome, given
from lipsync.consent import read_consent
from lipsync.errors import DatasetError, UsageError
from lipsync.media.whole import WholeFile
from lipsync.progress import Progress, format_s
from lipsync.studio import learning
from lipsync.studio.people import find_person
from lipsync.training.card_words import card_text

LEAST_MINUTES_TO_MEASURE = 1.0  # a shorter run is over before its steps are measured


def prepare(args: argparse.Namespace, progress: Progress) -> Outcome:
    """`lipsync prepare`."""
    person = find_person(args.person) if args.person else None
    out = args.out or (person.dataset if person else None)
    if out is None:
        raise UsageError("prepare needs --out DATASET, or --person NAME")
    folder = person.footage_folder if person else out / "downloads"
    part = given(args, "start_s", "end_s")
    fetched = [
        path
        for url in args.url
        for path in learning.fetch(url, folder, progress, args.rights, playlist=args.playlist, **part)
    ]
    footage = [*args.footage, *(person.footage() if person else fetched)]
    if not footage:
        raise UsageError("prepare needs FOOTAGE, --url URL, or --person NAME with footage")
    report = learning.prepare_footage(
        footage,
        out,
        progress,
        labels=args.labels,
        person=person,
        **given(args, "detector", "pick", "workers", "engine"),
    )
    if args.best_minutes:
        from data_prep.select import select_best

        chosen = select_best(out, args.best_minutes)
        report = {**report, "clips": sum(c.taken for c in chosen.choices), "best_minutes": chosen.minutes}
    page = out / "report.html"
    if args.report:
        whole = WholeFile(args.report)
        shutil.copyfile(page, whole.part)
        whole.keep()
    values = {"dataset": str(out), "report": str(args.report or page), **report}
    return Outcome(values, _summary(values))


def _summary(report: dict[str, Any]) -> str:
    kept, brought = report["minutes_kept"], report["minutes_in"]
    lines = [f"{report['dataset']}: {report['clips']} clips, {kept:.2f} minutes of {brought:.2f}"]
    lines += [f"dropped {minutes:.2f} minutes: {reason}" for reason, minutes in report["minutes_dropped"].items()]
    lines += [f"note: {w['about']}: {w['found']}. {w['advice']}".strip() for w in report["warnings"]]
    lines += [f"kept the best {report['best_minutes']:.2f} minutes"] if "best_minutes" in report else []
    return "\n".join([*lines, f"report: {report['report']}"])


def validate(args: argparse.Namespace, progress: Progress) -> Outcome:
    """`lipsync validate`."""
    from data_prep.validate import schema
    from data_prep.validate import validate as check

    if args.schema:
        fields = schema()
        marks = {True: " (required)", False: ""}
        lines = [f"{name}: {f['type']}{marks[f['required']]}: {f['means']}" for name, f in fields.items()]
        return Outcome({"manifest": fields}, "\n".join(lines))
    if args.dataset is None:
        raise UsageError("validate needs DATASET, or --schema")
    problems = check(args.dataset, progress)
    if problems:
        listed = "\n".join(str(problem) for problem in problems)
        raise DatasetError(f"{args.dataset}: {len(problems)} problem(s):\n{listed}")
    return Outcome({"dataset": str(args.dataset), "problems": []}, f"{args.dataset}: no problem")


def finetune(args: argparse.Namespace, progress: Progress) -> Outcome:
    """`lipsync finetune`: says how long it will take before it starts; `--check` says only that."""
    person = find_person(args.person) if args.person else None
    dataset, out = args.dataset or (person and person.dataset), args.out or (person and person.adapter)
    if args.check and dataset is not None:
        ready = learning.check_learning(dataset, progress, device=args.device, **given(args, "minutes", "base"))
        return Outcome(ready.to_json(), ready.text())
    if dataset is None or out is None:
        raise UsageError("finetune needs DATASET and --out ADAPTER, or --person NAME")
    if out.suffix != ".safetensors":
        raise UsageError(f"--out {out}: an adapter is one .safetensors file; write {out.with_suffix('.safetensors')}")
    consent = person.consent if person else args.consent and read_consent(args.consent)
    if consent is None and not args.json and terminal_is_there():
        consent = ask_consent()
    consent = learning.need_consent(consent)
    settings = given(args, "minutes", "seed", "base")
    ready = None
    if not args.resume and args.minutes is not None and args.minutes < LEAST_MINUTES_TO_MEASURE:
        progress.start(f"learning {consent.subject} for at most {format_s(60 * args.minutes)}")
        progress.done()
    elif not args.resume:
        given_now = {name: value for name, value in settings.items() if name != "seed"}
        ready = learning.check_learning(dataset, progress, device=args.device, **given_now)
        for line in ready.text().splitlines():
            progress.start(line)
            progress.done()
    result = learning.learn(dataset, out, consent, progress, device=args.device, resume=args.resume, **settings)
    values = result.to_json() | {"estimate": ready and ready.to_json()}
    return Outcome(values, f"{card_text(learning.adapter_header(out))}\nlearned {consent.subject}: {out}")


def card(args: argparse.Namespace, progress: Progress) -> Outcome:
    """`lipsync card`."""
    from lipsync.training.card import card

    result = card(args.model, args.data, device=args.device, progress=progress)
    return Outcome(result.to_json(), result.text())
