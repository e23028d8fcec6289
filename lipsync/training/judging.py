"""Learn the two sync judges from disjoint people, and let the supervisor put footage in sync."""

from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from lipsync.errors import DatasetError, SpeechError
from lipsync.model.judge import RATE_HZ, Judge, JudgeConfig
from lipsync.model.shape import ShapeSpace
from lipsync.progress import Progress
from lipsync.sync.judge import JUDGES, crop_mouths, judge_sync
from lipsync.training.clipstore import Clip
from lipsync.training.judge_task import JudgeTask, JudgeTaskConfig, judge_clips, judge_side
from lipsync.training.loop import LoopConfig, begun, train
from lipsync.training.shape_task import ShapeClip


@dataclass(frozen=True)
class JudgesConfig:
    """How judges are made and learned; `least_confidence` of an offset for it to be believed."""

    model: JudgeConfig = field(default_factory=JudgeConfig)
    task: JudgeTaskConfig = field(default_factory=JudgeTaskConfig)
    loop: LoopConfig = field(
        default_factory=lambda: LoopConfig(minutes=8, learning_rate=1e-3, weight_decay=0.05, ema_decay=0.995, seed=3)
    )
    least_confidence: float = 0.2


def learn_judges(
    train_clips: list[Clip],
    held_out: list[Clip],
    space: ShapeSpace,
    offsets_s: dict[str, float],
    run: Path,
    config: JudgesConfig,
    progress: Progress,
    device: str = "cpu",
    *,
    resume: bool = False,
) -> None:
    """RUN/supervisor/best.safetensors and RUN/scorer/best.safetensors; with `resume`, from where they are.

    Raises:
        DatasetError: one of them has nobody to learn from.
    """
    size = config.model.size_px
    scored = judge_clips(held_out, space, size, offsets_s)
    for number, which in enumerate(JUDGES):
        own = [c for c in train_clips if judge_side(c.record) == which]
        if not own:
            raise DatasetError(f"the {which} has no clip to learn from; add footage of more named people")
        torch.manual_seed(config.loop.seed + number)
        task = JudgeTask(Judge(config.model).to(device), judge_clips(own, space, size, offsets_s), scored, config.task)
        loop, folder = replace(config.loop, seed=config.loop.seed + number), run / which
        train(task, loop, folder, resume=resume and begun(folder), progress=progress)


def in_sync(
    judge: Judge, clips: list[ShapeClip], found: list[Clip], as_found_s: dict[str, float], least: float = 0.2
) -> list[ShapeClip]:
    """The shape clips, moved to where the judge finds the sound of the footage clips, where it is sure enough."""
    footage, out = {c.record.id: c for c in found}, []
    for clip in clips:
        offset_s = sound_offset_s(judge, footage[clip.name], least)
        move = 0.0 if offset_s is None else as_found_s[clip.name] + offset_s - clip.times_s[0]
        out.append(replace(clip, times_s=clip.times_s + move))
    return out


def sound_offset_s(judge: Judge, clip: Clip, least: float = 0.2) -> float | None:
    """By how much the clip's sound comes late, in s; None: the judge is less sure than `least`, or it is too short."""
    try:
        crops = crop_mouths(clip.windows(), judge.config.size_px)
        verdict = judge_sync(judge, crops, clip.mel_times_s, clip.log_mel)
    except SpeechError:
        return None
    return verdict.offset_frames / RATE_HZ if verdict.confidence >= least else None
