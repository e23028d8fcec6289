"""Who speaks with which voice, and how loud the mix is."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "render"))

from dub_scene import CUES, order

from lipsync.dubbing.cast import choose_voices, median_pitch_hz
from lipsync.dubbing.mix import write_mix
from lipsync.dubbing.pipeline import dub_into
from lipsync.errors import VoiceError
from lipsync.media import read_sound
from lipsync.media.supply import SoundSupply
from lipsync.speech.loudness import loudness_lufs, true_peak_db
from lipsync.speech.segments import Segment, Transcript
from lipsync.speech.subtitles import Cue, write_subtitles
from lipsync.types import Sound


def test_voices_by_speaker_and_by_pitch():
    t = np.arange(32000) / 16000
    buzz = [sum(np.sin(2 * np.pi * hz * k * t) / k for k in range(1, 8)) * 0.1 for hz in (110, 220)]
    sound = Sound(np.concatenate(buzz).astype(np.float32), 16000)
    assert median_pitch_hz(Sound(sound.samples[:32000], 16000)) == pytest.approx(110, rel=0.03)
    said = Transcript((Segment(0, 2, "uno", "ANNA"), Segment(2, 4, "dos", "BEN")), "es")
    sound = SoundSupply(sound)
    chosen = choose_voices(said, sound, "", {})
    assert chosen["ANNA"].name == "espeak:es" and chosen["BEN"].name == "espeak:es+f2"
    assert choose_voices(said, sound, "espeak:en+m3", {})["BEN"].name == "espeak:es+m3"
    assert choose_voices(said, sound, "", {"ben": "espeak:es+f4"})["BEN"].name == "espeak:es+f4"
    with pytest.raises(VoiceError, match="does not speak here; speakers: ANNA, BEN"):
        choose_voices(said, sound, "", {"CARL": "espeak:es"})


@pytest.mark.parametrize("block_s", [30.0, 0.7])
def test_a_mix_is_as_loud_as_asked_and_no_peak_passes(tmp_path, monkeypatch, block_s):
    monkeypatch.setattr("lipsync.speech.blocks.BLOCK_S", block_s)
    rng = np.random.default_rng(0)
    under = Sound(0.01 * rng.standard_normal((48000, 2)).astype(np.float32), 16000)
    speech = Sound(0.01 * rng.standard_normal(48000).astype(np.float32), 16000)

    def made(under, lufs):
        write_mix(tmp_path / "m.wav", SoundSupply(under), SoundSupply(speech), 48000, lufs)
        return read_sound(tmp_path / "m.wav", sample_rate_hz=None, mono=False)

    assert loudness_lufs(made(under, -23.0)) == pytest.approx(-23.0, abs=0.15)
    speech.samples[20000:20100] *= 40
    loud = made(under, -14.0)
    assert -1.3 < true_peak_db(loud) < -0.9
    heard = made(Sound(np.zeros((48000, 6), np.float32), 16000), -23.0).samples
    assert np.abs(heard[:, 2]).max() > 0 and not heard[:, [0, 1, 3, 4, 5]].any()


def test_a_separated_background_is_kept_when_a_sentence_is_edited(scene, base, tmp_path, monkeypatch):
    separated = []

    def split(sound, model, *, end_s, progress):
        separated.append(model)
        nothing = np.zeros((round(end_s * sound.rate), sound.channels), np.float32)
        yield nothing, nothing

    monkeypatch.setattr("lipsync.dubbing.pipeline.can_separate", lambda model: True)
    monkeypatch.setattr("lipsync.dubbing.pipeline.separate", split)
    for words in ("Sí.", "Sí, desde luego que sí, por supuesto."):
        write_subtitles(tmp_path / "now.srt", [Cue(0.3, 1.1, words), CUES[1]])
        wanted = order(scene, tmp_path, subtitles=tmp_path / "now.srt", until="voices")
        assert dub_into(wanted, lambda: base).background == "separated"
    assert len(separated) == 1
