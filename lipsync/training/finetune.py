"""Learn a person: a dataset of their clips → one adapter file.

Two short runs of the same loop as pretraining, with the base frozen: the way of speaking (low-rank changes and a style
vector of the shape model), then the look (low-rank changes of the pixel model). A part of the person's clips is held
out; the step that does best on it is kept (see person.py), and step 0, the base itself, competes.

    OUT.run/plan.json             base, clips and settings: a resumed run must have the same
    OUT.run/{shape,pixel}/        plan.json (steps), log.jsonl, state, best weights, before.json (the base), done.json,
                                  detail.json (of the look: how much the adapter adds to the base's, see sampler.py)
    OUT.run/samples/              what it looks like (see watch.py)
"""

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from lipsync.config import FinetuneConfig, to_mapping
from lipsync.consent import Consent
from lipsync.errors import CheckpointError, ConsentError, LipsyncError
from lipsync.model.base import DEFAULT_BASE, Base, load_base
from lipsync.model.lora import Adapter, save_adapter
from lipsync.progress import Progress, Silent
from lipsync.training.clipstore import Clip
from lipsync.training.loop import LoopConfig, TrainState, probe_step_s, train
from lipsync.training.person import PersonPixels, PersonShape
from lipsync.training.person_setup import (
    dataset_summary,
    hold_out,
    own_detail,
    pixel_task,
    planned_evaluations,
    planned_steps,
    shape_task,
    usable_clips,
)
from lipsync.training.references import choose_references
from lipsync.training.watch import keep_base_performance, write_samples

SHAPE_CARD = {
    "own_correlation": "opening_correlation",
    "own_spread": "opening_spread",
    "closes_on_p_b_m": "closes_on_p_b_m",
    "silent_motion": "silent_motion_of_shape",
}
PIXEL_CARD = {
    name: name
    for name in (
        *("mouth_error_grey", "mouth_sharpness", "inner_mouth_detail"),
        *("cross_sync", "cross_judge", "cross_sharpness", "silent_motion"),
    )
}


@dataclass(frozen=True)
class FinetuneResult:
    """Where the adapter is and what it gained on held-out footage; `card` is before and after, steps of both runs."""

    adapter: Path
    person: str
    footage_s: float
    seconds: float
    card: dict[str, dict[str, float]]
    steps: dict[str, int]
    best_step: dict[str, int]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self) | {"adapter": str(self.adapter)}


@dataclass(frozen=True)
class _Stage:
    """What a run gave: weights, readings of base and best step, how many steps, the best, what is added to `detail`."""

    weights: dict[str, torch.Tensor]
    before: dict[str, float]
    after: dict[str, float]
    steps: int
    best_step: int
    detail: float = 0.0


def finetune(
    dataset: Path,
    out: Path,
    *,
    base: str = DEFAULT_BASE,
    config: FinetuneConfig | None = None,
    consent: Consent | None = None,
    resume: bool = False,
    device: str = "auto",
    progress: Progress | None = None,
) -> FinetuneResult:
    """Learn one person.

    Args:
        dataset: a folder made by `prepare`.
        out: the adapter's file name; beside it OUT.run/ keeps what is needed to resume, the logs and the samples.
        consent: the person's record; it travels in the adapter.
        resume: continue an interrupted run, to the same weights as if it had not been interrupted.

    Raises:
        ConsentError: no consent. DatasetError: too little footage, with what was found.
        CheckpointError: no base, nothing to resume, or a run of other footage or settings.
        LipsyncError: a loss was not finite (names step and clips), or the disk is full.
    """
    config, progress, out = config or FinetuneConfig(), progress or Silent(), Path(out)
    if consent is None:
        raise ConsentError(
            "nobody is learned without a consent record; give one with --consent or on the person's page"
        )
    consent.check("video")
    began = time.monotonic()
    clips = usable_clips(dataset, config)
    train_clips, held_out = hold_out(clips, config.held_out_share)
    loaded = load_base(base, device)
    run = run_folder(out)
    _same_run(run, loaded, clips, config, resume)
    shape = learn_shape(loaded, train_clips, held_out, config, run, resume, progress)
    pixel = learn_pixels(loaded, shape.weights, train_clips, held_out, config, run, resume, progress)
    result = FinetuneResult(
        out,
        consent.subject,
        round(sum(c.record.duration_s for c in clips), 1),
        round(time.monotonic() - began, 1),
        _readings(shape, SHAPE_CARD) | _readings(pixel, PIXEL_CARD),
        {"shape": shape.steps, "pixel": pixel.steps},
        {"shape": shape.best_step, "pixel": pixel.best_step},
    )
    notes = _notes(result, consent, loaded, clips, held_out)
    references = choose_references(train_clips, config.references) if config.references else {}
    weights = dict(shape.weights)
    style = weights.pop("style")
    with _room_for(out):
        save_adapter(out, Adapter(pixel.weights, weights, style, config.lora, notes, references, pixel.detail))
    return result


