import json

import numpy as np
import pytest
from safetensors.numpy import save_file

from data_prep.select import SELECTION, choose, select_best
from lipsync.errors import ConfigError, DatasetError
from lipsync.faces.align import MOUTH
from lipsync.faces.template import HEAD
from lipsync.training.clipstore import ClipRecord, read_manifest, write_manifest


def record(name, score=0.8, seconds=4.0, **more):
    return ClipRecord(name, "a.mp4", "ann", 0.0, seconds, round(25 * seconds), 25.0, 60.0, score=score, **more)


def write(folder, record, opening=0.1, yaw=0.0, tilt=0.0):
    frames = record.frames
    mouth = np.repeat(HEAD[MOUTH][None], frames, 0)
    mouth[:, [28, 29, 30], 1] += opening
    mel = np.tile(np.linspace(-tilt, tilt, 80), (100 + round(100 * record.duration_s), 1))
    arrays = {
        "times_s": np.arange(frames) / 25,
        "mouth": mouth,
        "points": mouth[..., :2],
        "pose_deg": np.tile([yaw, 0.0, 0.0], (frames, 1)),
        "log_mel": mel,
    }
    (folder / "clips").mkdir(exist_ok=True)
    path = folder / f"clips/{record.id}.safetensors"
    save_file({k: np.ascontiguousarray(v, np.float32) for k, v in arrays.items()}, path)


@pytest.fixture
def dataset(tmp_path):
    """Eight clips of one kind, and one each of another pose, another mouth, another sound."""
    records = [record(f"same{i}") for i in range(8)] + [record("turned"), record("open"), record("sound")]
    for r in records:
        tilt = 0.4 if r.id == "sound" else 0.0
        write(tmp_path, r, 0.3 if r.id == "open" else 0.1, 25.0 if r.id == "turned" else 0.0, tilt)
    write_manifest(tmp_path, records)
    return tmp_path


def test_what_is_rare_is_taken_before_more_of_the_same(dataset):
    selection = select_best(dataset, 16 / 60)
    kept = {r.id for r in read_manifest(dataset)}
    assert {"turned", "open", "sound"} < kept and len(kept) == 4
    assert selection.minutes == pytest.approx(16 / 60, abs=1e-3)
    assert selection.coverage["head poses"] == selection.coverage["mouth shapes"] == 1.0
    written = json.loads((dataset / SELECTION).read_text())
    assert sum(c["taken"] for c in written["choices"]) == 4 and all(c["reason"] for c in written["choices"])


def test_of_clips_alike_the_better_are_taken():
    records = [record(str(i), score=0.2 + 0.1 * i) for i in range(6)]
    seconds = {name: np.ones((6, 4)) for name in ("mouth shapes", "sounds", "head poses", "light")}
    assert sorted(choose(records, seconds, 8.0)) == [4, 5]
    assert len(choose(records, seconds, 1e6)) == 6, "no more than there is"


def test_wrong_use(dataset, tmp_path):
    with pytest.raises(ConfigError, match="more than 0"):
        select_best(dataset, 0)
    with pytest.raises(DatasetError):
        select_best(tmp_path / "none", 1)


def test_choice_is_the_same_each_time(dataset):
    records = read_manifest(dataset)
    first = select_best(dataset, 0.3)
    write_manifest(dataset, records)
    assert select_best(dataset, 0.3) == first
