"""Integrated loudness and true peak, and the gain that matches one sound to another.

    L = −0.691 + 10·log10 Σ_c G_c·z_c       z_c: mean square of the K-weighted channel c over the gated blocks

K-weighting is a high shelf (+4 dB above 1.7 kHz) and a high-pass (38 Hz). Blocks are 400 ms, every 100 ms; those under
−70 LUFS do not count, then those 10 LU under the mean of the rest. G is 1, and 1.41 for the surround channels of 5.1.

Source: ITU-R BS.1770-5, annexes 1 and 2; its filters for any sample rate after the analogue prototypes of De Man 2014.
"""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import minimum_filter1d
from scipy.signal import lfilter, resample_poly

from lipsync.types import Sound

BLOCK_S, STEP_S = 0.4, 0.1
ABSOLUTE_LUFS, RELATIVE_LU = -70.0, -10.0
SURROUND_GAIN = 1.41
CEILING_DB = -1.0  # true peak that is not passed
OVERSAMPLING = 4
ATTACK_S = 0.005  # the limiter's look-ahead
_PART = 1 << 18  # samples that are oversampled at a time


class LoudnessMeter:
    """Integrated loudness of a sound that is heard block by block."""

    def __init__(self, rate_hz: int, channels: int) -> None:
        self._step = round(STEP_S * rate_hz)
        self._gains = _gains(channels)
        self._filters = [_shelf(rate_hz), _high_pass(rate_hz)]
        self._states = [[np.zeros(2) for _ in self._filters] for _ in range(channels)]
        self._left, self._power, self._heard = np.zeros(0), list[np.ndarray](), 0

    def add(self, samples: np.ndarray) -> None:
        """The next block: (N,) or (N, C)."""
        samples = samples.reshape(len(samples), len(self._gains))
        squares = np.zeros(len(samples))
        for channel, gain in enumerate(self._gains):
            squares += gain * self._weighted(samples[:, channel].astype(np.float64), channel) ** 2
        self._heard += len(samples)
        squares = np.concatenate([self._left, squares])
        whole = len(squares) // self._step * self._step
        self._power.append(squares[:whole].reshape(-1, self._step).sum(1))
        self._left = squares[whole:]

    def _weighted(self, samples: np.ndarray, channel: int) -> np.ndarray:
        if not len(samples):
            return samples
        for k, (b, a) in enumerate(self._filters):
            samples, self._states[channel][k] = lfilter(b, a, samples, zi=self._states[channel][k])
        return samples

    @property
    def lufs(self) -> float:
        """Of what was heard so far; −inf when nothing passes the gates. A sound shorter than a block is one block."""
        rest = [self._left.sum()] if len(self._left) or not self._heard else []
        steps = np.concatenate([*self._power, np.asarray(rest)])
        width = min(len(steps), round(BLOCK_S / STEP_S))
        lengths = self._step if len(steps) > width else max(1, self._heard) / width
        loud = _gated(np.convolve(steps, np.ones(width), "valid") / (width * lengths))
        return -np.inf if not loud.size else float(-0.691 + 10 * np.log10(loud.mean()))


def loudness_lufs(sound: Sound) -> float:
    """Integrated loudness in LUFS of (N,) or (N, C); −inf when nothing passes the gates."""
    meter = LoudnessMeter(sound.sample_rate_hz, 1 if sound.samples.ndim == 1 else sound.samples.shape[1])
    meter.add(sound.samples)
    return meter.lufs


def _gated(power: np.ndarray) -> np.ndarray:
    power = power[power > _power(ABSOLUTE_LUFS)]
    return power[power > power.mean() * 10 ** (RELATIVE_LU / 10)] if power.size else power


def _power(lufs: float) -> float:
    return 10 ** ((lufs + 0.691) / 10)


def _gains(channels: int) -> list[float]:
    if channels == 6:  # left, right, centre, low frequency, surrounds
        return [1.0, 1.0, 1.0, 0.0, SURROUND_GAIN, SURROUND_GAIN]
    return [1.0] * channels


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


@dataclass
class Peaks:
    """The highest samples (`sample`) and the highest levels between them too (`true`), linear, block by block."""

    sample: float = 0.0
    true: float = 0.0

    def add(self, samples: np.ndarray) -> None:
        """The next block: (N,) or (N, C); between samples by four-fold oversampling."""
        for k in range(0, len(samples), _PART):
            part = samples[k : k + _PART]
            self.sample = max(self.sample, float(np.abs(part).max()))
            self.true = max(self.true, float(np.abs(resample_poly(part, OVERSAMPLING, 1, axis=0)).max()))

    def ceiling(self, ceiling_db: float = CEILING_DB) -> float | None:
        """What no sample may pass, so that nothing between them passes `ceiling_db`; None where nothing does."""
        if self.true <= 10 ** (ceiling_db / 20):
            return None
        return 10 ** (ceiling_db / 20) * min(1.0, self.sample / self.true)


def true_peak_db(sound: Sound) -> float:
    """The highest level between samples too, dB of full scale; −inf for silence."""
    peaks = Peaks()
    peaks.add(sound.samples)
    return -np.inf if peaks.true <= 0 else float(20 * np.log10(peaks.true))


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
    peaks = Peaks()
    peaks.add(sound.samples)
    ceiling = peaks.ceiling(ceiling_db)
    if ceiling is None:
        return sound
    reach = limiter_reach(sound.sample_rate_hz)
    samples = sound.samples.reshape(len(sound.samples), -1)
    gain = limiter_gain(np.pad(samples, ((2 * reach, 2 * reach), (0, 0)), mode="edge"), ceiling, reach)
    shape = (-1,) if sound.samples.ndim == 1 else (-1, 1)
    return Sound(sound.samples * gain.reshape(shape), sound.sample_rate_hz, sound.start_s)


def limiter_reach(rate_hz: int) -> int:
    """Samples over which the limiter looks ahead."""
    return max(1, round(ATTACK_S * rate_hz))


def limiter_gain(samples: np.ndarray, ceiling: float, reach: int) -> np.ndarray:
    """Gains under which no sample passes the ceiling: float32 (N,) for (N + 4·reach, C), two reaches at each end."""
    level = np.abs(samples).max(1)
    wanted = np.minimum(1.0, ceiling / np.maximum(level, ceiling))
    least = minimum_filter1d(wanted, 2 * reach + 1, mode="nearest")[reach:-reach]
    window = np.hanning(2 * reach + 1)
    return np.convolve(least, window / window.sum(), "valid").astype(np.float32)