def _readings(stage: _Stage, names: Mapping[str, str]) -> dict[str, dict[str, float]]:
    """Of the base and of the best step, under the card's names, those that were read."""
    return {
        name: {"before": round(stage.before[key], 4), "after": round(stage.after[key], 4)}
        for key, name in names.items()
        if key in stage.before
    }


def _notes(
    result: FinetuneResult, consent: Consent, base: Base, clips: list[Clip], held_out: list[Clip]
) -> dict[str, Any]:
    """The adapter's header: whose it is, who agreed, what it belongs to, what it was learned from and gained."""
    return {
        "person": consent.subject,
        "consent": consent.to_json(),
        "consent_digest": consent.digest,
        "base": base.name,
        "base_hash": base.hash,
        "footage_s": result.footage_s,
        "clips": len(clips),
        "held_out_clips": len(held_out),
        "dataset": dataset_summary(clips),
        "steps": result.steps,
        "best_step": result.best_step,
        "card": result.card,
    }


def run_folder(out: Path) -> Path:
    """Where a run leaves what it needs to resume."""
    return out.with_name(out.name + ".run")


def _same_run(run: Path, base: Base, clips: list[Clip], config: FinetuneConfig, resume: bool) -> None:
    """Write what the run is made of, or, resuming, see that it still is.

    Raises:
        CheckpointError: nothing to resume, or base, footage or settings differ.
    """
    path = run / "plan.json"
    plan = {"base_hash": base.hash, "clips": [c.record.id for c in clips], "settings": to_mapping(config)}
    plan = json.loads(json.dumps(plan))
    if not resume:
        for part in ("shape", "pixel"):
            for name in ("done.json", "before.json", "plan.json", "state.safetensors", "log.jsonl", "detail.json"):
                (run / part / name).unlink(missing_ok=True)
        for sample in (run / "samples").glob("step_*.png"):
            sample.unlink()
        run.mkdir(parents=True, exist_ok=True)
        _write_json(path, plan)
        return
    if not path.is_file():
        raise CheckpointError(f"{run}: nothing to resume; start without --resume")
    before = json.loads(path.read_text(encoding="utf-8"))
    for part, word in (("base_hash", "another base"), ("clips", "other footage"), ("settings", "other settings")):
        if before.get(part) != plan[part]:
            changed = [k for k in plan["settings"] if before["settings"].get(k) != plan["settings"][k]]
            named = f" ({', '.join(changed)})" if part == "settings" else ""
            raise CheckpointError(f"{run}: the run to resume had {word}{named}; start anew without --resume")


def learn_shape(
    base: Base,
    clips: list[Clip],
    held_out: list[Clip],
    config: FinetuneConfig,
    run: Path,
    resume: bool,
    progress: Progress,
) -> _Stage:
    """The way of speaking."""
    task = shape_task(base, clips, held_out, config)
    return _run(task, config, run / "shape", resume, progress, "learning how they speak")


def learn_pixels(
    base: Base,
    shape: dict[str, torch.Tensor],
    clips: list[Clip],
    held_out: list[Clip],
    config: FinetuneConfig,
    run: Path,
    resume: bool,
    progress: Progress,
) -> _Stage:
    """The look, with others' speech in the shapes that were just learned."""
    task = pixel_task(base, shape, clips, held_out, config)
    show = _show_samples(task, run, resume)
    stage = _run(task, config, run / "pixel", resume, progress, "learning how they look", show)
    kept = run / "pixel" / "detail.json"
    if not kept.is_file():
        progress.start("measuring how much detail they need")
        detail, after = 0.0, stage.after
        if stage.best_step:  # else the base itself is kept, as it is
            detail, after = own_detail(task, base, stage.weights, config.lora.alpha, stage.before, after)
        _write_json(kept, {"detail": detail, "after": after})
        progress.done()
    return replace(stage, **json.loads(kept.read_text(encoding="utf-8")))


