"""What is found of a segment's windows: the same as with the sound of the whole file at hand."""

import numpy as np
import torch
from planted_faces import PlantedDetector, film, mouth_course, silence, voice_of

from data_prep import segments
from data_prep.engine import Tools, one_thread, open_engine
from data_prep.inspection import inspect_segment, read_windows
from data_prep.segments import follow_segment, plan_segments, read_followed
from data_prep.speaker import LipJudge
from lipsync.config import PrepareConfig
from lipsync.media import probe, read_sound
from lipsync.model.judge import Judge, JudgeConfig
from lipsync.speech.features import level


def followed(path, work, monkeypatch):
    monkeypatch.setattr(segments, "_PICTURES", 100)
    torch.manual_seed(0)
    tools = Tools(PrepareConfig(), PlantedDetector(), LipJudge(Judge(JudgeConfig()).eval()))
    work.mkdir()
    parts = plan_segments(probe(path), "content of " + path.name)
    for part in parts:
        follow_segment(part, work, tools.config, tools.detector)
    return tools, parts


def test_a_segment_hears_what_the_whole_file_says_there_at_the_files_level(tmp_path, monkeypatch):
    course = mouth_course(12.0, 3)
    course[:100] *= 0.4  # softer at first, so that its own level would be another
    path = film(tmp_path / "a.mp4", [course], voice_of(course))
    tools, parts = followed(path, tmp_path / "work", monkeypatch)
    assert len(parts) == 3
    sound = level(read_sound(path))
    whole, curves = tools.judge.heard(sound), []
    for part in parts:
        cuts = read_followed(tmp_path / "work" / part.cut_id(tools.config), 0).cuts
        found = inspect_segment(part, tmp_path / "work", tools)
        assert len(found) == len(cuts) == 1 and len(found[0].thumbnail) > 500
        expected = tools.judge.curve(cuts[0].span, read_windows(cuts[0]), whole, sound.start_s, 1 / 25, 15)
        np.testing.assert_allclose(found[0].curve, expected, atol=0.02 * np.ptp(expected))
        curves.append(expected)
    assert np.abs(curves[0] - curves[2]).max() > 0.1 * np.ptp(curves[0])  # they could have been told apart


def test_a_silent_file_is_not_inspected(tmp_path, monkeypatch):
    path = film(tmp_path / "a.mp4", [mouth_course(8.0, 3)], silence(8.0))
    tools, parts = followed(path, tmp_path / "work", monkeypatch)
    assert all(read_followed(tmp_path / "work" / part.cut_id(tools.config), 0).cuts for part in parts)
    assert len(parts) == 2 and [inspect_segment(part, tmp_path / "work", tools) for part in parts] == [[], []]


def threads(tools, item):
    return torch.get_num_threads()


def test_tasks_run_in_one_thread_and_the_number_before_is_restored():
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        assert dict(open_engine("local", Tools(PrepareConfig()), 1).run(threads, [0])) == {0: 1}
        assert torch.get_num_threads() == 3
        with one_thread():
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
