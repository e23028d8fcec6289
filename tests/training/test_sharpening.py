"""The strength of detail that sampling gives back: measured on planted models, applied inside the mask alone."""

from dataclasses import replace
from types import SimpleNamespace
from typing import cast

import pytest
import torch
from torch.nn import functional as F

from lipsync.model.sampler import SamplerConfig, sample, sharpen
from lipsync.training import person_setup, pixel_task
from lipsync.training.clipstore import load_clips
from lipsync.training.person import PersonPixels
from lipsync.training.pixel_task import detail_for, laplacian
from lipsync.training.windows import load_windows
from tests.model_helpers import random_batch, tiny_base, tiny_pixel
from tests.training_helpers import write_drawn_dataset


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    return load_windows(list(load_clips(write_drawn_dataset(tmp_path_factory.mktemp("detail") / "data", clips=3))))


def _soft(x):
    return F.avg_pool2d(F.pad(x.flatten(0, 1), (1, 1, 1, 1), mode="replicate"), 3, 1).view_as(x)


@pytest.mark.parametrize(("blend", "least", "most"), [(0.0, 0.0, 0.0), (0.2, 0.02, 0.45), (1.0, 0.5, 0.5)])
def test_the_softer_the_model_the_more_is_given_back_up_to_half(clips, monkeypatch, blend, least, most):
    monkeypatch.setattr(pixel_task, "sample", lambda m, b, x, c, g: (1 - blend) * x + blend * _soft(x))
    amount = detail_for(tiny_pixel(), clips)
    assert least <= amount <= most
    if 0 < amount < 0.5:  # and with it the strength is what was asked for
        x = torch.from_numpy(clips[0].windows[:8]).permute(0, 3, 1, 2)[None].float() / 127.5 - 1
        given = laplacian(sharpen(0.8 * x + 0.2 * _soft(x), amount)).sum() / laplacian(x).sum()
        assert given == pytest.approx(0.95, abs=0.05)


def test_a_flat_window_stays_flat():
    assert torch.allclose(sharpen(torch.full((1, 2, 3, 16, 16), 0.3), 0.5), torch.tensor(0.3))


def test_sampling_sharpens_inside_the_mask_alone_and_within_the_range():
    model, batch = tiny_pixel(), random_batch()
    windows = torch.rand(1, 3, 3, 32, 32) * 2 - 1
    soft = sample(model, batch, windows, SamplerConfig(), torch.Generator().manual_seed(0))
    model.config = replace(model.config, detail=0.4)
    sharp = sample(model, batch, windows, SamplerConfig(), torch.Generator().manual_seed(0))
    outside = (1 - batch.mask).expand_as(sharp) > 0
    assert torch.equal(sharp[outside], windows[outside]) and sharp.abs().max() <= 1
    inner = (slice(None), slice(None), slice(None), slice(8, 28), slice(8, 24))
    assert laplacian(sharp)[inner].sum() > 1.1 * laplacian(soft)[inner].sum()


@pytest.mark.parametrize(("sharpness", "taken"), [(0.96, True), (1.5, False)])
def test_a_person_has_a_detail_of_their_own_unless_they_look_worse_with_it(monkeypatch, sharpness, taken):
    before, after = ({"mouth_error_grey": 5.0, "mouth_sharpness": value} for value in (0.8, 0.9))
    found = {"mouth_error_grey": 5.0, "mouth_sharpness": sharpness}
    task = SimpleNamespace(batches=SimpleNamespace(clips=[]), config=None, evaluate=lambda: found)
    monkeypatch.setattr(person_setup, "detail_for", lambda model, clips, config: 0.3)
    result = person_setup.own_detail(cast(PersonPixels, task), tiny_base(), {}, 1.0, before, after)
    assert result == ((0.3, found) if taken else (0.0, after))
