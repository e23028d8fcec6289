"""Templates for typed scripts: the calm stretch is found, turns lie where the head is still, photos blink."""

from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from lipsync.faces.align import MOUTH, HeadPose
from lipsync.faces.template import HEAD
from lipsync.render.blink import Blinks
from lipsync.render.plan import Plan
from lipsync.render.template import bounce, calm_stretch, head_speed
from lipsync.types import VideoInfo

RATE, UNIT_PX = 25, 60.0


def plan_with(across_px, opening=None, cuts=(), gone=()):
    """A plan of a head that moves as told, frame by frame."""
    frames = len(across_px)
    place = np.stack([100 + np.asarray(across_px, float), np.full(frames, 80.0), np.zeros(frames)], 1)
    scale = np.full(frames, UNIT_PX)
    scale[list(gone)] = np.nan
    mouth = HEAD[MOUTH][None].repeat(frames, 0)
    open_mouth = mouth.copy()
    if opening is not None:
        open_mouth[:, 28:31, 1] += np.asarray(opening)[:, None]
    info = VideoInfo(Path("t.mp4"), 320, 240, Fraction(RATE), frames, frames / RATE, time_base=Fraction(1, 1000))
    return Plan(
        info,
        np.arange(frames) / RATE,
        np.arange(frames) * 40,
        frozenset(cuts),
        np.zeros(frames, int),
        HeadPose(np.eye(3)[None].repeat(frames, 0), scale, place),
        np.zeros((frames, 2, 3)),
        open_mouth,
        np.zeros((frames, 31, 2), np.float32),
        ["" if k not in gone else "no face" for k in range(frames)],
        mouth,
    )


def restless(seconds, seed=0, step_px=4.0):
    return np.cumsum(np.random.default_rng(seed).normal(0, step_px, round(seconds * RATE)))


def test_of_a_long_template_the_calm_part_is_shown():
    slow = 6 * np.sin(np.arange(8 * RATE) / 40)
    plan = plan_with(np.concatenate([restless(8), slow, restless(8, 1)]))
    first, last = calm_stretch(plan, 30.0)
    assert first >= 8 * RATE - 2 and last <= 16 * RATE + 2 and last - first > 4 * RATE
    first, last = calm_stretch(plan, 3.0)
    assert first >= 8 * RATE - 2 and last <= 16 * RATE + 2 and last - first == 3 * RATE + 1


def test_closed_lips_are_calmer_than_a_talking_mouth():
    talking = np.where(np.arange(12 * RATE) < 6 * RATE, 0.25, 0.0)
    first, _ = calm_stretch(plan_with(np.zeros(12 * RATE), talking), 4.0)
    assert first >= 6 * RATE


def test_a_stretch_holds_no_cut_and_no_frame_that_cannot_be_done():
    plan = plan_with(np.zeros(10 * RATE), cuts=[60], gone=[180])
    first, last = calm_stretch(plan, 60.0)
    assert (first, last) == (60, 180) or (60 <= first < 60 + 16 and 180 - 16 < last <= 180)


def test_turns_lie_where_the_head_is_nearly_still():
    sway = 40 * np.sin(2 * np.pi * np.arange(10 * RATE) / (2.0 * RATE))  # still twice a period
    plan = plan_with(sway)
    first, last = calm_stretch(plan, 60.0)
    speed = head_speed(plan)
    assert max(speed[first + 1], speed[last - 1]) < 0.25 * np.median(speed)
    sequence = bounce(plan, 60.0)
    place = sway[sequence.frames]
    turns = np.flatnonzero(np.diff(np.sign(np.diff(sequence.frames)))) + 1
    jumps = np.abs(np.diff(place, 2))
    assert len(turns) > 5
    assert jumps[turns - 1].max() <= np.abs(np.diff(sway, 2)).max() * 1.5
    assert np.abs(np.diff(sequence.frames)).max() == 1


def eyes_picture():
    """Two dark eyes on a bright, even skin, and their twelve landmarks."""
    image = np.full((120, 200, 3), 200, np.uint8)
    eyes = []
    for x in (60, 140):
        cv2.ellipse(image, (x, 60), (18, 7), 0, 0, 360, (30, 30, 30), -1, cv2.LINE_AA)
        angle = np.radians([180, 235, 305, 0, 55, 125])
        eyes.append(np.stack([x + 18 * np.cos(angle), 60 + 7 * np.sin(angle)], 1))
    return image, np.concatenate(eyes)


def test_eyes_close_and_open_again_and_nothing_else_moves():
    image, eyes = eyes_picture()
    blinks = Blinks(eyes, 80.0, 1)
    times = np.arange(0, 30, 0.02)
    closed = np.array([blinks.closing(t) for t in times])
    starts = np.flatnonzero((closed[1:] > 0.05) & (closed[:-1] <= 0.05))
    assert 4 <= len(starts) <= 16 and closed.max() > 0.95 and (closed < 0.01).mean() > 0.8
    assert np.diff(times[starts]).min() > 1.2
    shut = blinks.move(image, float(times[closed.argmax()]))
    dark = [int((picture[40:80] < 100).all(2).sum()) for picture in (image, shut)]
    assert dark[1] < 0.35 * dark[0]
    assert np.array_equal(shut[:35], image[:35]) and np.array_equal(shut[75:], image[75:])
    assert blinks.move(image, float(times[closed.argmin()])) is image


def test_one_seed_gives_the_same_blinks_in_any_order_and_narrow_eyes_none():
    _, eyes = eyes_picture()
    a, b = Blinks(eyes, 80.0, 5), Blinks(eyes, 80.0, 5)
    late = b.closing(20.0)
    assert [a.closing(t) for t in (1.0, 5.0, 20.0)][-1] == late
    assert [b.closing(t) for t in (3.1, 3.2, 3.3)] == [a.closing(t) for t in (3.1, 3.2, 3.3)]
    narrow = eyes.copy()
    narrow[:, 1] = 60 + (eyes[:, 1] - 60) * 0.1
    assert not Blinks(narrow, 80.0, 5).able
