"""Plans: resting mouths, references, verdicts, sequences and their runs."""

import numpy as np
import pytest
from drawn_people import DrawnDetector, draw, head_at, speaking, write_video

from lipsync.config import RenderConfig
from lipsync.errors import ConfigError, NoFaceError
from lipsync.faces.align import mouth_opening
from lipsync.faces.choose import choose_tracks
from lipsync.render.plan import close_mouth, make_plan, read_references, reference_frames
from lipsync.render.sequence import Run, find_runs
from lipsync.types import Face, Track


def plan_of(path, **config):
    return make_plan(path, RenderConfig(**config), 32, detector=DrawnDetector())


def test_points_return_to_the_window_they_came_from(tmp_path):
    plan = plan_of(write_video(tmp_path / "a.mp4", speaking(12)))
    again = plan.window_points(plan.mouth, np.arange(12))
    assert np.abs(again - plan.points).max() < 1e-3


def test_references_spread_over_openings_and_hold_the_right_pictures(tmp_path):
    opening = np.linspace(0, 0.3, 40)
    plan = plan_of(write_video(tmp_path / "a.mp4", [draw([head_at(0, o)]) for o in np.roll(opening, 13)]))
    references = read_references(plan, 32)
    assert len(references.frames) == 16 and len(set(references.frames)) == 16
    assert np.ptp(references.opening) > 0.2 and (np.diff(references.opening) > 0).all()
    marks = references.windows.astype(int)
    green = marks[..., 1] - marks[..., [0, 2]].max(-1) > 40
    rows = [np.nonzero(g)[0].mean() for g in green]
    assert np.corrcoef(rows, references.opening)[0, 1] > 0.95  # the lower lip is lower where the mouth is wider open


def test_two_renderable_frames_give_two_references(tmp_path):
    plan = plan_of(write_video(tmp_path / "a.mp4", speaking(2)))
    assert sorted(reference_frames(plan)) == [0, 1]


def test_runs_break_at_gaps_and_cuts(tmp_path):
    pictures = [*speaking(8), *speaking(4, gap=range(4)), *speaking(6)]
    dark = [draw([(70, 70, 34.0, 0.1)], shade=-80) for _ in range(5)]
    plan = plan_of(write_video(tmp_path / "a.mp4", pictures + dark))
    runs = find_runs(plan, np.arange(len(plan)))
    assert runs == [Run(0, 8, False, True), Run(12, 18, True, False), Run(18, 23, False, False)]
    back = np.array([3, 2, 1, 2, 3, 7, 6])
    assert [(r.first, r.last) for r in find_runs(plan, back)] == [(0, 5), (5, 7)]


def test_a_run_fades_only_at_open_ends_and_cuts_into_even_chunks():
    run = Run(10, 20, True, False)
    assert [run.strength(k, 3) for k in (10, 11, 12, 13, 19)] == [0.25, 0.5, 0.75, 1, 1]
    assert [run.strength(k, 3) for k in (10, 19)][::-1] == [1, 0.25]
    assert list(Run(0, 11, False, False).chunks(5)) == [(0, 4), (4, 7), (7, 11)]
    assert list(Run(3, 4, False, False).chunks(5)) == [(3, 4)]


def test_a_laughing_mouth_is_closed_and_a_resting_one_left_alone(tmp_path):
    plan = plan_of(write_video(tmp_path / "a.mp4", [draw([head_at(0, 0.2)])] * 3))
    seen = plan.mouth[0]
    assert mouth_opening(seen) > 0.15 and mouth_opening(plan.neutral[0]) == pytest.approx(0.015, abs=0.003)
    assert np.allclose(plan.neutral[0][:, 0], seen[:, 0], atol=1e-3) and plan.neutral[0][5, 1] < seen[5, 1]
    closed = close_mouth(plan.neutral[0])
    assert np.array_equal(closed, plan.neutral[0])


def test_profile_passes_and_all_profile_is_an_error(tmp_path):
    video = write_video(tmp_path / "a.mp4", speaking(5))
    with pytest.raises(NoFaceError, match="turned away"):
        plan_of(video, most_yaw_deg=-1.0)
    with pytest.raises(NoFaceError, match="face too small"):
        plan_of(video, least_inter_ocular_px=90.0)


def track(first, x, width, frames=10):
    box = (x - width / 2, 0.0, x + width / 2, width)
    return first, Track([Face(box, np.zeros((68, 3), np.float32))] * frames, np.arange(first, first + frames) / 25)


def test_choice_among_tracks(tmp_path):
    left, right, far = track(0, 50, 40), track(0, 150, 36), track(0, 100, 12)
    later = track(20, 80, 30)
    tracks = [left, right, far, later]
    with pytest.raises(NoFaceError, match="2 faces"):
        choose_tracks(tracks, "", tmp_path)
    assert choose_tracks(tracks, "largest", tmp_path) == [left, later]
    assert choose_tracks(tracks, "right", tmp_path) == [right, later]
    assert choose_tracks(tracks, "1", tmp_path) == [right, later]
    assert choose_tracks([left, far], "", tmp_path) == [left]
    with pytest.raises(ConfigError, match="largest, left"):
        choose_tracks(tracks, "middle", tmp_path)
    with pytest.raises(NoFaceError, match="number 7"):
        choose_tracks([left, right], "7", tmp_path)
