"""The card: how well a base or an adapter does on a dataset, the predicted shape apart from the pixels.

Shape, against the clips' landmarks: correlation and spread of the opening with the clip's own sound; correlation with
the sound of another clip and with its own sound shuffled in half seconds (both should be near 0); opening in silence
over the mean opening of speech; closing on p, b, m of spoken lines whose phonemes are known. Footage is itself out of
sync at times: `in_sync` readings are of the clips of which the supervising judge is sure, moved to where it hears them
(it takes no part in the shape model's scores, and has not met held-out people). Pixels, given the true
shape: mean error near the lips, sharpness and flicker there against real, and the largest change outside the mask.
Judged: whole clips generated, before the scoring sync judge (card_judged.py). A base is judged on the people that
`pretrain` held out when the dataset has them, else on every clip; the card says which.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lipsync.errors import DatasetError
from lipsync.model.base import Base, load_base
from lipsync.model.lora import apply_adapter, load_adapter
from lipsync.model.sampler import SamplerConfig, sample
from lipsync.model.speech_to_shape import STEP_RATE_HZ, predict_shape
from lipsync.progress import Progress, Silent
from lipsync.speech.features import MEL_SILENCE
from lipsync.sync.judge import judge_file, load_judge
from lipsync.sync.offset import correlation, find_offset
from lipsync.training.card_judged import LEAST_S, measure_judged, shuffled_mel
from lipsync.training.clipstore import Clip, load_clips
from lipsync.training.foreign import (
    LEARNED_WITH,
    SCORED_BY,
    ForeignSpeech,
    chance_of_order,
    closes_on_bilabials,
    speak_lines,
)
from lipsync.training.judging import sound_offset_s
from lipsync.training.pixel_task import PixelTask, PixelTaskConfig, laplacian, to_device
from lipsync.training.pretrain import PretrainConfig, is_held_out
from lipsync.training.shape_task import ShapeClip, opening_weights, shape_clips
from lipsync.training.windows import WindowTaskConfig, load_windows

LEAST_FRAMES = 40
PIXEL_CLIPS = 12
JUDGED_CLIPS = 24
REACH_FRAMES = 6


@dataclass(frozen=True)
class Card:
    """Readings by name; medians over clips unless the name says otherwise."""

    model: str
    data: str
    clips: int
    people: int
    held_out_people_only: bool
    shape: dict[str, float]
    pixels: dict[str, float]
    judged: dict[str, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    def text(self) -> str:
        """A table for people."""
        who = "held-out people" if self.held_out_people_only else "all clips"
        lines = [f"{self.model} on {self.data}: {self.clips} clips, {self.people} people ({who})"]
        for part, values in (("shape", self.shape), ("pixels", self.pixels), ("judged", self.judged)):
            lines += [f"  {part:8}{name.replace('_', ' '):44}{value:8.3f}" for name, value in values.items()]
        return "\n".join(lines)


def card(model: str, data: Path, *, device: str = "auto", progress: Progress | None = None) -> Card:
    """Measure a base (by name) or an adapter (by file) on a dataset.

    Raises:
        DatasetError: no clip of 40 frames or more. CheckpointError: no such base, or an adapter of another one.
    """
    progress = progress or Silent()
    base = load_model_named(model, device)
    found = [c for c in load_clips(Path(data)) if c.record.frames >= LEAST_FRAMES]
    held_out = [c for c in found if is_held_out(c.record, PretrainConfig().held_out_one_in)]
    clips = held_out or found
    if len(clips) < 2:
        raise DatasetError(f"{data} holds {len(clips)} clips of {LEAST_FRAMES} frames or more; a card needs 2")
    progress.start("measuring the shape model", len(clips), "clips")
    mouths = shape_clips(clips, base.shape.space)
    shape = measure_shape(base, mouths, progress)
    progress.done()
    if judge_file("supervisor").is_file():
        progress.start("measuring it on footage in sync", len(clips), "clips")
        judge = load_judge("supervisor", str(base.device))
        shape |= measure_in_sync(base, mouths, [sound_offset_s(judge, clip) for clip in clips], progress)
        progress.done()
    progress.start("measuring the pixel model", PIXEL_CLIPS, "clips")
    pixels = measure_pixels(base, clips, progress)
    progress.done()
    long_enough = [c for c in clips if c.record.duration_s >= LEAST_S]
    judged: dict[str, float] = {}
    if len(long_enough) >= 2 and judge_file().is_file():
        picks = [long_enough[k] for k in np.unique(np.linspace(0, len(long_enough) - 1, JUDGED_CLIPS).astype(int))]
        progress.start("putting generated clips before the judge", len(picks), "clips")
        judged = measure_judged(base, picks, load_judge("scorer", str(base.device)), progress)
        progress.done()
    people = len({c.record.person or c.record.id for c in clips})
    return Card(model, Path(data).name, len(clips), people, bool(held_out), shape, pixels, judged)


def load_model_named(model: str, device: str) -> Base:
    """A base by name, or the base with an adapter applied when `model` is a file."""
    if not model.endswith(".safetensors"):
        return load_base(model, device)
    adapter = load_adapter(Path(model))
    return apply_adapter(load_base(str(adapter.notes.get("base", "base")), device), adapter)


def measure_shape(base: Base, clips: list[ShapeClip], progress: Progress) -> dict[str, float]:
    """The shape readings. Offsets of the footage are searched within ±REACH_FRAMES and reported, both ways."""
    weights = opening_weights(base.shape.space)
    rows: dict[str, list[float]] = {}

    def opening(mel: np.ndarray, times_s: np.ndarray) -> np.ndarray:
        return predict_shape(base.shape, mel, times_s, base.style) @ weights

    for i, clip in enumerate(clips):
        seen = clip.coefficients @ weights
        gap, frames = 1 / clip.frame_rate, len(clip.times_s)
        wide = clip.times_s[0] + gap * np.arange(-REACH_FRAMES, frames + REACH_FRAMES)
        lag = find_offset(seen, opening(clip.mel, wide), REACH_FRAMES, REACH_FRAMES)
        own = opening(clip.mel, clip.times_s)
        other = clips[(i + 1) % len(clips)]
        foreign = opening(np.resize(other.mel, clip.mel.shape), clip.times_s)
        still = opening(np.full_like(clip.mel, MEL_SILENCE), clip.times_s)
        rest = float(seen.min())
        found = {
            "own_sound_correlation": correlation(own, seen),
            "own_sound_correlation_at_best_offset": lag.score,
            "offset_within_1_frame_share": float(abs(lag.frames) <= 1),
            "spread_ratio": float(own.std() / max(float(seen.std()), 1e-6)),
            "foreign_sound_correlation": correlation(foreign, seen),
            "shuffled_sound_correlation": correlation(opening(shuffled_mel(clip.mel, i), clip.times_s), seen),
            "silent_opening_ratio": float((still.mean() - rest) / max(float(seen.mean()) - rest, 1e-6)),
            "silent_motion_ratio": float(still.std() / max(float(seen.std()), 1e-6)),
        }
        for name, value in found.items():
            rows.setdefault(name, []).append(value)
        progress.advance()
    found = {name: _middle(name, values) for name, values in rows.items()}
    lines = speak_lines(LEARNED_WITH + SCORED_BY)
    return found | ({"closes_on_p_b_m": measure_closing(base, lines)} if lines else {})


def measure_in_sync(
    base: Base, clips: list[ShapeClip], offsets_s: Sequence[float | None], progress: Progress
) -> dict[str, float]:
    """Correlation and spread of the opening on clips moved by their offsets; those without one are left out."""
    weights, rows = opening_weights(base.shape.space), []
    for clip, offset_s in zip(clips, offsets_s, strict=True):
        if offset_s is not None:
            seen = clip.coefficients @ weights
            own = predict_shape(base.shape, clip.mel, clip.times_s + offset_s, base.style) @ weights
            rows.append((correlation(own, seen), float(own.std() / max(float(seen.std()), 1e-6))))
        progress.advance()
    share = {"in_sync_share": round(len(rows) / len(clips), 4)}
    if not rows:
        return share
    names = ("in_sync_correlation", "in_sync_spread_ratio")
    return share | {
        name: _middle(name, list(values)) for name, values in zip(names, zip(*rows, strict=True), strict=True)
    }


def measure_closing(base: Base, lines: Sequence[ForeignSpeech]) -> float:
    """How surely lips close on p, b, m: the chance that an open vowel of these lines opens wider than one of them."""
    rows: list[tuple[float, int]] = []
    for line in lines:
        times_s = np.arange(int(line.duration_s * STEP_RATE_HZ)) / STEP_RATE_HZ
        opening = predict_shape(base.shape, line.mel, times_s, base.style) @ opening_weights(base.shape.space)
        rows += closes_on_bilabials(line, times_s, opening)
    return round(chance_of_order(rows), 4)


def _middle(name: str, values: list[float]) -> float:
    usable = np.array([v for v in values if np.isfinite(v)])
    if not len(usable):  # a mouth that never moves correlates with nothing
        return float("nan")
    return round(float(usable.mean() if name.endswith("_share") else np.median(usable)), 4)


@torch.inference_mode()
def measure_pixels(base: Base, clips: list[Clip], progress: Progress) -> dict[str, float]:
    """The pixel readings over chunks of evenly chosen clips, for 1, 2, 4 and 8 steps."""
    picks = [clips[k] for k in np.unique(np.linspace(0, len(clips) - 1, PIXEL_CLIPS).astype(int))]
    windows = WindowTaskConfig(batch=1, chunk_frames=base.pixel.config.chunk_frames, no_sound_share=0, augment=False)
    rows: dict[str, list[float]] = {}
    for clip in picks:
        loaded = load_windows([clip])
        task = PixelTask(base.pixel, loaded, loaded, PixelTaskConfig(windows=windows, held_out_batches=1))
        x, batch = task.held_out[0]
        x, batch = x[:1].to(base.device), to_device(_first(batch), base.device)
        near = (task.weight(batch) > 1.5).float()
        for steps in (1, 2, 4, 8):
            made = sample(base.pixel, batch, x, SamplerConfig(steps=steps), torch.Generator().manual_seed(0))
            found = {
                "error_near_lips_grey": 127.5 * float(((made - x).abs() * near).sum() / (3 * near.sum())),
                "sharpness_ratio": float((laplacian(made) * near).sum() / (laplacian(x) * near).sum()),
                "motion_ratio": float(made.diff(dim=1).abs().mean() / x.diff(dim=1).abs().mean()),
                "outside_mask_largest": 127.5 * float(((made - x).abs() * (1 - batch.mask)).max()),
            }
            for name, value in found.items():
                rows.setdefault(f"{name}_{steps}_steps", []).append(value)
        progress.advance()
    return {name: round(float(max(v) if "largest" in name else np.median(v)), 4) for name, v in sorted(rows.items())}


def _first(batch: Any) -> Any:
    """Only the first row of a batch."""
    return type(batch)(**{k: v if k == "mask" else v[:1] for k, v in vars(batch).items()})
