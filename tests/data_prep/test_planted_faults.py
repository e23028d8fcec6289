"""Every fault of footage that must be found, planted on two actors and prepared as any footage is, networks and all."""

import json
from fractions import Fraction

import cv2
import numpy as np
import pytest
from scipy import signal

from data_prep.actors import cast, perform
from data_prep.pipeline import prepare
from lipsync.media import VideoWriter
from lipsync.model.base import DEFAULT_BASE, checkpoints_folder
from lipsync.speech.features import mono_16k
from lipsync.speech.voices import open_voice
from lipsync.types import Sound

HZ, RATE, SIDE = 16_000, 25, 256
FRAMES = 80
TEXTS = (
    "Before breakfast, Bob wrapped five warm blankets by the river.",
    "Why would the painter keep a bowl of plum soup?",
)

pytestmark = pytest.mark.skipif(
    not (checkpoints_folder() / DEFAULT_BASE / "shape.safetensors").is_file(), reason="needs the shipped base"
)


class Take:
    """FRAMES pictures of an actor, their landmarks and sound."""

    def __init__(self, actor, text):
        speech = open_voice(actor.voice).speak(text)
        shown = []
        for frame in perform(actor, speech, size_px=(SIDE, SIDE), tail_s=0.2):
            shown.append(frame)
            if len(shown) == FRAMES:
                break
        self.pictures = [f.image for f in shown]
        self.landmarks = [f.landmarks for f in shown]
        count = round(len(shown) / RATE * HZ)
        sound = mono_16k(speech.sound)[:count]
        self.sound = np.pad(sound, (0, count - len(sound)))


def write(path, pictures, sound):
    height, width = pictures[0].shape[:2]
    kept = Sound(np.asarray(sound, np.float32), HZ)
    with VideoWriter(path, width=width, height=height, frame_rate=Fraction(RATE), sound=kept, crf=14) as writer:
        for picture in pictures:
            writer.write(np.ascontiguousarray(picture))


def with_hand(picture, landmarks):
    """A palm and four fingers over the lips, in the colour of the cheek."""
    x, y = landmarks[48:68, :2].mean(0).astype(int).tolist()
    unit = float(np.linalg.norm(landmarks[36, :2] - landmarks[45, :2]))
    cheek = landmarks[31, :2] * 0.4 + landmarks[3, :2] * 0.6
    skin = tuple(float(v) * 0.92 for v in picture[int(cheek[1]), int(cheek[0])])
    out = picture.copy()
    cv2.ellipse(out, (x, int(y + 0.25 * unit)), (int(0.42 * unit), int(0.34 * unit)), 0, 0, 360, skin, -1, cv2.LINE_AA)
    for finger in (-0.3, -0.1, 0.1, 0.3):
        a, b = (int(x + finger * unit), y), (int(x + 1.2 * finger * unit), int(y - 0.5 * unit))
        cv2.line(out, a, b, skin, int(0.17 * unit), cv2.LINE_AA)
        edge = int(0.09 * unit)
        cv2.line(out, (a[0] + edge, a[1]), (b[0] + edge, b[1]), tuple(v * 0.6 for v in skin), 1, cv2.LINE_AA)
    return out


def chords(count):
    times, out = np.arange(count) / HZ, np.zeros(count)
    for beat in range(1 + int(2 * times[-1])):
        since = np.clip(times - 0.5 * beat, 0, None)
        on = (times >= 0.5 * beat) & (times < 0.5 * beat + 0.6)
        root = (220, 262, 196, 247)[beat % 4]
        out += sum(on * np.sin(2 * np.pi * root * part * times) for part in (1, 1.26, 1.5, 2, 3)) * np.exp(-2 * since)
    return out


def plant(folder, a, b):
    """One file per fault."""
    write(folder / "good.mp4", a.pictures, a.sound)
    late = np.concatenate([np.zeros(6 * HZ // RATE), a.sound])[: len(a.sound)]
    write(folder / "late.mp4", a.pictures, late)
    covered = [with_hand(*pair) for pair in zip(a.pictures, a.landmarks, strict=True)]
    write(folder / "hand.mp4", a.pictures[:30] + covered[30:], a.sound)
    write(folder / "doubled.mp4", [a.pictures[i // 2 * 2] for i in range(len(a.pictures))], a.sound)
    loud = chords(len(a.sound))
    write(folder / "music.mp4", a.pictures, a.sound + 0.4 * loud * np.sqrt((a.sound**2).mean() / (loud**2).mean()))
    band = signal.butter(4, (300, 3400), "band", fs=HZ, output="sos")
    write(folder / "telephone.mp4", a.pictures, signal.sosfiltfilt(band, a.sound))
    write(folder / "letterboxed.mp4", [np.pad(p, ((40, 40), (0, 0), (0, 0))) for p in a.pictures], a.sound)
    write(folder / "mirrored.mp4", [p[:, ::-1] for p in a.pictures], a.sound)
    write(folder / "upside_down.mp4", [p[::-1, ::-1] for p in a.pictures], a.sound)
    write(folder / "still.mp4", [a.pictures[20]] * len(a.pictures), a.sound)
    whole = (folder / "good.mp4").read_bytes()
    (folder / "broken.mp4").write_bytes(whole[: len(whole) * 6 // 10])
    write(folder / "cut.mp4", a.pictures[:40] + b.pictures[:40], np.concatenate([a.sound, b.sound])[: len(a.sound)])
    pairs = zip(a.pictures, b.pictures[::-1], strict=True)
    write(folder / "two.mp4", [np.concatenate(pair, 1) for pair in pairs], a.sound)
    there_and_back = (a.pictures + a.pictures[::-1]) * 4
    others = np.resize(b.sound, round(len(there_and_back) / RATE * HZ))
    write(folder / "other_sound.mp4", there_and_back, others)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("planted")
    (folder / "in").mkdir()
    ada, tom = cast()[:2]
    plant(folder / "in", Take(ada, TEXTS[0]), Take(tom, TEXTS[1]))
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
    assert abs(good.offset_frames) < 2.5, "the judge learned from people; drawn lips may look up to two frames late"


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


@pytest.mark.parametrize(("fault", "flag"), [("music", "music"), ("telephone", "telephone sound")])
def test_faulty_sound_is_flagged_and_scores_less(prepared, fault, flag):
    (clip,), (good,) = prepared[0][fault].clips, prepared[0]["good"].clips
    assert clip.flags == (flag,) and clip.score < good.score


def test_of_two_people_the_one_who_speaks_is_kept(prepared):
    (clip,) = prepared[0]["two"].clips
    (silent,) = [d for d in prepared[0]["two"].dropped if d.reason == "not speaking"]
    assert clip.offset_score > 0.15 and silent.end_s - silent.start_s > 2


def test_sound_that_is_late_is_corrected_and_said(prepared):
    late, good = prepared[0]["late"], prepared[0]["good"]
    assert late.offset_frames - good.offset_frames == pytest.approx(6, abs=1)
    assert any("late; corrected" in text for text in late.warnings)


def test_a_cut_ends_a_clip(prepared):
    cut = prepared[0]["cut"]
    assert cut.cuts_s == pytest.approx([40 / RATE], abs=0.05)
    assert all(c.start_s + c.duration_s <= 40 / RATE + 0.05 or c.start_s >= 40 / RATE - 0.05 for c in cut.clips)


def test_letterbox_and_mirror_are_said(prepared):
    results, report = prepared
    assert any("letterboxed" in text for text in results["letterboxed"].warnings)
    mirrored = {w["about"] for w in report["warnings"] if "mirrored" in w["found"]}
    assert mirrored == {"mirrored.mp4"}
