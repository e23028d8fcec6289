"""Log-mel: known tones and impulses land where the definition says, at any input rate and any frame rate."""

from fractions import Fraction

import numpy as np
import pytest
import torch

from lipsync.errors import SpeechError
from lipsync.speech.features import (
    BLOCK_FRAMES,
    HOP_SAMPLES,
    MAX_GAIN_DB,
    MEL_RATE_HZ,
    MEL_SILENCE,
    MELS,
    SAMPLE_RATE_HZ,
    SPEECH_LEVEL_DB,
    level,
    log_mel,
    log_mel_torch,
    loudness_db,
    mel_at,
    mel_filters,
    speech_activity,
)
from lipsync.types import Sound


def tone(frequency_hz, seconds=1.0, rate_hz=SAMPLE_RATE_HZ, amplitude=0.3):
    time_s = np.arange(round(seconds * rate_hz)) / rate_hz
    return Sound((amplitude * np.sin(2 * np.pi * frequency_hz * time_s)).astype(np.float32), rate_hz)


def syllables(rate_hz, seconds=2.0):
    """A harmonic buzz under 4 kHz with the beat of speech: band-limited, so its samples at any rate are known."""
    time_s = np.arange(round(seconds * rate_hz)) / rate_hz
    buzz = sum(np.sin(2 * np.pi * 140 * h * time_s + h * h) / h for h in range(1, 28))
    return Sound((0.1 * buzz * (0.55 - 0.45 * np.cos(2 * np.pi * 3 * time_s))).astype(np.float32), rate_hz)


def noise(seconds, amplitude=0.1, seed=0):
    samples = np.random.default_rng(seed).standard_normal(round(seconds * SAMPLE_RATE_HZ))
    return (amplitude * samples).astype(np.float32)


@pytest.mark.parametrize("frequency_hz", [200, 440, 1000, 2500, 6000])
def test_a_tone_peaks_in_its_band(frequency_hz):
    mel = log_mel(tone(frequency_hz))[30:70]
    hertz = np.arange(mel_filters().shape[1]) * SAMPLE_RATE_HZ / 512
    centres = (mel_filters() * hertz).sum(axis=1) / mel_filters().sum(axis=1)
    expected = int(np.abs(centres - frequency_hz).argmin())
    assert (np.abs(mel.argmax(axis=1) - expected) <= 1).all()


@pytest.mark.parametrize("frame", [0, 10, 57, 99])
def test_an_impulse_is_strongest_at_its_own_time(frame):
    samples = np.zeros(SAMPLE_RATE_HZ, dtype=np.float32)
    samples[frame * HOP_SAMPLES] = 1.0
    energy = log_mel(Sound(samples, SAMPLE_RATE_HZ)).mean(axis=1)
    assert energy.argmax() == frame
    assert energy[frame + 2 :].max(initial=MEL_SILENCE) == pytest.approx(MEL_SILENCE)


