"""From noise to windows: Euler steps along the flow, chunk after chunk.

    x ← x + (t′ − t)·v̂(x, t)        guidance g:  x̂ = x̂(no sound) + g·(x̂(sound) − x̂(no sound));  g = 1 is none

The pixels outside the mask are the true ones at every step. The last step ends at t = 1, where x = x̂. What leaves the
model is the middle of what could have been, softer than any of it; `sharpen` gives its detail back the strength (not
the place) that real windows have:    x ← x + a·(x − G·x),  G a Gaussian of 1 px,  a = the model's `detail`.

Source: Lipman et al. 2023; Ho & Salimans 2022 (guidance).
"""

import itertools
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from lipsync.errors import ConfigError
from lipsync.model.flow import velocity
from lipsync.model.pixel import Batch, PixelModel


@dataclass(frozen=True)
class SamplerConfig:
    """`steps` model calls a chunk. `bend` > 0 spends more of them near the noise."""

    steps: int = 1
    guidance: float = 1.0
    bend: float = 0.5


def flow_times(steps: int, bend: float) -> list[float]:
    """Steps + 1 times from 0 to 1: t = u^(1 + bend)… wherever bend is 0 they are even. ConfigError for steps < 1."""
    if steps < 1:
        raise ConfigError(f"steps must be 1 or more, found {steps}")
    return [(i / steps) ** (1 + bend) for i in range(steps + 1)]


@torch.inference_mode()
def sample(
    model: PixelModel, batch: Batch, windows: Tensor, config: SamplerConfig, generator: torch.Generator
) -> Tensor:
    """Generate a chunk.

    Args:
        windows: (B, F, 3, S, S), −1…1; only the pixels outside the mask are used.
        generator: a CPU generator: one seed, one result on every device.

    Returns:
        (B, F, 3, S, S) float32: generated inside the mask, `windows` outside.
    """
    device = windows.device
    noise = torch.randn(windows.shape, generator=generator).to(device)
    outside = (1 - batch.mask) * windows
    x = batch.mask * noise + outside
    times = flow_times(config.steps, config.bend)
    for now, after in itertools.pairwise(times):
        t = torch.full((len(x),), now, device=device)
        x_hat = _predict(model, x, t, batch, config.guidance)
        x = x_hat if after == 1.0 else x + (after - now) * velocity(x_hat, x, t)
        x = batch.mask * x + outside
    detail = model.config.detail
    return (batch.mask * sharpen(x, detail) + outside if detail else x).clamp(-1, 1)


def sharpen(windows: Tensor, amount: float) -> Tensor:
    """Windows (B, F, 3, S, S) with `amount` times what a Gaussian of 1 px takes away put on top."""
    windows = windows.contiguous()  # planes lie apart: as channels last it takes four times as long
    planes = windows.flatten(0, 2)[:, None]
    taps = torch.exp(-(torch.arange(-3, 4, device=windows.device, dtype=windows.dtype) ** 2) / 2)
    taps = taps / taps.sum()
    soft = F.conv2d(F.pad(planes, (3, 3, 3, 3), mode="replicate"), taps.view(1, 1, 1, -1))
    soft = F.conv2d(soft, taps.view(1, 1, -1, 1))
    return windows + amount * (windows - soft.view_as(windows))


def _predict(model: PixelModel, x: Tensor, t: Tensor, batch: Batch, guidance: float) -> Tensor:
    with torch.autocast(x.device.type, torch.bfloat16, enabled=fast_bfloat16(x.device)):
        heard = model(x, t, batch).float()
        if guidance == 1.0:
            return heard
        deaf = model(x, t, replace(batch, has_sound=torch.zeros_like(batch.has_sound))).float()
    return deaf + guidance * (heard - deaf)


def fast_bfloat16(device: torch.device) -> bool:
    """Whether bfloat16 is faster than float32 here: CUDA, or a CPU with instructions for it."""
    return device.type == "cuda" or bool(
        torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    )
