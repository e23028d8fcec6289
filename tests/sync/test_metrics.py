"""Measures recover what was drawn: openings, agreement, sharpness, silence, what changed outside the mask."""

import json

import cv2
import numpy as np
import pytest
from drawn_people import DrawnDetector, draw, noise_speech, tiny_base, write_video

from lipsync.errors import NoFaceError
from lipsync.media import write_wav
from lipsync.sync import metrics
from lipsync.sync.metrics import UNITS, evaluate, longest_run, match_times
from lipsync.types import Sound

COUNT = 40
OPENING = 0.15 * (1 + np.sin(np.arange(COUNT) / 2.3))


def film(path, opening, sound=None, times=None, gap=(), x=80, scale=36.0):
    pictures = [draw([] if k in gap else [(x, 62, scale, o)]) for k, o in enumerate(opening)]
    return write_video(path, pictures, times, sound)


def measure(video, reference=None, sound=None, base=None):
    return evaluate(video, reference, sound, base or tiny_base(), detector=DrawnDetector())


def test_the_same_mouth_elsewhere_agrees(tmp_path):
    a = film(tmp_path / "a.mp4", OPENING)
    b = film(tmp_path / "b.mp4", OPENING, x=70, scale=30.0)
    values = measure(a, b).values
    assert values["opening_correlation"] > 0.99 and values["opening_spread_ratio"] == pytest.approx(1, abs=0.05)
    assert values["landmark_distance"] < 0.01 and values["seen_share"] == 1
    assert values["opening_spread"] == pytest.approx(OPENING.std(), rel=0.05)


def test_another_mouth_does_not(tmp_path):
    a = film(tmp_path / "a.mp4", OPENING)
    half = measure(film(tmp_path / "half.mp4", 0.5 * OPENING), a).values
    assert half["opening_correlation"] > 0.99 and half["opening_spread_ratio"] == pytest.approx(0.5, abs=0.03)
    contrary = measure(film(tmp_path / "contrary.mp4", OPENING.max() - OPENING), a).values
    assert contrary["opening_correlation"] < -0.99 and contrary["landmark_distance"] > half["landmark_distance"] > 0.02


def test_a_gap_and_other_times_do_not_shift_anything(tmp_path):
    a = film(tmp_path / "a.mp4", OPENING)
    rows = [k for k in range(COUNT) if k % 3]
    b = film(tmp_path / "b.mp4", OPENING[[0, *rows]], times=np.array([0, *rows]) / 25, gap=range(9, 13))
    values = measure(b, a).values
    assert values["opening_correlation"] > 0.99 and 0.8 < values["seen_share"] < 0.95


def test_a_constant_mouth_has_no_correlation_rather_than_zero(tmp_path):
    a, b = film(tmp_path / "a.mp4", OPENING), film(tmp_path / "b.mp4", OPENING * 0 + 0.05)
    found = measure(a, b)
    assert found.values["opening_spread_ratio"] is None or found.values["opening_spread_ratio"] > 20
    alone = measure(b)
    for name in ("opening_correlation", "landmark_distance", "mouth_sharpness_ratio", "outside_largest_after_encoding"):
        assert alone.values[name] is None and alone.missing[name] == "needs a reference"
    assert alone.values["offset_frames"] is None and alone.missing["offset_frames"] == "no sound"


def test_a_blurred_mouth_is_less_sharp_and_outside_is_measured(tmp_path):
    rng = np.random.default_rng(0)
    grain = rng.normal(0, 8, (192, 160, 1))
    pictures = [np.clip(draw([(80, 62, 36.0, o)]) + grain, 0, 255).astype(np.uint8) for o in OPENING[:12]]
    soft = [p.copy() for p in pictures]
    for picture in soft:
        picture[88:120, 60:100] = cv2.GaussianBlur(picture, (0, 0), 2)[88:120, 60:100]
    a, b = write_video(tmp_path / "a.mp4", pictures), write_video(tmp_path / "b.mp4", soft)
    values = measure(b, a).values
    assert values["mouth_sharpness_ratio"] < 0.5
    assert values["outside_mean_after_encoding"] < 3
    same = measure(a, a).values
    assert same["outside_largest_after_encoding"] == 0 and same["mouth_sharpness_ratio"] == 1
    shifted = [np.clip(p.astype(int) + 20, 0, 255).astype(np.uint8) for p in pictures]
    assert measure(write_video(tmp_path / "c.mp4", shifted), a).values["outside_mean_after_encoding"] > 15


def test_opening_in_silence(tmp_path):
    wide = np.where(np.arange(COUNT) < 20, 0.0, 0.2)
    loud, quiet = noise_speech(0.8).samples, np.zeros(12800, np.float32)
    video = film(tmp_path / "a.mp4", wide)
    after = measure(video, sound=Sound(np.concatenate([loud, quiet]), 16000)).values["silent_opening"]
    before = measure(video, sound=Sound(np.concatenate([quiet, loud]), 16000)).values["silent_opening"]
    assert after == pytest.approx(0.2, abs=0.02) and before == pytest.approx(0.0, abs=0.01)
    write_wav(tmp_path / "s.wav", Sound(np.concatenate([loud, quiet]), 16000))
    assert measure(video, sound=tmp_path / "s.wav").values["silent_opening"] == pytest.approx(after, abs=0.02)


@pytest.mark.parametrize("late", [-3, 0, 5])
def test_the_offset_of_the_sound_is_found(tmp_path, monkeypatch, late):
    """A shape model that hears the true opening, `late` frames too late, is planted."""
    count = 60
    wide = 0.15 * (1 + np.sin(np.arange(count) / 2.3) * np.cos(np.arange(count) / 9))
    video = film(tmp_path / "a.mp4", wide)
    base = tiny_base()

    def hears(model, mel, times_s, style, start_s):
        heard = np.interp(times_s - late / 25, np.arange(count) / 25, wide)
        delta = np.zeros((len(heard), 31, 3))
        delta[:, 28:31, 1] = heard[:, None]
        return model.space.encode(delta, np.zeros((31, 3)))

    monkeypatch.setattr(metrics, "predict_shape", hears)
    values = measure(video, sound=noise_speech(2.4), base=base).values
    assert values["offset_frames"] == late and values["offset_score"] > 0.95
    assert (values["heard_correlation"] > 0.95) == (late == 0)


def test_json_and_table_hold_every_number(tmp_path):
    found = measure(film(tmp_path / "a.mp4", OPENING, noise_speech(1.6)))
    plain = json.loads(json.dumps(found.to_json()))
    assert set(UNITS) <= set(plain) and plain["frames"] == COUNT
    assert all((plain[name] is None) == (name in plain["missing"]) for name in UNITS)
    assert len(str(found).splitlines()) == len(UNITS) and "needs a reference" in str(found)


def test_no_face_is_an_error(tmp_path):
    with pytest.raises(NoFaceError, match=r"none\.mp4"):
        measure(write_video(tmp_path / "none.mp4", [draw([])] * 5))


def test_times_are_matched_within_half_a_frame():
    a, b = match_times(np.arange(5) * 0.04 + 3, np.array([0.0, 0.04, 0.13, 0.16]))
    assert a.tolist() == [0, 1, 3, 4] and b.tolist() == [0, 1, 2, 3]
    assert [x.tolist() for x in match_times(np.array([1.0]), np.array([7.0]))] == [[0], [0]]


def test_longest_run():
    assert longest_run(np.array([1, 0, 1, 1, 1, 0, 1], bool)) == (2, 5)
    assert longest_run(np.zeros(3, bool)) == (0, 0)
