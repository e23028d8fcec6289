"""Rendering in pieces: a killed render goes on and gives the same file; kept pieces; one render at a time."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from drawn_people import DrawnDetector, coded, draw, noise_speech, speaking, tiny_base, write_video

from lipsync.config import RenderConfig
from lipsync.errors import Cancelled, MediaError, UsageError
from lipsync.media import read_frames
from lipsync.progress import Cancellable, Silent
from lipsync.render.avatar import say
from lipsync.render.dub import dub
from lipsync.render.pieces import Pieces, Record, first_apart, job_key, stale_stretches
from lipsync.types import Sound

PIECES = RenderConfig(segment_s=0.8, seed=3)  # of 20 frames


@pytest.fixture(scope="module")
def base():
    return tiny_base()


def images(path):
    return [frame.image for frame in read_frames(path)]


def test_pieces_join_without_a_seam(base, tmp_path):
    video = write_video(tmp_path / "in.mp4", speaking(50, gap=range(30, 33)))
    speech = noise_speech(2.0)
    whole = dub(video, speech, tmp_path / "whole.mp4", base, RenderConfig(seed=3), detector=DrawnDetector())
    parts = dub(video, speech, tmp_path / "parts.mp4", base, PIECES, detector=DrawnDetector())
    assert [p.frame for p in parts.passed_through] == [p.frame for p in whole.passed_through] == [30, 31, 32]
    assert parts.rendered == whole.rendered == 47 and parts.largest_outside_difference == 0
    a, b = (list(read_frames(tmp_path / f"{name}.mp4")) for name in ("whole", "parts"))
    assert [f.pts for f in a] == [f.pts for f in b] == [f.pts for f in read_frames(video)]
    apart = np.array([np.abs(x.image.astype(int) - y.image)[80:140, 40:120].mean() for x, y in zip(a, b, strict=True)])
    moved = np.array(
        [np.abs(x.image.astype(int) - y)[80:140, 40:120].mean() for x, y in zip(a, images(video), strict=True)]
    )
    assert np.median(apart) < 0.5 * np.median(moved[:30])
    assert not list(tmp_path.glob(".*"))


KILLED = """
    import sys, time
    sys.path[:0] = {paths!r}
    import torch; torch.set_num_threads(1)
    from pathlib import Path
    from drawn_people import DrawnDetector, noise_speech, tiny_base
    from lipsync.config import RenderConfig
    from lipsync.render.dub import dub
    class Slow(DrawnDetector):
        def detect(self, image):
            time.sleep({sleep})
            return super().detect(image)
    config = RenderConfig(segment_s=0.8, seed=3)
    dub(Path({video!r}), noise_speech(3.0), Path({out!r}), tiny_base(), config, detector=Slow())
