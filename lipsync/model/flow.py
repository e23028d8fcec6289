"""Flow matching from noise to windows, with x-prediction and the loss in v-space.

    x_t = t·x + (1 − t)·noise        v = x − noise = (x − x_t) / (1 − t)
    v̂ = (x̂ − x_t) / (1 − t)         loss = mean |v̂ − v|² = mean |x̂ − x|² / (1 − t)²

1 − t is held above T_GAP in both, so that the weight stays finite. Only masked pixels are noised and count.

Sources: Lipman et al. 2023; Li & He 2025, arXiv 2511.13720, Table 1.
"""

import torch
from torch import Tensor

T_GAP = 0.05


def interpolate(x: Tensor, noise: Tensor, t: Tensor) -> Tensor:
    """x_t for t (B,); x and noise (B, …)."""
    t = t.view(-1, *[1] * (x.ndim - 1)).to(x.dtype)
    return t * x + (1 - t) * noise


def velocity(x_hat: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
    """v̂ from a prediction of x, for t (B,)."""
    gap = (1 - t).clamp_min(T_GAP).view(-1, *[1] * (x_t.ndim - 1))
    return (x_hat - x_t) / gap


def v_loss(x_hat: Tensor, x: Tensor, t: Tensor, weight: Tensor) -> Tensor:
    """Weighted mean of |v̂ − v|²; weight broadcasts to x and is 0 outside the mask."""
    gap = (1 - t).clamp_min(T_GAP).view(-1, *[1] * (x.ndim - 1))
    error = ((x_hat - x) / gap).square() * weight
    return error.sum() / (weight.expand_as(x).sum() + 1e-6)


def sample_t(
    count: int, generator: torch.Generator, mean: float = -0.8, spread: float = 0.8, zero_share: float = 0.35
) -> Tensor:
    """Flow times for training (count,): logit-normal, a share of them exactly 0, where sampling starts."""
    t = torch.sigmoid(mean + spread * torch.randn(count, generator=generator))
    return torch.where(torch.rand(count, generator=generator) < zero_share, torch.zeros(()), t)
