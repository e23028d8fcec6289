"""Low-rank changes of a model's weights: made to be trained, and put on a base in milliseconds.

    W′ = W + s·B·A,   s = α/√r,   B zero at the start       (Hu et al. 2022; the scale: Kalajdzievski 2023)

The change is made in weight space, for linear layers and convolutions alike (a convolution's kernel as a matrix of
out × in·k·k): no activation of low rank is computed or kept, so a step costs what a step of the base costs.
"""

import copy
import math
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from lipsync.errors import CheckpointError

M = TypeVar("M", bound=nn.Module)


class LowRank(nn.Module):
    """The parametrization W ↦ W + s·B·A. `a` (r, in), `b` (out, r); r is at most what the weight has."""

    def __init__(self, weight: Tensor, rank: int, alpha: float) -> None:
        super().__init__()
        out, width = len(weight), weight[0].numel()
        rank = min(rank, out, width)
        self.scale = low_rank_scale(rank, alpha)
        self.a = nn.Parameter(torch.empty(rank, width, device=weight.device))
        self.b = nn.Parameter(torch.zeros(out, rank, device=weight.device))
        nn.init.kaiming_uniform_(self.a, a=math.sqrt(5))

    def forward(self, weight: Tensor) -> Tensor:
        """See the class; always in float32."""
        with torch.autocast(weight.device.type, enabled=False):
            return weight + (self.scale * self.b @ self.a).view_as(weight)


def low_rank_scale(rank: int, alpha: float) -> float:
    """The scale s = α/√r."""
    return alpha / math.sqrt(rank)


def add_low_rank(model: M, targets: Iterable[str], rank: int, alpha: float, seed: int = 0) -> M:
    """A copy of a model whose own weights are frozen and whose low-rank changes can be trained.

    Args:
        targets: a layer is changed when its name, or the end of it after a dot, is one of these.

    Raises:
        CheckpointError: no layer has such a name.
    """
    changed = copy.deepcopy(model).requires_grad_(False)
    layers = _targeted(changed, tuple(targets))
    if not layers:
        raise CheckpointError(f"no layer of this model ends in any of: {', '.join(targets)}")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for layer in layers.values():
            weight = layer.weight
            assert isinstance(weight, Tensor)
            parametrize.register_parametrization(layer, "weight", LowRank(weight, rank, alpha))
    return changed


def _targeted(model: nn.Module, targets: tuple[str, ...]) -> dict[str, nn.Module]:
    ends = tuple(f".{name}" for name in targets)
    return {
        name: layer
        for name, layer in model.named_modules()
        if isinstance(layer, nn.Linear | nn.Conv1d | nn.Conv2d) and f".{name}".endswith(ends)
    }


def low_rank_tensors(model: nn.Module) -> dict[str, Tensor]:
    """LAYER.a and LAYER.b of every changed layer, on the CPU."""
    found = {}
    for name, layer in model.named_modules():
        if isinstance(layer, LowRank):
            plain = name.replace(".parametrizations.weight.0", "")
            found[f"{plain}.a"], found[f"{plain}.b"] = (v.detach().cpu().clone() for v in (layer.a, layer.b))
    return found


def changed_copy(model: M, changes: list[tuple[Mapping[str, Tensor], float]], alpha: float) -> M:
    """The model with low-rank changes added, each times its weight; every weight not changed is shared with `model`.

    Raises:
        CheckpointError: the changes name layers that the model does not have, or do not fit them.
    """
    shared: dict[int, Any] = {id(t): t for t in [*model.parameters(), *model.buffers()]}
    changed = copy.deepcopy(model, shared)
    layers = dict(changed.named_modules())
    for tensors, weight in changes:
        names = {key.rpartition(".")[0] for key in tensors}
        for name in sorted(names):
            layer, a, b = layers.get(name), tensors.get(f"{name}.a"), tensors.get(f"{name}.b")
            own = getattr(layer, "weight", None)
            if (
                not isinstance(own, Tensor)
                or a is None
                or b is None
                or len(own) != len(b)
                or own[0].numel() != a.shape[1]
            ):
                raise CheckpointError(
                    f"the adapter's weights do not fit this base: layer {name!r} is "
                    f"{'missing' if own is None else f'of another shape ({tuple(own.shape)})'}; learn the person again"
                )
            with torch.no_grad():
                delta = low_rank_scale(len(a), alpha) * (b.to(own.device, own.dtype) @ a.to(own.device, own.dtype))
                layer.weight = nn.Parameter(own + weight * delta.view_as(own), requires_grad=False)  # type: ignore[union-attr]
    return changed.eval()
