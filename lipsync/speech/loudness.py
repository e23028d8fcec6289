"""Integrated loudness and true peak, and the gain that matches one sound to another.

    L = −0.691 + 10·log10 Σ_c G_c·z_c       z_c: mean square of the K-weighted channel c over the gated blocks

K-weighting is a high shelf (+4 dB above 1.7 kHz) and a high-pass (38 Hz). Blocks are 400 ms, every 100 ms; those under
−70 LUFS do not count, then those 10 LU under the mean of the rest. G is 1, and 1.41 for the surround channels of 5.1.

Source: ITU-R BS.1770-5, annexes 1 and 2; its filters for any sample rate after the analogue prototypes of De Man 2014.
"""

import numpy as np
from scipy.signal import lfilter, resample_poly

from lipsync.types import Sound

BLOCK_S, STEP_S = 0.4, 0.1
ABSOLUTE_LUFS, RELATIVE_LU = -70.0, -10.0
SURROUND_GAIN = 1.41
CEILING_DB = -1.0  # true peak that is not passed
OVERSAMPLING = 4
ATTACK_S = 0.005  # the limiter's look-ahead


def loudness_lufs(sound: Sound) -> float:
    """Integrated loudness in LUFS of (N,) or (N, C); −inf when nothing passes the gates."""
    samples = sound.samples.reshape(len(sound.samples), -1)
    power = _block_power(samples, sound.sample_rate_hz)
    loud = _gated(power)
    return -np.inf if not loud.size else float(-0.691 + 10 * np.log10(loud.mean()))


def _gated(power: np.ndarray) -> np.ndarray:
    power = power[power > _power(ABSOLUTE_LUFS)]
    return power[power > power.mean() * 10 ** (RELATIVE_LU / 10)] if power.size else power


def _power(lufs: float) -> float:
    return 10 ** ((lufs + 0.691) / 10)


def _block_power(samples: np.ndarray, rate_hz: int) -> np.ndarray:
    """Weighted power of each block; a sound shorter than a block is one block."""
    step = round(STEP_S * rate_hz)
    count = max(1, -(-len(samples) // step))
    squares = np.zeros(count)
    for channel, gain in enumerate(_gains(samples.shape[1])):
        weighted = k_weighted(samples[:, channel].astype(np.float64), rate_hz)
        padded = np.pad(weighted**2, (0, count * step - len(weighted)))
        squares += gain * padded.reshape(count, step).sum(1)
    width = min(count, round(BLOCK_S / STEP_S))
    lengths = step if count > width else max(1, len(samples)) / width
    return np.convolve(squares, np.ones(width), "valid") / (width * lengths)


def _gains(channels: int) -> list[float]:
    if channels == 6:  # left, right, centre, low frequency, surrounds
        return [1.0, 1.0, 1.0, 0.0, SURROUND_GAIN, SURROUND_GAIN]
    return [1.0] * channels


def k_weighted(samples: np.ndarray, rate_hz: int) -> np.ndarray:
    """The two filters of BS.1770 on one channel (N,)."""
    for b, a in (_shelf(rate_hz), _high_pass(rate_hz)):
        samples = np.asarray(lfilter(b, a, samples))
    return samples


def _shelf(rate_hz: int) -> tuple[np.ndarray, np.ndarray]:
    k, q = np.tan(np.pi * 1681.974450955533 / rate_hz), 0.7071752369554196
    high = 10 ** (3.999843853973347 / 20)
    band = high**0.4996667741545416
    b = np.array([high + band * k / q + k * k, 2 * (k * k - high), high - band * k / q + k * k])
    a = np.array([1 + k / q + k * k, 2 * (k * k - 1), 1 - k / q + k * k])
    return b / a[0], a / a[0]


def _high_pass(rate_hz: int) -> tuple[np.ndarray, np.ndarray]:
    k, q = np.tan(np.pi * 38.13547087602444 / rate_hz), 0.5003270373238773
    a = np.array([1 + k / q + k * k, 2 * (k * k - 1), 1 - k / q + k * k])
    return np.array([1.0, -2.0, 1.0]), a / a[0]


def true_peak_db(sound: Sound) -> float:
    """The highest level between samples too, dB of full scale, by four-fold oversampling; −inf for silence."""
    peak = max(_peak(part) for part in _parts(sound.samples))
    return -np.inf if peak <= 0 else float(20 * np.log10(peak))


def _parts(samples: np.ndarray, length: int = 1 << 18) -> list[np.ndarray]:
    return [samples[k : k + length] for k in range(0, max(1, len(samples)), length)]


def _peak(part: np.ndarray) -> float:
    if not len(part):
        return 0.0
    return float(np.abs(resample_poly(part, OVERSAMPLING, 1, axis=0)).max())


def matched(sound: Sound, lufs: float, ceiling_db: float = CEILING_DB) -> Sound:
    """The sound at an integrated loudness; peaks over the ceiling are turned down for as long as they last.

    A sound without loudness (silence) or a target that is not a number is returned as it is.
    """
    now = loudness_lufs(sound)
    if not np.isfinite(now) or not np.isfinite(lufs):
        return sound
    out = Sound(sound.samples * np.float32(10 ** ((lufs - now) / 20)), sound.sample_rate_hz, sound.start_s)
    return limited(out, ceiling_db)


def limited(sound: Sound, ceiling_db: float = CEILING_DB) -> Sound:
    """Peaks over the ceiling turned down, smoothly over ATTACK_S before and after; the rest is untouched."""
    over_db = true_peak_db(sound) - ceiling_db
    if not over_db > 0:
        return sound
    between_db = max(0.0, true_peak_db(sound) - _sample_peak_db(sound))
    ceiling = 10 ** ((ceiling_db - between_db) / 20)
    level = np.abs(sound.samples).reshape(len(sound.samples), -1).max(1)
    wanted = np.minimum(1.0, ceiling / np.maximum(level, ceiling))
    reach = max(1, round(ATTACK_S * sound.sample_rate_hz))
    least = _running_least(wanted, reach)
    window = np.hanning(2 * reach + 1)
    gain = np.convolve(np.pad(least, reach, mode="edge"), window / window.sum(), "valid").astype(np.float32)
    shape = (-1,) if sound.samples.ndim == 1 else (-1, 1)
    return Sound(sound.samples * gain.reshape(shape), sound.sample_rate_hz, sound.start_s)


def _sample_peak_db(sound: Sound) -> float:
    return float(20 * np.log10(np.abs(sound.samples).max()))


def _running_least(values: np.ndarray, reach: int) -> np.ndarray:
    """The least of each value's neighbours within `reach`."""
    from scipy.ndimage import minimum_filter1d

    return minimum_filter1d(values, 2 * reach + 1, mode="nearest")
