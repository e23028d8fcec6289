"""Loudness against known values, stretching without a change of pitch, and what is kept under the speech."""

import numpy as np
import pytest

from lipsync.media.supply import SoundSupply
from lipsync.speech import blocks
from lipsync.speech.background import DUCK_DB, Background, envelope, frame_powers, levels, merged
from lipsync.speech.blocks import WavWriter, edges
from lipsync.speech.loudness import LoudnessMeter, limited, loudness_lufs, matched, true_peak_db
from lipsync.speech.stretch import stretched
from lipsync.types import Sound

RATE = 16000


def tone(db, seconds=2.0, rate=48000, hz=1000.0, channels=2):
    t = np.arange(round(seconds * rate)) / rate
    wave = (10 ** (db / 20) * np.sin(2 * np.pi * hz * t)).astype(np.float32)
    return np.stack([wave] * channels, 1) if channels > 1 else wave


@pytest.mark.parametrize("rate", [22050, 44100, 48000])
def test_loudness_of_the_standard_tone(rate):
    """EBU Tech 3341, case 1: a stereo tone of 1 kHz at −23 dBFS has −23.0 LUFS, within 0.1."""
    assert loudness_lufs(Sound(tone(-23, rate=rate), rate)) == pytest.approx(-23.0, abs=0.1)


def test_loudness_does_not_count_the_quiet_parts():
    """EBU Tech 3341, case 3, shortened: −36, −23, −36 dBFS have −23.0 LUFS."""
    sound = np.concatenate([tone(-36, 2), tone(-23, 12), tone(-36, 2)])
    assert loudness_lufs(Sound(sound, 48000)) == pytest.approx(-23.0, abs=0.1)


def test_loudness_of_one_channel_silence_and_a_blink():
    assert loudness_lufs(Sound(tone(-20, channels=1), 48000)) == pytest.approx(-23.0, abs=0.1)
    assert loudness_lufs(Sound(np.zeros(48000, np.float32), 48000)) == -np.inf
    assert loudness_lufs(Sound(tone(-20, 0.05), 48000)) == pytest.approx(-20.0, abs=1.0)


def test_matched_reaches_the_target_and_keeps_under_the_ceiling():
    quiet = Sound(tone(-40), 48000)
    assert loudness_lufs(matched(quiet, -20.0)) == pytest.approx(-20.0, abs=0.05)
    bursts = tone(-30, 4)
    bursts[48000:48480] *= 20
    out = matched(Sound(bursts, 48000), -14.0)
    assert true_peak_db(out) <= -0.99
    assert np.abs(np.diff(out.samples[:, 0])).max() < 0.3  # the limiter does not click


def test_limiting_leaves_alone_what_is_under_the_ceiling():
    sound = Sound(tone(-10), 48000)
    assert limited(sound).samples is sound.samples


@pytest.mark.parametrize("rate", [0.75, 0.9, 1.2, 1.4])
def test_stretching_keeps_pitch_level_and_smoothness(rate):
    t = np.arange(2 * RATE) / RATE
    voice = sum(np.sin(2 * np.pi * 140 * k * t + k) / k for k in range(1, 12)).astype(np.float32) * 0.2
    out = stretched(voice, round(len(voice) / rate), RATE)
    assert len(out) == round(len(voice) / rate)
    spectrum = np.abs(np.fft.rfft(out * np.hanning(len(out))))
    assert np.fft.rfftfreq(len(out), 1 / RATE)[spectrum.argmax()] == pytest.approx(140, abs=1.0)
    inner = out[1000:-1000]
    assert np.sqrt((inner**2).mean()) == pytest.approx(np.sqrt((voice**2).mean()), rel=0.03)
    assert np.abs(np.diff(inner)).max() < 1.2 * np.abs(np.diff(voice)).max()
    noise = spectrum[
        (np.fft.rfftfreq(len(out), 1 / RATE) % 140 > 20) & (np.fft.rfftfreq(len(out), 1 / RATE) % 140 < 120)
    ]
    assert (noise**2).sum() < 1e-2 * (spectrum**2).sum()  # 20 dB under the harmonics


def test_stretching_moves_events_in_proportion():
    clicks = np.zeros(RATE, np.float32)
    clicks[[4000, 12000]] = 1.0
    out = stretched(clicks, round(1.25 * RATE), RATE)
    first, last = np.flatnonzero(np.abs(out) > 0.3)[[0, -1]]
    assert first == pytest.approx(5000, abs=300) and last == pytest.approx(15000, abs=300)


def test_stretching_by_nothing_and_of_nothing():
    sound = np.random.default_rng(0).standard_normal(1000).astype(np.float32)
    assert np.array_equal(stretched(sound, 1000, RATE), sound)
    assert not stretched(np.zeros(1000, np.float32), 1300, RATE).any()
    assert len(stretched(sound[:3], 50, RATE)) == 50
    with pytest.raises(ValueError, match="mono"):
        stretched(np.zeros(0, np.float32), 10, RATE)


def scene(under, seconds=4.0):
    """Noise `under` dB of full scale, and a voice-like tone at −12 dB from 1 to 2 s and 3 to 3.5 s."""
    rng = np.random.default_rng(0)
    out = 10 ** (under / 20) * rng.standard_normal(round(seconds * RATE)).astype(np.float32)
    for a, b in ((1.0, 2.0), (3.0, 3.5)):
        out[round(a * RATE) : round(b * RATE)] += tone(-12, b - a, RATE, 300, 1)
    return Sound(out[:, None], RATE), [(1.0, 2.0), (3.0, 3.5)]


