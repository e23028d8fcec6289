"""The critic: tells real mouths from generated ones, so that the pixel model does not settle for the mean of them.

    L_critic = E max(0, 1 − c(real)) + E max(0, 1 + c(made)) + penalty/2 · E |∇c(real)|²        L_real = −E c(made)

It sees the middle of two neighbouring windows with the mouth maps they were asked for (a sharp mouth of another shape
is wrong too, and so is one that flickers), and gives a verdict for each patch of some 30 px. The fine detail is shown
to it enlarged: without that it took some thousand steps to notice blur. It lives in training only.

Sources: Isola et al. 2017 (verdicts by patch); Lim & Ye 2017 (hinge); Mescheder et al. 2018 (gradient penalty).
"""

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from lipsync.model.shapemap import MAP_CHANNELS

TOP, BOTTOM, LEFT, RIGHT = 0.25, 0.875, 0.125, 0.875  # of the window: lips, chin and cheeks
DETAIL_GAIN = 4.0


class Critic(nn.Module):
    """Patch verdicts (N, 1, h, w) on pairs of windows (N, 2, 3, S, S), −1…1, with their maps (N, 2, 3, S, S)."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        seen = 2 * (3 + 3 + MAP_CHANNELS)
        self.convolutions = nn.ModuleList(
            nn.Conv2d(a, b, 4, 2, 1) for a, b in ((seen, width), (width, 2 * width), (2 * width, 4 * width))
        )
        self.verdict = nn.Conv2d(4 * width, 1, 3, padding=1)
        for layer in (*self.convolutions, self.verdict):
            nn.init.kaiming_normal_(layer.weight, a=0.2)  # type: ignore[arg-type]

    def forward(self, windows: Tensor, maps: Tensor) -> Tensor:
        """See the class."""
        size = windows.shape[-1]
        smooth = F.avg_pool2d(windows.flatten(0, 1), 5, 1, 2, count_include_pad=False).view_as(windows)
        x = torch.cat([windows, DETAIL_GAIN * (windows - smooth), maps], 2).flatten(1, 2)
        x = x[..., round(TOP * size) : round(BOTTOM * size), round(LEFT * size) : round(RIGHT * size)]
        for convolution in self.convolutions:
            x = F.leaky_relu(convolution(x), 0.2)
        return self.verdict(x)


def critic_terms(
    critic: Critic, made: Tensor, real: Tensor, maps: Tensor, own: Tensor, penalty: float
) -> tuple[Tensor, Tensor]:
    """(L_critic, L_real): the first moves the critic alone, the second what made the windows alone.

    Args:
        made, real: (B, F, 3, S, S) with F ≥ 2. maps: asked of `made`, (B, F, 3, S, S).
        own: (B,), 1 where the maps are those of `real` too; the others are no examples of real mouths.
        penalty: weight of the gradient penalty at real windows.
    """
    made_pairs, map_pairs, real_pairs = _pairs(made), _pairs(maps), _pairs(real).requires_grad_()
    frozen = {name: p.detach() for name, p in critic.named_parameters()}
    fooled = -functional_call(critic, frozen, (made_pairs, map_pairs)).mean()
    share = own.repeat_interleave(made.shape[1] - 1)
    share = share / share.sum().clamp_min(1)
    on_real = critic(real_pairs, map_pairs)
    (slope,) = torch.autograd.grad(on_real.sum(), real_pairs, create_graph=True)
    steep = slope.square().sum((1, 2, 3, 4)) / on_real[0].numel()
    told = (share * (F.relu(1 - on_real).mean((1, 2, 3)) + penalty / 2 * steep)).sum()
    return told + F.relu(1 + critic(made_pairs.detach(), map_pairs)).mean(), fooled


def _pairs(x: Tensor) -> Tensor:
    """(B, F, …) → (B·(F − 1), 2, …), each frame with the next."""
    return torch.stack([x[:, :-1], x[:, 1:]], 2).flatten(0, 1)
