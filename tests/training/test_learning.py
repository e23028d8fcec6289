"""The tasks learn planted relations from a drawn dataset, and a person's adapter goes the whole way round."""

import dataclasses

import numpy as np
import pytest
import torch

from lipsync.consent import Consent
from lipsync.errors import CheckpointError, ConsentError, DatasetError
from lipsync.model.base import load_base
from lipsync.model.checkpoint import load_model, save_model
from lipsync.model.lora import LoraSettings, apply_adapter, load_adapter, save_adapter, wrap_shape
from lipsync.model.speech_to_shape import ShapeModel, ShapeModelConfig
from lipsync.training.clipstore import load_clips, read_manifest
from lipsync.training.finetune import FinetuneConfig, _PersonShape, finetune, hold_out
from lipsync.training.loop import LoopConfig, train
from lipsync.training.pixel_task import PixelTask, PixelTaskConfig
from lipsync.training.shape_task import ShapeTask, ShapeTaskConfig, fit_shape_space, shape_clips
from lipsync.training.windows import WindowBatches, WindowTaskConfig, load_windows
from tests.model_helpers import TINY, random_batch, tiny_pixel, tiny_shape
from tests.training_helpers import write_drawn_dataset

CONSENT = Consent("Drawn Person", "the tests", "2026-01-31", "I agree.")
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


def test_batches_agree_with_what_the_model_expects(dataset):
    batches = WindowBatches(load_windows(list(load_clips(dataset))), TINY, PIXELS.windows)
    x, batch, names = batches.draw(np.random.default_rng(0))
    like = random_batch(2, 3, TINY.previous_frames + TINY.references)
    assert x.shape == (2, 3, 3, 32, 32) and x.min() >= -1 and x.max() <= 1 and len(names) == 2
    for name, value in vars(like).items():
        assert getattr(batch, name).shape == value.shape, name
    assert batch.maps.max() <= 1 and float(batch.times_s[0, 0]) == 0


def test_drawing_is_repeatable(dataset):
    batches = WindowBatches(load_windows(list(load_clips(dataset))), TINY, PIXELS.windows)
    a, _, _ = batches.draw(np.random.default_rng(3))
    b, _, _ = batches.draw(np.random.default_rng(3))
    c, _, _ = batches.draw(np.random.default_rng(4))
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


def test_a_person_goes_the_whole_way_round(dataset, base_folder, tmp_path):
    steps = LoopConfig(steps=12, learning_rate=5e-3, warmup_steps=2, ema_decay=0.5, evaluations=2)
    config = FinetuneConfig(minutes=5, shape_loop=steps, pixel_loop=steps, pixel_task=PIXELS)
    out = tmp_path / "drawn.safetensors"
    result = finetune(dataset, out, config=config, consent=CONSENT, device="cpu")
    assert out.is_file() and result.person == "Drawn Person"
    assert result.card["mouth_score"]["after"] >= result.card["mouth_score"]["before"]
    base = load_base("base")
    adapter = load_adapter(out)
    assert adapter.notes["base_hash"] == base.hash and adapter.notes["consent_digest"] == CONSENT.digest
    person = apply_adapter(base, adapter)
    batch, x, t = random_batch(), torch.zeros(1, 3, 3, 32, 32), torch.tensor([0.3])
    with torch.no_grad():
        assert not torch.allclose(person.pixel(x, t, batch), base.pixel(x, t, batch), atol=1e-5)
        again = load_base("base").pixel(x, t, batch)
        torch.testing.assert_close(base.pixel(x, t, batch), again, rtol=0, atol=0)
    assert person.person == "Drawn Person" and person.style is not None
    with pytest.raises(CheckpointError, match="another base"):
        apply_adapter(load_base("other"), adapter)
    save_adapter(
        tmp_path / "stripped.safetensors", dataclasses.replace(adapter, notes=adapter.notes | {"consent": None})
    )
    with pytest.raises(ConsentError, match="no consent record"):
        apply_adapter(base, load_adapter(tmp_path / "stripped.safetensors"))


def test_pretraining_learns_to_use_styles(dataset, tmp_path):
    task = _shape_task(dataset)
    train(task, LoopConfig(steps=6, learning_rate=5e-3, warmup_steps=2, ema_decay=0.5, evaluations=1), tmp_path)
    assert all(block.film.weight.abs().max() > 1e-4 for block in task.net.blocks)


def test_the_style_of_clips_without_a_name_is_learned_too(base_folder, tmp_path):
    nameless = write_drawn_dataset(tmp_path / "nameless", clips=5, person="")
    steps = LoopConfig(steps=6, learning_rate=5e-3, warmup_steps=2, ema_decay=0.5, evaluations=6)
    clips = shape_clips(list(load_clips(nameless)), load_base("base").shape.space)
    base = tiny_shape()
    for block in base.blocks:
        torch.nn.init.normal_(block.film.weight, std=0.1)  # as in a base that has learned styles
    task = _PersonShape(wrap_shape(base, LoraSettings()), clips[:-1], clips[-1:], ShapeTaskConfig(style_share=1.0))
    assert not task.style.any()
    train(task, steps, tmp_path / "run")
    assert task.style.abs().max() > 1e-4


def test_nobody_is_learned_without_consent(dataset, tmp_path):
    with pytest.raises(ConsentError):
        finetune(dataset, tmp_path / "a.safetensors", consent=None)
    assert not (tmp_path / "a.safetensors").exists()


def test_too_little_footage_says_how_much_there_is(tmp_path, base_folder):
    small = write_drawn_dataset(tmp_path / "small", clips=1)
    with pytest.raises(DatasetError, match=r"1 clip\(s\), 2.0 s"):
        finetune(small, tmp_path / "a.safetensors", consent=CONSENT)


def test_held_out_clips_are_never_trained_on(dataset):
    clips = list(load_clips(dataset))
    train_clips, held = hold_out(clips, 0.2)
    assert held and train_clips and not {c.record.id for c in held} & {c.record.id for c in train_clips}
    assert len(held) + len(train_clips) == len(clips)


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