def band(samples, low, high):
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)))) ** 2
    hz = np.fft.rfftfreq(len(samples), 1 / RATE)
    return 10 * np.log10(spectrum[(hz >= low) & (hz < high)].mean() + 1e-12)


def without_speech(sound, spans):
    """What `Background` makes, and all of its first channel."""
    length = len(sound.samples)
    found = Background(SoundSupply(sound), length / RATE, spans)
    return found, np.concatenate([found.part(first, last) for first, last in edges(length, RATE)])[:, 0]


def test_in_a_quiet_room_the_old_voice_is_gone_and_the_room_stays():
    sound, spans = scene(-55)
    found, new = without_speech(sound, spans)
    assert found.how == "replaced" and found.speech_db - found.room_db > 30
    old = sound.samples[:, 0]
    said, free = slice(round(1.1 * RATE), round(1.9 * RATE)), slice(round(0.1 * RATE), round(0.7 * RATE))
    assert np.array_equal(new[free], old[free])
    assert band(old[said], 280, 320) - band(new[said], 280, 320) > 35
    assert band(new[said], 1000, 7000) == pytest.approx(band(old[free], 1000, 7000), abs=2.0)


def test_over_noise_the_sound_is_turned_down_smoothly():
    sound, spans = scene(-25)
    found, new = without_speech(sound, spans)
    assert found.how == "ducked"
    gain = new / sound.samples[:, 0]
    assert gain[round(1.5 * RATE)] == pytest.approx(10 ** (DUCK_DB / 20), rel=1e-3)
    assert gain[: round(0.7 * RATE)] == pytest.approx(1.0, abs=1e-3)
    assert np.abs(np.diff(20 * np.log10(gain))).max() < 0.05  # dB from one sample to the next


@pytest.mark.parametrize("under", [-55, -25])
def test_blocks_of_any_size_and_the_whole_are_the_same(monkeypatch, under):
    sound, spans = scene(under)
    _, whole = without_speech(sound, spans)
    monkeypatch.setattr(blocks, "BLOCK_S", 0.3)
    found, parts = without_speech(sound, spans)
    assert len(list(edges(len(sound.samples), RATE))) == 14
    if found.how == "ducked":
        assert np.array_equal(whole, parts)
    else:  # the room's spectrum is learned from other windows
        assert np.abs(parts - whole).max() < 0.02 * np.abs(sound.samples).max()


def test_the_envelope_is_smooth_and_meets_its_spans():
    spans = merged([(1.0, 2.0), (2.05, 2.5), (3.4, 3.5)])
    assert spans == [(1.0, 2.5), (3.4, 3.5)]
    whole = envelope(spans, 0, 4 * RATE, RATE)
    assert whole[round(0.95 * RATE) : round(2.55 * RATE)].min() == pytest.approx(1.0, abs=1e-6)
    assert not whole[: round(0.75 * RATE)].any() and not whole[round(2.75 * RATE) : round(3.15 * RATE)].any()
    assert np.abs(np.diff(whole)).max() < 2.1 / (0.12 * RATE)
    parts = [envelope(spans, k, k + 1000, RATE) for k in range(0, 4 * RATE, 1000)]
    assert np.array_equal(np.concatenate(parts), whole)


def test_speech_without_a_pause_finds_the_room_in_its_quiet_moments():
    sound, _ = scene(-50)
    powers = frame_powers(SoundSupply(sound), len(sound.samples))
    speech_db, room_db = levels(powers, np.ones(len(powers), bool))
    assert speech_db == pytest.approx(-15, abs=3) and room_db == pytest.approx(-50, abs=3)


def test_loudness_heard_in_blocks_is_that_of_the_whole():
    rng = np.random.default_rng(0)
    samples = (0.1 * rng.standard_normal((70001, 2)) * np.linspace(0.01, 1, 70001)[:, None]).astype(np.float32)
    meter = LoudnessMeter(RATE, 2)
    for part in np.split(samples, [5, 1234, 40000, 40000]):
        meter.add(part)
    assert meter.lufs == pytest.approx(loudness_lufs(Sound(samples, RATE)), abs=1e-9)
    assert LoudnessMeter(RATE, 1).lufs == -np.inf


def test_a_wav_written_in_blocks_appears_when_it_is_whole(tmp_path):
    with WavWriter(tmp_path / "a.wav", RATE, 2) as out:
        out.write(np.full((100, 2), 0.5, np.float32))
        assert not (tmp_path / "a.wav").exists()
        out.write(np.full((50, 2), -2.0, np.float32))
    found = SoundSupply(tmp_path / "a.wav").part(0, 150 / RATE)
    assert found.shape == (150, 2) and found[99, 1] == pytest.approx(0.5, abs=1e-4) and found[100, 0] == -32767 / 32768
    with pytest.raises(ZeroDivisionError), WavWriter(tmp_path / "b.wav", RATE, 1) as out:
        out.write(np.zeros(1, np.float32) / (1 / 0))
    assert [path.name for path in tmp_path.iterdir()] == ["a.wav"]
