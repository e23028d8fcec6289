"""Several processes learn one model: each draws batches of its own, and all take the step of the mean gradient.

    g = 1/N · Σ_r g_r

Started with `accelerate launch` or `torchrun`, which tell each process who it is (RANK, WORLD_SIZE, LOCAL_RANK,
MASTER_ADDR, MASTER_PORT). The first alone measures, writes and reports; the folder of the run must be seen by all.

Source: Goyal et al. 2017 (synchronous data parallelism).
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, distributed


@dataclass(frozen=True)
class Processes:
    """Which process it is, among how many."""

    rank: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether this one measures, writes and reports."""
        return self.rank == 0

    def average(self, values: Iterable[Tensor | None]) -> None:
        """Put the mean over all processes into these tensors, the same ones everywhere; None is left out everywhere."""
        there = [value for value in values if value is not None]
        if self.count == 1 or not there:
            return
        flat = torch.cat([value.detach().flatten() for value in there])
        distributed.all_reduce(flat)
        flat /= self.count
        for value, part in zip(there, flat.split([value.numel() for value in there]), strict=True):
            value.detach().copy_(part.view_as(value))

    def agree(self, value: float) -> float:
        """The first one's value."""
        if self.count == 1:
            return value
        held = torch.tensor([value], dtype=torch.float64, device=_device())
        distributed.broadcast(held, 0)
        return float(held)

    def wait(self) -> None:
        """Until all are here."""
        if self.count > 1:
            distributed.barrier()


def current() -> Processes:
    """Who this process is; one alone where `join` was not called or nobody else was started."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return Processes()
    return Processes(distributed.get_rank(), distributed.get_world_size())


def join(device: str) -> str:
    """Meet the processes that were started together, if any; returns this one's device (its own GPU)."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and not distributed.is_initialized():
        if device.startswith("cuda"):
            device = f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
            torch.cuda.set_device(device)
        distributed.init_process_group("nccl" if device.startswith("cuda") else "gloo")
    return device


def leave() -> None:
    """Part from the others, where there are any."""
    if current().count > 1:
        distributed.destroy_process_group()


def _device() -> str:
    return f"cuda:{torch.cuda.current_device()}" if distributed.get_backend() == "nccl" else "cpu"
