import itertools
import subprocess
import sys
from pathlib import Path

import numpy as np
import planted_faces as planted
import pytest
from planted_faces import PlantedDetector, film, mouth_course, silence, talk, voice_of

from data_prep import segments
from data_prep.pipeline import find_footage, prepare
from data_prep.speaker import EnergyJudge
from data_prep.validate import validate
from lipsync.config import PrepareConfig
from lipsync.errors import Cancelled, DatasetError, MediaError
from lipsync.training.clipstore import load_clip, read_manifest


def run(footage, out, **more):
    return prepare([Path(footage)], Path(out), judge=EnergyJudge(), **{"detector": PlantedDetector(), **more})


def content(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(Path(folder).rglob("*")) if p.is_file()}


def reasons(result):
    return {d.reason for d in result.dropped}


@pytest.fixture(scope="module")
def two_talks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("footage")
    talk(folder / "a.mp4", seed=1)
    talk(folder / "deep" / "b.mp4", seed=2)
    return folder


@pytest.fixture(scope="module")
def dataset(two_talks, tmp_path_factory):
    out = tmp_path_factory.mktemp("whole") / "dataset"
    return out, run(two_talks, out)


def test_what_is_written_is_what_was_filmed(dataset):
    out, results = dataset
    assert [r.source for r in results] == ["a.mp4", "b.mp4"] and all(len(r.clips) == 1 for r in results)
    assert validate(out) == []
    for record, seed in zip(read_manifest(out), (1, 2), strict=True):
        clip = load_clip(out, record)
        assert record.frames == 75 and record.frame_rate == 25 and clip.windows().shape == (75, 128, 128, 3)
        opening = clip.mouth[:, 29, 1] - clip.mouth[:, 25, 1]
        assert np.corrcoef(opening, mouth_course(3.0, seed))[0, 1] > 0.98
        assert record.inter_ocular_px == pytest.approx(planted.SCALE_PX, abs=2)
        assert (out / "thumbs" / f"{record.id}.jpg").stat().st_size > 500
    assert (out / "report.html").is_file() and (out / "report.json").is_file()


def test_the_same_footage_gives_the_same_bytes(two_talks, dataset, tmp_path):
    run(two_talks, tmp_path / "again")
    assert content(tmp_path / "again") == content(dataset[0])


def test_running_again_does_no_work_and_changes_no_clip(two_talks, tmp_path):
    first = run(two_talks, tmp_path / "d")
    before, times = content(tmp_path / "d"), {p: p.stat().st_mtime_ns for p in (tmp_path / "d").glob("[cst]*/*")}
    idle = PlantedDetector()
    assert run(two_talks, tmp_path / "d", detector=idle) == first
    assert idle.frames == 0 and content(tmp_path / "d") == before
    assert {p: p.stat().st_mtime_ns for p in times} == times


class StopAt:
    """Progress that stops the job at its n-th report."""

    def __init__(self, reports):
        self.left = reports

    def start(self, *_):
        pass

    done = start

    def advance(self, *_):
        self.left -= 1
        if self.left < 0:
            raise Cancelled("stopped")


@pytest.mark.parametrize("reports", [0, 10, 26, 29, 45])
def test_a_run_that_was_stopped_anywhere_ends_the_same(two_talks, dataset, tmp_path, reports):
    with pytest.raises(Cancelled):
        run(two_talks, tmp_path / "d", progress=StopAt(reports))
    assert not (tmp_path / "d" / "manifest.jsonl").exists()
    run(two_talks, tmp_path / "d")
    assert content(tmp_path / "d") == content(dataset[0])


# Prepares in forked processes that die for good (no clean-up, as by kill -9) before their n-th change to a file; prints
# for every folder how often that happened. All is imported before the first fork.
KILLED = """
import os, sys, signal
from pathlib import Path
sys.path[:0] = {paths!r}
import planted_faces
from data_prep.pipeline import prepare
from data_prep.speaker import EnergyJudge

def die_at(changes, out):
    left = changes
    def count(event, args):
        nonlocal left
        name = str(args[0]) if args else ""
        changes = event in ("os.rename", "os.link", "os.remove", "os.mkdir", "os.rmdir")
        if (changes or event == "open" and "r" not in str(args[1] or "rw")) and out in name:
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(count)
    prepare([Path({footage!r})], Path(out), detector=planted_faces.PlantedDetector(), judge=EnergyJudge())
    os._exit(0)

for out, moments in {jobs!r}:
    killed = 0
    for changes in moments:
        child = os.fork() or die_at(changes, out)
        killed += os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    print(killed, flush=True)
"""


def kill_runs(footage, jobs):
    """Start to prepare into each folder, as often as it has moments, and die there; returns how often each died."""
    paths = [str(Path(__file__).parent), str(Path(__file__).parents[2])]
    code = KILLED.format(paths=paths, footage=str(footage), jobs=[(str(out), list(m)) for out, m in jobs])
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, timeout=1800)
    return [int(line) for line in done.stdout.split()]


