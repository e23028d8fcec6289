"""The pixel model listens to each thing it is told, and to nothing it must not see."""

from dataclasses import replace
from unittest.mock import Mock

import pytest
import torch

from lipsync.model import pixel, sampler, transformer
from lipsync.model.pixel import PREVIOUS, REFERENCE, PixelModel, PixelModelConfig
from tests.model_helpers import TINY, random_batch, tiny_pixel


def _out(model, batch, x_t=None):
    if x_t is None:
        x_t = torch.zeros(1, 3, 3, TINY.size_px, TINY.size_px)
    with torch.no_grad():
        return model(x_t, torch.full((1,), 0.3), batch)


def _woken(seed=0):
    """A tiny model whose zero-initialised layers are woken, as training would."""
    model = tiny_pixel(seed)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.05 * torch.randn_like(p))
    return model


def test_shape_of_the_answer():
    assert _out(tiny_pixel(), random_batch()).shape == (1, 3, 3, 32, 32)


def test_every_input_matters():
    model, batch = _woken(), random_batch()
    plain = _out(model, batch)
    changed = {
        "maps": batch.maps.flip(-1),
        "mels": batch.mels + 1,
        "has_sound": torch.zeros(1),
        "times_s": batch.times_s * 3 + 0.2,
        "known": batch.known.flip(-2),
        "known_maps": batch.known_maps.flip(-1),
        "known_roles": torch.tensor([[1, 2]]),
        "known_valid": torch.tensor([[1.0, 0.0]]),
    }
    for name, value in changed.items():
        assert not torch.allclose(plain, _out(model, replace(batch, **{name: value})), atol=1e-5), name


def test_a_known_frame_that_is_not_valid_is_not_looked_at():
    model, batch = _woken(), replace(random_batch(), known_valid=torch.tensor([[1.0, 0.0]]))
    other = batch.known.clone()
    other[:, 1] = -other[:, 1]
    a, b = _out(model, batch), _out(model, replace(batch, known=other))
    # its patches are zeroed before the transformer and it has no weight in the blends
    torch.testing.assert_close(a, b, atol=1e-5, rtol=0)


def test_sound_is_ignored_when_there_is_said_to_be_none():
    model, batch = _woken(), replace(random_batch(), has_sound=torch.zeros(1))
    torch.testing.assert_close(_out(model, batch), _out(model, replace(batch, mels=batch.mels * 2)))


def test_frames_of_a_chunk_attend_to_each_other():
    model, batch = _woken(), random_batch()
    x = torch.zeros(1, 3, 3, 32, 32)
    y = x.clone()
    y[:, 2] = 0.9
    assert not torch.allclose(_out(model, batch, x)[:, 0], _out(model, batch, y)[:, 0], atol=1e-6)


def test_gradients_reach_every_weight():
    model, batch = _woken(), random_batch()
    model.train()(torch.zeros(1, 3, 3, 32, 32), torch.tensor([0.3]), batch).square().mean().backward()
    without = [n for n, p in model.named_parameters() if p.grad is None]
    assert without == ["no_sound"] or without == []


def test_learns_one_window_by_heart():
    """x-prediction on a single example: the error falls to a tenth."""
    model, batch = tiny_pixel().train(), random_batch()
    coarse = torch.rand(3, 3, 4, 4, generator=torch.Generator().manual_seed(5)) * 2 - 1
    target = torch.nn.functional.interpolate(coarse, scale_factor=8, mode="bilinear")[None]
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    losses = []
    for _ in range(150):
        loss = (model(torch.zeros_like(target), torch.zeros(1), batch) - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.1 * losses[0]


def test_a_field_is_enlarged_by_a_product_as_bicubic_interpolation_enlarges_it():
    warp = PixelModel(PixelModelConfig(size_px=64, channels=(8, 16, 16), width=32, depth=1, heads=2)).decoder.warp
    field = torch.randn(3, 2, 4, 4, generator=torch.Generator().manual_seed(0))
    wanted = torch.nn.functional.interpolate(field, size=(64, 64), mode="bicubic", align_corners=False)
    assert torch.allclose(warp.to_size @ field @ warp.to_size.T, wanted, atol=1e-5)
    assert "decoder.warp.to_size" not in PixelModel(TINY).state_dict()  # older checkpoints load


@pytest.mark.parametrize("precision", [None, torch.bfloat16])
def test_what_is_never_moved_is_left_out_with_the_same_result(monkeypatch, precision):
    model = tiny_pixel()
    with torch.no_grad():
        for parameter in model.decoder.warp.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)) * 0.1)
    batch = random_batch(frames=2, known=3)
    roles = torch.tensor([[PREVIOUS, REFERENCE, REFERENCE]])
    batch = replace(batch, known_roles=roles)
    x, t = torch.randn(1, 2, 3, 32, 32, generator=torch.Generator().manual_seed(2)), torch.zeros(1)

    def run():
        with torch.inference_mode(), torch.autocast("cpu", precision, enabled=precision is not None):
            return model(x, t, batch)

    short = run()
    monkeypatch.setattr(pixel, "_unusable_first", lambda usable: 0)
    assert torch.allclose(short, run(), atol=1e-5)
    assert pixel._unusable_first(torch.tensor([[0.0, 1.0, 0.0]])) == 0
    monkeypatch.undo()
    assert pixel._unusable_first(torch.tensor([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])) == 1
    assert pixel._unusable_first(torch.zeros(2, 3)) == 0


