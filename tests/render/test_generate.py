"""Chunks of windows: a reference is encoded once, and chunks come out as if each were encoded anew."""

import numpy as np
import torch

from lipsync.config import RenderConfig
from lipsync.render import generate
from lipsync.render.generate import WindowGenerator, hear
from lipsync.render.plan import References
from tests.model_helpers import TINY, tiny_pixel

SIZE = TINY.size_px


def generator() -> WindowGenerator:
    rng = np.random.default_rng(0)
    windows = rng.integers(0, 255, (3, SIZE, SIZE, 3), np.uint8)
    points = rng.uniform(8, SIZE - 8, (3, 31, 2)).astype(np.float32)
    zeros = np.zeros(3)
    frames, pose_deg = np.array([90, 95, 99]), np.zeros((100, 3))
    pool = References(windows, points, frames, np.arange(3.0), pose_deg[:3], pose_deg, zeros, windows[:0])
    model = tiny_pixel()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)) * 0.05)
    return WindowGenerator(model, hear(None), pool, RenderConfig())


def chunks(own: WindowGenerator, forget: bool) -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    out = []
    for first in range(0, 9, 3):
        if forget:
            own.encoded.clear()
        frames = np.arange(first, first + 3)
        windows = rng.integers(0, 255, (3, SIZE, SIZE, 3), np.uint8)
        points = rng.uniform(8, SIZE - 8, (3, 31, 2)).astype(np.float32)
        out.append(own.generate(windows, points, frames / 25, frames))
    return out


def test_short_chunks_reach_the_network_as_longer_ones_and_leave_it_as_they_were():
    own, frames, lengths = generator(), np.arange(9), list[int]()
    own.model.register_forward_pre_hook(lambda _, given: lengths.append(given[0].shape[1]))
    rng = np.random.default_rng(1)
    windows = rng.integers(0, 255, (9, SIZE, SIZE, 3), np.uint8)
    points = rng.uniform(8, SIZE - 8, (9, 31, 2)).astype(np.float32)
    for count in (1, 2, 5, 6, 7):
        part = slice(0, count)
        made = own.generate(windows[part], points[part], frames[part] / 25, frames[part])
        assert made.shape == (count, SIZE, SIZE, 3)
        assert own.previous_s is not None and own.previous_s[-1] == frames[count - 1] / 25
        outside = own.mask.numpy() == 0
        assert np.abs(made[:, outside] - windows[part][:, outside]).max() < 1e-3
    assert lengths == [6, 6, 6, 6, 7]


def test_a_reference_is_encoded_once_with_the_same_result(monkeypatch):
    encoded = []

    def counted(model, batch, encode=generate.encode):
        encoded.append(batch.known_roles.tolist())
        return encode(model, batch)

    monkeypatch.setattr(generate, "encode", counted)
    kept = chunks(generator(), forget=False)
    seldom = len(encoded)
    anew = chunks(generator(), forget=True)
    assert all(np.array_equal(a, b) for a, b in zip(kept, anew, strict=True))
    previous = 3  # a chunk's own, each
    assert seldom <= previous + 3 and len(encoded) - seldom == previous + 3 * TINY.references
    assert not np.allclose(kept[0], kept[1])
