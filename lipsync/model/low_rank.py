"""Low-rank changes of a model's weights: made to be trained, and put on a base in milliseconds.

    W′ = W + s·B·A,   s = α/√r,   B zero at the start       (Hu et al. 2022; the scale: Kalajdzievski 2023)

peft learns it (rank-stabilised); what is kept of it are plain matrices, a convolution's kernel as one of out × in·k·k,
which are added to a base's weights when somebody speaks: several people share all weights that are not changed.
"""

import copy
import math
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import torch
from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn

from lipsync.errors import CheckpointError

M = TypeVar("M", bound=nn.Module)


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
    config = LoraConfig(r=rank, lora_alpha=alpha, use_rslora=True, target_modules=list(targets))  # pyright: ignore
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            changed = inject_adapter_in_model(config, copy.deepcopy(model))
        except ValueError as error:
            raise CheckpointError(f"no layer of this model ends in any of: {', '.join(targets)}") from error
    for layer in changed.modules():
        if isinstance(layer, LoraLayer) and isinstance(own := layer.get_base_layer(), nn.modules.conv._ConvNd):
            layer.lora_A["default"].dilation = own.dilation  # pyright: ignore  (peft forgets it)
    return changed  # type: ignore[return-value]


def low_rank_tensors(model: nn.Module) -> dict[str, Tensor]:
    """LAYER.a (r, in) and LAYER.b (out, r) of every changed layer, kernels as matrices, on the CPU."""
    found = {}
    for name, layer in model.named_modules():
        if isinstance(layer, LoraLayer):
            for part, weights in (("a", layer.lora_A), ("b", layer.lora_B)):
                weight = weights["default"].weight
                assert isinstance(weight, Tensor)
                found[f"{name}.{part}"] = weight.detach().cpu().flatten(1).clone()
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
