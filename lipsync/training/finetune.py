"""Learn a person: a dataset of their clips → one adapter file.

Two short runs of the same loop as pretraining, with the base frozen: the way of speaking (low-rank changes and a style
vector of the shape model), then the look (low-rank changes of the pixel model). A part of the person's clips is held
out; the step that does best on it is kept (see person.py), and step 0, the base itself, competes.

    OUT.run/plan.json             base, clips and settings: a resumed run must have the same
    OUT.run/{shape,pixel}/        log.jsonl, state, best weights, before.json (the base's readings), done.json
    OUT.run/samples/              what it looks like (see watch.py)
"""

import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file

from lipsync.config import FinetuneConfig, to_mapping
from lipsync.consent import Consent
from lipsync.errors import CheckpointError, ConsentError, DatasetError
from lipsync.model.base import DEFAULT_BASE, Base, load_base
from lipsync.model.lora import Adapter, save_adapter
from lipsync.model.low_rank import add_low_rank, changed_copy
from lipsync.model.sampler import fast_bfloat16
from lipsync.progress import Progress, Silent
from lipsync.training.clipstore import Clip, load_clips
from lipsync.training.foreign import LEARNED_WITH, SCORED_BY, ForeignSound, Puppet, speak_lines
from lipsync.training.loop import LoopConfig, TrainState, probe_step_s, train
from lipsync.training.person import PersonPixels, PersonShape
from lipsync.training.pixel_task import PixelTaskConfig
from lipsync.training.reader import reader_correlation, teach_reader
from lipsync.training.references import choose_references
from lipsync.training.shape_task import ShapeTaskConfig, shape_clips
from lipsync.training.watch import write_samples
from lipsync.training.windows import WindowTaskConfig, load_windows

FILL = 0.8  # share of the minutes that steps may take; the rest is for evaluating and samples
SHAPE_CARD = {
    "own_correlation": "opening_correlation",
    "own_spread": "opening_spread",
    "closes_on_p_b_m": "closes_on_p_b_m",
    "silent_motion": "silent_motion_of_shape",
}
PIXEL_CARD = ("mouth_error_grey", "mouth_sharpness", "inner_mouth_detail", "cross_sync", "cross_sharpness")


@dataclass(frozen=True)
class FinetuneResult:
    """Where the adapter is and what it gained on held-out footage; `card` has 'before' and 'after' of each reading.

    `steps` and `best_step`: of each of the two runs.
    """

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
    """The result of one run: weights, readings of the base and of the best step, how many steps, which was best."""

    weights: dict[str, torch.Tensor]
    before: dict[str, float]
    after: dict[str, float]
    steps: int
    best_step: int


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
    card = {
        name: {"before": round(shape.before[key], 4), "after": round(shape.after[key], 4)}
        for key, name in SHAPE_CARD.items()
        if key in shape.before
    } | {
        name: {"before": round(pixel.before[name], 4), "after": round(pixel.after[name], 4)}
        for name in PIXEL_CARD
        if name in pixel.before
    }
    footage_s = round(sum(c.record.duration_s for c in clips), 1)
    result = FinetuneResult(
        out,
        consent.subject,
        footage_s,
        round(time.monotonic() - began, 1),
        card,
        {"shape": shape.steps, "pixel": pixel.steps},
        {"shape": shape.best_step, "pixel": pixel.best_step},
    )
    notes = {
        "person": consent.subject,
        "consent": consent.to_json(),
        "consent_digest": consent.digest,
        "base": base,
        "base_hash": loaded.hash,
        "footage_s": footage_s,
        "clips": len(clips),
        "held_out_clips": len(held_out),
        "dataset": _summary(clips),
        "steps": result.steps,
        "best_step": result.best_step,
        "card": card,
    }
    references = choose_references(train_clips, config.references) if config.references else {}
    weights = dict(shape.weights)
    style = weights.pop("style")
    save_adapter(out, Adapter(pixel.weights, weights, style, config.lora, notes, references))
    return result