def test_known_frames_encoded_one_by_one_give_the_same_windows():
    model, batch = tiny_pixel(), random_batch(batch=2, frames=2, known=3)
    x, t = torch.randn(2, 2, 3, 32, 32, generator=torch.Generator().manual_seed(2)), torch.full((2,), 0.4)
    with torch.inference_mode():
        parts = [model.encode_known(batch.with_known(slice(k, k + 1))) for k in range(3)]
        apart = model(x, t, batch, pixel.Known.joined(parts))
        assert torch.allclose(model(x, t, batch), apart, atol=1e-5)
        assert not torch.allclose(model(x, t, batch, pixel.Known.joined(parts[::-1])), apart, atol=1e-4)


def test_known_frames_are_encoded_once_however_many_steps_follow(monkeypatch):
    model, batch = tiny_pixel(), random_batch(frames=2)
    monkeypatch.setattr(model, "encode_known", Mock(wraps=model.encode_known))
    config = sampler.SamplerConfig(steps=3, guidance=2.0)
    sampler.sample(model, batch, torch.zeros(1, 2, 3, 32, 32), config, torch.Generator())
    assert model.encode_known.call_count == 1


def test_fast_and_exact_arithmetic_draw_the_same_window(monkeypatch):
    """What half precision changes is far under what is seen: on a CPU here, on a GPU where there is one."""
    model, batch = tiny_pixel(), random_batch(frames=2)
    windows = torch.rand(1, 2, 3, 32, 32, generator=torch.Generator().manual_seed(3)) * 2 - 1
    drawn = []
    for fast in (False, True):
        monkeypatch.setattr(sampler, "fast_bfloat16", lambda device, fast=fast: fast)
        drawn.append(sampler.sample(model, batch, windows, sampler.SamplerConfig(), torch.Generator().manual_seed(0)))
    levels = (drawn[0] - drawn[1]).abs() * 127.5
    assert levels.mean() < 1.0 and levels.max() < 8.0 and not torch.equal(*drawn)


def test_half_precision_on_a_cpu_attends_and_bends_as_exact_arithmetic_does():
    q, k, v = (torch.randn(1, 2, 40, 16, generator=torch.Generator().manual_seed(n)) for n in range(3))
    halves = [x.bfloat16() for x in (q, k, v)]
    x = torch.linspace(-6, 6, 2001)
    with torch.inference_mode():
        exact = torch.nn.functional.scaled_dot_product_attention(*(x.float() for x in halves))
        assert (transformer._attention(*halves).float() - exact).abs().max() < 0.02
        assert torch.equal(transformer._gelu(x), torch.nn.functional.gelu(x, approximate="tanh"))
        bent = transformer._gelu(x.bfloat16()).float()
        assert torch.equal(bent, torch.nn.functional.gelu(x.bfloat16()).float())
        assert (bent - torch.nn.functional.gelu(x.bfloat16().float(), approximate="tanh")).abs().max() < 0.02
    grown = [x.clone().requires_grad_() for x in halves]
    assert transformer._attention(*grown).grad_fn.name().startswith("ScaledDotProduct")  # nothing is held for learning


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_a_gpu_draws_the_same_window():
    model, batch = tiny_pixel(), random_batch(frames=2)
    windows = torch.rand(1, 2, 3, 32, 32, generator=torch.Generator().manual_seed(3)) * 2 - 1
    here = sampler.sample(model, batch, windows, sampler.SamplerConfig(), torch.Generator().manual_seed(0))
    there = type(batch)(**{name: value.cuda() for name, value in vars(batch).items()})
    config, noise = sampler.SamplerConfig(), torch.Generator().manual_seed(0)
    made = sampler.sample(model.cuda(), there, windows.cuda(), config, noise).cpu()
    assert (made - here).abs().mean() * 127.5 < 1.0
