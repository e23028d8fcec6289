"""Every fault of footage that must be found, planted on two actors and prepared as any footage is, networks and all."""

import json
from fractions import Fraction

import numpy as np
import pytest
from planted_faults import FAULTS, HZ, Take, is_found, plant

from data_prep.actors import cast, perform
from data_prep.pipeline import prepare
from lipsync.model.base import DEFAULT_BASE, checkpoints_folder
from lipsync.speech.features import mono_16k
from lipsync.speech.voices import open_voice

RATE, SIDE = Fraction(25), 256
FRAMES = 80
TEXTS = (
    "Before breakfast, Bob wrapped five warm blankets by the river.",
    "Why would the painter keep a bowl of plum soup?",
)

pytestmark = pytest.mark.skipif(
    not (checkpoints_folder() / DEFAULT_BASE / "shape.safetensors").is_file(), reason="needs the shipped base"
)


def perform_take(actor, text):
    """The first FRAMES pictures of an actor who says the text."""
    speech = open_voice(actor.voice).speak(text)
    shown = []
    for frame in perform(actor, speech, size_px=(SIDE, SIDE), tail_s=0.2):
        shown.append(frame)
        if len(shown) == FRAMES:
            break
    count = round(len(shown) / RATE * HZ)
    sound = mono_16k(speech.sound)[:count]
    pictures = [np.ascontiguousarray(f.image) for f in shown]
    return Take(pictures, [f.landmarks for f in shown], np.pad(sound, (0, count - len(sound))), RATE)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("planted")
    (folder / "in").mkdir()
    ada, tom = (perform_take(actor, text) for actor, text in zip(cast()[:2], TEXTS, strict=True))
    back = Take(2 * (ada.pictures + ada.pictures[::-1]), 4 * ada.landmarks, np.tile(ada.sound, 4), RATE)
    for fault in FAULTS:  # of somebody else's sound, more than three seconds are needed
        plant(folder / "in" / f"{fault}.mp4", fault, back if fault == "other_sound" else ada, tom)
    alone = [path.name for path in (folder / "in").glob("*.mp4") if path.name not in ("cut.mp4", "two.mp4")]
    labels = {name: {"person": "ada"} for name in alone}
    results = prepare([folder / "in"], folder / "d", labels=labels, workers=1)
    report = json.loads((folder / "d" / "report.json").read_text())
    return {r.source.removesuffix(".mp4"): r for r in results}, report


def reasons(result):
    return {d.reason for d in result.dropped}


def test_good_footage_is_kept_without_a_word(prepared):
    good = prepared[0]["good"]
    assert len(good.clips) == 1 and not good.dropped and good.clips[0].flags == ()
    assert abs(good.offset_frames) < 1, "the judge learned from people: actors' lips lead their sound as people's do"


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("hand", "mouth covered"),
        ("doubled", "repeated frames"),
        ("upside_down", "upside down"),
        ("still", "still picture"),
        ("two", "not speaking"),
        ("broken", "the file breaks off"),
        ("other_sound", "out of sync"),
    ],
)
def test_what_cannot_be_learned_from_is_dropped_with_its_reason(prepared, fault, reason):
    assert reason in reasons(prepared[0][fault])
    assert len(prepared[0][fault].clips) == (1 if fault in ("two", "broken") else 0)


@pytest.mark.parametrize(
    ("fault", "flag"),
    [
        ("music", "music"),
        ("telephone", "telephone sound"),
        ("clipped", "clipped sound"),
    ],
)
def test_faulty_sound_is_flagged_and_scores_less(prepared, fault, flag):
    (clip,), (good,) = prepared[0][fault].clips, prepared[0]["good"].clips
    assert clip.flags == (flag,) and clip.score < good.score


def test_of_two_people_the_one_who_speaks_is_kept(prepared):
    (clip,) = prepared[0]["two"].clips
    (silent,) = [d for d in prepared[0]["two"].dropped if d.reason == "not speaking"]
    assert clip.offset_score > 0.2 and silent.end_s - silent.start_s > 2


def test_sound_that_is_late_is_corrected_and_said(prepared):
    late, good = prepared[0]["late"], prepared[0]["good"]
    assert late.offset_frames - good.offset_frames == pytest.approx(6, abs=1)
    assert any("late; corrected" in text for text in late.warnings)


def test_a_cut_ends_a_clip(prepared):
    cut = prepared[0]["cut"]
    assert is_found(cut, "cut", FRAMES / 2 / float(RATE)) and len(cut.cuts_s) == 1


def test_letterbox_and_mirror_are_said(prepared):
    results, report = prepared
    assert any("letterboxed" in text for text in results["letterboxed"].warnings)
    mirrored = {w["about"] for w in report["warnings"] if "mirrored" in w["found"]}
    assert mirrored == {"mirrored.mp4"}
