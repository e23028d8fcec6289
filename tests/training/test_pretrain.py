"""The whole of pretraining on drawn people: shape model, judges, offsets, pixel model, published as a base."""

import itertools
import json
import shutil
import subprocess
import sys
import time
from dataclasses import replace

import cv2
import pytest
from safetensors.torch import load_file
from test_judge import SMALL, TASK

from lipsync.cli.run import main
from lipsync.config import to_mapping
from lipsync.errors import DatasetError
from lipsync.model.base import load_base
from lipsync.model.speech_to_shape import ShapeModelConfig
from lipsync.sync.judge import load_judge
from lipsync.training.clipstore import read_manifest, write_manifest
from lipsync.training.judge_task import judge_side
from lipsync.training.judging import JudgesConfig
from lipsync.training.loop import LoopConfig
from lipsync.training.packed import pack
from lipsync.training.pixel_task import PixelTaskConfig
from lipsync.training.pretrain import PRESETS, PretrainConfig, is_held_out, last_minutes, pretrain, publish
from lipsync.training.shape_task import ShapeTaskConfig
from lipsync.training.windows import WindowTaskConfig
from tests.model_helpers import TINY
from tests.training_helpers import write_drawn_dataset

LOOP = LoopConfig(steps=6, learning_rate=1e-3, warmup_steps=2, ema_decay=0.9, evaluations=1)
CONFIG = PretrainConfig(
    shape_model=ShapeModelConfig(width=16, dilations=(1,)),
    pixel_model=TINY,
    shape_task=ShapeTaskConfig(batch=4),
    pixel_task=PixelTaskConfig(
        windows=WindowTaskConfig(batch=2, chunk_frames=3, foreign_share=0.5), held_out_batches=1
    ),
    judges=JudgesConfig(model=SMALL, task=replace(TASK, batch=4), loop=LOOP),
    shape_loop=LOOP,
    pixel_loop=LOOP,
)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return name_people(write_drawn_dataset(tmp_path_factory.mktemp("drawn") / "data", clips=8))


def name_people(folder):
    """The clips' people become three: one held out, one for each judge. Returns the folder."""
    records = read_manifest(folder)
    wanted = [("held", True, None), ("a", False, "supervisor"), ("b", False, "scorer")]
    people = []
    for stem, held, side in wanted:
        for n in range(200):
            record = replace(records[0], person=f"{stem}{n}")
            if is_held_out(record, 7) == held and side in (None, judge_side(record)):
                people.append(record.person)
                break
    write_manifest(folder, [replace(r, person=people[i % 3]) for i, r in enumerate(records)])
    return folder


def test_from_a_packed_dataset_to_a_base(dataset, tmp_path, monkeypatch):
    monkeypatch.setenv("LIPSYNC_CHECKPOINTS", str(tmp_path / "checkpoints"))
    pack([dataset], tmp_path / "data.pack", crf=10)
    run = tmp_path / "run"
    state = pretrain([tmp_path / "data.pack"], run, CONFIG)
    assert state.step == 6
    names = {r.id for r in read_manifest(dataset)}
    assert set(json.loads((run / "shape" / "offsets.json").read_text())) == names
    rows = [json.loads(line) for line in (run / "pixel" / "log.jsonl").read_text().splitlines()]
    assert any("held_out_score" in row for row in rows)
    sheet = cv2.imread(str(run / "pixel" / "sheet_000006.png"))
    size = TINY.size_px
    assert sheet.shape == (3 * size, 2 * size, 3) and sheet[:size].std() > 5
    publish(run, "mine")
    found = load_base("mine").pixel.config
    assert found == replace(TINY, detail=found.detail) and 0 <= found.detail <= 0.5
    assert load_judge("scorer").config == CONFIG.judges.model
    again = pretrain([tmp_path / "data.pack"], run, CONFIG, resume=True)
    assert again.step == 6


def test_nobody_to_score(dataset, tmp_path):
    folder = shutil.copytree(dataset, tmp_path / "data")
    records = [r for r in read_manifest(folder) if not r.person.startswith("b")]
    write_manifest(folder, records)
    with pytest.raises(DatasetError, match="the scorer has no clip"):
        pretrain([folder], tmp_path / "run", CONFIG)


def test_minutes_are_those_of_all_parts_together():
    config = last_minutes(PRESETS["gpu"], 10)
    parts = [config.shape_loop, config.judges.loop, config.judges.loop, config.pixel_loop]
    assert sum(loop.minutes for loop in parts) == pytest.approx(10)
    assert config.pixel_loop.minutes > 5


def test_the_command_stops_anywhere_and_goes_on_as_if_it_had_not(dataset, tmp_path, monkeypatch, capsys):
    """Stopped again and again, in the shape model, in the judges, in the pixels: the same weights at the end."""
    (tmp_path / "settings.json").write_text(json.dumps(to_mapping(CONFIG)))

    def command(run):
        return [
            "pretrain", "--data", str(dataset), "--out", str(run), "--device", "cpu", "--json", "--quiet",
            "--config", str(tmp_path / "settings.json"),
        ]  # fmt: skip

    assert main(command(tmp_path / "whole")) == 0
    capsys.readouterr()
    clock = itertools.count()
    monkeypatch.setattr(time, "monotonic", lambda: float(next(clock)))  # every look at the clock is a second later
    stops = 0
    while main([*command(tmp_path / "cut"), "--stop-after", "0.25", "--resume"]) == 0:
        if "stopped" not in json.loads(capsys.readouterr().out):
            break
        stops += 1
        assert stops < 40
    assert stops >= 4
    parts = ["shape/round0", "judge/supervisor", "judge/scorer", "shape/round1", "pixel"]
    for part in parts:
        whole, cut = (load_file(tmp_path / run / part / "best.safetensors") for run in ("whole", "cut"))
        assert all((whole[name] == cut[name]).all() for name in whole), part


def test_it_needs_little_more_than_torch(dataset, tmp_path):
    """A packed set is read where nothing else is installed: other imports are made to fail."""
    pack([dataset], tmp_path / "data.pack")
    missing = ("av", "librosa", "mediapipe", "face_alignment", "gradio", "scipy", "yt_dlp", "espeakng_loader")
    script = f"""
import sys
for name in {missing}: sys.modules[name] = None
import lipsync.cli.run, lipsync.cli.pretrain
from pathlib import Path
from lipsync.training.packed import load_any
print(sum(len(clip.windows()) for clip in load_any([Path({str(tmp_path / "data.pack")!r})])))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout) == sum(r.frames for r in read_manifest(dataset))
