"""Windows in memory, and the drawing of training batches for the pixel model from them.

A batch holds chunks of consecutive frames; references come from the same clip or another clip of the same person, never
from the frames being generated nor their neighbours: a reference that is the answer teaches copying. A share of the
chunks is driven by somebody else: another clip's sound, and its mouth shapes on this person's resting mouth.
"""

from collections import defaultdict
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor

from lipsync.errors import DatasetError
from lipsync.faces.align import fit_projection, mouth_opening, project
from lipsync.model.pixel import PREVIOUS, REFERENCE, Batch, PixelModelConfig
from lipsync.model.shape import find_neutral
from lipsync.model.shapemap import draw_shapes, mask_window
from lipsync.speech.features import mel_at
from lipsync.training.clipstore import Clip


@dataclass(frozen=True)
class WindowTaskConfig:
    """Settings of batch drawing."""

    batch: int = 2
    chunk_frames: int = 8
    no_sound_share: float = 0.25
    no_previous_share: float = 0.4
    reference_gap_frames: int = 4
    other_clip_share: float = 0.25
    alike_share: float = 0.35
    augment: bool = True
    flip_share: float = 0.5  # of augmented chunks that are mirrored
    look_strength: float = 1.0  # how much light, contrast and white balance vary, 0: not at all
    jitter_strength: float = 1.0  # the same of turning, size and place
    map_noise_px: float = 0.5
    foreign_share: float = 0.0  # of chunks driven by another person's clip: they have no true pixels


@dataclass(frozen=True)
class WindowClip:
    """One clip in memory."""

    name: str
    person: str
    windows: np.ndarray  # uint8 (F, S, S, 3)
    points: np.ndarray  # float32 (F, 31, 2)
    times_s: np.ndarray  # (F,) on the mel's clock
    mel: np.ndarray
    opening: np.ndarray  # (F,)
    pose_deg: np.ndarray  # (F, 3)
    mouth: np.ndarray  # (F, 31, 3) head units
    neutral: np.ndarray  # (31, 3)


class Drawn(NamedTuple):
    """A batch: clean windows (B, F, 3, S, S), what the model is told, the clips' names; `asked` (B, F, 31, 2) is the
    mouth's movement from rest that is asked for, in head units, and `own` (B,) 1 where it is the windows' own.
    """

    x: Tensor
    batch: Batch
    names: list[str]
    asked: Tensor
    own: Tensor


Rows = tuple[dict[str, Tensor], list[str]]  # tensors of a batch before they are scaled, and the clips' names


def load_windows(clips: list[Clip], offsets_s: dict[str, float] | None = None) -> list[WindowClip]:
    """Decode the clips' windows into memory (49 kB a frame at 128 px). `offsets_s` adds to a clip's sound times."""
    out = []
    for clip in clips:
        times = clip.mel_times_s + (offsets_s or {}).get(clip.record.id, 0.0)
        opening = mouth_opening(clip.mouth).astype(np.float32)
        name, person = clip.record.id, clip.record.person or clip.record.id
        rest = find_neutral(clip.mouth)
        out.append(
            WindowClip(
                name, person, clip.windows(), clip.points, times, clip.log_mel, opening, clip.pose_deg, clip.mouth, rest
            )
        )
    return out


