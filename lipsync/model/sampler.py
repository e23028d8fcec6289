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

from lipsync.errors import ConfigError
from lipsync.model.flow import velocity
from lipsync.model.pixel import Batch, Known, PixelModel


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
    model: PixelModel,
    batch: Batch,
    windows: Tensor,
    config: SamplerConfig,
    generator: torch.Generator,
    known: Known | None = None,
) -> Tensor:
    """Generate a chunk.

    Args:
        windows: (B, F, 3, S, S), −1…1; only the pixels outside the mask are used.
        generator: a CPU generator: one seed, one result on every device.
        known: the batch's known frames where they are encoded already, see `encode`.

    Returns:
        (B, F, 3, S, S) float32: generated inside the mask, `windows` outside.
    """
    device = windows.device
    known = known or encode(model, batch)
    outside = x = (1 - batch.mask) * windows
    if config.steps > 1:  # the first step sees none of it
        x = batch.mask * torch.randn(windows.shape, generator=generator).to(device) + outside
    times = flow_times(config.steps, config.bend)
    for now, after in itertools.pairwise(times):
        t = torch.full((len(x),), now, device=device)
        x_hat = _predict(model, x, t, batch, known, config.guidance)
        x = x_hat if after == 1.0 else x + (after - now) * velocity(x_hat, x, t)
        x = batch.mask * x + outside
    detail = model.config.detail
    return (batch.mask * sharpen(x, detail) + outside if detail else x).clamp(-1, 1)


@torch.inference_mode()
def encode(model: PixelModel, batch: Batch) -> Known:
    """The batch's known frames, in the precision that sampling has here."""
    with _half(batch.known.device):
        return model.encode_known(batch)


def sharpen(windows: Tensor, amount: float) -> Tensor:
    """Windows (B, F, 3, S, S) with `amount` times what a Gaussian of 1 px takes away put on top."""
    windows = windows.contiguous()  # planes lie apart: as channels last it takes four times as long
    blur = _gaussian(windows.shape[-1]).to(windows)
    return windows + amount * (windows - blur @ windows @ blur.T)


def _gaussian(size: int) -> Tensor:
    """A Gaussian of 1 px along a line whose ends go on, as a product (half of a convolution's time): (S, S)."""
    apart = torch.arange(-3, 4)
    taps = torch.exp(-(apart**2) / 2)
    places = (torch.arange(size)[:, None] + apart).clamp(0, size - 1)
    return torch.zeros(size, size).scatter_add(1, places, (taps / taps.sum()).expand(size, -1))


def _predict(model: PixelModel, x: Tensor, t: Tensor, batch: Batch, known: Known, guidance: float) -> Tensor:
    with _half(x.device):
        heard = model(x, t, batch, known).float()
        if guidance == 1.0:
            return heard
        deaf = model(x, t, replace(batch, has_sound=torch.zeros_like(batch.has_sound)), known).float()
    return deaf + guidance * (heard - deaf)


def _half(device: torch.device) -> torch.autocast:
    return torch.autocast(device.type, torch.bfloat16, enabled=fast_bfloat16(device))


def fast_bfloat16(device: torch.device) -> bool:
    """Whether bfloat16 is faster than float32 here: CUDA, or a CPU with instructions for it."""
    return device.type == "cuda" or bool(
        torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    )
