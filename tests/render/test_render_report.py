"""The page about a render: complete, self-contained, honest about what was not measured."""

import re
from html.parser import HTMLParser
from unittest.mock import Mock

import numpy as np
import pytest
from drawn_people import DrawnDetector, noise_speech, speaking, tiny_base, write_video

from lipsync.config import WindowConfig
from lipsync.errors import MediaError
from lipsync.faces.follow import follow_face
from lipsync.render.report import Shown, Sync, measure_sync
from lipsync.render.report_page import draw_page
from lipsync.render.result import PassedThrough, RenderResult, result_from
from lipsync.types import LIPS_LEAD_S, Timed


def result(**changes):
    values = {
        "out": "talk <1>.mp4", "frames": 100, "frame_rate": 25.0, "duration_s": 4.0, "width": 640, "height": 360,
        "rendered": 90, "largest_outside_difference": 0, "seed": 7, "steps": 1, "guidance": 1.0, "base": "base",
        "base_hash": "f" * 64, "person": "Ada & Co", "seconds": {"plan": 1.0, "render": 8.0}, "warnings": ["cut short"],
        "passed_through": [PassedThrough(k, k / 25, "no face" if k < 46 else "turned away") for k in range(40, 50)],
    }  # fmt: skip
    return RenderResult(**(values | changes))


def sync():
    times = np.arange(100) / 25
    seen = 0.05 + 0.05 * np.sin(times * 9)
    seen[40:50] = np.nan
    spans = [("p", 0.45, 0.6), ("a", 0.1, 0.3), ("p", 1.15, 1.3)]  # of the lips: their sounds come later
    phonemes = [Timed(text, start + LIPS_LEAD_S, end + LIPS_LEAD_S) for text, start, end in spans]
    return Sync(times, seen, 0.05 + 0.05 * np.sin(times * 9), [Timed("papa", 0.1, 0.6)], phonemes)


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.seen = []

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))


def page(**changes):
    shown = [Shown(1.0, {"source": "QUJD", "result": "REVG", "difference": "R0hJ"})]
    return draw_page(result(**changes).as_dict(), {"seed": 7, "crf": 18.0}, sync(), shown)


def test_the_page_holds_what_was_done_and_fetches_nothing():
    text = page()
    for expected in ("90", "0 of 255", "no face", "turned away", "cut short", "Ada &amp; Co", "seed", "1.60–1.80 s"):
        assert expected in text
    assert "talk &lt;1&gt;.mp4" in text and "<1>" not in text
    tags = Tags()
    tags.feed(text)
    assert "script" not in {tag for tag, _ in tags.seen}
    sources = [attrs["src"] for tag, attrs in tags.seen if tag == "img"]
    assert len(sources) == 3 and all(source.startswith("data:image/jpeg;base64,") for source in sources)
    assert not re.search(r"https?://|url\(|@import", text)


def test_a_gap_in_what_is_seen_is_a_gap_in_the_line():
    assert page().count("stroke='var(--seen)'") == 2 and page().count("stroke='var(--heard)'") == 1


def test_phonemes_are_counted_and_the_most_closed_comes_first():
    rows = sync().by_phoneme()
    assert [(text, count) for text, count, _, _ in rows] == [("p", 2), ("a", 1)]
    assert rows[0][2] == pytest.approx(rows[0][3], abs=1e-9) and rows[0][3] < 0.03 < rows[1][3]
    assert sync().correlation == pytest.approx(1.0)


def test_sound_is_heard_part_by_part_as_if_it_were_heard_at_once(tmp_path, monkeypatch):
    video = write_video(tmp_path / "in.mp4", speaking(75), sound=noise_speech(3.0))
    followed = follow_face(video, DrawnDetector(), WindowConfig())
    found = []
    for frames in (20, 500):
        monkeypatch.setattr("lipsync.render.report.PART_FRAMES", frames)
        found.append(measure_sync(followed, tiny_base()))
    assert found[0].heard == pytest.approx(found[1].heard, abs=1e-4) and found[0].heard.std() > 1e-3
    assert np.isfinite(found[0].seen).all() and found[0].times_s[0] == 0.0
    write_video(tmp_path / "mute.mp4", speaking(5))
    assert np.isnan(
        measure_sync(follow_face(tmp_path / "mute.mp4", DrawnDetector(), WindowConfig()), tiny_base()).heard
    ).all()


def test_a_stream_of_sound_without_a_sample_says_nothing(tmp_path, monkeypatch):
    video = write_video(tmp_path / "in.mp4", speaking(5), sound=noise_speech(0.2))
    followed = follow_face(video, DrawnDetector(), WindowConfig())
    monkeypatch.setattr("lipsync.render.report.listen", Mock(side_effect=MediaError("no sample")))
    assert np.isnan(measure_sync(followed, tiny_base()).heard).all()


def test_what_was_not_measured_is_said():
    text = draw_page(result(passed_through=[]).as_dict(), {}, None, [])
    assert "Not measured" in text and "every frame has a new mouth" in text
    unknown = np.full(100, np.nan)
    assert np.isnan(Sync(np.arange(100) / 25, unknown, unknown).correlation)


def test_a_result_comes_back_from_its_plain_values():
    assert result_from(result().as_dict()) == result()
