"""A second device where there is none: code that mixes devices fails here as it would on a GPU.

Tensors on torch's `meta` device have a place and a shape but no values. Under OtherDevice they can be brought back
(as some values), so that training and rendering run to their end on "another device", and every operation that mixes
tensors of both places is refused by name, which torch itself would do only where a GPU is.
"""

import contextlib
import threading
from collections.abc import Iterator

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

NAME = "meta"
MOVES = ("aten._to_copy", "aten.to.", "aten.copy_")  # what brings tensors from one place to the other
INDEXED = ("aten.index.", "aten.index_put", "aten._unsafe_index")  # indices may be the CPU's


class OtherDevice(TorchDispatchMode):
    """See the module."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        name = str(func)
        tensors = [t for t in tree_leaves((args, kwargs)) if isinstance(t, torch.Tensor)]
        away = any(t.is_meta for t in tensors)
        if name.startswith(("aten._local_scalar_dense", "aten.item")) and away:
            return _some_values(tensors[0]).item()
        back = torch.device(kwargs.get("device") or NAME).type != NAME
        if name.startswith(("aten._to_copy", "aten.to.")) and away and back:
            return _some_values(tensors[0]).to(kwargs.get("dtype") or tensors[0].dtype)
        if name.startswith("aten.copy_") and away and not args[0].is_meta:
            return args[0].copy_(_some_values(tensors[1]))
        here = [t for t in tensors if not t.is_meta and t.ndim]
        if away and here and not name.startswith(MOVES + INDEXED):
            raise RuntimeError(
                f"{name} was given tensors of two devices: {[(t.device, tuple(t.shape)) for t in tensors]}"
            )
        return func(*args, **kwargs)


def _some_values(like: torch.Tensor) -> torch.Tensor:
    """Values on the CPU for a tensor without: finite, and not all the same."""
    return torch.arange(like.numel()).mul(0.37).cos().reshape(like.shape).to(like.dtype)


@contextlib.contextmanager
def other_device(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Inside, the name yielded can be used as a device."""
    autocast = torch.autocast

    def cast(device_type: str, *args, **kwargs):
        return contextlib.nullcontext() if device_type == NAME else autocast(device_type, *args, **kwargs)

    run = threading.Thread.run

    def run_so(thread: threading.Thread) -> None:  # a mode holds for one thread
        with OtherDevice():
            run(thread)

    with monkeypatch.context() as patch, OtherDevice():
        patch.setattr(torch, "autocast", cast)
        patch.setattr(threading.Thread, "run", run_so)
        yield NAME
