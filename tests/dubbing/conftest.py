"""A drawn head that speaks, and one finished dub of it."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "render"))
from drawn_people import DrawnDetector, noise_speech, speaking, tiny_base, write_video
from dub_scene import CUES, SECONDS, order

from lipsync.dubbing.pipeline import dub_into
from lipsync.speech.subtitles import write_subtitles
from lipsync.types import Sound


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    """A head that speaks for three seconds over a hum, and its subtitles in Spanish."""
    folder = tmp_path_factory.mktemp("scene")
    rate = 16000
    t = np.arange(round(SECONDS * rate)) / rate
    sound = 0.01 * np.sin(2 * np.pi * 120 * t)
    for cue in CUES:
        first, last = round(cue.start_s * rate), round(cue.end_s * rate)
        sound[first:last] += noise_speech(SECONDS, rate).samples[: last - first]
    write_video(folder / "in.mp4", speaking(75), sound=Sound(sound.astype(np.float32)[:, None], rate))
    write_subtitles(folder / "es.srt", CUES)
    return folder


@pytest.fixture(autouse=True)
def drawn(monkeypatch):
    monkeypatch.setattr("lipsync.render.dub.open_detector", lambda *_, **__: DrawnDetector())


@pytest.fixture(scope="module")
def base():
    return tiny_base()


@pytest.fixture(scope="module")
def done(scene, base, tmp_path_factory):
    """A finished dub: (folder, result)."""
    folder = tmp_path_factory.mktemp("done")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lipsync.render.dub.open_detector", lambda *_, **__: DrawnDetector())
        return folder, dub_into(order(scene, folder), lambda: base)
