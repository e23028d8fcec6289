"""The shape model: log-mel → mouth shape coefficients at any frame times.

A stack of dilated convolutions (temporal convolutional network, Bai et al. 2018) over the mel at 50 Hz, with a style
vector that scales and shifts every block (FiLM, Perez et al. 2018). It sees ±0.6 s, costs the same for every second,
and answers for any length without chunks. Values at frame times are linear between its 50 Hz steps.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lipsync.model.shape import ShapeSpace
from lipsync.speech.features import MEL_RATE_HZ, MEL_SILENCE, MELS

STEP_RATE_HZ = 50
LENGTHS = 200  # mel frames: sounds are made multiples of it, since oneDNN keeps what it prepares for every length


@dataclass(frozen=True)
class ShapeModelConfig:
    """Dimensions of the shape model; they travel in its checkpoint."""

    width: int = 192
    dilations: tuple[int, ...] = (1, 2, 4, 8, 1, 2, 4, 8)
    kernel: int = 3
    style: int = 16
    coefficients: int = 8
    dropout: float = 0.1


class _Block(nn.Module):
    def __init__(self, config: ShapeModelConfig, dilation: int) -> None:
        super().__init__()
        width = config.width
        self.norm = nn.LayerNorm(width)
        self.film = nn.Linear(config.style, 2 * width)
        self.wide = nn.Conv1d(width, width, config.kernel, padding=dilation * (config.kernel // 2), dilation=dilation)
        self.mix = nn.Conv1d(width, width, 1)
        self.drop = nn.Dropout(config.dropout)
        nn.init.zeros_(self.film.weight)
        nn.init.zeros_(self.film.bias)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        scale, shift = self.film(style)[:, :, None].chunk(2, dim=1)
        hidden = _each_step(self.norm, x) * (1 + scale) + shift
        return x + self.mix(self.drop(F.gelu(self.wide(hidden))))


def _each_step(norm: nn.LayerNorm, x: Tensor) -> Tensor:
    """(B, C, N) normalised over channels at each step alone: a mouth does not depend on how long the sound is."""
    return norm(x.transpose(1, 2)).transpose(1, 2)


class ShapeModel(nn.Module):
    """log_mel (B, T, 80) and style (B, 16) → coefficients (B, ⌈T/2⌉, K) at STEP_RATE_HZ, step k at k/50 s."""

    space_mean: Tensor
    space_basis: Tensor
    space_std: Tensor

    def __init__(self, config: ShapeModelConfig) -> None:
        super().__init__()
        self.config = config
        self.stem = nn.Conv1d(MELS, config.width, 5, stride=2, padding=2)
        self.blocks = nn.ModuleList(_Block(config, d) for d in config.dilations)
        self.out_norm = nn.LayerNorm(config.width)
        self.out = nn.Conv1d(config.width, config.coefficients, 1)
        self.register_buffer("space_mean", torch.zeros(62))
        self.register_buffer("space_basis", torch.zeros(config.coefficients, 62))
        self.register_buffer("space_std", torch.ones(config.coefficients))

    def forward(self, log_mel: Tensor, style: Tensor) -> Tensor:
        """See the class."""
        x = self.stem(log_mel.transpose(1, 2))
        for block in self.blocks:
            x = block(x, style)
        return self.out(F.gelu(_each_step(self.out_norm, x))).transpose(1, 2)

    @property
    def space(self) -> ShapeSpace:
        """The shape space that the coefficients belong to."""
        return ShapeSpace(*(b.double().cpu().numpy() for b in (self.space_mean, self.space_basis, self.space_std)))

    def set_space(self, space: ShapeSpace) -> None:
        """Write the space into the model's buffers."""
        self.space_mean.copy_(torch.from_numpy(space.mean))
        self.space_basis.copy_(torch.from_numpy(space.basis))
        self.space_std.copy_(torch.from_numpy(space.std))


def at_times(steps: Tensor, times_s: Tensor) -> Tensor:
    """Linear interpolation of (B, N, K) at STEP_RATE_HZ to times (B, F) in s: (B, F, K); the ends are held."""
    position = (times_s * STEP_RATE_HZ).clamp(0, steps.shape[1] - 1)
    lower = position.floor().long().clamp(max=max(steps.shape[1] - 2, 0))
    weight = (position - lower)[..., None].to(steps.dtype)
    index = lower[..., None].expand(-1, -1, steps.shape[2])
    upper = (index + 1).clamp(max=steps.shape[1] - 1)
    return steps.gather(1, index) * (1 - weight) + steps.gather(1, upper) * weight


@torch.inference_mode()
def predict_shape(
    model: ShapeModel,
    log_mel: np.ndarray,
    times_s: np.ndarray,
    style: Tensor | None = None,
    start_s: float = 0.0,
    pad_s: float = 1.0,
) -> np.ndarray:
    """Coefficients at frame times.

    Args:
        log_mel: (T, 80) of the speech, frame k at start_s + k/100 s. Before and after it is silence.
        times_s: (F,) on the same clock.
        style: (16,); None is the average person.

    Returns:
        float32 (F, K).
    """
    device = next(model.parameters()).device
    since_s = np.asarray(times_s, np.float64) - start_s
    before, after = -since_s.min(initial=0.0), since_s.max(initial=0.0) - len(log_mel) / MEL_RATE_HZ
    step = int(MEL_RATE_HZ / STEP_RATE_HZ)  # no time may lie near an end, where convolutions see zeros
    pads = [step * int(np.ceil((max(0.0, beyond) + pad_s) * STEP_RATE_HZ)) for beyond in (before, after)]
    pads[1] += -(sum(pads) + len(log_mel)) % LENGTHS
    silence = [np.full((count, MELS), MEL_SILENCE, np.float32) for count in pads]
    mel = torch.from_numpy(np.concatenate([silence[0], log_mel, silence[1]]))[None].to(device)
    vector = torch.zeros(1, model.config.style, device=device) if style is None else style.to(device)[None]
    steps = model.eval()(mel, vector)
    times = torch.from_numpy(since_s + pads[0] / MEL_RATE_HZ)[None].to(device)
    return at_times(steps, times.float())[0].float().cpu().numpy()
