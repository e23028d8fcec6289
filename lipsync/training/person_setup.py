"""What learning a person starts from: their clips, a part of them held out, the two tasks, and how many steps fit."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lipsync.config import FinetuneConfig
from lipsync.errors import DatasetError
from lipsync.model.base import Base
from lipsync.model.low_rank import add_low_rank, changed_copy
from lipsync.model.sampler import fast_bfloat16
from lipsync.sync.judge import judge_file, load_judge
from lipsync.training.clipstore import Clip, load_clips
from lipsync.training.foreign import LEARNED_WITH, SCORED_BY, ForeignSound, Puppet, speak_lines
from lipsync.training.person import PersonPixels, PersonShape, pixel_score
from lipsync.training.pixel_task import LipReader, PixelTaskConfig, detail_for
from lipsync.training.reader import reader_correlation, teach_reader
from lipsync.training.shape_task import ShapeTaskConfig, shape_clips
from lipsync.training.windows import WindowTaskConfig, load_windows

FILL = 0.8  # share of the minutes that steps may take
EVALUATE = 0.15  # share that evaluating and samples may take
# One person before one camera: a mirrored face is somebody else's, and places and light vary enough by themselves.
OWN_WINDOWS = WindowTaskConfig(flip_share=0.0, look_strength=0.3, jitter_strength=0.3, map_noise_px=0.25)


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


def dataset_summary(clips: list[Clip]) -> dict[str, Any]:
    """Where the footage came from, for the adapter's header."""
    records = [c.record for c in clips]
    return {
        "sources": len({r.source for r in records}),
        "languages": sorted({r.language for r in records if r.language}),
        "rights": sorted({r.rights for r in records if r.rights}),
        "frame_rates": sorted({round(r.frame_rate, 2) for r in records}),
    }


def hold_out(clips: list[Clip], share: float) -> tuple[list[Clip], list[Clip]]:
    """(train, held out): every n-th clip is held out, at least one and never all."""
    every = max(2, round(1 / share))
    held = [c for i, c in enumerate(clips) if i % every == every - 1] or clips[-1:]
    return [c for c in clips if all(c is not h for h in held)], held


def shape_task(base: Base, clips: list[Clip], held_out: list[Clip], config: FinetuneConfig) -> PersonShape:
    """The task of the way of speaking."""
    settings, space = config.lora, base.shape.space
    model = add_low_rank(base.shape, settings.shape_targets, settings.shape_rank, settings.alpha, config.seed)
    return PersonShape(
        model,
        shape_clips(clips, space),
        shape_clips(held_out, space),
        ShapeTaskConfig(style_share=1.0, augment=False, bfloat16=fast_bfloat16(base.device)),
        teacher=base.shape,
        lines=speak_lines(LEARNED_WITH) if config.foreign_shape_weight else (),
        scored=speak_lines(SCORED_BY),
        foreign_weight=config.foreign_shape_weight,
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
    judge = teach_reader(
        [p.windows for p in puppets], [p.opening for p in puppets], seed=1, device=device, steps=config.reader_steps
    )
    settings = config.lora
    model = add_low_rank(base.pixel, settings.pixel_targets, settings.rank, settings.alpha, config.seed)
    task = PersonPixels(
        model.to(memory_format=torch.channels_last),  # pyright: ignore[reportCallIssue]
        windows,
        held,
        PixelTaskConfig(
            windows=replace(OWN_WINDOWS, batch=config.batch, chunk_frames=config.chunk_frames),
            bfloat16=fast_bfloat16(device),
            held_out_batches=config.held_out_batches,
        ),
        puppets=puppets,
        held_puppets=held_puppets,
        foreign=sounds[0],
        scored=sounds[1],
        judge=judge,
        foreign_share=config.foreign_share,
        foreign_weight=config.foreign_weight,
        lip_reader=LipReader(load_judge("supervisor"), base.shape.space)
        if judge_file("supervisor").is_file()
        else None,
        scorer=load_judge("scorer", str(device)) if judge_file("scorer").is_file() else None,
    )
    task.judge_correlation = reader_correlation(
        judge, [p.windows for p in held_puppets], [p.opening for p in held_puppets]
    )
    return task


def own_detail(
    task: PersonPixels,
    base: Base,
    weights: dict[str, torch.Tensor],
    alpha: float,
    before: dict[str, float],
    after: dict[str, float],
) -> tuple[float, dict[str, float]]:
    """What a learned look adds to the base's `detail`, by the clips it was learned from, and its readings with that.

    0 and the readings `after` it was learned where it would score worse with it, against the base's readings `before`.
    """
    model = changed_copy(base.pixel, [(weights, 1.0)], alpha)
    model.config = replace(model.config, detail=0.0)
    detail = detail_for(model, task.batches.clips, config=task.config)
    model.config = replace(model.config, detail=detail)
    task.model = model.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    found = task.evaluate()
    if pixel_score(found, before) < pixel_score(after, before):
        return 0.0, after
    return round(detail - base.pixel.config.detail, 4), found


def planned_steps(config: FinetuneConfig, part: str, step_s: float) -> int:
    """How many steps of "shape" or "pixel" are done when one takes `step_s`: as many as fit, but no more than help."""
    share = config.shape_share if part == "shape" else 1 - config.shape_share
    wanted, most = (
        (config.shape_steps, config.most_shape_steps)
        if part == "shape"
        else (config.pixel_steps, config.most_pixel_steps)
    )
    return wanted or max(1, min(int(FILL * share * config.minutes * 60 / step_s), most))


def planned_evaluations(config: FinetuneConfig, part: str, evaluate_s: float) -> int:
    """How often "shape" or "pixel" is evaluated when once takes `evaluate_s`; as set where the steps are set too."""
    share = config.shape_share if part == "shape" else 1 - config.shape_share
    if config.shape_steps if part == "shape" else config.pixel_steps:
        return config.evaluations
    fitting = int(EVALUATE * share * config.minutes * 60 / max(evaluate_s, 1e-6))
    return max(1, min(fitting, config.evaluations))