def run_folder(out: Path) -> Path:
    """Where a run leaves what it needs to resume."""
    return out.with_name(out.name + ".run")


def usable_clips(dataset: Path, config: FinetuneConfig) -> list[Clip]:
    """The dataset's clips, at most `most_frames` of them evenly over it. Raises DatasetError when there are too few."""
    clips = list(load_clips(Path(dataset)))
    seconds = sum(c.record.duration_s for c in clips)
    if len(clips) < 2 or seconds < config.least_footage_s:
        raise DatasetError(
            f"{dataset} holds {len(clips)} clip(s), {seconds:.1f} s of usable footage; to learn a person at least 2 "
            f"clips and {config.least_footage_s:.0f} s are needed, and 5 to 10 minutes are good"
        )
    people = sorted({c.record.person for c in clips if c.record.person})
    if len(people) > 1:
        raise DatasetError(
            f"{dataset} holds clips of {len(people)} people ({', '.join(people[:5])}); an adapter is one person's: "
            "prepare their footage alone"
        )
    frames = sum(c.record.frames for c in clips)
    if frames <= config.most_frames:
        return clips
    keep = np.linspace(0, len(clips) - 1, max(2, int(len(clips) * config.most_frames / frames))).round().astype(int)
    return [clips[i] for i in sorted(set(keep.tolist()))]


def hold_out(clips: list[Clip], share: float) -> tuple[list[Clip], list[Clip]]:
    """(train, held out): every n-th clip is held out, at least one and never all."""
    every = max(2, round(1 / share))
    held = [c for i, c in enumerate(clips) if i % every == every - 1] or clips[-1:]
    return [c for c in clips if all(c is not h for h in held)], held


def _summary(clips: list[Clip]) -> dict[str, Any]:
    """Where the footage came from, for the adapter's header."""
    records = [c.record for c in clips]
    return {
        "sources": len({r.source for r in records}),
        "languages": sorted({r.language for r in records if r.language}),
        "rights": sorted({r.rights for r in records if r.rights}),
        "frame_rates": sorted({round(r.frame_rate, 2) for r in records}),
    }


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
            for name in ("done.json", "before.json", "state.safetensors", "log.jsonl"):
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
    loop = replace(
        _loop(config),
        minutes=config.minutes * config.shape_share,
        steps=config.shape_steps,
        learning_rate=config.shape_learning_rate,
    )
    task = shape_task(base, clips, held_out, config)
    return _run(task, loop, config.most_shape_steps, run / "shape", resume, progress, "learning how they speak")


def shape_task(base: Base, clips: list[Clip], held_out: list[Clip], config: FinetuneConfig) -> PersonShape:
    """The task of the way of speaking."""
    settings, space = config.lora, base.shape.space
    model = add_low_rank(base.shape, settings.shape_targets, settings.shape_rank, settings.alpha, config.seed)
    return PersonShape(
        model,
        shape_clips(clips, space),
        shape_clips(held_out, space),
        ShapeTaskConfig(style_share=1.0, bfloat16=fast_bfloat16(base.device)),
        teacher=base.shape,
        lines=speak_lines(LEARNED_WITH) if config.foreign_shape_weight else (),
        scored=speak_lines(SCORED_BY),
        foreign_share=config.foreign_share,
        foreign_weight=config.foreign_shape_weight,
    )


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
    loop = replace(
        _loop(config),
        minutes=config.minutes * (1 - config.shape_share),
        steps=config.pixel_steps,
        learning_rate=config.pixel_learning_rate,
    )
    show = _show_samples(task, run, resume)
    return _run(
        task, loop, config.most_pixel_steps, run / "pixel", resume, progress, "learning how they look", on_evaluate=show
    )


