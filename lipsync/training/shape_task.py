"""Learn speech → mouth shape, by regression on landmarks.

    loss = Σ_k std_k²·huber(ĉ_k − c_k) / Σ_k std_k²  +  motion·(the same of frame differences)
           +  follow·(1 − ccc(opening))

The first term is the landmark error in head units; ccc is the concordance correlation (Lin 1989) of the clip's
predicted and true opening: unlike squared error it does not reward a timid mouth.
Who speaks is taken out by bending the mel axis (vocal-tract length perturbation, Jaitly & Hinton 2013), level,
tilt, noise and a style vector for each known person that is left out half of the time.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lipsync.errors import DatasetError
from lipsync.faces.align import mouth_opening
from lipsync.model.checkpoint import save_model
from lipsync.model.shape import ShapeSpace, find_neutral, fit_space
from lipsync.model.speech_to_shape import ShapeModel, at_times, predict_shape
from lipsync.speech.features import MEL_HALF_RANGE, MEL_SILENCE, MELS
from lipsync.sync.offset import correlation, find_offset
from lipsync.training.clipstore import MEL_PAD_S, Clip
from lipsync.training.loop import StepResult


@dataclass(frozen=True)
class ShapeTaskConfig:
    """Settings of shape learning."""

    batch: int = 24
    segment_s: float = 1.6
    motion: float = 1.0
    follow: float = 0.3
    style_share: float = 0.5
    augment: bool = True
    bfloat16: bool = True
    offset_reach: int = 6
    least_offset_score: float = 0.35


@dataclass
class ShapeClip:
    """What shape learning needs of a clip. `coefficients` (F, K), `opening` (F,) relative to the neutral mouth."""

    name: str
    person: str
    frame_rate: float
    times_s: np.ndarray
    mel: np.ndarray
    coefficients: np.ndarray
    opening: np.ndarray
    neutral: np.ndarray


def fit_shape_space(clips: list[Clip]) -> tuple[ShapeSpace, float]:
    """The space of the clips' deltas; every clip weighs by the square root of its length."""
    deltas = []
    for clip, neutral in zip(clips, neutrals(clips), strict=True):
        every = max(1, round(np.sqrt(len(clip.mouth)) / 4))
        deltas.append((clip.mouth - neutral)[::every, :, :2])
    return fit_space(np.concatenate(deltas))


def neutrals(clips: list[Clip]) -> list[np.ndarray]:
    """Each clip's resting mouth: over the clip itself, since pose and camera shape it as much as the person."""
    return [find_neutral(clip.mouth) for clip in clips]


def shape_clips(clips: list[Clip], space: ShapeSpace) -> list[ShapeClip]:
    """Encode the clips in a space."""
    out = []
    for clip, neutral in zip(clips, neutrals(clips), strict=True):
        out.append(
            ShapeClip(
                clip.record.id,
                clip.record.person,
                clip.record.frame_rate,
                clip.mel_times_s,
                clip.log_mel,
                np.clip(space.encode(clip.mouth, neutral), -6, 6),
                mouth_opening(clip.mouth).astype(np.float32),
                neutral,
            )
        )
    return out


def opening_weights(space: ShapeSpace) -> np.ndarray:
    """(K,): how much the inner lips part per unit of each coefficient, to first order."""
    delta = (space.basis * space.std[:, None]).reshape(space.size, -1, 2)
    return (delta[:, [30, 29, 28], 1] - delta[:, [24, 25, 26], 1]).mean(1).astype(np.float32)


