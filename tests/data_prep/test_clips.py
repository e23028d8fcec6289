import numpy as np
import pytest

from data_prep.clips import crop_windows, cut_spans, runs, slice_mel, slice_sound, uncovered
from lipsync.config import PrepareConfig
from lipsync.faces.template import HEAD
from lipsync.speech.features import MEL_RATE_HZ, MEL_SILENCE, SPEECH_LEVEL_DB, log_mel
from lipsync.training.clipstore import MEL_PAD_S
from lipsync.types import Face, Frame, Sound, Track


def turned(yaw_deg=0.0, roll_deg=0.0, scale=60.0):
    """A face whose head is turned by known angles."""
    yaw, roll = np.radians(yaw_deg), np.radians(roll_deg)
    about_y = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
    about_z = np.array([[np.cos(roll), -np.sin(roll), 0], [np.sin(roll), np.cos(roll), 0], [0, 0, 1]])
    points = HEAD @ (about_z @ about_y).T * scale + [200, 150, 0]
    return Face((100, 100, 300, 300), points.astype(np.float32))


def track_of(faces, rate=25.0, start_s=0.0):
    return Track(list(faces), start_s + np.arange(len(faces)) / rate)


def test_a_face_that_leaves_splits_the_track_and_is_named():
    track = track_of([turned()] * 30 + [None] * 10 + [turned()] * 40)
    spans, dropped = cut_spans(7, track, PrepareConfig())
    assert [(s.first, s.last) for s in spans] == [(7, 37), (47, 87)]
    assert [(d.start_s, d.end_s, d.reason) for d in dropped] == [(30 / 25, 39 / 25, "no face")]
    assert all(len(s.times_s) == len(s.mouth) == len(s.points) == len(s.pose) == s.last - s.first for s in spans)


@pytest.mark.parametrize(
    ("face", "reason"),
    [
        (turned(yaw_deg=60), "turned away"),
        (turned(roll_deg=70), "head tilted"),
        (turned(scale=12), "face too small"),
        (None, "no face"),
    ],
)
def test_each_fault_has_its_reason(face, reason):
    spans, dropped = cut_spans(0, track_of([turned()] * 30 + [face] * 30), PrepareConfig())
    assert len(spans) == 1 and {d.reason for d in dropped} == {reason}


def test_short_pieces_are_dropped_and_long_ones_are_split_evenly():
    config = PrepareConfig(least_s=1.0, most_s=2.0)
    spans, dropped = cut_spans(0, track_of([turned()] * 20), config)
    assert not spans and [d.reason for d in dropped] == ["too short"]
    spans, _ = cut_spans(0, track_of([turned()] * 130), config)
    assert [s.last - s.first for s in spans] == [43, 43, 44]
    assert spans[0].last == spans[1].first and spans[-1].last == 130


def test_runs_cover_the_list():
    assert list(runs(["", "", "a", "", "b", "b"])) == [(0, 2), (2, 3), (3, 4), (4, 6)]
    assert list(runs([])) == []


def test_uncovered_is_the_complement():
    assert uncovered([(3, 5), (1, 2), (4, 7)], 0, 10) == [(0, 1), (2, 3), (7, 10)]
    assert uncovered([], 0, 2) == [(0, 2)]
    assert uncovered([(-1, 5)], 0, 4) == []
    assert uncovered([(5, 6)], 0, 4) == [(0, 4)]


def test_sound_is_sliced_to_the_sample():
    sound = Sound(np.arange(1, 16001, dtype=np.float32), 16000, start_s=0.5)
    part = slice_sound(sound, 0.5 + 100 / 16000, 0.5 + 300 / 16000)
    assert part.samples.tolist() == list(range(101, 301)) and part.start_s == 0.5 + 100 / 16000
    before = slice_sound(sound, 0.0, 0.75)
    assert len(before.samples) == 12000 and not before.samples[:8000].any() and before.samples[8000] == 1
    after = slice_sound(sound, 1.5 - 10 / 16000, 1.5 + 10 / 16000)
    assert after.samples.tolist() == [*range(15991, 16001), *[0] * 10]
    assert not slice_sound(sound, 5.0, 6.0).samples.any()


@pytest.mark.parametrize("start_s", [0.0, 0.04, 1.0333, 2.5])
def test_the_mel_of_a_clip_starts_exactly_where_it_should(start_s):
    """A click planted at a known time after the clip's start is loudest in the mel frame of that time."""
    rate, sound_start_s, click_s = 16000, 0.013, 0.3
    samples = np.zeros(5 * rate, np.float32)
    samples[round((start_s + click_s - sound_start_s) * rate)] = 1.0
    mel = slice_mel(Sound(samples, rate, sound_start_s), start_s, start_s + 1.2, SPEECH_LEVEL_DB)
    assert mel.shape == (1 + round((1.2 + 2 * MEL_PAD_S) * MEL_RATE_HZ), 80)
    energy = (mel - MEL_SILENCE).sum(1)
    centre = (energy * np.arange(len(mel))).sum() / energy.sum() / MEL_RATE_HZ
    assert centre == pytest.approx(MEL_PAD_S + click_s, abs=0.0002)


def test_the_mel_of_a_clip_is_that_of_the_whole_sound_where_their_frames_meet():
    sound = Sound(np.random.default_rng(0).standard_normal(48000).astype(np.float32) * 0.1, 16000)
    part = slice_mel(sound, 1.0, 2.0, SPEECH_LEVEL_DB)
    np.testing.assert_allclose(part, log_mel(sound)[50:251], atol=1e-5)


def test_the_mel_before_and_after_the_sound_is_silence():
    sound = Sound(np.random.default_rng(0).standard_normal(16000).astype(np.float32) * 0.1, 16000)
    mel = slice_mel(sound, 0.0, 1.0, SPEECH_LEVEL_DB)
    quiet = np.abs(mel - MEL_SILENCE).max(1) < 1e-5
    assert quiet[:48].all() and quiet[-47:].all() and not quiet[51:149].any()


def test_windows_have_the_frames_of_their_span_and_no_others():
    """Each frame is painted with its own number: the windows must carry the numbers first … last − 1."""
    spans, _ = cut_spans(5, track_of([turned()] * 25 + [None] * 5 + [turned()] * 25), PrepareConfig())
    read = []

    def frames():
        for i in range(80):
            read.append(i)
            yield Frame(np.full((300, 400, 3), i * 3, np.uint8), i, i / 25)

    found = list(crop_windows(frames(), spans, 32))
    assert [span for span, _ in found] == spans
    for span, windows in found:
        assert windows.shape == (span.last - span.first, 32, 32, 3)
        assert [int(w[16, 16, 0]) // 3 for w in windows] == list(range(span.first, span.last))
    assert max(read) <= spans[-1].last, "frames after the last span need not be decoded"
