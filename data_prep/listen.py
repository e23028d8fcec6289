"""What is wrong with a clip's sound: telephone, clipped, music or a second voice under it.

    bandwidth = 10·log₁₀(P[4.3–7.6 kHz] / P[0.3–3.4 kHz])        over speech; a telephone carries nothing above 4 kHz
    clipped   = share of samples with |x| above 0.8 of its 99.9th percentile
    sustained = share of time with two or more spectral peaks that hold their pitch (±8 Hz) for HOLD_S
    second    = share of the spoken time in which a network hears two voices: second_voice.py

Speech glides, music holds its notes: that is what `sustained` counts. P: power, mean over frames.

Measured on 99 real clips of many people, and 33 of them with a planted fault, at the thresholds of CheckConfig:
telephone 33 found, clipping by 12 dB 32, music 10 dB under the speech 33, 15 dB under it 24; on the clips as they are
none of these. Since then music counts from 0.18 of the time, not 0.25: of 354 clips of footage as found 25 pass it, for
23 before.
"""

import cv2
import librosa
import numpy as np

from data_prep.second_voice import second_voice_share
from lipsync.config import CheckConfig
from lipsync.speech.features import HOP_SAMPLES, SAMPLE_RATE_HZ, mono_16k
from lipsync.types import Sound

TELEPHONE, CLIPPED, MUSIC, SECOND = "telephone sound", "clipped sound", "music", "second voice"
HOLD_S = 0.4
_LOW_HZ, _HIGH_HZ = (300.0, 3400.0), (4300.0, 7600.0)
_TONE_HZ, _TONE_DB = (150.0, 4000.0), 9.0
_TONE_FFT, _TONE_HOP = 2048, 320
_LEAST_FRAMES = 10


def sound_flags(sound: Sound, active: np.ndarray, config: CheckConfig) -> tuple[str, ...]:
    """What is wrong with one clip's sound, in a fixed order; () when nothing is.

    Args:
        sound: of the clip alone, at its own level.
        active: bool (T,), where something is said, one per mel frame of `sound`.
    """
    samples = mono_16k(sound)
    if len(samples) < SAMPLE_RATE_HZ // 2 or not np.abs(samples).max() > 1e-4:
        return ()
    spoken = np.repeat(active, HOP_SAMPLES)[: len(samples)]
    spoken = np.pad(spoken, (0, len(samples) - len(spoken)))
    music = sustained_share(samples) > config.most_sustained_share
    flags = {
        TELEPHONE: bandwidth_db(samples, spoken) < config.least_bandwidth_db,
        CLIPPED: clipped_share(samples) > config.most_clipped_share,
        MUSIC: music,
        SECOND: not music and second_voice_share(samples, spoken) > config.most_second_voice_share,  # tones have pitch
    }
    return tuple(name for name, found in flags.items() if found)


def bandwidth_db(samples: np.ndarray, spoken: np.ndarray) -> float:
    """Power above 4.3 kHz against that of 0.3 to 3.4 kHz, dB, where `spoken` (N,); 0 where nothing is."""
    power = np.abs(librosa.stft(samples, n_fft=512, hop_length=HOP_SAMPLES, center=False)) ** 2
    on = spoken[np.arange(power.shape[1]) * HOP_SAMPLES + 256]
    if on.sum() < _LEAST_FRAMES:
        return 0.0
    bins_hz = np.fft.rfftfreq(512, 1 / SAMPLE_RATE_HZ)
    low, high = (power[(bins_hz > a) & (bins_hz < b)][:, on].mean() for a, b in (_LOW_HZ, _HIGH_HZ))
    return float(10 * np.log10((high + 1e-12) / (low + 1e-12)))


def clipped_share(samples: np.ndarray) -> float:
    """Share of samples near the rail; coding has made its edge soft (to within 3 %, none of 90 was found after AAC)."""
    size = np.abs(samples)
    return float((size > 0.8 * np.percentile(size, 99.9)).mean())


def sustained_share(samples: np.ndarray) -> float:
    """Share of time in which two or more tones hold their pitch for HOLD_S."""
    spectrum = librosa.stft(samples, n_fft=_TONE_FFT, hop_length=_TONE_HOP, center=False)
    bins_hz = np.fft.rfftfreq(_TONE_FFT, 1 / SAMPLE_RATE_HZ)
    level = 20 * np.log10(np.abs(spectrum[(bins_hz > _TONE_HZ[0]) & (bins_hz < _TONE_HZ[1])]) + 1e-5)
    floor = cv2.blur(level, (1, 41))[1:-1]
    middle = level[1:-1]
    peak = np.zeros(level.shape, np.uint8)
    peak[1:-1] = (middle >= level[:-2]) & (middle >= level[2:]) & (middle > floor + _TONE_DB)
    near = cv2.dilate(peak, np.ones((3, 1), np.uint8))
    frames = round(HOLD_S * SAMPLE_RATE_HZ / _TONE_HOP)
    if near.shape[1] < frames:
        return 0.0
    held = np.asarray(cv2.morphologyEx(near, cv2.MORPH_OPEN, np.ones((1, frames), np.uint8), borderValue=0))
    return float((np.logical_and(held, peak).sum(0) >= 2).mean())
