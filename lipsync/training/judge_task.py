"""Learn the sync judge: which sound belongs to a stretch of lips, among other lags of the same clip and other clips.

    loss = CE(κ·score over all lags, lag 0)  +  ½ CE(κ·score over the batch's sounds) + ½ CE(… lips)
           + read·huber(shape read off the crop − landmarks' shape)

The other lags of the same clip are the hard negatives. Footage is out by a frame here and there, so lag ±1 gets a small
share of the target. Two judges learn from disjoint people (`judge_side`): one may supervise, the other only scores.

Sources: Chung & Zisserman 2016; van den Oord et al. 2018; Chung, Chung & Kang 2019 (all lags at once, "perfect match").
"""

import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from lipsync.errors import DatasetError
from lipsync.model.checkpoint import save_model
from lipsync.model.judge import RATE_HZ, Judge, lag_scores
from lipsync.model.shape import ShapeSpace
from lipsync.speech.features import MEL_SILENCE, MELS
from lipsync.sync.judge import JUDGES, REACH, crop_mouths, crops_at
from lipsync.training.clipstore import MEL_PAD_S, Clip, ClipRecord
from lipsync.training.loop import StepResult
from lipsync.training.shape_task import augment_mel, neutrals

MARGIN_PX = 4


@dataclass(frozen=True)
class JudgeTaskConfig:
    """Settings of judge learning."""

    batch: int = 32
    frames: int = 28  # of a stretch, at RATE_HZ
    reach: int = REACH
    read: float = 0.5
    neighbour_share: float = 0.1
    augment: bool = True
    bfloat16: bool = True


@dataclass(frozen=True)
class JudgeClip:
    """A clip at RATE_HZ: crops uint8 (N, s, s) with a margin, shape (N, K), times_s (N,) on the clock of `mel`."""

    name: str
    person: str
    crops: np.ndarray
    coefficients: np.ndarray
    times_s: np.ndarray
    mel: np.ndarray

    @property
    def heard_s(self) -> tuple[float, float]:
        """From when to when there is sound."""
        there = np.flatnonzero((self.mel > MEL_SILENCE + 1e-3).any(1))
        return (there[0] / 100, there[-1] / 100) if len(there) else (0.0, 0.0)


def judge_side(record: ClipRecord) -> str:
    """Which judge may learn from a clip: people without a name and a third of the named supervise, the others score."""
    if not record.person:
        return JUDGES[0]
    return JUDGES[0] if zlib.crc32(b"judge" + record.person.encode()) % 3 == 0 else JUDGES[1]


def judge_clips(clips: list[Clip], space: ShapeSpace, size_px: int, offsets_s: dict[str, float]) -> list[JudgeClip]:
    """Decode the clips' mouths into memory (3 kB a frame), frames at RATE_HZ blended from the two nearest."""
    out = []
    for clip, neutral in zip(clips, neutrals(clips), strict=True):
        times = clip.mel_times_s + offsets_s.get(clip.record.id, 0.0)
        grid = np.arange(times[0], times[-1] + 1e-6, 1 / RATE_HZ)
        shape = np.clip(space.encode(clip.mouth, neutral), -6, 6)
        shape = np.stack([np.interp(grid, times, column) for column in shape.T], 1).astype(np.float32)
        crops = crops_at(crop_mouths(clip.windows(), size_px, MARGIN_PX), times, grid)
        out.append(JudgeClip(clip.record.id, clip.record.person, crops, shape, grid, clip.log_mel))
    return out