class ShapeTask:
    """A Task (see loop.py) over shape clips.

    Args:
        model: its space is set.
        train, held_out: clips encoded in that space.
        exact: clips learned from besides, whose times need no correction: what actors spoke.
    """

    def __init__(
        self,
        model: ShapeModel,
        train: list[ShapeClip],
        held_out: list[ShapeClip],
        config: ShapeTaskConfig,
        exact: list[ShapeClip] | None = None,
    ) -> None:
        if not train:
            raise DatasetError("no clip to learn the mouth shape from; prepare more footage")
        self.config, self.train_clips, self.held_out, self.exact = config, train, held_out, exact or []
        self.people = sorted({c.person for c in [*train, *self.exact] if c.person})
        self.model = nn.Module()
        self.model.net = model
        self.model.styles = nn.Embedding(
            max(1, len(self.people)), model.config.style, device=next(model.parameters()).device
        )
        nn.init.normal_(self.model.styles.weight, std=0.1)  # not zero: film starts at zero, and one must move the other
        self.net = model
        self.device = next(model.parameters()).device
        std = torch.from_numpy(model.space.std).float()
        self.weight = (std.square() / std.square().sum()).to(self.device)
        self.to_opening = torch.from_numpy(opening_weights(model.space)).to(self.device)
        seconds = np.array([len(c.times_s) / c.frame_rate for c in [*train, *self.exact]])
        self.chance = np.sqrt(seconds) / np.sqrt(seconds).sum()

    def step(self, rng: np.random.Generator) -> StepResult:
        """One batch of segments."""
        clips = [*self.train_clips, *self.exact]
        picks = [clips[i] for i in rng.choice(len(clips), self.config.batch, p=self.chance)]
        mels, times, truth, valid = zip(*(self._segment(clip, rng) for clip in picks), strict=True)
        mel = torch.from_numpy(np.stack(mels)).to(self.device)
        if self.config.augment:
            mel = augment_mel(mel, rng)
        t, c, w = (torch.from_numpy(np.stack(v)).float().to(self.device) for v in (times, truth, valid))
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.bfloat16):
            steps = self.net(mel, self._styles(picks, rng))
        predicted = at_times(steps.float(), t)
        loss, readings = self.loss(predicted, c, w)
        return StepResult(loss, readings, [clip.name for clip in picks])

    def _styles(self, picks: list[ShapeClip], rng: np.random.Generator) -> Tensor:
        known = [
            self.people.index(c.person) if c.person and rng.random() < self.config.style_share else -1 for c in picks
        ]
        index = torch.tensor(known, device=self.device)
        return self.model.styles(index.clamp_min(0)) * (index >= 0)[:, None]

    def _segment(self, clip: ShapeClip, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
        """A stretch of fixed length: mel (T, 80), frame times within it (F,), coefficients (F, K), valid (F,)."""
        seconds, frames = self.config.segment_s, int(self.config.segment_s * 60)
        span = float(clip.times_s[-1] - clip.times_s[0])
        start = clip.times_s[0] + rng.uniform(min(0.0, span - seconds), max(0.0, span - seconds))
        inside = np.flatnonzero((clip.times_s >= start) & (clip.times_s < start + seconds))[:frames]
        first = round((start - MEL_PAD_S) * 100)
        length = round((seconds + 2 * MEL_PAD_S) * 100)
        mel = np.full((length, MELS), MEL_SILENCE, np.float32)
        a, b = max(first, 0), min(first + length, len(clip.mel))
        mel[a - first : b - first] = clip.mel[a:b]
        times, truth, valid = (
            np.zeros(frames),
            np.zeros((frames, clip.coefficients.shape[1]), np.float32),
            np.zeros(frames),
        )
        times[: len(inside)] = clip.times_s[inside] - first / 100
        truth[: len(inside)], valid[: len(inside)] = clip.coefficients[inside], 1
        return mel, times, truth, valid

    def loss(self, predicted: Tensor, truth: Tensor, valid: Tensor) -> tuple[Tensor, dict[str, float]]:
        """(B, F, K), (B, F, K), (B, F) → loss and readings."""
        weight, both = valid[..., None] * self.weight, (valid[:, 1:] * valid[:, :-1])[..., None] * self.weight
        place = (F.smooth_l1_loss(predicted, truth, reduction="none") * weight).sum() / valid.sum()
        move = ((predicted.diff(dim=1) - truth.diff(dim=1)).square() * both).sum() / valid.sum()
        follow = 1 - concordance(predicted @ self.to_opening, truth @ self.to_opening, valid).mean()
        loss = place + self.config.motion * move + self.config.follow * follow
        return loss, {"place": float(place.detach()), "move": float(move.detach()), "follow": float(follow.detach())}

    def evaluate(self) -> dict[str, float]:
        """Correlation and spread of the opening on held-out clips, style left out."""
        rows = [self.follow(clip) for clip in self.held_out]
        corr = np.array([r[0] for r in rows if np.isfinite(r[0])])
        spread = float(np.median([r[1] for r in rows]))
        return {"score": float(corr.mean()), "median": float(np.median(corr)), "spread": spread}

    def follow(self, clip: ShapeClip, style: Tensor | None = None) -> tuple[float, float]:
        """(correlation of predicted with true opening, ratio of their standard deviations) of one clip."""
        weights = opening_weights(self.net.space)
        heard = predict_shape(self.net, clip.mel, clip.times_s, style) @ weights
        seen = clip.coefficients @ weights
        return correlation(heard, seen), float(heard.std() / max(seen.std(), 1e-6))

    def correct_offsets(self, clips: list[ShapeClip]) -> int:
        """Move each clip's frame times by the offset at which the model explains it best; returns how many moved."""
        weights, reach, moved = opening_weights(self.net.space), self.config.offset_reach, 0
        for i, clip in enumerate(clips):
            gap = 1 / clip.frame_rate
            times = clip.times_s[0] + gap * np.arange(-reach, len(clip.times_s) + reach)
            heard = predict_shape(self.net, clip.mel, times) @ weights
            found = find_offset(clip.coefficients @ weights, heard, reach, reach)
            if found.frames and found.score >= self.config.least_offset_score:
                clips[i] = replace(clip, times_s=clip.times_s + found.frames * gap)
                moved += 1
        return moved

    def export(self, path: Path) -> None:
        """The model alone; styles stay in the run."""
        save_model(path, self.net, "shape")


def concordance(a: Tensor, b: Tensor, valid: Tensor) -> Tensor:
    """Concordance correlation over frames, (B, F) each: 2·cov / (var_a + var_b + (mean_a − mean_b)²): (B,)."""
    count = valid.sum(1).clamp_min(1)
    mean_a, mean_b = (a * valid).sum(1) / count, (b * valid).sum(1) / count
    da, db = (a - mean_a[:, None]) * valid, (b - mean_b[:, None]) * valid
    return 2 * (da * db).sum(1) / (da.square().sum(1) + db.square().sum(1) + count * (mean_a - mean_b).square() + 1e-6)


def augment_mel(mel: Tensor, rng: np.random.Generator) -> Tensor:
    """Another speaker, microphone and room for the same words: (B, T, 80) → the same shape."""
    batch = len(mel)

    def draw(low: float, high: float) -> Tensor:
        return torch.from_numpy(rng.uniform(low, high, batch)).float().to(mel.device)[:, None, None]

    bands = torch.linspace(0, 1, MELS, device=mel.device)
    position = (bands[None] * draw(0.84, 1.19)[:, 0]).clamp(0, 1) * (MELS - 1)
    lower = position.floor().long().clamp(max=MELS - 2)
    share = (position - lower)[:, None]
    index = lower[:, None].expand(-1, mel.shape[1], -1)
    mel = mel.gather(2, index) * (1 - share) + mel.gather(2, index + 1) * share
    quiet = mel <= MEL_SILENCE + 1e-4
    shift = draw(-0.18, 0.12) + draw(-0.15, 0.15) * (bands - 0.5) * 2
    mel = torch.where(quiet, mel, (mel + shift).clamp_min(MEL_SILENCE))
    floor = draw(-1.6, -0.35) + 0.06 * torch.randn_like(mel)
    ten = np.log(10.0) * MEL_HALF_RANGE
    return torch.logaddexp(mel * ten, floor * ten) / ten
