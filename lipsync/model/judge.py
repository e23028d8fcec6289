"""The sync judge: mouth pixels and sound, each turned into a unit vector per frame; alike where they belong together.

    lip_t = normalise(temporal(look(crop_t) − mean_t look))        sound_t = normalise(convolutions(log-mel around t))
    score(lag) = mean_t ⟨lip_t, sound_{t + lag}⟩

The crop is the middle of the window, grey, each frame with zero mean and unit variance; subtracting the stretch's mean
takes out who speaks. Both sides run at RATE_HZ, whatever the footage's frame rate. A second head reads the mouth shape
off each crop: it makes a small judge learn mouths rather than people, and serves as a differentiable lip reader.

Sources: Chung & Zisserman 2016 (SyncNet); van den Oord et al. 2018 (InfoNCE); Prajwal et al. 2020 (judge in training).
"""

import itertools
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lipsync.model.speech_to_shape import at_times
from lipsync.speech.features import MELS

RATE_HZ = 25
CENTRE, SIDE = (0.504, 0.473), 0.617  # of the window's side: where the mouth is, and how much of it is looked at


@dataclass(frozen=True)
class JudgeConfig:
    """Dimensions of a judge; they travel in its checkpoint."""

    size_px: int = 48
    channels: tuple[int, int, int, int] = (24, 48, 96, 128)
    width: int = 160
    embedding: int = 96
    lip_layers: int = 3
    dilations: tuple[int, ...] = (1, 2, 4, 1, 2)
    coefficients: int = 8
    dropout: float = 0.1


class _Step(nn.Module):
    """A residual convolution over time, normalised at each step."""

    def __init__(self, width: int, kernel: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.wide = nn.Conv1d(width, width, kernel, padding=dilation * (kernel // 2), dilation=dilation)
        self.mix = nn.Conv1d(width, width, 1)
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """(B, D, N)."""
        hidden = self.norm(x.transpose(1, 2)).transpose(1, 2)
        return x + self.mix(self.drop(F.gelu(self.wide(hidden))))


class Judge(nn.Module):
    """See the file. `lips` and `sound` give unit vectors; `read_shape` the mouth shape."""

    def __init__(self, config: JudgeConfig) -> None:
        super().__init__()
        self.config, width = config, config.width
        sizes = (1, *config.channels)
        self.look = nn.ModuleList(
            nn.Sequential(nn.Conv2d(a, b, 5 if a == 1 else 3, 2, 2 if a == 1 else 1), nn.GroupNorm(8, b), nn.SiLU())
            for a, b in itertools.pairwise(sizes)
        )
        self.gather = nn.Linear(config.channels[-1] * (config.size_px // 16) ** 2, width)
        self.shape = nn.Linear(width, config.coefficients)
        self.lip_steps = nn.ModuleList(_Step(width, 5, 1, config.dropout) for _ in range(config.lip_layers))
        self.lip_out = nn.Linear(width, config.embedding)
        self.stem = nn.Conv1d(MELS, width, 5, stride=2, padding=2)
        self.sound_steps = nn.ModuleList(_Step(width, 3, d, config.dropout) for d in config.dilations)
        self.sound_out = nn.Linear(width, config.embedding)
        self.log_scale = nn.Parameter(torch.tensor(2.5))

    def features(self, crops: Tensor) -> Tensor:
        """Crops (B, F, 1, s, s) from `mouth_crops`, 0…255 → (B, F, D)."""
        return self.gather(self.layers(crops)[-1].flatten(1)).unflatten(0, crops.shape[:2])

    def layers(self, crops: Tensor) -> list[Tensor]:
        """What each convolution makes of the crops: (B·F, C, h, w) at s/2, s/4, s/8, s/16."""
        x = crops.flatten(0, 1)
        x = (x - x.mean((1, 2, 3), keepdim=True)) / (x.std((1, 2, 3), keepdim=True) + 1.0)
        out = []
        for layer in self.look:
            x = layer(x)
            out.append(x)
        return out

    def read_shape(self, features: Tensor) -> Tensor:
        """Features (B, F, D) → shape coefficients (B, F, K)."""
        return self.shape(F.gelu(features))

    def lips(self, features: Tensor) -> Tensor:
        """Features (B, F, D) of consecutive frames at RATE_HZ → unit vectors (B, F, E)."""
        x = (features - features.mean(1, keepdim=True)).transpose(1, 2)
        for step in self.lip_steps:
            x = step(x)
        return F.normalize(self.lip_out(x.transpose(1, 2)).float(), dim=-1)

    def sound(self, log_mel: Tensor, times_s: Tensor) -> Tensor:
        """log_mel (B, T, 80) that starts at 0 s and times (B, N) → unit vectors (B, N, E)."""
        x = self.stem(log_mel.transpose(1, 2))
        for step in self.sound_steps:
            x = step(x)
        return F.normalize(at_times(self.sound_out(x.transpose(1, 2)).float(), times_s), dim=-1)


def mouth_crops(windows: Tensor, size_px: int, margin_px: int = 0) -> Tensor:
    """The mouth's part of windows, grey; differentiable.

    Args:
        windows: (N, 3, S, S), any scale of values.
        size_px: side of the crop; `margin_px` more on every side.

    Returns:
        (N, 1, size + 2·margin, size + 2·margin).
    """
    side = windows.shape[-1]
    half = SIDE * side / 2 * (1 + 2 * margin_px / size_px)
    left, top = round(CENTRE[0] * side - half), round(CENTRE[1] * side - half)
    wide = round(2 * half)
    part = windows[:, :, max(top, 0) : top + wide, max(left, 0) : left + wide]
    weights = torch.tensor([0.299, 0.587, 0.114], device=windows.device, dtype=windows.dtype)
    grey = (part * weights[:, None, None]).sum(1, keepdim=True)
    goal = size_px + 2 * margin_px
    return F.interpolate(grey, size=(goal, goal), mode="bilinear", antialias=True, align_corners=False)


def lag_scores(lips: Tensor, sound: Tensor, heard: Tensor) -> Tensor:
    """Mean similarity at every lag.

    Args:
        lips: (B, F, E). sound: (B, F + 2·reach, E), frame −reach first. heard: (B, F + 2·reach), 0 where no sound is.

    Returns:
        (B, 2·reach + 1); −1 where less than half of the frames have sound.
    """
    frames, lags = lips.shape[1], sound.shape[1] - lips.shape[1] + 1
    out = []
    for lag in range(lags):
        there = heard[:, lag : lag + frames]
        alike = ((lips * sound[:, lag : lag + frames]).sum(-1) * there).sum(1) / there.sum(1).clamp_min(1)
        out.append(torch.where(there.mean(1) >= 0.5, alike, torch.full_like(alike, -1.0)))
    return torch.stack(out, 1)