"""


def test_a_killed_render_goes_on_and_gives_the_same_file(base, tmp_path):
    video = write_video(tmp_path / "in.mp4", speaking(75, gap=range(50, 52)))
    out = tmp_path / "out.mp4"
    paths = [str(Path(__file__).parent), str(Path(__file__).parents[2])]
    code = textwrap.dedent(KILLED).format(paths=paths, video=str(video), out=str(out), sleep=0.1)
    process = subprocess.Popen([sys.executable, "-c", code])
    folder, limit = tmp_path / ".out.mp4.pieces", time.monotonic() + 200
    while not (folder / "00001.json").is_file() and time.monotonic() < limit and process.poll() is None:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not out.exists() and (folder / "00001.json").is_file()
    counting = CountingDetector()
    result = dub(video, noise_speech(3.0), out, base, PIECES, detector=counting)
    assert counting.pictures < 75 and result.frames == 75 and result.rendered == 73
    assert [p.frame for p in result.passed_through] == [50, 51]
    dub(video, noise_speech(3.0), tmp_path / "straight.mp4", base, PIECES, detector=DrawnDetector())
    assert coded(out) == coded(tmp_path / "straight.mp4")
    assert not list(tmp_path.glob(".*"))


class CountingDetector(DrawnDetector):
    """Counts the pictures it was shown."""

    def __init__(self):
        self.pictures = 0

    def detect(self, image):
        self.pictures += 1
        return super().detect(image)


class StopAt(Silent):
    """Stops a job after so many frames."""

    def __init__(self, frames):
        self.left = frames

    def advance(self, amount=1.0, note=""):
        self.left -= amount
        if self.left < 0:
            raise Cancelled("enough")


def test_a_stopped_render_keeps_what_is_finished_unless_the_job_changes(base, tmp_path):
    video, out = write_video(tmp_path / "in.mp4", speaking(50)), tmp_path / "out.mp4"
    with pytest.raises(Cancelled):
        dub(video, noise_speech(2.0), out, base, PIECES, StopAt(30), detector=DrawnDetector())
    assert (tmp_path / ".out.mp4.pieces" / "00000.json").is_file() and not out.exists()
    counting = CountingDetector()
    dub(video, noise_speech(2.0, seed=1), out, base, PIECES, detector=counting)
    assert counting.pictures > 50  # another sound: nothing of the old one is used
    with pytest.raises(Cancelled):
        dub(video, noise_speech(2.0), tmp_path / "b.mp4", base, PIECES, StopAt(5), detector=DrawnDetector())
    assert not list(tmp_path.glob(".*"))


def edited(sound, start_s, end_s, seed=9):
    """The same sound with another sentence between two times, as loud."""
    samples, rate = sound.samples.copy(), sound.sample_rate_hz
    part = slice(round(start_s * rate), round(end_s * rate))
    samples[part] = noise_speech(sound.duration_s, rate, seed=seed).samples[part][::-1]
    return Sound(samples, rate, sound.start_s)


def test_an_edited_sentence_renders_its_own_pieces_and_no_others(base, tmp_path):
    video = write_video(tmp_path / "in.mp4", speaking(150, gap=range(110, 113)))
    before, kept = noise_speech(6.0), tmp_path / "kept"
    after = edited(before, 2.8, 3.0)  # frames 70 to 75; the model sees further, and pieces run in
    dub(video, before, tmp_path / "a.mp4", base, PIECES, detector=DrawnDetector(), pieces=kept)
    assert len(list(kept.glob("*.mp4"))) == 8
    counting = CountingDetector()
    result = dub(video, after, tmp_path / "b.mp4", base, PIECES, detector=counting, pieces=kept)
    assert result.pieces["made"] == 2 and result.pieces["kept"] == 6  # frames 60 to 99
    assert 40 <= counting.pictures < 100 and result.frames == 150
    assert [p.frame for p in result.passed_through] == [110, 111, 112]
    fresh = dub(video, after, tmp_path / "c.mp4", base, PIECES, detector=DrawnDetector())
    assert coded(tmp_path / "b.mp4") == coded(tmp_path / "c.mp4") != coded(tmp_path / "a.mp4")
    assert fresh.pieces == {"made": 8, "kept": 0} and fresh.rendered == result.rendered == 147
    again = dub(video, after, tmp_path / "d.mp4", base, PIECES, detector=counting, pieces=kept)
    assert again.pieces["made"] == 0 and coded(tmp_path / "d.mp4") == coded(tmp_path / "c.mp4")
    assert again.pieces["mb"] == pytest.approx(sum(f.stat().st_size for f in kept.iterdir()) / 1e6, abs=0.06)
    other = dub(video, after, tmp_path / "e.mp4", base, RenderConfig(segment_s=0.8), detector=counting, pieces=kept)
    assert other.pieces["made"] == 8 and len(list(kept.iterdir())) == 3 * 8 + 1  # another seed: nothing is left of it


def test_an_edit_that_was_interrupted_goes_on(base, tmp_path):
    video = write_video(tmp_path / "in.mp4", speaking(150))
    before, kept = noise_speech(6.0), tmp_path / "kept"
    after = edited(before, 2.8, 3.0)
    dub(video, before, tmp_path / "a.mp4", base, PIECES, detector=DrawnDetector(), pieces=kept)
    with pytest.raises(Cancelled):
        stop = StopAt(110 + 30)
        dub(video, after, tmp_path / "b.mp4", base, PIECES, stop, detector=DrawnDetector(), pieces=kept)
    result = dub(video, after, tmp_path / "b.mp4", base, PIECES, detector=DrawnDetector(), pieces=kept)
    assert result.pieces["made"] == 1
    dub(video, after, tmp_path / "c.mp4", base, PIECES, detector=DrawnDetector())
    assert coded(tmp_path / "b.mp4") == coded(tmp_path / "c.mp4")


def test_what_is_said_later_in_say_renders_only_that(base, tmp_path):
    video, kept = write_video(tmp_path / "t.mp4", speaking(30)), tmp_path / "kept"
    before = noise_speech(5.0)
    after = edited(before, 4.4, 5.0)
    longer = Sound(np.concatenate([after.samples, after.samples[:8000]]), after.sample_rate_hz)
    say(before, video, tmp_path / "a.mp4", base, PIECES, detector=DrawnDetector(), pieces=kept)
    for name, sound, made in (
        ("b", after, 2),
        ("c", longer, 4),
    ):  # a piece knows when it is next spoken, up to a second after it
        result = say(sound, video, tmp_path / f"{name}.mp4", base, PIECES, detector=DrawnDetector(), pieces=kept)
        assert result.pieces["made"] == made
        say(sound, video, tmp_path / "whole.mp4", base, PIECES, detector=DrawnDetector())
        assert coded(tmp_path / f"{name}.mp4") == coded(tmp_path / "whole.mp4")


def test_a_folder_of_other_things_is_left_alone(base, tmp_path):
    video = write_video(tmp_path / "in.mp4", speaking(6))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    for folder in (tmp_path / "mine", video):
        with pytest.raises(UsageError, match="folder"):
            dub(video, noise_speech(0.3), tmp_path / "o.mp4", base, PIECES, detector=DrawnDetector(), pieces=folder)
    assert [file.name for file in (tmp_path / "mine").iterdir()] == ["letter.txt"]


def test_one_render_at_a_time_works_in_a_folder(tmp_path):
    first = Pieces(tmp_path / "o.mp4", "key", tmp_path / "kept")
    with pytest.raises(UsageError, match="another render"):
        Pieces(tmp_path / "p.mp4", "other key", tmp_path / "kept")
    first.close()
    Pieces(tmp_path / "p.mp4", "key", tmp_path / "kept").close()


@pytest.mark.parametrize("note", ['{"jobs": []}', "[1]", "", "not JSON"])
def test_a_folder_with_another_programs_job_is_left_alone(tmp_path, note):
    mine = tmp_path / "mine"
    mine.mkdir()
    for name, text in (("job.json", note), ("00001.json", "{}"), ("00001.mp4", "film")):
        (mine / name).write_text(text)
    with pytest.raises(UsageError, match="no pieces of a render"):
        Pieces(tmp_path / "o.mp4", "key", mine)
    assert len(list(mine.iterdir())) == 3 and (mine / "job.json").read_text() == note


def test_stretches_between_pieces_that_hold():
    assert stale_stretches(set(), None) == [(0, None)]
    assert stale_stretches({0, 1, 4}, 6) == [(2, 4), (5, 6)]
    assert stale_stretches({0, 1}, 2) == []
    assert stale_stretches({1}, None) == [(0, 1), (2, None)]


def test_kept_pieces_of_another_division_lose_no_frames(base, tmp_path, monkeypatch):
    """Under one key: 30 and 30 frames are kept, 20, 20 and 20 are wanted, and the first sounds otherwise."""
    video, kept = write_video(tmp_path / "in.mp4", speaking(60)), tmp_path / "kept"
    before = noise_speech(2.4)
    after = edited(before, 0.0, 0.2)
    with monkeypatch.context() as patch:
        patch.setattr("lipsync.render.dub.job_key", lambda *_: "one key")
        for config, sound in ((RenderConfig(seed=3, segment_s=1.2, first_s=1.2), before), (PIECES, after)):
            made = dub(video, sound, tmp_path / "o.mp4", base, config, detector=DrawnDetector(), pieces=kept)
    assert made.frames == 60 and made.pieces["made"] == 3 and len(list(kept.glob("*.mp4"))) == 3
    dub(video, after, tmp_path / "fresh.mp4", base, PIECES, detector=DrawnDetector())
    assert coded(tmp_path / "o.mp4") == coded(tmp_path / "fresh.mp4")


def test_the_key_knows_the_layout_and_what_finds_hidden_mouths(base, tmp_path, monkeypatch):
    (tmp_path / "t.mp4").write_bytes(b"any")
    (tmp_path / "other").write_bytes(b"weights")
    keys = {job_key(base, PIECES, tmp_path / "t.mp4")}
    for name, value in (("LAYOUT", -1), ("OCCLUSION_WEIGHTS", tmp_path / "other")):
        with monkeypatch.context() as patch:
            patch.setattr(f"lipsync.render.pieces.{name}", value)
            keys.add(job_key(base, PIECES, tmp_path / "t.mp4"))
    assert len(keys) == 3


def test_pieces_that_do_not_join_are_found():
    records = {n: Record(n, 20, 0, 0.0, 0.0, 20, 0, [], {"first": 20 * (n + 1)}) for n in range(4)}
    assert first_apart(records) is None
    assert first_apart({n: records[n] for n in (0, 2, 3)}) is None  # what lies between is not there yet
    records[2] = replace(records[2], following={"first": 70})
    assert first_apart(records) == 2
    assert first_apart({0: replace(records[0], frames=19)}) == 0


class EndsAfter(DrawnDetector):
    """Fails at a picture, once something has come true before it or the wait is over."""

    def __init__(self, pictures, come):
        self.left, self.come, self.was_there = pictures, come, False

    def detect(self, image):
        self.left -= 1
        limit = time.monotonic() + 20
        while self.left < 0 and not self.come() and time.monotonic() < limit:
            time.sleep(0.05)
        if self.left < 0:
            self.was_there = self.come()
            raise MediaError("planted")
        return super().detect(image)


def test_a_finished_piece_is_saved_before_the_next_is_planned(base, tmp_path):
    video, kept = write_video(tmp_path / "in.mp4", speaking(60)), tmp_path / "kept"
    detector = EndsAfter(30, lambda: (kept / "00000.json").is_file())
    with pytest.raises(MediaError, match="planted"):
        dub(video, noise_speech(2.4), tmp_path / "o.mp4", base, PIECES, detector=detector, pieces=kept)
    assert detector.was_there


def test_say_resumes_too(base, tmp_path):
    video, out = write_video(tmp_path / "t.mp4", speaking(12)), tmp_path / "out.mp4"
    with pytest.raises(Cancelled):
        say(noise_speech(1.8), video, out, base, PIECES, StopAt(42), detector=DrawnDetector())
    assert (tmp_path / ".out.mp4.pieces" / "00000.json").is_file()
    say(noise_speech(1.8), video, out, base, PIECES, detector=DrawnDetector())
    say(noise_speech(1.8), video, tmp_path / "straight.mp4", base, PIECES, detector=DrawnDetector())
    assert coded(out) == coded(tmp_path / "straight.mp4")


def test_the_same_face_keeps_its_window_across_pieces(base, tmp_path):
    """A head that slowly grows by a fifth: no jump in the picture where one piece ends and the next begins."""
    heads = [(80, 62, 30.0 * 1.2 ** (k / 60), 0.1) for k in range(60)]
    video = write_video(tmp_path / "in.mp4", [draw([head]) for head in heads])
    dub(video, noise_speech(2.4), tmp_path / "out.mp4", base, PIECES, detector=DrawnDetector())
    made = np.stack(images(tmp_path / "out.mp4")).astype(float)[:, 70:150, 40:120]
    step = np.abs(np.diff(made, axis=0)).mean((1, 2, 3))
    assert max(step[19], step[39]) < 2.5 * np.median(step) + 1.0


def test_cancelling_from_elsewhere_ends_in_time(base, tmp_path):
    video = write_video(tmp_path / "in.mp4", speaking(40))
    progress = Cancellable(Silent())
    progress.cancel()
    with pytest.raises(Cancelled):
        dub(video, noise_speech(1.0), tmp_path / "out.mp4", base, PIECES, progress, detector=DrawnDetector())
    assert not list(tmp_path.glob(".*")) and not (tmp_path / "out.mp4").exists()


def test_a_face_at_the_edge_of_the_picture_has_references_too(base, tmp_path):
    """Its window reaches beyond the picture."""
    heads = [(40 + k % 3, 150, 34.0, 0.1 + 0.01 * k) for k in range(12)]
    video = write_video(tmp_path / "in.mp4", [draw([head], width=96, height=224) for head in heads])
    result = dub(video, noise_speech(0.5), tmp_path / "out.mp4", base, detector=DrawnDetector())
    assert result.rendered == 12
