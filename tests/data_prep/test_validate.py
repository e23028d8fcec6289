import dataclasses
import json
import shutil

import numpy as np
import pytest
from planted_faces import PlantedDetector, talk
from safetensors.numpy import load_file, save_file

from data_prep.pipeline import prepare
from data_prep.speaker import EnergyJudge
from data_prep.validate import schema, validate
from lipsync.errors import DatasetError
from lipsync.training.clipstore import ClipRecord


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    folder = tmp_path_factory.mktemp("validate")
    talk(folder / "in" / "a.mp4", seed=1)
    talk(folder / "in" / "b.mp4", seed=2, seconds=2.0)
    prepare([folder / "in"], folder / "d", detector=PlantedDetector(), judge=EnergyJudge())
    return folder / "d"


@pytest.fixture
def dataset(good, tmp_path):
    return shutil.copytree(good, tmp_path / "d")


def the_one(dataset):
    (problem,) = validate(dataset)
    return problem


def rewrite(dataset, number, change):
    path = dataset / "manifest.jsonl"
    lines = path.read_text().splitlines()
    lines[number - 1] = change(lines[number - 1])
    path.write_text("\n".join(lines) + "\n")


def changed(**values):
    return lambda line: json.dumps({**json.loads(line), **values})


def first_clip(dataset, suffix):
    return sorted((dataset / "clips").glob("a_*" + suffix))[0]


def test_a_good_dataset_has_no_problem(dataset):
    assert validate(dataset) == []


@pytest.mark.parametrize("suffix", [".mp4", ".wav", ".safetensors"])
def test_a_missing_file_is_named_with_its_line(dataset, suffix):
    path = first_clip(dataset, suffix)
    path.unlink()
    problem = the_one(dataset)
    assert (problem.file, problem.line, problem.what, problem.found) == (str(path), 1, "file", "none")


@pytest.mark.parametrize("suffix", [".mp4", ".wav", ".safetensors"])
def test_a_file_that_was_cut_is_named(dataset, suffix):
    path = first_clip(dataset, suffix)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    problems = validate(dataset)
    assert problems and {p.file for p in problems} == {str(path)}


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda line: line[:-5], "line"),
        (lambda _: "[1, 2]", "line"),
        (lambda line: line.replace('"frames"', '"frame"'), "fields"),
        (changed(nonsense=1), "fields"),
        (changed(sharpness="high"), "fields"),
        (changed(frame_rate=0.0), "frame_rate"),
        (changed(id="../x"), "id"),
        (changed(offset_frames=float("nan")), "offset_frames"),
    ],
)
def test_a_bad_line_is_named(dataset, change, what):
    rewrite(dataset, 2, change)
    problem = the_one(dataset)
    assert (problem.file, problem.line, problem.what) == (str(dataset / "manifest.jsonl"), 2, what)


def test_an_id_that_occurs_twice_is_named_with_both_lines(dataset):
    first = json.loads((dataset / "manifest.jsonl").read_text().splitlines()[0])["id"]
    rewrite(dataset, 2, changed(id=first))
    problem = the_one(dataset)
    assert (problem.line, problem.what, problem.found) == (2, "id", f"{first} of line 1")


def test_a_wrong_number_of_frames_is_said_of_arrays_and_pictures(dataset):
    rewrite(dataset, 1, changed(frames=74))
    found = {(p.file.rsplit(".", 1)[1], p.what, p.expected, p.found) for p in validate(dataset)}
    assert ("mp4", "frames", "74", "75") in found
    assert ("safetensors", "mouth", "shape (74, 31, 3)", "(75, 31, 3)") in found


@pytest.mark.parametrize(
    ("name", "spoil", "found"),
    [
        ("mouth", lambda a: np.where(np.arange(a.size).reshape(a.shape) == 4, np.nan, a), "1 that are NaN or infinite"),
        ("log_mel", lambda a: a[:-40], "357"),
        ("log_mel", lambda a: a[:, :64], "(397, 64)"),
        ("times_s", lambda a: a[::-1].copy(), None),
        ("points", lambda a: a[:, :, :1].copy(), "(75, 31, 1)"),
    ],
)
def test_a_bad_array_is_named(dataset, name, spoil, found):
    path = first_clip(dataset, ".safetensors")
    arrays = load_file(path)
    arrays[name] = np.ascontiguousarray(spoil(arrays[name]).astype(arrays[name].dtype))
    save_file(arrays, path)
    problems = [p for p in validate(dataset) if p.what == name]
    assert problems and problems[0].line == 1 and problems[0].file == str(path)
    assert found is None or found in problems[0].found


def test_sound_of_another_length_is_named(dataset):
    shutil.copy(sorted((dataset / "clips").glob("b_*.wav"))[0], first_clip(dataset, ".wav"))
    problem = the_one(dataset)
    assert (problem.line, problem.what, problem.expected, problem.found) == (1, "length", "3.000 s", "2.000 s")


def test_no_manifest_or_an_empty_one(dataset, tmp_path):
    with pytest.raises(DatasetError, match=r"manifest\.jsonl is missing"):
        validate(tmp_path)
    (dataset / "manifest.jsonl").write_text("")
    assert the_one(dataset).found == "an empty file"


def test_the_schema_names_every_field_of_a_clip_and_its_meaning():
    described = schema()
    assert list(described) == [f.name for f in dataclasses.fields(ClipRecord)]
    assert all(field["means"] for field in described.values())
    assert described["id"]["required"] and described["yaw_deg"]["most"] == 180
