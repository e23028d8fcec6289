"""The commands that keep people: people (list, add, show, delete), export, import."""

import argparse
from typing import Any

from lipsync.cli.run import Outcome, given
from lipsync.consent import read_consent, record_consent
from lipsync.errors import UsageError
from lipsync.progress import Progress
from lipsync.studio import archive
from lipsync.studio import people as folders
from lipsync.studio.people import Person


def people(args: argparse.Namespace, progress: Progress) -> Outcome:
    """`lipsync people [add|show|delete]`."""
    actions = {"add": _add, "show": _show, "delete": _delete}
    return actions[args.action](args) if args.action else _list()


def _list() -> Outcome:
    roster = folders.list_people()
    lines = [f"{p.name}: {_state(p)}; {p.folder}" for p in roster.people] or [f"nobody in {folders.home_folder()} yet"]
    values = {"people": [_values(p) for p in roster.people], "broken": roster.broken}
    return Outcome(values, "\n".join(lines + [f"broken: {line}" for line in roster.broken]))


def _add(args: argparse.Namespace) -> Outcome:
    if args.consent:
        consent = read_consent(args.consent)
    elif args.recorded_by:
        consent = record_consent(args.name, **given(args, "recorded_by", "statement", "covers", "how"))
    else:
        raise UsageError("nobody is added without consent: give --recorded-by WHO, or --consent FILE with a record")
    person = folders.create_person(args.name, consent)
    for path in args.footage or []:
        folders.add_file(person, path)
    return Outcome(_values(person), f"{person.name}: {person.folder}\nThey agreed: {consent.statement}")


def _show(args: argparse.Namespace) -> Outcome:
    values = _values(folders.find_person(args.name))
    return Outcome(values, "\n".join(f"{name}: {value}" for name, value in values.items()))


def _delete(args: argparse.Namespace) -> Outcome:
    person = folders.find_person(args.name)
    folders.delete_person(person)
    return Outcome({"deleted": person.name}, f"deleted {person.name} and all that was theirs")


def _state(person: Person) -> str:
    steps = [f"{len(person.footage())} file(s) of footage"]
    steps += ["prepared"] if (person.dataset / "manifest.jsonl").is_file() else []
    steps += ["learned"] if person.adapter.is_file() else []
    return ", ".join(steps)


def _values(person: Person) -> dict[str, Any]:
    return {
        "name": person.name,
        "folder": str(person.folder),
        "created": person.created,
        "consent": person.consent.to_json(),
        "footage": [str(path) for path in person.footage()],
        "prepared": (person.dataset / "manifest.jsonl").is_file(),
        "adapter": str(person.adapter) if person.adapter.is_file() else None,
        "voice": person.voice,
        "template": person.template,
    }


def export(args: argparse.Namespace, progress: Progress) -> Outcome:
    """`lipsync export`."""
    person = folders.find_person(args.name)
    files = archive.export_person(person, args.out, with_footage=args.footage)
    size = args.out.stat().st_size
    values = {"out": str(args.out), "person": person.name, "files": len(files), "bytes": size}
    return Outcome(values, f"{args.out}: {person.name}, {len(files)} files, {size / 1e6:.1f} MB")


def take_in(args: argparse.Namespace, progress: Progress) -> Outcome:
    """`lipsync import`."""
    person = archive.import_person(args.file)
    return Outcome(_values(person), f"took in {person.name}: {_state(person)}; {person.folder}")
