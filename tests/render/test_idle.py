"""Lips are left alone where nothing is said and nothing is to be taken away, and nowhere else."""

from dataclasses import replace

import numpy as np
from test_template import RATE, plan_with

from lipsync.config import WindowConfig
from lipsync.faces.align import MOUTH, window_transforms
from lipsync.faces.template import HEAD
from lipsync.render.idle import idle_positions
from lipsync.render.sequence import find_runs

FRAMES = 4 * RATE


def planned(own_opening, wanted_opening):
    """A plan whose mouth is open as told, and the points of the mouth that is wanted."""
    plan = plan_with(np.zeros(FRAMES), own_opening)
    plan = replace(plan, transforms=window_transforms(plan.pose, WindowConfig()))
    frames = np.arange(FRAMES)
    wanted = HEAD[MOUTH][None].repeat(FRAMES, 0)
    wanted[:, 28:31, 1] += np.asarray(wanted_opening)[:, None]
    plan = replace(plan, points=plan.window_points(plan.mouth, frames).astype(np.float32))
    return plan, plan.window_points(wanted, frames)


def idle(own_opening, wanted_opening):
    plan, points = planned(own_opening, wanted_opening)
    return plan, idle_positions(plan, np.arange(FRAMES), plan.times_s, points)


def opened(first, last, by=0.1):
    return np.where((np.arange(FRAMES) >= first) & (np.arange(FRAMES) < last), by, 0.0)


def test_silence_over_a_resting_mouth_is_left_alone_up_to_the_ends_of_the_part():
    _, left = idle(opened(0, 0), opened(0, 0))
    assert left[10:-10].all() and not left[:4].any() and not left[-4:].any()


def test_speech_is_put_there_with_room_before_and_after():
    plan, left = idle(opened(0, 0), opened(40, 60))
    assert not left[36:64].any() and left[10:33].all() and left[67:90].all()
    runs = find_runs(plan, np.arange(FRAMES), left)
    middle = [run for run in runs if run.first <= 40 and run.last >= 60]
    assert len(middle) == 1 and middle[0].fade_in and middle[0].fade_out
    assert middle[0].strength(middle[0].first, 3) < 0.3 and middle[0].strength(45, 3) == 1.0


def test_speech_of_the_template_is_taken_away():
    _, left = idle(opened(40, 60), opened(0, 0))
    assert not left[36:64].any() and left[10:33].all()


def test_lips_that_move_without_opening_count_and_short_rests_do_not():
    plan, points = planned(opened(0, 0), opened(0, 0))
    points[:, 11:, 0] += np.sin(np.arange(FRAMES))[:, None]
    assert not idle_positions(plan, np.arange(FRAMES), plan.times_s, points).any()
    _, left = idle(opened(0, 0), opened(20, 40) + opened(52, 80))
    assert not left[40:52].any()


def test_frames_that_cannot_be_done_are_not_called_idle():
    plan, points = planned(opened(0, 0), opened(0, 0))
    plan.reasons[50] = "no face"
    points[50] = np.nan
    left = idle_positions(plan, np.arange(FRAMES), plan.times_s, points)
    assert not left[50] and left[45] and left[55]
