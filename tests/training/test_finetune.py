"""Learning a person: the whole way round, stopped and resumed, killed, without room on the disk, with bad numbers."""

import json
import math
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import lipsync.training.loop
import lipsync.training.person
from lipsync.config import FinetuneConfig, LoraSettings
from lipsync.consent import Consent
from lipsync.errors import Cancelled, CheckpointError, ConsentError, DatasetError, LipsyncError
from lipsync.model.base import load_base
from lipsync.model.checkpoint import save_model
from lipsync.model.lora import apply_adapter, load_adapter
from lipsync.model.low_rank import add_low_rank
from lipsync.progress import Silent
from lipsync.training.clipstore import load_clips
from lipsync.training.finetune import finetune, run_folder
from lipsync.training.foreign import LEARNED_WITH, speak_lines
from lipsync.training.loop import LoopConfig, StepResult, train
from lipsync.training.person import PersonShape
from lipsync.training.person_setup import hold_out
from lipsync.training.shape_task import ShapeTaskConfig, shape_clips
from lipsync.training.watch import latest_samples, read_curves
from tests.model_helpers import random_batch, tiny_pixel, tiny_shape
from tests.training_helpers import write_drawn_dataset

CONSENT = Consent("Drawn Person", "the tests", "2026-01-31", "I agree.")
CONFIG = FinetuneConfig(
    minutes=5,
    shape_steps=8,
    pixel_steps=8,
    shape_learning_rate=5e-3,
    pixel_learning_rate=5e-3,
    warmup_steps=2,
    ema_decay=0.5,
    evaluations=2,
    chunk_frames=3,
    held_out_batches=1,
    foreign_share=0.5,
    reader_steps=8,
    references=3,
)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return write_drawn_dataset(tmp_path_factory.mktemp("drawn") / "data")


