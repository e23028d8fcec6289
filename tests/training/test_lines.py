"""Actors' lines: exact mouths in a file, learned from beside the footage."""

import copy
import json
import lzma
from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import save_file
from test_pretrain import CONFIG, name_people

from data_prep.actors.lines import speak_lines
from lipsync.errors import CheckpointError, DatasetError
from lipsync.faces.align import mouth_opening
from lipsync.speech.features import MEL_SILENCE
from lipsync.training.lines import FORMAT, line_clips, read_lines, write_lines
from lipsync.training.pretrain import pretrain_shape
from lipsync.training.shape_task import ShapeTask, ShapeTaskConfig
from tests.model_helpers import tiny_shape
from tests.training_helpers import write_drawn_dataset


@pytest.fixture(scope="module")
def lines():
    return list(speak_lines(3))


def test_a_line_is_a_mouth_that_moves_with_its_sound(lines):
    assert len({line.person for line in lines}) == 3
    for line in lines:
        opening = mouth_opening(line.mouth)
        assert line.mouth.shape == (len(line.times_s), 31, 3)
        loud = line.log_mel.max(1) > MEL_SILENCE + 0.3
        heard = loud[np.clip((line.times_s * 100).round().astype(int), 0, len(loud) - 1)]
        assert opening[heard].mean() > opening[~heard].mean() + 0.01
        assert opening.std() > 0.02


def test_the_same_seed_speaks_the_same_and_another_does_not(lines):
    again, other = next(speak_lines(1)), next(speak_lines(1, seed=1))
    np.testing.assert_array_equal(again.mouth, lines[0].mouth)
    assert other.person != again.person


def test_what_is_written_is_read(lines, tmp_path):
    assert write_lines(lines, tmp_path / "l.lines") == 3
    for line, found in zip(lines, read_lines(tmp_path / "l.lines"), strict=True):
        assert (found.name, found.person, found.frame_rate) == (line.name, line.person, line.frame_rate)
        np.testing.assert_allclose(found.mouth, line.mouth, atol=0.0003)
        np.testing.assert_array_equal(found.times_s, line.times_s)
        np.testing.assert_allclose(found.log_mel, line.log_mel.clip(-1, 2), atol=0.006)


def test_files_that_are_no_lines_and_a_name_twice(lines, tmp_path):
    with pytest.raises(DatasetError, match="two lines are called"):
        write_lines([lines[0], lines[0]], tmp_path / "twice.lines")
    assert not list(tmp_path.iterdir())
    write_lines(lines, tmp_path / "l.lines")
    whole = (tmp_path / "l.lines").read_bytes()
    (tmp_path / "short.lines").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.lines").write_text("hello")
    blank = {"line": np.zeros(3, np.uint8)}
    save_file(blank, tmp_path / "blank.lines", {"format": FORMAT})
    record = {"name": "line", "person": "a", "frame_rate": 25.0, "frames": 9}
    few = {"line": np.frombuffer(lzma.compress(b"few"), np.uint8)}
    save_file(few, tmp_path / "few.lines", {"format": FORMAT, "lines": json.dumps([record])})
    for name in ("short.lines", "text.lines", "absent.lines", "blank.lines", "few.lines"):
        with pytest.raises(DatasetError, match=name):
            read_lines(tmp_path / name)


def test_lines_are_drawn_and_their_times_are_left_alone(lines):
    model = tiny_shape(0)
    clips = line_clips(lines, model.space)
    moved = replace(clips[0], times_s=clips[0].times_s + 0.12, name="footage")
    task = ShapeTask(model, [moved], clips[:1], ShapeTaskConfig(batch=16), exact=copy.copy(clips[1:]))
    names = set(task.step(np.random.default_rng(0)).clips)
    assert names == {"footage", lines[1].name, lines[2].name}
    assert {c.person for c in clips} == set(task.people)


def test_pretraining_learns_from_them_besides(lines, tmp_path):
    dataset = name_people(write_drawn_dataset(tmp_path / "data", clips=8))
    write_lines(lines, tmp_path / "l.lines")
    seen = {}
    for name, file in (("with", tmp_path / "l.lines"), ("without", None)):
        pretrain_shape([dataset], tmp_path / name, CONFIG, lines=file)
        seen[name] = (tmp_path / name / "shape" / "best.safetensors").read_bytes()
        offsets = json.loads((tmp_path / name / "shape" / "offsets.json").read_text())
        assert not {line.name for line in lines} & set(offsets)
    assert seen["with"] != seen["without"]
    with pytest.raises(CheckpointError, match="give the same --lines"):
        pretrain_shape([dataset], tmp_path / "with", CONFIG, resume=True)
    pretrain_shape([dataset], tmp_path / "with", CONFIG, resume=True, lines=tmp_path / "l.lines")