class JudgeTask:
    """A Task (see loop.py) over judge clips."""

    def __init__(
        self, model: Judge, train: list[JudgeClip], held_out: list[JudgeClip], config: JudgeTaskConfig
    ) -> None:
        self.clips = [c for c in train if len(c.crops) >= config.frames]
        if not self.clips:
            raise DatasetError(f"no clip has {config.frames} frames at {RATE_HZ} a second; prepare longer footage")
        self.model, self.config = model, config
        self.held_out = [c for c in held_out if len(c.crops) >= config.frames]
        self.device = next(model.parameters()).device
        length = np.array([len(c.crops) for c in self.clips], float)
        self.chance = np.sqrt(length) / np.sqrt(length).sum()

    def step(self, rng: np.random.Generator) -> StepResult:
        """One batch of stretches, no clip twice."""
        config = self.config
        count = min(config.batch, len(self.clips))
        picks = [self.clips[i] for i in rng.choice(len(self.clips), count, replace=False, p=self.chance)]
        parts = [stretch(c, int(rng.integers(0, len(c.crops) - config.frames + 1)), config) for c in picks]
        crops, shape, mel, times, heard = (
            torch.from_numpy(np.stack(v)).to(self.device) for v in zip(*parts, strict=True)
        )
        crops = self._vary(crops, rng) if config.augment else middle(crops)
        mel = augment_mel(mel, rng) if config.augment else mel
        with torch.autocast(self.device.type, torch.bfloat16, enabled=config.bfloat16):
            features = self.model.features(crops)
            read = self.model.read_shape(features).float()
            lips, sound = self.model.lips(features), self.model.sound(mel, times)
        loss, readings = self.loss(lips, sound, heard)
        reading = F.smooth_l1_loss(read, shape)
        return StepResult(
            loss + config.read * reading, readings | {"read": float(reading.detach())}, [c.name for c in picks]
        )

    def loss(self, lips: Tensor, sound: Tensor, heard: Tensor) -> tuple[Tensor, dict[str, float]]:
        """(B, F, E), (B, F + 2·reach, E), (B, F + 2·reach) → loss and readings."""
        reach, share, sharp = self.config.reach, self.config.neighbour_share, self.model.log_scale.exp()
        scores = lag_scores(lips, sound, heard)
        target = torch.zeros(2 * reach + 1, device=lips.device)
        target[reach - 1 : reach + 2] = torch.tensor([share, 1 - 2 * share, share], device=lips.device)
        lag = F.cross_entropy(sharp * scores, target.expand_as(scores))
        own = sound[:, reach : reach + lips.shape[1]]
        across = sharp * torch.einsum("ife,jfe->ij", lips, own) / lips.shape[1]
        right = torch.arange(len(lips), device=lips.device)
        clip = (F.cross_entropy(across, right) + F.cross_entropy(across.T, right)) / 2
        found = scores.argmax(1) - reach
        readings = {
            "lag": float(lag.detach()),
            "clip": float(clip.detach()),
            "near": float((found.abs() <= 1).float().mean()),
        }
        return lag + clip, readings

    def _vary(self, crops: Tensor, rng: np.random.Generator) -> Tensor:
        """Another camera: place, size and turn of the crop, mirror, light, softness, noise; one for each stretch."""
        batch, frames, size = len(crops), crops.shape[1], self.model.config.size_px

        def draw(low: float, high: float) -> Tensor:
            return torch.from_numpy(rng.uniform(low, high, batch)).float().to(crops.device)

        keep = size / crops.shape[-1]
        zoom, turn, mirror = keep * draw(0.88, 1.1), draw(-0.12, 0.12), torch.where(draw(0, 1) < 0.5, -1.0, 1.0)
        cos, sin = zoom * turn.cos(), zoom * turn.sin()
        matrix = torch.stack([cos * mirror, -sin, draw(-0.09, 0.09), sin * mirror, cos, draw(-0.09, 0.09)], 1).view(
            -1, 2, 3
        )
        matrix = matrix[:, None].expand(-1, frames, -1, -1).flatten(0, 1)
        grid = F.affine_grid(matrix, [len(matrix), 1, size, size], align_corners=False)
        x = F.grid_sample(crops.flatten(0, 1)[:, None].float(), grid, padding_mode="border", align_corners=False)
        x = x.unflatten(0, (batch, frames))
        soft = F.avg_pool2d(x.flatten(0, 1), 3, 1, 1, count_include_pad=False).view_as(x)
        share = draw(-0.3, 1.0).clamp_min(0).view(-1, 1, 1, 1, 1)
        x = x * (1 - share) + soft * share
        x = (x / 255).clamp(1e-3, 1) ** (draw(-0.3, 0.3).exp().view(-1, 1, 1, 1, 1)) * 255
        return x + torch.randn_like(x) * draw(0, 6).view(-1, 1, 1, 1, 1)

    @torch.inference_mode()
    def evaluate(self) -> dict[str, float]:
        """Held-out clips, three seconds where there are as many: how often the lag is found."""
        self.model.eval()
        near, exact, rank = [], [], []
        for clip in self.held_out:
            frames = min(len(clip.crops), 3 * RATE_HZ)
            scores = clip_scores(self.model, clip, self.config, 0, frames)
            found = int(scores.argmax()) - self.config.reach
            near.append(abs(found) <= 1)
            exact.append(found == 0)
            rank.append(float((scores > scores[self.config.reach]).mean()))
        return {"score": -float(np.mean(rank)), "within_1": float(np.mean(near)), "exact": float(np.mean(exact))}

    def export(self, path: Path) -> None:
        """The judge alone."""
        save_model(path, self.model, "judge")


def middle(crops: Tensor) -> Tensor:
    """Crops (…, s, s) with a margin → (…, 1, s, s) float without."""
    inner = slice(MARGIN_PX, crops.shape[-1] - MARGIN_PX)
    return crops[..., None, inner, inner].float()


def stretch(clip: JudgeClip, first: int, config: JudgeTaskConfig) -> tuple[np.ndarray, ...]:
    """A clip from frame `first` on: crops, shape, mel, times in it of frames −reach…frames + reach, heard there."""
    frames, reach, pad_s = config.frames, config.reach, MEL_PAD_S
    start_s = clip.times_s[first] - reach / RATE_HZ - pad_s
    begin, length = round(start_s * 100), round(((frames + 2 * reach) / RATE_HZ + 2 * pad_s) * 100)
    mel = np.full((length, MELS), MEL_SILENCE, np.float32)
    a, b = max(begin, 0), min(begin + length, len(clip.mel))
    mel[a - begin : b - begin] = clip.mel[a:b]
    times = clip.times_s[first] + np.arange(-reach, frames + reach) / RATE_HZ
    low, high = clip.heard_s
    heard = ((times >= low) & (times <= high)).astype(np.float32)
    part = slice(first, first + frames)
    return clip.crops[part], clip.coefficients[part], mel, (times - begin / 100).astype(np.float32), heard


def clip_scores(model: Judge, clip: JudgeClip, config: JudgeTaskConfig, first: int, frames: int) -> np.ndarray:
    """Scores at lags −reach…reach of a stretch: (2·reach + 1,)."""
    part = stretch(clip, first, JudgeTaskConfig(frames=frames, reach=config.reach))
    crops, _, mel, times, heard = (torch.from_numpy(v)[None] for v in part)
    device = next(model.parameters()).device
    lips = model.lips(model.features(middle(crops).to(device)))
    sound = model.sound(mel.to(device), times.to(device))
    return lag_scores(lips, sound, heard.to(device))[0].float().cpu().numpy()
