"""Lips are left alone where nothing is said and nothing is to be taken away, and nowhere else."""

from dataclasses import replace

import numpy as np
import pytest
from drawn_people import DrawnDetector, draw, tiny_base, write_video
from test_template import RATE, plan_with

from lipsync.config import RenderConfig, WindowConfig
from lipsync.faces.align import MOUTH, window_transforms
from lipsync.faces.template import HEAD
from lipsync.progress import Silent
from lipsync.render.dub import dub
from lipsync.render.idle import idle_positions, speaking_times
from lipsync.render.sequence import Renderer, Sequence, find_runs

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


FADE, LEAD = 3, 8


def strengths(plan, points, spoken_s, first, last, lead):
    """How strongly the positions first - lead ≤ k < last of a part are blended in, those of its own."""
    part = slice(first - lead, last)
    order = Sequence(np.arange(FRAMES)[part], plan.times_s[part], plan.pts[part])
    renderer = Renderer(plan, order, points[part], None, None, FADE, Silent(), lead=lead, spoken_s=spoken_s)  # type: ignore[arg-type]
    out = np.zeros(len(order))
    for run in renderer.runs():
        out[run.first : run.last] = [run.strength(k, FADE) for k in range(run.first, run.last)]
    return out[lead:]


@pytest.mark.parametrize("edge", range(30, 72, 3))
def test_two_parts_of_a_render_meet_without_a_step(edge):
    for own, wanted in [((0, 0), (0, 0)), ((0, 0), (44, 56)), ((44, 56), (0, 0))]:
        plan, points = planned(opened(*own), opened(*wanted))
        spoken_s = plan.times_s[max(0, wanted[0] - 1) : wanted[1] + (wanted[1] > 0)]
        parts = [strengths(plan, points, spoken_s, *part) for part in ((0, edge, 0), (edge, FRAMES, LEAD))]
        joined, whole = np.concatenate(parts), strengths(plan, points, spoken_s, 0, FRAMES, 0)
        assert np.abs(np.diff(joined)).max() <= 1 / (FADE + 1) + 1e-9
        assert joined.any() == whole.any() and (own != (0, 0) or np.array_equal(joined, whole))


def test_when_a_mouth_speaks_is_known_from_its_shapes_alone():
    space, times_s = tiny_base().shape.space, np.arange(30) / RATE
    shapes = np.zeros((30, space.size), np.float32)
    assert not len(speaking_times(space, shapes, times_s, slice(0, 30)))
    shapes[10:20, 0] = 2.0
    found = speaking_times(space, shapes, times_s, slice(0, 30))
    assert {10, 15, 19} <= set(np.rint(found * RATE)) and found[0] * RATE >= 9 and found[-1] * RATE <= 20.1
    for own, count in [(slice(0, 5), 1), (slice(25, 30), 1), (slice(14, 16), 4)]:  # its own, and the nearest beyond
        assert len(speaking_times(space, shapes, times_s, own)) == count


def test_silence_in_parts_is_left_alone_where_they_meet(tmp_path):
    still = write_video(tmp_path / "in.mp4", [draw([(80, 62, 36.0, -0.05)])] * 60)
    config = RenderConfig(segment_s=0.8)
    result = dub(still, None, tmp_path / "out.mp4", tiny_base(), config, mouth_video=still, detector=DrawnDetector())
    assert result.frames == 60 and result.rendered == 0
