"""Hidden mouths: which stretches a render leaves alone, and what the network sees."""

from types import SimpleNamespace

import cv2
import numpy as np

from lipsync.faces.align import MOUTH, OUTER_LIP
from lipsync.faces.lip_colour import apart_from_usual, quarter_colours
from lipsync.faces.occlusion import cover_probability, fingered_frames, hidden_stretches
from lipsync.faces.template import HEAD
from lipsync.render.plan import _hidden

FINGER = (230.0, 190.0, 160.0)


def test_a_stretch_that_stands_out_is_hidden_and_its_neighbours_are_not():
    p = np.full(60, 0.1)
    p[20:35] = 0.95
    hidden = hidden_stretches(p)
    assert hidden[20:35].all() and not hidden[:17].any() and not hidden[38:].any()


def test_a_person_who_always_looks_half_covered_is_rendered():
    p = np.full(60, 0.6)
    p[20:35] = 0.9
    assert not hidden_stretches(p).any()


def test_a_glimpse_is_not_enough_and_unseen_frames_do_not_count():
    p = np.full(60, 0.1)
    p[30:32] = 1.0
    assert not hidden_stretches(p).any()
    p[20:40] = 0.95
    p[25:30] = np.nan
    assert hidden_stretches(p)[20:40].all()
    assert not hidden_stretches(np.full(10, np.nan)).any()


def test_fingers_on_a_part_of_the_lips_are_hidden_though_the_network_is_unsure():
    p, lips = np.full(60, np.nan), np.full((60, 4, 3), np.nan)
    p[::2], lips[::2] = 0.1, (150.0, 80.0, 80.0)
    lips[20:30:2, 1], p[20:30:2] = FINGER, 0.5
    lips[44, 1], p[44] = FINGER, 0.5  # a glimpse
    hidden = fingered_frames(p, lips)
    assert hidden[18:31].all() and hidden.sum() == 13
    assert not fingered_frames(np.where(np.isnan(p), p, 0.2), lips).any()  # a lamp, a flash: lips to be seen, but odd
    plain = np.where(np.isfinite(lips), lips[0, 0], np.nan)
    assert not fingered_frames(np.where(np.isnan(p), p, 0.5), plain).any()  # a beard: always unsure, lips as ever
    p[24:28], lips[24:28] = np.nan, np.nan  # not seen for a while: no looks in a row across it
    lips[30, 1], p[30] = FINGER, 0.5
    assert np.flatnonzero(fingered_frames(p, lips)).tolist() == [*range(18, 23), *range(28, 33)]


def test_another_persons_lips_after_a_cut_are_not_odd_for_being_anothers():
    p, lips = np.full(40, 0.1), np.full((40, 4, 3), 150.0)
    p[25:], lips[25:] = 0.6, 60.0
    known = SimpleNamespace(covered=p, lips=lips, track=np.repeat([0, 1], [25, 15]))
    assert not _hidden(known).any()
    known.track[:] = 0
    assert _hidden(known)[25:].all()


def test_a_fingertip_is_seen_in_its_quarter_of_the_lips():
    mouth = HEAD[MOUTH, :2] * 45 + [64, 20]
    clear = np.full((128, 128, 3), (205, 160, 140), np.uint8)
    cv2.fillConvexPoly(clear, cv2.convexHull(np.rint(mouth[OUTER_LIP]).astype(np.int32)), (150, 60, 60))
    covered, (x, y) = clear.copy(), np.rint(mouth[OUTER_LIP][6:9].mean(0)).astype(int)
    cv2.circle(covered, (int(x), int(y)), 7, (230, 190, 160), -1)
    apart = apart_from_usual(np.array([quarter_colours(image, mouth) for image in (clear, clear, covered)]))
    assert apart[:2].tolist() == [0, 0] and apart[2] > 30


def test_the_network_tells_a_planted_microphone_from_a_clear_mouth():
    rng = np.random.default_rng(0)
    grey = rng.integers(100, 140, (128, 128, 3)).astype(np.uint8)
    v, u = np.mgrid[0:128, 0:128]
    skin = np.clip(np.array([205, 160, 140]) + rng.normal(0, 3, (128, 128, 3)), 0, 255).astype(np.uint8)
    lips = ((u - 64) / 26) ** 2 + ((v - 66) / 10) ** 2 < 1
    skin[lips] = (170, 90, 95)
    covered = skin.copy()
    covered[((u - 64) / 26) ** 2 + ((v - 78) / 32) ** 2 < 1] = (
        grey[((u - 64) / 26) ** 2 + ((v - 78) / 32) ** 2 < 1] // 4
    )
    clear, hidden = (1 - cover_probability(window) for window in (skin, covered))
    assert hidden < 0.01 and clear > 100 * hidden  # a drawn face is no real one, but a microphone is one