@pytest.fixture(scope="module")
def bases(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bases") / "checkpoints"
    for name, seed in (("base", 0), ("other", 1)):
        save_model(folder / name / "shape.safetensors", tiny_shape(seed), "shape")
        save_model(folder / name / "pixel.safetensors", tiny_pixel(seed), "pixel")
    return folder


@pytest.fixture(autouse=True)
def _use_bases(bases, monkeypatch):
    monkeypatch.setenv("LIPSYNC_CHECKPOINTS", str(bases))


@pytest.fixture(scope="module")
def learned(dataset, bases, tmp_path_factory):
    """A run that was never interrupted: (adapter file, result)."""
    before = os.environ.get("LIPSYNC_CHECKPOINTS")
    os.environ["LIPSYNC_CHECKPOINTS"] = str(bases)
    try:
        out = tmp_path_factory.mktemp("learned") / "drawn.safetensors"
        return out, finetune(dataset, out, config=CONFIG, consent=CONSENT, device="cpu")
    finally:
        os.environ.pop("LIPSYNC_CHECKPOINTS")
        if before:
            os.environ["LIPSYNC_CHECKPOINTS"] = before


class StopAt(Silent):
    """Stops the run when so many steps of a stage are done."""

    def __init__(self, stage: str, steps: int):
        self.wanted, self.left, self.stage = stage, steps, ""

    def start(self, stage, total=None, unit=""):
        self.stage = stage

    def advance(self, amount=1.0, note=""):
        if self.wanted in self.stage:
            self.left -= amount
            if self.left <= 0:
                raise Cancelled("stopped")


def same(a: Path, b: Path) -> None:
    x, y = load_file(a), load_file(b)
    assert x.keys() == y.keys()
    for name in x:
        torch.testing.assert_close(x[name], y[name], rtol=0, atol=0, msg=name)


def test_a_person_goes_the_whole_way_round(learned):
    out, result = learned
    assert result.person == "Drawn Person" and result.steps == {"shape": 8, "pixel": 8}
    base, adapter = load_base("base"), load_adapter(out)
    assert adapter.notes["base_hash"] == base.hash and adapter.notes["consent_digest"] == CONSENT.digest
    assert adapter.notes["card"] == result.card and adapter.references["references"].shape == (3, 32, 32, 3)
    measured = json.loads((run_folder(out) / "pixel" / "detail.json").read_text())
    assert adapter.detail == measured["detail"] > 0  # a model that has learned little is soft
    assert result.card["mouth_sharpness"]["after"] == pytest.approx(measured["after"]["mouth_sharpness"], abs=1e-4)
    person = apply_adapter(base, adapter)
    batch, x, t = random_batch(), torch.zeros(1, 3, 3, 32, 32), torch.tensor([0.3])
    with torch.no_grad():
        changed = not torch.allclose(person.pixel(x, t, batch), base.pixel(x, t, batch), atol=1e-6)
        again = load_base("base").pixel(x, t, batch)
        torch.testing.assert_close(base.pixel(x, t, batch), again, rtol=0, atol=0)
    assert changed == bool(result.best_step["pixel"])
    assert person.person == "Drawn Person" and person.style is not None


def test_the_card_has_own_foreign_and_silent_sound(learned):
    card = learned[1].card
    assert {"opening_correlation", "closes_on_p_b_m", "silent_motion_of_shape", "cross_sync", "mouth_sharpness"} <= set(
        card
    )
    assert all(math.isfinite(v) for reading in card.values() for v in reading.values())


def test_a_run_can_be_watched(learned):
    run = run_folder(learned[0])
    curves = read_curves(run)
    assert [step for step, _ in curves["pixel/held_out_score"]] == [4, 8]
    sheet, video = latest_samples(run)
    assert sheet is not None and sheet.name == "step_000008.png" and video is not None
    (run / "pixel" / "log.jsonl").open("a").write('{"step": 9, "lo')
    assert read_curves(run) == curves


@pytest.mark.parametrize(("stage", "steps"), [("speak", 3), ("look", 5)])
def test_paused_and_resumed_gives_the_same_adapter(learned, dataset, tmp_path, stage, steps):
    out = tmp_path / "drawn.safetensors"
    with pytest.raises(Cancelled):
        finetune(dataset, out, config=CONFIG, consent=CONSENT, device="cpu", progress=StopAt(stage, steps))
    assert not out.exists()
    result = finetune(dataset, out, config=CONFIG, consent=CONSENT, device="cpu", resume=True)
    same(out, learned[0])
    assert result.card == learned[1].card


def test_killed_and_resumed_gives_the_same_adapter(learned, dataset, tmp_path):
    out = tmp_path / "drawn.safetensors"
    code = (
        "import sys, os, signal, pathlib, torch; torch.set_num_threads(1)\n"
        "from tests.training.test_finetune import CONFIG, CONSENT, StopAt\n"
        "from lipsync.training.finetune import finetune\n"
        "class Kill(StopAt):\n"
        "    def advance(self, amount=1.0, note=''):\n"
        "        try: super().advance(amount, note)\n"
        "        except Exception: os.kill(os.getpid(), signal.SIGKILL)\n"
        f"finetune(pathlib.Path({str(dataset)!r}), pathlib.Path({str(out)!r}), config=CONFIG, consent=CONSENT,\n"
        "    device='cpu', progress=Kill('look', 7))\n"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, env=os.environ | {"PYTHONPATH": str(root)})
    assert done.returncode == -signal.SIGKILL and not out.exists()
    finetune(dataset, out, config=CONFIG, consent=CONSENT, device="cpu", resume=True)
    same(out, learned[0])


def test_a_full_disk_stops_it_and_it_goes_on_when_there_is_room(learned, dataset, tmp_path, monkeypatch):
    out = tmp_path / "drawn.safetensors"
    run, room, true = run_folder(out), {"left": 1}, lipsync.training.loop.save_file

    def save(tensors, path, metadata=None):
        if room["left"] <= 0:
            Path(path).write_bytes(b"half")
            raise OSError(28, "No space left on device")
        room["left"] -= 1
        true(tensors, path, metadata)

    monkeypatch.setattr(lipsync.training.loop, "save_file", save)
    with pytest.raises(LipsyncError, match=r"step 8 could not be written.*No space left.*--resume"):
        finetune(dataset, out, config=CONFIG, consent=CONSENT, device="cpu")
    assert not list(run.rglob("*.part"))
    room["left"] = 99
    finetune(dataset, out, config=CONFIG, consent=CONSENT, device="cpu", resume=True)
    same(out, learned[0])


@pytest.mark.parametrize(
    ("writer", "gone", "named"),
    [
        ("lipsync.training.finetune.save_adapter", (), "a.safetensors"),
        ("lipsync.training.person.save_file", ("shape", "pixel"), "best.safetensors"),
        ("lipsync.training.watch.np.save", ("pixel", "samples"), "base.npy"),
    ],
)
def test_a_full_disk_is_named_whatever_is_written(learned, dataset, tmp_path, monkeypatch, writer, gone, named):
    out = tmp_path / "a.safetensors"
    shutil.copytree(run_folder(learned[0]), run_folder(out))
    for part in gone:
        shutil.rmtree(run_folder(out) / part)

    def no_room(*args: object, **kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(writer, no_room)
        with pytest.raises(LipsyncError, match=rf"{named}.*No space left.*--resume"):
            finetune(dataset, out, config=CONFIG, consent=CONSENT, device="cpu", resume=True)
    assert not list(run_folder(out).rglob("*.part")) and not out.exists()
    finetune(dataset, out, config=CONFIG, consent=CONSENT, device="cpu", resume=True)
    same(out, learned[0])


def test_a_loss_that_is_no_number_names_step_and_clips(dataset, tmp_path, monkeypatch):
    true = lipsync.training.person.PersonPixels.step

    def step(self, rng):
        result = true(self, rng)
        self.calls = getattr(self, "calls", 0) + 1
        return StepResult(result.loss * math.nan, {}, result.clips) if self.calls == 4 else result

    monkeypatch.setattr(lipsync.training.person.PersonPixels, "step", step)
    with pytest.raises(LipsyncError, match=r"nan at step 3; clips: drawn_0\d"):
        finetune(dataset, tmp_path / "a.safetensors", config=CONFIG, consent=CONSENT, device="cpu")


def test_what_cannot_be_resumed_says_why(learned, dataset, tmp_path):
    def again(out, **changes):
        finetune(dataset, out, consent=CONSENT, device="cpu", resume=True, **({"config": CONFIG} | changes))

    with pytest.raises(CheckpointError, match="nothing to resume"):
        again(tmp_path / "new.safetensors")
    with pytest.raises(CheckpointError, match="another base"):
        again(learned[0], base="other")
    with pytest.raises(CheckpointError, match=r"other settings \(pixel_learning_rate\)"):
        again(learned[0], config=replace(CONFIG, pixel_learning_rate=1.0))


def test_it_stops_when_nothing_gets_better_and_keeps_the_best(tmp_path):
    class Worse:
        def __init__(self):
            self.model, self.calls = torch.nn.Linear(1, 1), 0

        def step(self, rng):
            return StepResult(self.model(torch.ones(1, 1)).sum(), {}, ["c"])

        def evaluate(self):
            self.calls += 1
            return {"score": 1.0 if self.calls == 1 else -float(self.calls)}

        def export(self, path):
            path.write_text(f"{self.calls}")

    loop = LoopConfig(steps=100, evaluations=10, patience=2)
    state = train(Worse(), loop, tmp_path)
    assert (state.step, state.best_step) == (30, 10)
    assert (tmp_path / "best.safetensors").read_text() == "1"


def test_the_style_of_clips_without_a_name_is_learned_too(tmp_path):
    nameless = write_drawn_dataset(tmp_path / "nameless", clips=5, person="")
    clips = shape_clips(list(load_clips(nameless)), load_base("base").shape.space)
    base = tiny_shape()
    for block in base.blocks:
        torch.nn.init.normal_(block.film.weight, std=0.1)  # as in a base that has learned styles
    settings = LoraSettings()
    model = add_low_rank(base, settings.shape_targets, settings.shape_rank, settings.alpha)
    task = PersonShape(model, clips[:-1], clips[-1:], ShapeTaskConfig(style_share=1.0, bfloat16=False))
    assert not task.style.any()
    train(task, LoopConfig(steps=6, learning_rate=5e-3, warmup_steps=2, ema_decay=0.5), tmp_path / "run")
    assert task.style.abs().max() > 1e-4


def test_foreign_speech_keeps_the_timing_that_own_footage_would_unlearn(dataset):
    clips = shape_clips(list(load_clips(dataset)), tiny_shape().space)
    base = tiny_shape()
    model = add_low_rank(base, ("mix", "out"), 4, 16.0)
    lines = speak_lines(LEARNED_WITH[:2])
    config = ShapeTaskConfig(style_share=1.0, bfloat16=False)
    task = PersonShape(model, clips[:-1], clips[-1:], config, teacher=base, lines=lines, foreign_weight=1.0)
    same_as_base = float(task._foreign(np.random.default_rng(0)).detach())
    with torch.no_grad():
        for name, weight in task.net.named_parameters():
            if "lora_B" in name:
                weight.add_(0.5 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(1)))
    assert same_as_base < 0.05 < float(task._foreign(np.random.default_rng(0)).detach())


def test_nobody_is_learned_without_consent(dataset, tmp_path):
    with pytest.raises(ConsentError):
        finetune(dataset, tmp_path / "a.safetensors", consent=None)
    assert not (tmp_path / "a.safetensors").exists()


def test_too_little_footage_and_two_people_say_what_there_is(tmp_path):
    small = write_drawn_dataset(tmp_path / "small", clips=1)
    with pytest.raises(DatasetError, match=r"1 clip\(s\), 2.0 s"):
        finetune(small, tmp_path / "a.safetensors", consent=CONSENT)
    both = write_drawn_dataset(tmp_path / "both", clips=6)
    lines = [json.loads(line) for line in (both / "manifest.jsonl").read_text().splitlines()]
    lines[0]["person"] = "somebody else"
    (both / "manifest.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(DatasetError, match=r"2 people \(drawn, somebody else\)"):
        finetune(both, tmp_path / "a.safetensors", consent=CONSENT)


def test_held_out_clips_are_never_trained_on(dataset):
    clips = list(load_clips(dataset))
    train_clips, held = hold_out(clips, 0.2)
    assert held and train_clips and not {c.record.id for c in held} & {c.record.id for c in train_clips}
    assert len(held) + len(train_clips) == len(clips)