def _loop(config: FinetuneConfig, part: str) -> LoopConfig:
    shape = part == "shape"
    return LoopConfig(
        minutes=config.minutes * (config.shape_share if shape else 1 - config.shape_share),
        steps=config.shape_steps if shape else config.pixel_steps,
        learning_rate=config.shape_learning_rate if shape else config.pixel_learning_rate,
        warmup_steps=config.warmup_steps,
        ema_decay=config.ema_decay,
        evaluations=config.evaluations,
        patience=config.patience,
        save_every_s=config.save_every_s,
        seed=config.seed,
        log_every=10,
    )


def _show_samples(task: PersonPixels, run: Path, resume: bool) -> Callable[[TrainState], None]:
    """What is called after each evaluation: the base's performance of the line is kept for the runs that resume."""

    def show(state: TrainState) -> None:
        if task.performed is None or task.scored is None:
            return
        before = keep_base_performance(run, task.performed, anew=not resume and not state.step)
        rate = 1 / task.held_puppets[0].gap_s
        write_samples(run, state.step, before, task.performed, rate, task.scored.lines[0].sound)

    return show


def _run(
    task: PersonShape | PersonPixels,
    config: FinetuneConfig,
    run: Path,
    resume: bool,
    progress: Progress,
    stage: str,
    on_evaluate: Callable[[TrainState], None] | None = None,
) -> _Stage:
    """Train one of the two, `run.name` says which; a run that was finished before is only read."""
    loop = _loop(config, run.name)
    before_file, best, done = run / "before.json", run / "best.safetensors", run / "done.json"
    plan_file = run / "plan.json"
    if resume and done.is_file():
        found = json.loads(done.read_text(encoding="utf-8"))
        return _Stage(load_file(best), found["before"], found["after"], found["steps"], found["best_step"])
    if resume and before_file.is_file() and plan_file.is_file():
        before = task.start = json.loads(before_file.read_text(encoding="utf-8"))
        plan = json.loads(plan_file.read_text(encoding="utf-8"))
    else:
        run.mkdir(parents=True, exist_ok=True)
        began = time.monotonic()
        before = task.evaluate()
        if on_evaluate:
            on_evaluate(TrainState())
        evaluations = planned_evaluations(config, run.name, time.monotonic() - began)
        with _room_for(best):
            task.export(best)
        _write_json(before_file, before)
        plan = {"steps": loop.steps or planned_steps(config, run.name, probe_step_s(task)), "evaluations": evaluations}
        _write_json(plan_file, plan)
    loop = replace(loop, **plan)
    goes_on = resume and (run / "state.safetensors").is_file()
    state = train(
        task,
        loop,
        run,
        resume=goes_on,
        progress=progress,
        best_score=before["score"],
        stage=stage,
        on_evaluate=on_evaluate,
    )
    rows = [json.loads(line) for line in (run / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    scored = {
        row["step"]: {k.removeprefix("held_out_"): v for k, v in row.items() if k.startswith("held_out_")}
        for row in rows
        if "held_out_score" in row
    }
    after = scored.get(state.best_step, before) if state.best_step else before
    _write_json(done, {"before": before, "after": after, "steps": state.step, "best_step": state.best_step})
    return _Stage(load_file(best), before, after, state.step, state.best_step)


def _write_json(path: Path, values: dict[str, Any]) -> None:
    part = path.with_suffix(".part")
    with _room_for(path):
        try:
            part.write_text(json.dumps(values, ensure_ascii=False, indent=1), encoding="utf-8")
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)


@contextmanager
def _room_for(path: Path) -> Iterator[None]:
    """Around what writes a file: where there is no room, it says what can be done."""
    try:
        yield
    except (OSError, SafetensorError) as error:
        what = f"{path} could not be written ({error}): make room on the disk, then go on with --resume"
        raise LipsyncError(what) from error