class WindowBatches:
    """Draws batches from clips.

    Args:
        clips: at least one with more than chunk_frames + 2·gap frames.
        model: the model's dimensions.
    """

    def __init__(self, clips: list[WindowClip], model: PixelModelConfig, config: WindowTaskConfig) -> None:
        least = config.chunk_frames + config.reference_gap_frames + 2
        self.clips = [c for c in clips if len(c.windows) >= least]
        if not self.clips:
            raise DatasetError(f"no clip has {least} frames or more; prepare longer footage")
        wrong = next((c for c in self.clips if c.windows.shape[1] != model.size_px), None)
        if wrong:
            raise DatasetError(
                f"clip {wrong.name} has windows of {wrong.windows.shape[1]} px, the model makes {model.size_px}: "
                "prepare the footage for this model, or set the model's size_px"
            )
        self.model, self.config = model, config
        self.people: dict[str, list[int]] = defaultdict(list)
        for i, clip in enumerate(self.clips):
            self.people[clip.person].append(i)
        amount = np.array([sum(len(self.clips[i].windows) for i in self.people[c.person]) for c in self.clips], float)
        frames = np.array([len(c.windows) for c in self.clips], float)
        chance = frames / amount * np.sqrt(amount)  # a person weighs by the square root of their footage
        self.chance = chance / chance.sum()
        self.mask = mask_window(model.size_px, model.mask_top_px, model.mask_side_px)

    def draw(self, rng: np.random.Generator, device: str | torch.device = "cpu") -> Drawn:
        """A batch."""
        return self.to_drawn(self.rows(rng), device)

    def rows(self, rng: np.random.Generator) -> Rows:
        """What a batch is made of, in bytes where it can be: a quarter of what it weighs as a batch."""
        picks = [self.clips[i] for i in rng.choice(len(self.clips), self.config.batch, p=self.chance)]
        rows = [self._row(clip, rng) for clip in picks]
        joined = {key: torch.from_numpy(np.stack([row[key] for row in rows])) for key in rows[0]}
        return joined, [clip.name for clip in picks]

    def to_drawn(self, rows: Rows, device: str | torch.device = "cpu") -> Drawn:
        """The batch of `rows`, on a device."""
        joined = {key: value.to(device, non_blocking=True) for key, value in rows[0].items()}
        batch = Batch(
            mask=torch.from_numpy(self.mask).to(device),
            maps=_unit(joined["maps"]),
            mels=joined["mels"],
            has_sound=joined["has_sound"],
            times_s=joined["times_s"],
            known=_signed(joined["known"]),
            known_maps=_unit(joined["known_maps"]),
            known_times_s=joined["known_times_s"],
            known_roles=joined["known_roles"],
            known_valid=joined["known_valid"],
        )
        return Drawn(_signed(joined["x"]), batch, rows[1], joined["asked"], joined["own"])

    def _row(self, clip: WindowClip, rng: np.random.Generator) -> dict[str, np.ndarray]:
        config, model = self.config, self.model
        stride = int(rng.choice([1, 1, 1, 2])) if len(clip.windows) >= 3 * config.chunk_frames else 1
        span = (config.chunk_frames - 1) * stride + 1
        first = int(rng.integers(0, len(clip.windows) - span + 1))
        target = first + stride * np.arange(config.chunk_frames)
        previous = first - stride * np.arange(model.previous_frames, 0, -1)
        keep_previous = rng.random() >= config.no_previous_share
        has_previous = (previous >= 0) & keep_previous
        sources = [(clip, int(max(i, 0))) for i in previous] + self._references(clip, target, rng)
        valid = np.array([*has_previous, *[True] * (len(sources) - model.previous_frames)], np.float32)
        warp = _jitter(model.size_px, config.jitter_strength, rng) if config.augment else None
        look = _look(config.look_strength, rng) if config.augment and config.look_strength else None
        flip = config.augment and rng.random() < config.flip_share
        driver, at = self._driver(clip, target, stride, rng)
        asked = (driver.mouth[at] - driver.neutral)[..., :2]
        points = clip.points[target] if driver is clip else _moved(clip, target, asked)
        x, maps = self._frames([(clip, int(i)) for i in target], points, warp, look, flip, rng)
        sources_points = np.stack([c.points[i] for c, i in sources])
        known, known_maps = self._frames(sources, sources_points, warp, look, flip, rng)
        if config.augment:
            known[: model.previous_frames] = _worn(known[: model.previous_frames], rng)
        half = model.mel_half_width
        seconds = clip.times_s
        times = np.concatenate([seconds[target], seconds[np.clip(previous, 0, None)]]) - seconds[first]
        pad = np.zeros(len(sources) - model.previous_frames)
        has_sound = rng.random() >= config.no_sound_share
        return {
            "x": x,
            "maps": maps,
            "mels": mel_at(driver.mel, driver.times_s[at], start_s=0.0, half_width=half),
            "has_sound": np.array(has_sound, np.float32),
            "times_s": times[: len(target)].astype(np.float32),
            "known": known,
            "known_maps": known_maps,
            "known_times_s": np.concatenate([times[len(target) :], pad]).astype(np.float32),
            "known_roles": np.array([PREVIOUS] * model.previous_frames + [REFERENCE] * len(pad)),
            "known_valid": valid,
            "asked": asked.astype(np.float32),
            "own": np.array(driver is clip, np.float32),
        }

    def _driver(
        self, clip: WindowClip, target: np.ndarray, stride: int, rng: np.random.Generator
    ) -> tuple[WindowClip, np.ndarray]:
        """Whose speech moves the mouth, and its frames: the clip itself, or now and then somebody else's."""
        if rng.random() >= self.config.foreign_share:
            return clip, target
        span = (len(target) - 1) * stride + 1
        others = [c for c in self.clips if c.person != clip.person and len(c.windows) >= span]
        if not others:
            return clip, target
        driver = others[int(rng.integers(len(others)))]
        first = int(rng.integers(0, len(driver.windows) - span + 1))
        return driver, first + stride * np.arange(len(target))

    def _references(
        self, clip: WindowClip, target: np.ndarray, rng: np.random.Generator
    ) -> list[tuple[WindowClip, int]]:
        """Frames alike in pose and unlike in mouth, none near the target; some rows get fewer by repeating one."""
        gap, wanted = self.config.reference_gap_frames, self.model.references
        pose = clip.pose_deg[target].mean(0)
        free = [i for i in range(len(clip.windows)) if i < target[0] - gap or i > target[-1] + gap]
        others = [i for i in self.people[clip.person] if self.clips[i] is not clip]
        if others and (not free or rng.random() < self.config.other_clip_share):
            clip = self.clips[int(rng.choice(others))]
            free = list(range(len(clip.windows)))
        if not free:
            far = np.argsort(-np.abs(np.arange(len(clip.windows)) - target.mean()))
            free = [int(i) for i in far[:2] if i not in target] or [int(far[0])]
        turned = np.linalg.norm(clip.pose_deg[free] - pose, axis=1)
        alike = np.argsort(turned)[: max(6, round(self.config.alike_share * len(free)))]
        order = sorted((free[int(k)] for k in alike), key=lambda i: clip.opening[i])
        count = int(rng.integers(1, wanted + 1))
        ranks = (np.arange(count) + rng.random(count)) / count
        chosen = [order[min(int(r * len(order)), len(order) - 1)] for r in ranks]
        chosen += [chosen[int(rng.integers(0, count))] for _ in range(wanted - count)]
        return [(clip, int(i)) for i in rng.permutation(chosen)]

    def _frames(
        self,
        sources: list[tuple[WindowClip, int]],
        points: np.ndarray,
        warp: np.ndarray | None,
        look: np.ndarray | None,
        flip: bool,
        rng: np.random.Generator,
    ) -> tuple[np.ndarray, np.ndarray]:
        """uint8 windows (N, S, S, 3) and maps (N, 3, S, S) of points (N, 31, 2), one augmentation for all of them."""
        size = self.model.size_px
        images = np.stack([clip.windows[i] for clip, i in sources])
        points = points.astype(np.float64)
        if self.config.augment:
            noise = self.config.map_noise_px
            points = points + rng.normal(0, noise, (1, 1, 2)) + rng.normal(0, noise / 2, points.shape)
        if warp is not None:
            images = np.stack(
                [
                    cv2.warpAffine(im, warp, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
                    for im in images
                ]
            )
            points = points @ warp[:, :2].T + warp[:, 2]
        if look is not None:
            images = np.stack([cv2.LUT(im, look) for im in images])
        if flip:
            images = images[:, :, ::-1]
            points = points * [-1, 1] + [size - 1, 0]
        return np.ascontiguousarray(images), draw_shapes(points, size)


def _moved(clip: WindowClip, frames: np.ndarray, movement: np.ndarray) -> np.ndarray:
    """Where the clip's mouth would lie in its windows had it moved otherwise, (F, 31, 2) from rest: (F, 31, 2) px."""
    wanted = np.repeat(clip.neutral[None].astype(np.float64), len(frames), 0)
    wanted[..., :2] += movement
    return project(wanted, fit_projection(clip.mouth[frames], clip.points[frames]))


def _signed(x: Tensor) -> Tensor:
    """uint8 (B, N, S, S, 3) → float (B, N, 3, S, S), −1…1."""
    return x.permute(0, 1, 4, 2, 3).float() / 127.5 - 1


def _unit(x: Tensor) -> Tensor:
    return x.float() / 255


def _jitter(size: int, strength: float, rng: np.random.Generator) -> np.ndarray:
    turn_deg, growth, shift_px = rng.normal(0, 2.0), rng.normal(0.02, 0.04), rng.normal(0, 2.0, 2)
    matrix = cv2.getRotationMatrix2D((size / 2, size / 2), strength * turn_deg, float(np.exp(strength * growth)))
    matrix[:, 2] += strength * shift_px
    return matrix


def _look(strength: float, rng: np.random.Generator) -> np.ndarray:
    """Light, contrast, gamma and white balance as a table for cv2.LUT: uint8 (256, 1, 3)."""
    gamma, contrast, light = (strength * rng.normal(0, spread) for spread in (0.18, 0.12, 0.05))
    level = np.linspace(0, 1, 256)[:, None] ** np.exp(gamma)
    level = (level - 0.5) * np.exp(contrast) + 0.5 + light
    return np.clip(level * np.exp(strength * rng.normal(0, 0.06, 3)) * 255, 0, 255).astype(np.uint8)[:, None]


def _worn(frames: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Previous frames as the model itself would have made them: a little soft and noisy."""
    if rng.random() < 0.5:
        frames = np.stack([cv2.GaussianBlur(f, (0, 0), float(rng.uniform(0.3, 1.0))) for f in frames])
    return np.clip(frames + rng.normal(0, rng.uniform(0, 5), frames.shape), 0, 255).astype(np.uint8)