def test_a_run_that_was_killed_ends_the_same(two_talks, dataset, tmp_path):
    jobs = [(tmp_path / f"d{changes}", [changes]) for changes in (4, 17, 33)]
    assert kill_runs(two_talks, jobs) == [1, 1, 1], "killed too late"
    for out, _ in jobs:
        assert not (out / "manifest.jsonl").exists()
        run(two_talks, out)
        assert content(out) == content(dataset[0])


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_runs_killed_at_twenty_random_moments_end_the_same(two_talks, dataset, tmp_path):
    """Some folders once, some two or three times before they are finished."""
    rng = np.random.default_rng(4)
    jobs = [(tmp_path / f"d{number}", rng.integers(1, 40, rng.integers(1, 4)).tolist()) for number in range(12)]
    assert sum(kill_runs(two_talks, jobs)) >= 20
    for out, moments in jobs:
        run(two_talks, out)
        assert content(out) == content(dataset[0]), f"killed at {moments}"


def test_other_thresholds_look_at_no_picture_again_and_other_cuts_find_no_face_again(two_talks, tmp_path, monkeypatch):
    run(two_talks, tmp_path / "d")
    idle, opened = PlantedDetector(), []
    read = segments.read_pictures
    monkeypatch.setattr(segments, "read_pictures", lambda *a, **k: opened.append(a) or read(*a, **k))
    lax = PrepareConfig(least_sharpness=0.1)
    assert all(r.clips for r in run(two_talks, tmp_path / "d", detector=idle, config=lax))
    assert idle.frames == 0 and not opened
    results = run(two_talks, tmp_path / "d", detector=idle, config=PrepareConfig(most_s=1.6))
    assert idle.frames == 0 and len(opened) == 2 and all(len(r.clips) == 2 for r in results)
    run(two_talks, tmp_path / "fresh", config=PrepareConfig(most_s=1.6))
    assert (tmp_path / "fresh/manifest.jsonl").read_bytes() == (tmp_path / "d/manifest.jsonl").read_bytes()


def test_the_number_of_processes_changes_nothing(two_talks, dataset, tmp_path):
    run(two_talks, tmp_path / "d", workers=2)
    assert content(tmp_path / "d") == content(dataset[0])


def test_a_long_file_is_followed_in_segments(tmp_path, monkeypatch):
    monkeypatch.setattr(segments, "_PICTURES", 50)
    course = mouth_course(4.4, 3)
    (result,) = run(film(tmp_path / "a.mp4", [course], voice_of(course)), tmp_path / "d")
    assert [(c.start_s, c.frames) for c in result.clips] == [(0.0, 55), (2.2, 55)] and not result.dropped
    mouths = np.concatenate([load_clip(tmp_path / "d", clip).mouth for clip in result.clips])
    assert np.corrcoef(mouths[:, 29, 1] - mouths[:, 25, 1], course)[0, 1] > 0.98


def test_files_of_several_runs_add_up_whatever_their_order(two_talks, dataset, tmp_path):
    run(two_talks / "deep", tmp_path / "d")
    seen = PlantedDetector()
    run(two_talks / "a.mp4", tmp_path / "d", detector=seen)
    assert seen.frames == 75, "the file of the first run is not looked at again"
    assert content(tmp_path / "d") == content(dataset[0])


def test_other_settings_make_other_clips(two_talks, tmp_path):
    run(two_talks, tmp_path / "d")
    ids = {r.id for r in read_manifest(tmp_path / "d")}
    run(two_talks, tmp_path / "d", config=PrepareConfig(most_s=1.6))
    records = read_manifest(tmp_path / "d")
    assert len(records) == 4 and not ids & {r.id for r in records} and validate(tmp_path / "d") == []


def test_labels_reach_the_clips_also_when_given_later(two_talks, tmp_path):
    run(two_talks, tmp_path / "d")
    assert {r.person for r in read_manifest(tmp_path / "d")} == {""}
    labels = {"a.mp4": {"person": "ann", "rights": "cc-by-4.0", "source": "home"}, "deep/b.mp4": {"person": "bob"}}
    idle = PlantedDetector()
    run(two_talks, tmp_path / "d", labels=labels, detector=idle)
    found = [(r.person, r.rights, r.origin) for r in read_manifest(tmp_path / "d")]
    assert found == [("ann", "cc-by-4.0", "home"), ("bob", "", "")] and idle.frames == 0
    run(two_talks, tmp_path / "d")
    assert [r.person for r in read_manifest(tmp_path / "d")] == ["ann", "bob"]


