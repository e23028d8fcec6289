"""Whose face: by click, by box, by sync; what is no choice is refused."""

import numpy as np
import pytest
import soundfile

from lipsync.errors import ConfigError
from lipsync.faces.choose import choose_tracks, loudness_match
from lipsync.faces.template import HEAD
from lipsync.types import Face, Sound, Track

RATE_HZ = 16000


def opening(seconds=4.0, fps=25, seed=0):
    """When a mouth opens, 0…1, at frame times."""
    rng = np.random.default_rng(seed)
    times_s = np.arange(round(seconds * fps)) / fps
    syllables = rng.uniform(0, 1, round(seconds * 4)) > 0.4
    return times_s, np.array([float(syllables[min(int(t * 4), len(syllables) - 1)]) for t in times_s])


def track(x, width=100.0, moves=None, times_s=None):
    """A face at x whose lower lip follows `moves`."""
    times_s = np.arange(20) / 25 if times_s is None else times_s
    faces = []
    for k in range(len(times_s)):
        points = HEAD * width / 2.2
        if moves is not None:
            points = points.copy()
            points[[55, 56, 57, 58, 59, 65, 66, 67], 1] += 0.15 * moves[k] * width / 2.2
        points = (points + np.array([x, 200, 0])).astype(np.float32)
        low, high = points[:, :2].min(0), points[:, :2].max(0)
        faces.append(Face((float(low[0]), float(low[1]), float(high[0]), float(high[1])), points))
    return 0, Track(faces, times_s)


def test_a_click_and_a_box_choose_among_all_who_are_seen_together(tmp_path):
    left, right, small = track(150), track(500), track(800, width=40.0)
    tracks = [left, right, small]
    for face, expected in (("160,250", left), ("480,230", right), ("790,205", small)):
        assert choose_tracks(tracks, face, tmp_path) == [expected]
    assert choose_tracks(tracks, "430,150,570,320", tmp_path) == [right]
    assert choose_tracks(tracks, "780,190,830,240", tmp_path) == [small]


def test_a_click_leaves_other_shots_as_they_are(tmp_path):
    left, right = track(150), track(500)
    later = (40, track(900)[1])
    assert choose_tracks([left, right, later], "500,220", tmp_path) == [right, later]


def test_sync_chooses_who_moves_with_the_sound(tmp_path):
    times_s, says = opening()
    _, other = opening(seed=7)
    rng = np.random.default_rng(1)
    loud = np.interp(np.arange(4 * RATE_HZ) / RATE_HZ, times_s, says)
    path = tmp_path / "sound.wav"
    soundfile.write(path, (0.2 * loud * rng.normal(0, 1, len(loud))).astype(np.float32), RATE_HZ)
    speaker, listener = track(500, moves=says, times_s=times_s), track(150, moves=other, times_s=times_s)
    still = track(800, moves=0.02 * says, times_s=times_s)
    assert choose_tracks([listener, still, speaker], "sync", path) == [speaker]


def test_sound_that_says_nothing_scores_nothing():
    times_s, says = opening()
    assert loudness_match(0.1 * says, times_s, Sound(np.zeros(4 * RATE_HZ, np.float32), RATE_HZ)) == 0.0


@pytest.mark.parametrize("face", ["middle", "1,2,3", "10,10,5,20", "1,x"])
def test_what_is_no_choice_is_refused(face, tmp_path):
    with pytest.raises(ConfigError, match="face"):
        choose_tracks([track(150), track(500)], face, tmp_path)
