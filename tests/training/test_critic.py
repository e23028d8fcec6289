"""The critic: who learns from which verdict, whom it believes, what it can tell apart, and resuming with it."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional as F

from lipsync.model.pixel import PixelModel
from lipsync.training.clipstore import load_clips
from lipsync.training.critic import Critic, critic_terms
from lipsync.training.loop import LoopConfig, train
from lipsync.training.pixel_task import PixelTask, PixelTaskConfig
from lipsync.training.windows import WindowTaskConfig, load_windows
from tests.model_helpers import TINY
from tests.training_helpers import write_drawn_dataset


def _textures(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Fine textures (N, 2, 3, 64, 64), and the same out of focus."""
    rng = torch.Generator().manual_seed(seed)
    sharp = F.interpolate(torch.rand(count * 2, 3, 32, 32, generator=rng), size=64).mul(2).sub(1)
    blurred = F.avg_pool2d(sharp, 5, 1, 2)
    return sharp.view(count, 2, 3, 64, 64), blurred.view(count, 2, 3, 64, 64)


def test_each_learns_from_its_own_verdict_alone():
    critic, own = Critic(8), torch.ones(2)
    real, made = _textures(2, 0)
    made.requires_grad_()
    told, fooled = critic_terms(critic, made, real, torch.zeros_like(real), own, 0.1)
    weights = list(critic.parameters())
    assert torch.autograd.grad(told, made, retain_graph=True, allow_unused=True) == (None,)
    assert all(g is None for g in torch.autograd.grad(fooled, weights, retain_graph=True, allow_unused=True))
    assert all(float(g.abs().sum()) > 0 for g in torch.autograd.grad(told, weights[:-1], retain_graph=True))
    assert float(torch.autograd.grad(fooled, made)[0].abs().sum()) > 0


def test_windows_whose_maps_are_another_mouths_are_no_examples_of_real_ones():
    critic, (real, made) = Critic(8), _textures(3, 1)
    own = torch.tensor([1.0, 0.0, 1.0])
    before = critic_terms(critic, made, real, torch.zeros_like(real), own, 0.1)[0]
    spoilt = real.clone()
    spoilt[1] = 5.0
    assert torch.allclose(before, critic_terms(critic, made, spoilt, torch.zeros_like(real), own, 0.1)[0])
    spoilt[0] = 5.0
    assert not torch.allclose(before, critic_terms(critic, made, spoilt, torch.zeros_like(real), own, 0.1)[0])
    nobody = critic_terms(critic, made, real, torch.zeros_like(real), torch.zeros(3), 0.1)[0]
    assert torch.isfinite(nobody)


def test_it_learns_to_tell_sharp_from_blurred_and_says_how_to_sharpen():
    torch.manual_seed(0)
    critic, own = Critic(8), torch.ones(4)
    optimizer = torch.optim.AdamW(critic.parameters(), lr=2e-3)
    for step in range(60):
        real, made = _textures(4, step)
        loss = critic_terms(critic, made, real, torch.zeros_like(real), own, 0.02)[0]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    real, made = _textures(8, 999)
    maps = torch.zeros_like(real)
    with torch.no_grad():
        assert (critic(real, maps).mean((1, 2, 3)) > critic(made, maps).mean((1, 2, 3)) + 0.5).all()
    made.requires_grad_()
    fooled = critic_terms(critic, made, real, maps, torch.ones(8), 0.02)[1]
    better = made.detach() - 0.05 * torch.autograd.grad(fooled, made)[0].sign()
    seen = (..., slice(16, 56), slice(8, 56))
    detail = [float(x[seen].diff(dim=-1).abs().mean()) for x in (made.detach(), better)]
    assert detail[1] > 1.1 * detail[0]


@pytest.mark.parametrize("workers", [0, 1])
def test_a_run_with_a_critic_goes_on_exactly_where_it_stopped(tmp_path: Path, workers: int):
    clips = load_windows(list(load_clips(write_drawn_dataset(tmp_path / "data", clips=2))))
    windows = WindowTaskConfig(batch=2, chunk_frames=3)
    config = PixelTaskConfig(windows=windows, held_out_batches=1, real=0.1, workers=workers)

    def task() -> PixelTask:
        torch.manual_seed(0)
        return PixelTask(PixelModel(TINY), clips, clips, config)

    loop = LoopConfig(steps=4, evaluations=2, learning_rate=1e-3, warmup_steps=1)
    train(task(), loop, tmp_path / "whole")

    class Stopped(Exception):
        pass

    class Stop:
        count = 0

        def start(self, *said: object) -> None: ...
        def done(self, *said: object) -> None: ...
        def advance(self, amount: float = 1, note: str = "") -> None:
            self.count += amount
            if self.count >= 3:
                raise Stopped

    with pytest.raises(Stopped):
        train(task(), loop, tmp_path / "cut", progress=Stop())
    assert train(task(), loop, tmp_path / "cut", resume=True).step == 4
    whole, cut = (load_file(tmp_path / name / "state.safetensors") for name in ("whole", "cut"))
    assert any("critic.verdict" in name for name in whole) and whole.keys() == cut.keys()
    for name in whole:
        assert np.array_equal(whole[name].numpy(), cut[name].numpy()), name
    assert not any("critic" in name for name in load_file(tmp_path / "whole" / "best.safetensors"))
