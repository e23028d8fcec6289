"""A song: heard as it is, the lips follow the singer alone where a separator is there."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "render"))
sys.path.insert(0, str(Path(__file__).parents[1] / "speech"))
from drawn_people import DrawnDetector, speaking, tiny_base, write_video
from tiny_models import tiny_demucs

from lipsync.cli import main
from lipsync.errors import NoFaceError, UsageError
from lipsync.media import probe, read_sound, write_wav
from lipsync.progress import Silent
from lipsync.render.credentials import read_credentials
from lipsync.studio.order import Order
from lipsync.studio.service import Models, render
from lipsync.studio.singing import UNSEPARATED
from lipsync.types import Sound

RATE = 16000


@pytest.fixture
def order(tmp_path, monkeypatch):
    """A dub of a drawn head by a song: a chord."""
    monkeypatch.setattr("lipsync.render.dub.open_detector", lambda *_, **__: DrawnDetector())
    monkeypatch.setenv("LIPSYNC_MODELS", str(tmp_path / "models"))
    t = np.arange(round(1.2 * RATE)) / RATE
    chord = sum(0.1 * np.sin(2 * np.pi * hz * t) for hz in (220, 330, 550)).astype(np.float32)
    write_wav(tmp_path / "song.wav", Sound(np.stack([chord, 0.5 * chord], 1), RATE))
    write_video(tmp_path / "in.mp4", speaking(24))
    return Order(tmp_path / "in.mp4", tmp_path / "out.mp4", audio=tmp_path / "song.wav", dub=True, song=True)


@pytest.fixture
def models(monkeypatch):
    base, found = tiny_base(), Models()
    monkeypatch.setattr(found, "open", lambda *_: base)
    return found


@pytest.fixture
def told(monkeypatch):
    """What the renderer was told to follow."""
    import lipsync.render.dub as module

    followed, own = [], module.listen
    monkeypatch.setattr(module, "listen", lambda given: followed.append(read_sound(given, mono=False)) or own(given))
    return followed


def test_without_a_separator_the_lips_follow_all_and_it_is_said(order, models, told):
    result = render(order, models, Silent())
    assert UNSEPARATED in result.warnings and "lipsync models get htdemucs" in UNSEPARATED
    assert np.allclose(told[0].samples, read_sound(order.audio, mono=False).samples)


def test_the_lips_follow_the_voice_and_the_song_is_heard(order, models, told, tmp_path):
    tiny_demucs(tmp_path / "models" / "htdemucs")
    result = render(order, models, Silent())
    assert result.warnings == [w for w in result.warnings if "separator" not in w]
    song = read_sound(order.audio, mono=False).samples
    voice = told[0].samples
    assert len(voice) == len(song) and not np.allclose(voice, song, atol=0.01)
    assert probe(order.out).frames == 24 and result.out == str(order.out)
    heard = read_sound(order.out, sample_rate_hz=RATE, mono=False).samples[2000:14000]
    spectrum = np.abs(np.fft.rfft(heard[:, 0]))
    loudest = sorted(np.fft.rfftfreq(len(heard), 1 / RATE)[np.argsort(spectrum)[-3:]].round(-1))
    assert loudest == [220, 330, 550]
    assert np.abs(heard[:, 1]).max() == pytest.approx(0.5 * np.abs(heard[:, 0]).max(), rel=0.1)
    credentials = read_credentials(order.out)
    assert credentials.intact and credentials.synthetic
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.mp4", "models", "out.mp4", "song.wav"]


def test_the_report_is_about_the_video_with_the_song(order, models, tmp_path, monkeypatch):
    tiny_demucs(tmp_path / "models" / "htdemucs")
    seen = []
    monkeypatch.setattr("lipsync.render.report.write_report", lambda path, result, *_, **__: seen.append(result.out))
    render(replace(order, report=tmp_path / "page.html"), models, Silent())
    assert seen == [str(order.out)]


def test_a_report_that_cannot_be_written_fails_no_render(order, models, tmp_path, monkeypatch):
    spoken = replace(order, song=False)
    with pytest.raises(UsageError, match="no folder"):
        render(replace(spoken, report=tmp_path / "none" / "page.html"), models, Silent())
    assert not order.out.exists()

    def faceless(*_, **__):
        raise NoFaceError("no face in it")

    monkeypatch.setattr("lipsync.render.report.write_report", faceless)
    result = render(replace(spoken, report=tmp_path / "page.html"), models, Silent())
    assert order.out.is_file() and any("its report was not written (no face" in w for w in result.warnings)


def test_a_song_is_a_recording(order, models, capsys):
    for wrong in (replace(order, audio=None), replace(order, stream=True)):
        with pytest.raises(UsageError, match="recorded file"):
            render(wrong, models, Silent())
    assert main(["dub", str(order.template), "--out", str(order.out), "--to", "es", "--song"]) == 2
    assert "--song" in capsys.readouterr().err
