"""Planted faults of sound on the embedded voice, which is known word by word."""

import numpy as np
import pytest
from scipy import signal

from data_prep import second_voice
from data_prep.listen import CLIPPED, MUSIC, TELEPHONE, sound_flags
from data_prep.second_voice import second_voice_share, two_voices
from data_prep.voice_activity import speech_probability, voice_activity
from lipsync.config import CheckConfig
from lipsync.errors import SpeechError
from lipsync.speech.features import mono_16k
from lipsync.speech.voices import open_voice
from lipsync.types import Sound

HZ = 16_000


@pytest.fixture(scope="module")
def voice():
    return mono_16k(open_voice("espeak:en").speak("Bring the five warm blankets to my mother before Monday.").sound)


def sound(samples):
    return Sound(samples.astype(np.float32), HZ)


def flags(samples):
    return sound_flags(sound(samples), voice_activity(sound(samples)), CheckConfig())


def chords(count):
    times = np.arange(count) / HZ
    out = np.zeros(count)
    for beat, root in enumerate((220, 262, 196, 247, 294, 220, 330, 262, 196, 220)):
        since = np.clip(times - 0.5 * beat, 0, None)
        on = (times >= 0.5 * beat) & (times < 0.5 * beat + 0.6)
        for part in (1, 1.26, 1.5, 2, 3):
            out += on * np.sin(2 * np.pi * root * part * times) * np.exp(-2 * since)
    return out


def beside(samples, other, below_db):
    return samples + other * np.sqrt((samples**2).mean() / (other**2).mean()) * 10 ** (-below_db / 20)


def test_a_clean_voice_has_no_flag(voice):
    assert flags(voice) == ()


def test_telephone_clipping_and_music_are_flagged(voice):
    band = signal.butter(4, (300, 3400), "band", fs=HZ, output="sos")
    assert flags(signal.sosfiltfilt(band, voice)) == (TELEPHONE,)
    assert CLIPPED in flags(np.clip(voice / np.abs(voice).max() * 5, -1, 1))
    assert MUSIC in flags(beside(voice, chords(len(voice)), 8))
    hiss = np.random.default_rng(0).standard_normal(len(voice))
    assert MUSIC not in flags(beside(voice, hiss, 8))


def test_a_second_voice_is_heard_under_the_first_and_music_is_none(voice):
    other = mono_16k(open_voice("espeak:en+f3").speak("Why would the painter keep those heavy pots on the roof?").sound)
    spoken = np.ones(len(voice), bool)
    two = second_voice_share(beside(voice, np.resize(other, len(voice)), 0), spoken)
    assert two > 0.3 > 0.1 > second_voice_share(voice, spoken)
    assert second_voice_share(beside(voice, chords(len(voice)), 15), spoken) < 0.1
    assert second_voice_share(np.zeros(HZ, np.float32), np.ones(HZ, bool)) < 0.1


def test_borders_of_blocks_are_not_heard(voice, monkeypatch):
    whole = two_voices(voice)
    for block in (70, 64):
        monkeypatch.setattr(second_voice, "_BLOCK", block)
        parts = two_voices(voice[: len(voice) - block])
        np.testing.assert_allclose(parts[:-20], whole[: len(parts) - 20], atol=2e-3)
    monkeypatch.setattr(second_voice, "_BESIDE", 0)
    assert np.abs(two_voices(voice) - whole).max() > 0.02


def test_speech_is_found_where_it_is_said_and_in_noise(voice):
    gap = np.zeros(HZ)
    for noise_db in (None, 10):
        samples = np.concatenate([gap, voice, gap])
        if noise_db is not None:
            hiss = np.random.default_rng(1).standard_normal(len(samples))
            samples = samples + hiss * np.sqrt((voice**2).mean()) * 10 ** (-noise_db / 20)
        active = voice_activity(sound(samples))
        assert len(active) == 1 + len(samples) // 160
        assert active[:90].mean() < 0.05 and active[-70:].mean() < 0.2
        assert active[110 : 90 + len(voice) // 160].mean() > 0.8


def test_music_and_noise_alone_are_no_speech():
    assert voice_activity(sound(0.2 * chords(4 * HZ))).mean() < 0.05
    assert voice_activity(sound(0.1 * np.random.default_rng(2).standard_normal(2 * HZ))).mean() < 0.05


def test_odd_lengths_and_bad_sounds(voice):
    assert len(speech_probability(voice[:513])) == 2
    assert flags(np.zeros(HZ)) == () and flags(voice[:100]) == ()
    with pytest.raises(SpeechError, match="no samples"):
        voice_activity(sound(np.zeros(0)))
