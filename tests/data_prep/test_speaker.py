import numpy as np
import planted_faces as planted
import pytest

from data_prep.clips import Span
from data_prep.speaker import EnergyJudge, LipJudge, file_sync, score_curve, silent_rivals
from lipsync.faces.align import MOUTH, HeadPose
from lipsync.faces.template import HEAD
from lipsync.model.judge import Judge, JudgeConfig
from lipsync.types import Sound


def span_of(course, first=0, rate=planted.RATE):
    frames = len(course)
    mouth = np.repeat(HEAD[MOUTH][None], frames, 0)
    mouth[:, [28, 29, 30], 1] += planted.MOST_OPEN * course[:, None]
    pose = HeadPose(np.repeat(np.eye(3)[None], frames, 0), np.full(frames, 60.0), np.zeros((frames, 3)))
    times = (first + np.arange(frames)) / rate
    return Span(first, first + frames, times, mouth, mouth[..., :2], pose, np.zeros((frames, 2, 3)))


class PlantedJudge(EnergyJudge):
    """Hears the opening itself; as sure as the shape model."""

    least_score, least_margin, least_s, alien_score = 0.35, 0.03, 2.0, 0.12

    def __init__(self, course, late_s):
        self.course, self.late_s = course, late_s

    def heard(self, sound):
        times = np.arange(round(sound.duration_s * 100)) / 100 - self.late_s
        return np.interp(times, np.arange(len(self.course)) / planted.RATE, self.course)


@pytest.mark.parametrize("late_frames", [-10, -3, -1.5, 0, 1, 4, 10])
def test_a_planted_offset_is_found(late_frames):
    course = planted.mouth_course(5.0, 4)
    judge = PlantedJudge(course, late_frames / planted.RATE)
    sound = planted.silence(5.0)
    curve = score_curve(span_of(course), judge.heard(sound), sound.start_s, 1 / planted.RATE, 12)
    assert file_sync([curve], [5.0], judge).offset_frames == pytest.approx(late_frames, abs=0.35)


@pytest.mark.parametrize("late_frames", [-8, 0, 6])
def test_loudness_finds_a_planted_offset_of_long_footage(late_frames):
    course = planted.mouth_course(12.0, 4)
    sound = planted.voice_of(course, late_frames / planted.RATE)
    curve = score_curve(span_of(course), EnergyJudge().heard(sound), 0.0, 1 / planted.RATE, 12)
    assert file_sync([curve], [12.0], EnergyJudge()).offset_frames == pytest.approx(late_frames, abs=1)


def test_the_sounds_own_start_is_counted():
    course = planted.mouth_course(12.0, 4)
    sound = planted.voice_of(course)
    late = Sound(sound.samples, sound.sample_rate_hz, start_s=0.2)
    curve = score_curve(span_of(course), EnergyJudge().heard(late), late.start_s, 1 / planted.RATE, 12)
    assert file_sync([curve], [12.0], EnergyJudge()).offset_frames == pytest.approx(5, abs=1)


def test_clips_of_a_file_vote_together():
    """Two long clips that agree outvote a short one that does not."""
    sync = file_sync([peak(3, 0.6), peak(-7, 0.9), peak(3, 0.6)], [8.0, 2.0, 8.0], EnergyJudge())
    assert sync.offset_frames == pytest.approx(3, abs=0.2)


def peak(at, high=1.0):
    return high * np.exp(-(((np.arange(-12, 13) - at) / 2.0) ** 2))


def test_a_clip_that_lies_elsewhere_is_out_of_sync_only_on_strong_evidence():
    judge = PlantedJudge(planted.mouth_course(3.0, 1), 0.0)
    file, lengths = [peak(2, 0.8)] * 4, [5.0] * 5
    assert file_sync([*file, peak(-6, 0.9)], lengths, judge).apart == {4}
    assert file_sync([*file, peak(-6, 0.9)], lengths, judge).offset_frames == pytest.approx(2, abs=0.3)
    for weak, seconds in ((peak(-6, 0.45), 5.0), (peak(-1, 0.9), 5.0), (peak(-6, 0.9), 1.5), (peak(-12, 0.9), 5.0)):
        assert file_sync([*file, weak], [*lengths[:4], seconds], judge).apart == set()
    assert file_sync([file[0], peak(-6, 0.9)], [5.0, 5.0], judge).apart == set(), "who of two is right?"


