"""What is heard besides the speech, kept under the new voice.

Three ways, the first that can be done:

    separated   Demucs takes the voice out; the rest stays as it is (an extra, and its model: separate.py)
    replaced    there is nothing but speech in a quiet room: while the old voice speaks it is faded out, and noise with
                the room's own spectrum takes its place
    ducked      there is music or noise, and no separator: the sound is turned down by DUCK_DB while somebody speaks

With e(t) = 1 while somebody speaks and 0 else, its flanks the integral of a Hann window of FADE_S (nothing clicks or
pumps), the source x and the room's tone r:

    replaced   (1 − e)·x + √e·r          ducked   10^(e·DUCK_DB/20)·x

Outside speech the source's own samples stay. Everything is computed block by block (blocks.py).
"""

from collections.abc import Sequence

import numpy as np
from scipy.signal import fftconvolve
from scipy.signal.windows import hann

from lipsync.media.supply import SoundSupply
from lipsync.speech.blocks import between, edges

DUCK_DB = -18.0
FADE_S = 0.12
MARGIN_S = 0.1  # around what is said: breaths and echo go with it
QUIET_DB = 22.0  # a background this far under the speech is a quiet room
FRAME_S = 0.02
LEAST_ROOM_S = 0.3  # of sound without speech, to know the room
ROOM_SHARE = 0.1  # the quietest share of frames, where no pause is long enough
ROOM_WINDOWS = 3000  # as many as are looked at, over the whole sound
NOISE_SAMPLES = 1 << 16  # drawn at a time, so that any block can be made alone

Span = tuple[float, float]


