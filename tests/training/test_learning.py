"""The tasks learn planted relations from a drawn dataset, and a person's adapter goes the whole way round."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from lipsync.errors import CheckpointError, DatasetError
from lipsync.model.base import load_base
from lipsync.model.checkpoint import load_model, save_model
from lipsync.model.lora import load_adapter
from lipsync.model.speech_to_shape import ShapeModel, ShapeModelConfig
from lipsync.training.clipstore import load_clips, read_manifest
from lipsync.training.loop import LoopConfig, train
from lipsync.training.pixel_task import PixelTask, PixelTaskConfig
from lipsync.training.shape_task import ShapeTask, ShapeTaskConfig, fit_shape_space, shape_clips
from lipsync.training.windows import WindowBatches, WindowTaskConfig, load_windows
from tests.model_helpers import TINY, random_batch, tiny_pixel, tiny_shape
from tests.training_helpers import write_drawn_dataset

PIXELS = PixelTaskConfig(windows=WindowTaskConfig(batch=2, chunk_frames=3), bfloat16=False, held_out_batches=1)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return write_drawn_dataset(tmp_path_factory.mktemp("drawn") / "data")


@pytest.fixture
def base_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("LIPSYNC_CHECKPOINTS", str(tmp_path / "checkpoints"))
    for name, seed in (("base", 0), ("other", 1)):
        save_model(tmp_path / "checkpoints" / name / "shape.safetensors", tiny_shape(seed), "shape")
        save_model(tmp_path / "checkpoints" / name / "pixel.safetensors", tiny_pixel(seed), "pixel")
    return tmp_path / "checkpoints"


def _shape_task(folder, **kwargs):
    clips = list(load_clips(folder))
    space, _ = fit_shape_space(clips)
    torch.manual_seed(0)
    model = ShapeModel(ShapeModelConfig(width=32, dilations=(1, 2), dropout=0.0))
    model.set_space(space)
    encoded = shape_clips(clips, space)
    return ShapeTask(
        model, encoded[:-1], encoded[-1:], ShapeTaskConfig(batch=8, augment=False, bfloat16=False, **kwargs)
    )


def test_shape_task_learns_the_planted_relation(dataset, tmp_path):
    task = _shape_task(dataset)
    train(task, LoopConfig(steps=150, learning_rate=5e-3, warmup_steps=5, ema_decay=0.9, evaluations=1), tmp_path)
    readings = task.evaluate()
    assert readings["score"] > 0.9
    assert 0.6 < readings["spread"] < 1.5


def test_offsets_that_were_planted_are_found(dataset, tmp_path):
    task = _shape_task(dataset)
    train(
        task, LoopConfig(steps=150, learning_rate=5e-3, warmup_steps=5, ema_decay=0.9, evaluations=1), tmp_path / "run"
    )
    late = list(load_clips(write_drawn_dataset(tmp_path / "late", late_frames=3)))
    clips = shape_clips(late, task.net.space)
    before = [c.times_s[0] for c in clips]
    assert task.correct_offsets(clips) == len(clips)
    moved = [round((c.times_s[0] - b) * 25) for c, b in zip(clips, before, strict=True)]
    assert moved == [3] * len(clips)


def test_references_are_never_the_frames_being_made_nor_their_neighbours(dataset):
    clips = load_windows(list(load_clips(dataset)))
    config = WindowTaskConfig(batch=1, chunk_frames=4, other_clip_share=0.0, reference_gap_frames=4)
    batches = WindowBatches(clips, TINY, config)
    for seed in range(40):
        rng = np.random.default_rng(seed)
        target = 20 + np.arange(4)
        for clip, index in batches._references(clips[0], target, rng):
            assert clip is clips[0] and (index < 16 or index > 27)


def test_windows_of_another_size_than_the_model_makes_are_refused(dataset):
    clips = load_windows(list(load_clips(dataset)))
    with pytest.raises(DatasetError, match="windows of 32 px, the model makes 64"):
        WindowBatches(clips, replace(TINY, size_px=64), WindowTaskConfig(chunk_frames=3))


def test_batches_agree_with_what_the_model_expects(dataset):
    batches = WindowBatches(load_windows(list(load_clips(dataset))), TINY, PIXELS.windows)
    x, batch, names, *_ = batches.draw(np.random.default_rng(0))
    like = random_batch(2, 3, TINY.previous_frames + TINY.references)
    assert x.shape == (2, 3, 3, 32, 32) and x.min() >= -1 and x.max() <= 1 and len(names) == 2
    for name, value in vars(like).items():
        assert getattr(batch, name).shape == value.shape, name
    assert batch.maps.max() <= 1 and float(batch.times_s[0, 0]) == 0


def test_drawing_is_repeatable(dataset):
    batches = WindowBatches(load_windows(list(load_clips(dataset))), TINY, PIXELS.windows)
    a, *_ = batches.draw(np.random.default_rng(3))
    b, *_ = batches.draw(np.random.default_rng(3))
    c, *_ = batches.draw(np.random.default_rng(4))
    assert torch.equal(a, b) and not torch.equal(a, c)


def test_pixel_task_gets_better_on_clips_it_has_not_seen(dataset, tmp_path):
    clips = load_windows(list(load_clips(dataset)))
    task = PixelTask(tiny_pixel().train(), clips[:-1], clips[-1:], PIXELS)
    before = task.evaluate()["score"]
    state = train(
        task, LoopConfig(steps=60, learning_rate=3e-3, warmup_steps=5, ema_decay=0.9, evaluations=1), tmp_path
    )
    assert state.best_score > before * 0.75  # scores are negative errors
    loaded = load_model(tmp_path / "best.safetensors", "pixel")
    assert loaded.config == TINY


def test_pretraining_learns_to_use_styles(dataset, tmp_path):
    task = _shape_task(dataset)
    train(task, LoopConfig(steps=6, learning_rate=5e-3, warmup_steps=2, ema_decay=0.5, evaluations=1), tmp_path)
    assert all(block.film.weight.abs().max() > 1e-4 for block in task.net.blocks)


def test_a_broken_manifest_names_the_line(dataset, tmp_path):
    (tmp_path / "manifest.jsonl").write_text((dataset / "manifest.jsonl").read_text() + "{broken\n")
    with pytest.raises(DatasetError, match=r"manifest\.jsonl:7"):
        read_manifest(tmp_path)


def test_checkpoints_are_strict(tmp_path, base_folder):
    with pytest.raises(CheckpointError, match="no base is called 'nope'"):
        load_base("nope")
    file = base_folder / "base" / "pixel.safetensors"
    with pytest.raises(CheckpointError, match="expected a shape model"):
        load_model(file, "shape")
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(CheckpointError, match="cut short"):
        load_model(file, "pixel")
    with pytest.raises(CheckpointError, match="not an adapter"):
        load_adapter(base_folder / "other" / "pixel.safetensors")