def pixel_task(
    base: Base, shape: dict[str, torch.Tensor], clips: list[Clip], held_out: list[Clip], config: FinetuneConfig
) -> PersonPixels:
    """The task of the look. `shape`: learned weights and style of the shape model; {} for the base's."""
    windows, held = load_windows(clips), load_windows(held_out)
    puppets = [Puppet(clip, w.windows) for clip, w in zip(clips, windows, strict=True)]
    held_puppets = [Puppet(clip, w.windows) for clip, w in zip(held_out, held, strict=True)]
    low_rank = {k: v for k, v in shape.items() if k != "style"}
    speaker = changed_copy(base.shape, [(low_rank, 1.0)], config.lora.alpha)
    dims, device = base.pixel.config, base.device
    sounds: list[ForeignSound | None] = []
    for lines in (speak_lines(LEARNED_WITH) if config.foreign_share else (), speak_lines(SCORED_BY)):
        sounds.append(ForeignSound(lines, speaker, shape.get("style"), dims) if lines else None)
    half = len(puppets) // 2 or 1
    readers = [
        teach_reader(
            [p.windows for p in part], [p.opening for p in part], seed=seed, device=device, steps=config.reader_steps
        )
        for seed, part in ((1, puppets[:half]), (2, puppets[half:] or puppets))
    ]
    settings = config.lora
    model = add_low_rank(base.pixel, settings.pixel_targets, settings.rank, settings.alpha, config.seed)
    task = PersonPixels(
        model.to(memory_format=torch.channels_last),  # pyright: ignore[reportCallIssue]
        windows,
        held,
        PixelTaskConfig(
            windows=WindowTaskConfig(batch=config.batch, chunk_frames=config.chunk_frames),
            bfloat16=fast_bfloat16(device),
            held_out_batches=config.held_out_batches,
        ),
        puppets=puppets,
        held_puppets=held_puppets,
        foreign=sounds[0],
        teacher=readers[0],
        scored=sounds[1],
        judge=readers[1],
        foreign_share=config.foreign_share,
        foreign_weight=config.foreign_weight,
    )
    task.judge_correlation = reader_correlation(
        readers[1], [p.windows for p in held_puppets], [p.opening for p in held_puppets]
    )
    return task


def _loop(config: FinetuneConfig) -> LoopConfig:
    return LoopConfig(
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
    kept = run / "samples" / "base.npy"
    before: list[np.ndarray] = [np.load(kept)] if resume and kept.is_file() else []

    def show(state: TrainState) -> None:
        if task.performed is None or task.scored is None:
            return
        if not before:
            before.append(task.performed)
            kept.parent.mkdir(parents=True, exist_ok=True)
            np.save(kept, task.performed)
        rate = 1 / task.held_puppets[0].gap_s
        write_samples(run, state.step, before[0], task.performed, rate, task.scored.lines[0].sound)

    return show


def _run(
    task: PersonShape | PersonPixels,
    loop: LoopConfig,
    most_steps: int,
    run: Path,
    resume: bool,
    progress: Progress,
    stage: str,
    on_evaluate: Callable[[TrainState], None] | None = None,
) -> _Stage:
    """Train one of the two; a run that was finished before is only read."""
    before_file, best, done = run / "before.json", run / "best.safetensors", run / "done.json"
    if resume and done.is_file():
        found = json.loads(done.read_text(encoding="utf-8"))
        return _Stage(load_file(best), found["before"], found["after"], found["steps"], found["best_step"])
    if resume and before_file.is_file():
        before = task.start = json.loads(before_file.read_text(encoding="utf-8"))
    else:
        run.mkdir(parents=True, exist_ok=True)
        before = task.evaluate()
        if on_evaluate:
            on_evaluate(TrainState())
        task.export(best)
        _write_json(before_file, before)
    goes_on = resume and (run / "state.safetensors").is_file()
    if not loop.steps and not goes_on:
        fitting = int(FILL * loop.minutes * 60 / probe_step_s(task))
        loop = replace(loop, steps=max(1, min(fitting, most_steps)))
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
    try:
        part.write_text(json.dumps(values, ensure_ascii=False, indent=1), encoding="utf-8")
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