class Background:
    """A sound without the old voice, by `replaced` or `ducked`; `part` gives any block of it.

    Args:
        supply: the sound, on the video's clock.
        end_s: where it ends.
        spans: (start_s, end_s) of what is said.
        how: "" chooses; "replaced" or "ducked" as told.
    """

    def __init__(self, supply: SoundSupply, end_s: float, spans: Sequence[Span], how: str = "", seed: int = 0) -> None:
        self.supply, self.length, self.seed = supply, round(end_s * supply.rate), seed
        self.spans = merged(spans)
        powers = frame_powers(supply, self.length)
        said = _said(self.spans, len(powers), _frame(supply.rate) / supply.rate)
        self.speech_db, self.room_db = levels(powers, said)
        self.how = how or ("replaced" if self.speech_db - self.room_db >= QUIET_DB else "ducked")
        self._room = [np.zeros(1)] * supply.channels
        if self.how == "replaced":
            self._room = self._room_filters(_room_frames(powers, said))

    def part(self, first: int, last: int) -> np.ndarray:
        """Samples first ≤ n < last of the clock: float32 (last − first, C)."""
        samples = between(self.supply, first, last)
        speaking = envelope(self.spans, first, last, self.supply.rate)
        if not speaking.any():
            return samples
        if self.how == "ducked":
            return samples * 10 ** (speaking[:, None] * np.float32(DUCK_DB / 20))
        return samples * (1 - speaking[:, None]) + self.room_tone(first, last) * np.sqrt(speaking[:, None])

    def room_tone(self, first: int, last: int) -> np.ndarray:
        """Steady noise with the room's spectrum: float32 (last − first, C); the same seed gives the same noise."""
        out = np.zeros((last - first, self.supply.channels), np.float32)
        for channel, taps in enumerate(self._room):
            if len(taps) > 1:
                half = len(taps) // 2
                noise = _noise(first - half, last + half, (self.seed, channel))
                out[:, channel] = fftconvolve(noise, taps, "valid")
        return out

    def _room_filters(self, is_room: np.ndarray) -> list[np.ndarray]:
        """For each channel a filter that gives white noise the median spectrum of the room's frames."""
        rate = self.supply.rate
        size = 1 << max(5, round(np.log2(2 * FRAME_S * rate)))
        window, frame = np.asarray(hann(size, sym=False)), _frame(rate)
        blocks = list(edges(self.length, rate, frame))
        most = max(8, ROOM_WINDOWS // max(1, len(blocks)))
        powers: list[list[np.ndarray]] = [[] for _ in range(self.supply.channels)]
        for first, last in blocks:
            free = np.repeat(is_room[first // frame : -(-last // frame)], frame)[: last - first]
            if len(free) < size or not free.any():
                continue
            inside = np.lib.stride_tricks.sliding_window_view(free, size)[:: size // 2].mean(1) > 0.9
            rows = np.flatnonzero(inside)[:: max(1, inside.sum() // most)]
            samples = between(self.supply, first, last)
            for channel, found in enumerate(powers):
                frames = np.lib.stride_tricks.sliding_window_view(samples[:, channel], size)[:: size // 2][rows]
                found.append(np.abs(np.fft.rfft(frames * window, axis=1)) ** 2)
        return [_filter(np.concatenate(found), window) if found else np.zeros(1) for found in powers]


def _filter(powers: np.ndarray, window: np.ndarray) -> np.ndarray:
    """Taps (size + 1,) whose response is the median spectrum of Hann-windowed frames (K, size/2 + 1)."""
    if not len(powers):
        return np.zeros(1)
    wanted = np.sqrt(np.median(powers, axis=0) / np.log(2) / (window**2).sum())  # the median outlives clicks
    taps = np.fft.fftshift(np.fft.irfft(wanted))
    return np.append(taps, taps[0]) * np.asarray(hann(len(taps) + 1))


def _noise(first: int, last: int, seed: tuple[int, int]) -> np.ndarray:
    """White noise at the places first ≤ n < last of an endless one."""
    rows = range(first // NOISE_SAMPLES, (last - 1) // NOISE_SAMPLES + 1)
    drawn = [np.random.default_rng([*seed, row + (1 << 31)]).standard_normal(NOISE_SAMPLES, np.float32) for row in rows]
    return np.concatenate(drawn)[first - rows[0] * NOISE_SAMPLES :][: last - first]


def merged(spans: Sequence[Span]) -> list[Span]:
    """Spans in order, those that touch one another joined."""
    out: list[Span] = []
    for start_s, end_s in sorted(spans):
        if out and start_s <= out[-1][1] + 2 * (MARGIN_S + FADE_S / 2):
            out[-1] = (out[-1][0], max(out[-1][1], end_s))
        else:
            out.append((start_s, end_s))
    return out


def envelope(spans: Sequence[Span], first: int, last: int, rate_hz: int) -> np.ndarray:
    """1 while somebody speaks, 0 else, with smooth flanks outside the (merged) spans: float32 (last − first,)."""
    out, reach_s = np.zeros(last - first, np.float32), MARGIN_S + FADE_S
    for start_s, end_s in spans:
        low = max(first, int((start_s - reach_s) * rate_hz))
        high = min(last, int((end_s + reach_s) * rate_hz) + 1)
        if low < high:
            times_s = np.arange(low, high) / rate_hz
            middle_s = MARGIN_S + FADE_S / 2
            rise, fall = _rise(times_s - (start_s - middle_s)), _rise(times_s - (end_s + middle_s))
            out[low - first : high - first] += rise - fall
    return np.clip(out, 0, 1)


def _rise(time_s: np.ndarray) -> np.ndarray:
    """From 0 to 1 around time 0: the integral of a Hann window of FADE_S."""
    x = np.clip(time_s / FADE_S, -0.5, 0.5)
    return (0.5 + x + np.sin(2 * np.pi * x) / (2 * np.pi)).astype(np.float32)


def frame_powers(supply: SoundSupply, length: int) -> np.ndarray:
    """Mean square of each FRAME_S of the mono sound: float32 (K,)."""
    size, out = _frame(supply.rate), [np.zeros(0, np.float32)]
    for first, last in edges(length, supply.rate, size):
        mono = between(supply, first, last).mean(1)
        mono = np.pad(mono, (0, -len(mono) % size))
        out.append((mono.reshape(-1, size) ** 2).mean(1))
    return np.concatenate(out)


def _frame(rate_hz: int) -> int:
    return max(1, round(FRAME_S * rate_hz))


def _said(spans: Sequence[Span], count: int, frame_s: float) -> np.ndarray:
    """Which frames hold speech, breaths and echo included: bool (count,)."""
    times, said = (np.arange(count) + 0.5) * frame_s, np.zeros(count, bool)
    for start_s, end_s in spans:
        said |= (times >= start_s - MARGIN_S) & (times < end_s + MARGIN_S)
    return said


def levels(powers: np.ndarray, said: np.ndarray) -> tuple[float, float]:
    """Levels of the speech (its loud half) and of what is under it, in dB of full scale."""
    levels_db = 10 * np.log10(powers + 1e-12)
    speech_db = float(np.percentile(levels_db[said], 75)) if said.any() else -120.0
    if (~said).sum() * FRAME_S >= LEAST_ROOM_S:
        return speech_db, float(np.percentile(levels_db[~said], 75))
    return speech_db, float(np.percentile(levels_db, 100 * ROOM_SHARE)) if len(levels_db) else -120.0


def _room_frames(powers: np.ndarray, said: np.ndarray) -> np.ndarray:
    """Which frames are the room alone: outside speech where there is enough of it, else the quietest."""
    if (~said).sum() * FRAME_S >= LEAST_ROOM_S:
        return ~said
    return powers <= np.quantile(powers, ROOM_SHARE) if len(powers) else said
