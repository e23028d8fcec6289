import json
import re

import planted_faces as planted
import pytest
from planted_faces import PlantedDetector, film, mouth_course, talk, voice_of

from data_prep.clips import Dropped
from data_prep.pipeline import prepare
from data_prep.report import KEPT, summarize, timeline, write_report
from data_prep.source import SourceResult
from data_prep.speaker import EnergyJudge
from lipsync.training.clipstore import ClipRecord


def clip(start_s, duration_s, **more):
    values = {"id": f"c{start_s:g}", "source": "a.mp4", "person": "", "frames": 25, "frame_rate": 25.0}
    return ClipRecord(**{**values, "inter_ocular_px": 60.0, "start_s": start_s, "duration_s": duration_s, **more})


def verdicts(result):
    return [(round(s.start_s, 3), round(s.end_s, 3), s.verdict) for s in timeline(result)]


def test_every_second_has_one_verdict():
    dropped = [Dropped(2.0, 5.0, "turned away"), Dropped(4.0, 6.0, "not speaking"), Dropped(0.5, 1.0, "not speaking")]
    result = SourceResult("a.mp4", 10.0, [clip(0.0, 2.0), clip(6.0, 1.0)], dropped)
    assert verdicts(result) == [
        (0, 2, KEPT),
        (2, 5, "turned away"),
        (5, 6, "not speaking"),
        (6, 7, KEPT),
        (7, 10, "no face"),
    ]


def test_a_frame_between_two_stretches_is_no_stretch_of_its_own():
    result = SourceResult("a.mp4", 4.0, [clip(0.0, 2.0)], [Dropped(2.04, 3.96, "turned away")])
    assert verdicts(result) == [(0, 2.04, KEPT), (2.04, 4, "turned away")]


@pytest.mark.parametrize("length_s", [0.0, 3.0])
def test_a_file_without_anything(length_s):
    result = SourceResult("a.mp4", length_s, [], [Dropped(0.0, 0.0, "unreadable")], warnings=["a.mp4: broken"])
    report = summarize([result])
    assert report["minutes_in"] == pytest.approx(length_s / 60, abs=1e-4) and report["files_without_clips"] == 1
    assert any("broken" in w["found"] for w in report["warnings"])


def test_minutes_add_up_and_land_in_their_bins():
    results = [
        SourceResult("a.mp4", 120.0, [clip(0.0, 60.0, yaw_deg=-12.0)], [Dropped(60, 90, "too dark")]),
        SourceResult("b.mp4", 60.0, [clip(10.0, 30.0, yaw_deg=99.0)], [Dropped(40, 60, "no speech")]),
    ]
    report = summarize(results)
    assert report["minutes_kept"] == pytest.approx(1.5)
    dropped = report["minutes_dropped"]
    assert dropped == pytest.approx({"no face": 2 / 3, "too dark": 0.5, "no speech": 1 / 3}, abs=1e-3)
    assert report["minutes_kept"] + sum(dropped.values()) == pytest.approx(report["minutes_in"], abs=1e-3)
    yaw = next(h for h in report["histograms"] if h["field"] == "yaw_deg")
    assert sum(yaw["minutes"]) == pytest.approx(1.5) and yaw["minutes"][-1] == 0.5
    bin_of_12 = next(i for i, edge in enumerate(yaw["edges"]) if edge > -12) - 1
    assert yaw["minutes"][bin_of_12] == 1.0


def test_what_is_wrong_is_said_with_advice():
    results = [SourceResult("a.mp4", 100.0, [clip(0.0, 20.0)], [Dropped(20, 100, "too dark")])]
    found = summarize(results)["warnings"]
    assert [w["found"] for w in found[:2]] == [
        "only 0.3 minutes can be learned from",
        "80 % of the footage was dropped: too dark",
    ]
    assert "light" in found[1]["advice"]
    people = [SourceResult("a.mp4", 200.0, [clip(0.0, 90.0, person="ann"), clip(90.0, 110.0, person="bob")])]
    assert any("2 people are in it: ann, bob" in w["found"] for w in summarize(people)["warnings"])


def test_the_page_is_whole_and_fetches_nothing(tmp_path):
    talk(tmp_path / "in" / "a & <b>.mp4", seed=1)
    course = mouth_course(4.0, 3)
    film(tmp_path / "in" / "gone.mp4", [course], voice_of(course), hidden=(1.0, 3.0))
    film(tmp_path / "in" / "mute.mp4", [mouth_course(2.0, 3)], None)
    prepare([tmp_path / "in"], tmp_path / "d", detector=PlantedDetector(), judge=EnergyJudge())
    page = (tmp_path / "d" / "report.html").read_text()
    assert "a &amp; &lt;b&gt;.mp4" in page and "<b>.mp4" not in page
    assert not re.search(r"https?://|<script|<link|@import|url\(", page)
    assert page.count("data:image/jpeg;base64,") >= 4, "three kept windows and a dropped stretch"
    assert "prefers-color-scheme:dark" in page and "width=device-width" in page
    report = json.loads((tmp_path / "d" / "report.json").read_text())
    assert report["files"] == 3 and report["minutes_in"] == pytest.approx(9 / 60, abs=1e-3)
    seen_s = sum(clip["duration_s"] for source in report["sources"] for clip in source["clips"])
    mouths = report["mouth_minutes"]["minutes"]
    assert sum(map(sum, mouths)) * 60 == pytest.approx(seen_s, abs=0.1) and sum(mouths[4]) > sum(mouths[0])
    gone = next(s for s in report["sources"] if s["source"] == "gone.mp4")
    assert [t["verdict"] for t in gone["timeline"]] == [KEPT, "no face", KEPT]
    assert gone["frame_rate"] == planted.RATE


def test_a_large_dataset_makes_a_page_of_bearable_size(tmp_path):
    results = [SourceResult(f"{i}.mp4", 10.0, [clip(0.0, 9.0)], [Dropped(9, 10, "no speech")]) for i in range(2000)]
    write_report(tmp_path, results)
    page = (tmp_path / "report.html").read_text()
    assert len(page) < 400_000 and "1880 of 2000 files are in report.json alone" in page


def test_files_with_faults_come_first_and_those_kept_whole_are_folded_away(tmp_path):
    whole = SourceResult("whole.mp4", 10.0, [clip(0.0, 10.0)])
    half = SourceResult("half.mp4", 10.0, [clip(0.0, 5.0, seen_as=0), clip(3.0, 2.0, seen_as=1)])
    write_report(tmp_path, [whole, half, SourceResult("none.mp4", 10.0, [], [Dropped(0, 10, "too dark")])])
    page = (tmp_path / "report.html").read_text().split("File by file")[1]
    places = [page.index(text) for text in ("none.mp4", "half.mp4", "1 file kept whole", "whole.mp4</h3>")]
    assert places == sorted(places) and "person 1 (--pick 1)" in page