def test_one_bad_file_never_stops_the_others(two_talks, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a_text.mp4").write_text("this is no video")
    (tmp_path / "in" / "b_empty.mp4").write_bytes(b"")
    whole = (two_talks / "a.mp4").read_bytes()
    (tmp_path / "in" / "c_good.mp4").write_bytes(whole)
    (tmp_path / "in" / "d_copy.mp4").write_bytes(whole)
    text, empty, good, copy = run(tmp_path / "in", tmp_path / "d")
    assert reasons(text) == reasons(empty) == {"unreadable"} and "a_text.mp4" in text.warnings[0]
    assert len(good.clips) == 1 and reasons(copy) == {"the same file as c_good.mp4"}
    assert len(read_manifest(tmp_path / "d")) == 1


def _faulty(kind, folder):
    course = mouth_course(3.0, 3)
    still, nobody = np.full(75, 0.1), []
    path, voice = folder / f"{kind}.mp4", voice_of(course)
    return {
        "no sound": lambda: film(path, [course], None),
        "silent sound": lambda: film(path, [course], silence(3)),
        "no face": lambda: film(path, nobody, voice),
        "too short": lambda: film(path, [course[:15]], voice),
        "face too small": lambda: film(path, [course], voice, scale_px=20),
        "mouth does not move": lambda: film(path, [still], voice),
        "not speaking": lambda: film(path, [course, mouth_course(3.0, 17)], voice),
    }[kind]()


@pytest.mark.parametrize(
    ("kind", "clips"),
    [
        ("no sound", 0),
        ("silent sound", 0),
        ("no face", 0),
        ("too short", 0),
        ("face too small", 0),
        ("mouth does not move", 0),
        ("not speaking", 1),
    ],
)
def test_planted_faults_are_named(kind, clips, two_talks, tmp_path):
    bad = _faulty(kind, tmp_path)
    good, result = prepare([two_talks / "a.mp4", bad], tmp_path / "d", detector=PlantedDetector(), judge=EnergyJudge())
    assert reasons(result) == {kind} and len(result.clips) == clips and len(good.clips) == 1
    assert all((tmp_path / "d" / "thumbs" / d.thumbnail).is_file() for d in result.dropped)


def test_of_two_faces_the_one_that_speaks_is_kept(tmp_path):
    for order in itertools.permutations([mouth_course(4.0, 3), mouth_course(4.0, 17)]):
        sound = voice_of(mouth_course(4.0, 17))
        path = film(tmp_path / f"{order[0][5]:.3f}.mp4", list(order), sound)
        (result,) = run(path, tmp_path / path.stem)
        clip = load_clip(tmp_path / path.stem, result.clips[0])
        assert len(result.clips) == 1
        opening = clip.mouth[:, 29, 1] - clip.mouth[:, 25, 1]
        assert np.corrcoef(opening, mouth_course(4.0, 17))[0, 1] > 0.95


def test_a_face_that_leaves_for_a_second_costs_that_second(tmp_path):
    course = mouth_course(4.0, 3)
    (result,) = run(film(tmp_path / "a.mp4", [course], voice_of(course), hidden=(1.52, 2.52)), tmp_path / "d")
    assert [(c.start_s, c.frames) for c in result.clips] == [(0.0, 38), (2.52, 37)]
    assert [(d.start_s, d.end_s, d.reason) for d in result.dropped] == [(1.52, 2.48, "no face")]


def test_a_file_that_breaks_off_gives_what_comes_before(two_talks, tmp_path):
    whole = talk(tmp_path / "in.mp4", seconds=6.0).read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) * 6 // 10])
    (result,) = run(tmp_path / "cut.mp4", tmp_path / "d")
    assert len(result.clips) == 1 and "the file breaks off" in reasons(result) and "breaks off at" in result.warnings[0]
    assert 2.0 < result.clips[0].duration_s < 5.0


def test_nothing_usable_is_an_error_that_says_why_and_leaves_a_report(tmp_path):
    film(tmp_path / "in" / "mute.mp4", [mouth_course(2.0, 3)], None)
    with pytest.raises(DatasetError, match=r"no usable clip in 1 file\(s\): no sound"):
        run(tmp_path / "in", tmp_path / "d")
    assert not (tmp_path / "d" / "manifest.jsonl").exists() and (tmp_path / "d" / "report.html").is_file()


def test_footage_is_found_once_and_never_in_the_dataset_itself(two_talks, dataset, tmp_path):
    assert find_footage([two_talks, two_talks / "a.mp4"]) == [two_talks / "a.mp4", two_talks / "deep" / "b.mp4"]
    assert find_footage([two_talks], besides=two_talks / "deep") == [two_talks / "a.mp4"]
    with pytest.raises(MediaError, match="no such file"):
        find_footage([tmp_path / "missing"])
    with pytest.raises(MediaError, match="no video files"):
        find_footage([tmp_path])
