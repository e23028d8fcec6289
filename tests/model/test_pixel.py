"""The pixel model listens to each thing it is told, and to nothing it must not see."""

from dataclasses import replace

import torch

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