def test_length_and_silence():
    for samples in (1, HOP_SAMPLES - 1, HOP_SAMPLES, 5 * HOP_SAMPLES + 1):
        mel = log_mel(Sound(np.zeros(samples, dtype=np.float32), SAMPLE_RATE_HZ))
        assert mel.shape == (1 + samples // HOP_SAMPLES, MELS)
        assert mel.dtype == np.float32
        np.testing.assert_allclose(mel, MEL_SILENCE, atol=1e-6)


@pytest.mark.parametrize("rate_hz", [8000, 22050, 44100, 48000])
def test_the_input_rate_does_not_matter(rate_hz):
    wanted = log_mel(syllables(SAMPLE_RATE_HZ))
    found = log_mel(syllables(rate_hz))
    frames, bands = slice(5, -5), slice(0, 40)  # up to about 2.5 kHz, where even 8 kHz holds everything
    assert np.abs(found[frames, bands] - wanted[frames, bands]).max() < 0.02
    shifted = np.abs(found[frames][1:, bands] - wanted[frames][:-1, bands]).max()
    assert shifted > 0.05  # 10 ms of delay would have been seen


def test_stereo_is_the_mean_of_its_channels():
    mono = noise(0.5)
    stereo = np.stack([mono * 1.5, mono * 0.5], axis=1)
    np.testing.assert_allclose(log_mel(Sound(stereo, SAMPLE_RATE_HZ)), log_mel(Sound(mono, SAMPLE_RATE_HZ)), atol=1e-5)


def test_blocks_leave_no_trace():
    seconds = BLOCK_FRAMES / MEL_RATE_HZ
    samples = noise(seconds + 1.0)
    mel = log_mel(Sound(samples, SAMPLE_RATE_HZ))
    start = round((seconds - 0.5) * SAMPLE_RATE_HZ)
    part = log_mel(Sound(samples[start:], SAMPLE_RATE_HZ))
    first = start // HOP_SAMPLES
    np.testing.assert_allclose(mel[first + 2 :], part[2:], atol=1e-5)


@pytest.mark.parametrize("rate_hz", [SAMPLE_RATE_HZ, 44100])
def test_torch_equals_librosa(rate_hz):
    sound = syllables(rate_hz)
    np.testing.assert_allclose(log_mel_torch(sound).numpy(), log_mel(sound), atol=1e-3)


@pytest.mark.gpu
@pytest.mark.parametrize("rate_hz", [SAMPLE_RATE_HZ, 44100])
def test_torchaudio_equals_librosa(rate_hz):
    if not torch.cuda.is_available():  # asked first: without CUDA, torchaudio's failing import breaks others
        pytest.skip("needs a CUDA device")
    pytest.importorskip("torchaudio", exc_type=ImportError)
    sound = syllables(rate_hz)
    difference = np.abs(log_mel(sound, device="cuda") - log_mel(sound))[5:-5]
    assert difference[:, :40].max() < 0.02


@pytest.mark.parametrize("rate", [Fraction(24000, 1001), Fraction(25), Fraction(30000, 1001), Fraction(60)])
@pytest.mark.parametrize("start_s", [0.0, -0.5, 0.021])
def test_windows_of_a_ramp_are_exact_at_any_frame_rate(rate, start_s):
    ramp = np.arange(300, dtype=np.float32)[:, None] * np.ones(MELS, dtype=np.float32)
    times_s = np.array([float((25 + k) / rate) for k in range(int(rate))])
    half_width = 5
    windows = mel_at(ramp, times_s, start_s=start_s, half_width=half_width)
    assert windows.shape == (len(times_s), 2 * half_width + 1, MELS)
    expected = (times_s[:, None] - start_s) * MEL_RATE_HZ + np.arange(-half_width, half_width + 1)
    np.testing.assert_allclose(windows, np.repeat(expected[..., None], MELS, axis=2), rtol=1e-6)


def test_windows_outside_the_sound_are_silent():
    mel = np.ones((10, MELS), dtype=np.float32)
    windows = mel_at(mel, np.array([-5.0, 0.0, 0.09, 5.0]), start_s=0.0, half_width=1)
    assert (windows[0] == MEL_SILENCE).all() and (windows[3] == MEL_SILENCE).all()
    assert (windows[1, 0] == MEL_SILENCE).all() and (windows[1, 1:] == 1).all()
    assert (windows[2, :2] == 1).all() and (windows[2, 2] == MEL_SILENCE).all()


def test_level_brings_loud_and_soft_together():
    speech = syllables(SAMPLE_RATE_HZ)
    for gain in (0.1, 0.3, 3.0):
        levelled = level(Sound(speech.samples * np.float32(gain), SAMPLE_RATE_HZ, start_s=1.5))
        assert loudness_db(levelled) == pytest.approx(SPEECH_LEVEL_DB, abs=0.05)
        assert levelled.start_s == 1.5
        np.testing.assert_allclose(log_mel(levelled), log_mel(level(speech)), atol=2e-3)


def test_pauses_do_not_count_toward_loudness():
    speech = noise(1.0)
    padded = np.concatenate([speech, np.zeros(3 * SAMPLE_RATE_HZ, dtype=np.float32)])
    difference = loudness_db(Sound(padded, SAMPLE_RATE_HZ)) - loudness_db(Sound(speech, SAMPLE_RATE_HZ))
    assert abs(difference) < 0.3


def test_silence_stays_silent():
    for amplitude in (0.0, 1e-4):  # −80 dB: the noise of a quiet room
        quiet = Sound(noise(1.0, amplitude), SAMPLE_RATE_HZ)
        np.testing.assert_array_equal(level(quiet).samples, quiet.samples)
        assert not speech_activity(quiet).any()
    faint = Sound(noise(1.0, 1.2e-3), SAMPLE_RATE_HZ)
    assert loudness_db(level(faint)) - loudness_db(faint) <= MAX_GAIN_DB + 0.01


def test_activity_finds_the_spoken_part_and_bridges_stops():
    silence = np.zeros(SAMPLE_RATE_HZ, dtype=np.float32)
    stop = np.zeros(SAMPLE_RATE_HZ // 10, dtype=np.float32)
    samples = np.concatenate([silence, noise(0.5), stop, noise(0.5), silence]) + noise(3.1, 1e-3, seed=1)
    active = np.flatnonzero(speech_activity(Sound(samples, SAMPLE_RATE_HZ)))
    assert abs(active[0] - 100) <= 2
    assert abs(active[-1] - 210) <= 2
    assert len(active) == active[-1] - active[0] + 1


def test_hum_under_speech_is_no_speech():
    hum = tone(50, seconds=3.0, amplitude=0.2).samples + noise(3.0, 1e-3, seed=1)
    samples = hum.copy()
    samples[SAMPLE_RATE_HZ : 2 * SAMPLE_RATE_HZ] += syllables(SAMPLE_RATE_HZ, seconds=1.0).samples
    active = speech_activity(Sound(samples, SAMPLE_RATE_HZ))
    assert active[105:195].mean() > 0.7
    assert not active[:95].any() and not active[205:].any()


@pytest.mark.parametrize("samples", [np.zeros(0, np.float32), np.zeros((0, 2), np.float32), np.array([0, np.nan])])
def test_unusable_sound_is_refused(samples):
    with pytest.raises(SpeechError, match=r"no samples|not numbers"):
        log_mel(Sound(samples, SAMPLE_RATE_HZ))
