"""Training and the card keep together what belongs on one device: run on a stand-in (other_device.py)."""

from dataclasses import replace

import pytest
import torch
from test_finetune import CONFIG as LEARN
from test_finetune import CONSENT, StopAt
from test_pretrain import CONFIG, name_people

from lipsync.errors import Cancelled
from lipsync.model.base import load_base
from lipsync.model.checkpoint import save_model
from lipsync.model.lora import apply_adapter, load_adapter
from lipsync.progress import Silent
from lipsync.training.card import measure_pixels
from lipsync.training.clipstore import load_clips
from lipsync.training.finetune import finetune
from lipsync.training.pretrain import pretrain
from tests.model_helpers import tiny_pixel, tiny_shape
from tests.other_device import other_device
from tests.training_helpers import write_drawn_dataset


def test_mixed_devices_are_refused(monkeypatch):
    with other_device(monkeypatch) as device:
        a, b = torch.ones(3, device=device), torch.ones(3)
        assert (a + b.to(device)).cpu().shape == (3,)
        with pytest.raises(RuntimeError, match="two devices"):
            torch.add(a, b)


def test_pretraining_stopped_and_resumed(tmp_path, monkeypatch):
    dataset = name_people(write_drawn_dataset(tmp_path / "data", clips=8))
    config = replace(CONFIG, pixel_task=replace(CONFIG.pixel_task, real=0.1))
    with other_device(monkeypatch) as device:
        for steps in (3, 9, 6, 9):
            with pytest.raises(Cancelled):
                pretrain([dataset], tmp_path, config, device=device, resume=True, progress=StopAt("", steps))
        state = pretrain([dataset], tmp_path, config, device=device, resume=True)
    assert state.step == 6


def test_learning_and_measuring_a_person(tmp_path, monkeypatch):
    dataset = write_drawn_dataset(tmp_path / "data")
    monkeypatch.setenv("LIPSYNC_CHECKPOINTS", str(tmp_path))
    save_model(tmp_path / "base" / "shape.safetensors", tiny_shape(), "shape")
    save_model(tmp_path / "base" / "pixel.safetensors", tiny_pixel(), "pixel")
    with other_device(monkeypatch) as device:
        out = tmp_path / "drawn.safetensors"
        config = replace(LEARN, shape_steps=2, pixel_steps=2, reader_steps=2, evaluations=1)
        finetune(dataset, out, config=config, consent=CONSENT, device=device)
        base = apply_adapter(load_base("base", device), load_adapter(out))
        readings = measure_pixels(base, list(load_clips(dataset))[:1], Silent())
    assert base.device.type == device
    assert readings["error_near_lips_grey_8_steps"] >= 0