def test_sound_of_somebody_else_is_out_of_sync_when_there_is_enough_of_it():
    judge = PlantedJudge(planted.mouth_course(3.0, 1), 0.0)
    low = np.random.default_rng(0).uniform(-0.1, 0.08, 25)
    assert file_sync([low] * 4, [6.0] * 4, judge).apart == {0, 1, 2, 3}
    assert file_sync([low], [6.0], judge).apart == set()
    assert file_sync([low] * 4, [6.0] * 4, judge, speech_shares=[0.2] * 4).apart == set(), "mostly pauses"
    assert file_sync([low] * 4, [6.0] * 4, EnergyJudge()).apart == set()


def test_without_evidence_nothing_is_moved():
    judge, rng = EnergyJudge(), np.random.default_rng(0)
    high = np.zeros(25)
    high[4], high[12] = 0.9, 0.85
    assert file_sync([high], [30.0], judge).offset_frames == 0, "hardly better than no offset"
    high[12] = 0.0
    assert file_sync([high], [30.0], judge).offset_frames == pytest.approx(-8)
    assert file_sync([high], [1.2], judge).offset_frames == 0, "too short"
    assert file_sync([rng.uniform(-0.2, 0.2, 25)], [30.0], judge).offset_frames == 0, "no score"
    assert file_sync([np.linspace(0, 0.9, 25)], [30.0], judge).offset_frames == 0, "the best lag is the last searched"
    assert file_sync([], [], judge).offset_frames == 0


def test_a_still_mouth_scores_lowest():
    sound = planted.voice_of(planted.mouth_course(3.0, 1))
    curve = score_curve(span_of(np.full(75, 0.2)), EnergyJudge().heard(sound), 0.0, 0.04, 5)
    assert (curve == -1).all()


def test_only_faces_seen_at_the_same_time_are_rivals():
    course = planted.mouth_course(2.0, 1)
    spans = [span_of(course, 0), span_of(course, 10), span_of(course, 60), span_of(course, 45)]
    assert silent_rivals(spans, [0.2, 0.6, 0.1, 0.05]) == {0, 3}
    assert silent_rivals([], []) == set()


def test_sound_that_runs_away_is_dropped_and_a_constant_offset_is_not():
    judge = PlantedJudge(planted.mouth_course(3.0, 1), 0.0)
    away = file_sync([peak(-5 + 1.5 * i, 0.8) for i in range(8)], [10.0] * 8, judge)
    assert away.drifts and away.apart == set(range(8)) and away.reason == "sound drifts"
    wavering = [peak(4 + 0.5 * (i % 2), 0.8) for i in range(8)]
    for steady in ([peak(4, 0.8)] * 8, wavering, [peak(-5 + 3 * i) for i in range(3)]):
        sync = file_sync(steady, [10.0] * len(steady), judge)
        assert not sync.drifts
    one_off = [peak(2, 0.8)] * 4 + [peak(9, 0.8)] * 2 + [peak(2, 0.8)] * 4
    assert not file_sync(one_off, [10.0] * 10, judge).drifts


def test_the_judge_of_lips_gives_a_value_for_every_frame_of_lag_and_none_for_too_short_a_span():
    lips = LipJudge(Judge(JudgeConfig()).eval())
    sound = planted.voice_of(planted.mouth_course(4.0, 1))
    windows = np.random.default_rng(0).integers(0, 255, (100, 128, 128, 3), np.uint8)
    for rate in (25, 50):
        span = span_of(planted.mouth_course(100 / rate, 1), rate=rate)
        reach = round(0.48 * rate)
        curve = lips.curve(span, windows, lips.heard(sound), 0.0, 1 / rate, reach)
        assert curve.shape == (2 * reach + 1,) and np.isfinite(curve).all() and np.ptp(curve) > 0
    short = span_of(planted.mouth_course(0.4, 1))
    assert (lips.curve(short, windows[:10], lips.heard(sound), 0.0, 0.04, 12) == -1).all()
