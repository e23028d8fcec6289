"""What is heard besides the speech, kept under the new voice.

Three ways, the first that can be done:

    separated   Demucs takes the voice out; the rest stays as it is (an extra, and its model)
    replaced    there is nothing but speech in a quiet room: while the old voice speaks it is faded out, and noise with
                the room's own spectrum takes its place
    ducked      there is music or noise, and no separator: the sound is turned down by DUCK_DB while somebody speaks

Gains move as raised cosines over FADE_S, so nothing clicks or pumps. Outside speech the source's own samples stay.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.signal import istft, stft
from scipy.signal.windows import hann

from lipsync.speech.features import mono_16k
from lipsync.types import Sound

DUCK_DB = -18.0
FADE_S = 0.12
MARGIN_S = 0.1  # around what is said: breaths and echo go with it
QUIET_DB = 22.0  # a background this far under the speech is a quiet room
FRAME_S = 0.02
LEAST_ROOM_S = 0.3  # of sound without speech, to know the room
ROOM_SHARE = 0.1  # the quietest share of frames, where no pause is long enough
LONG = 1 << 24  # samples by window: from here on flanks are made in passes

Span = tuple[float, float]


@dataclass(frozen=True)
class Background:
    """The sound without the old voice, (N, C); `how`: separated, replaced, ducked or silent."""

    sound: Sound
    how: str
    speech_db: float
    room_db: float


def without_speech(sound: Sound, spans: Sequence[Span], *, how: str = "") -> Background:
    """Take the voice out of a sound, without a separator.

    Args:
        sound: (N,) or (N, C).
        spans: (start_s, end_s) of what is said, on the sound's clock.
        how: "" chooses; "replaced" or "ducked" as told.
    """
    samples = sound.samples.reshape(len(sound.samples), -1)
    speech_db, room_db = levels(sound, spans)
    how = how or ("replaced" if speech_db - room_db >= QUIET_DB else "ducked")
    speaking = envelope(sound, spans)[:, None]
    if how == "ducked":
        out = samples * 10 ** (speaking * np.float32(DUCK_DB / 20))
    else:
        room = room_tone(samples, sound.sample_rate_hz, _room_parts(sound, spans))
        out = samples * (1 - speaking) + room * np.sqrt(speaking)
    return Background(Sound(out.astype(np.float32), sound.sample_rate_hz, sound.start_s), how, speech_db, room_db)


def envelope(sound: Sound, spans: Sequence[Span]) -> np.ndarray:
    """1 while somebody speaks, 0 else, with smooth flanks outside the spans: float32 (N,)."""
    rate, length = sound.sample_rate_hz, len(sound.samples)
    inside = np.zeros(length, np.float32)
    reach = MARGIN_S + FADE_S / 2
    for start_s, end_s in spans:
        first, last = ((t - sound.start_s) * rate for t in (start_s - reach, end_s + reach))
        inside[max(0, round(first)) : max(0, round(last))] = 1
    width = max(3, round(FADE_S * rate) | 1)
    window = np.asarray(hann(width))
    padded = np.pad(inside, width // 2, mode="edge")
    sums = np.concatenate([[0.0], np.cumsum(padded, dtype=np.float64)])
    if length * width < LONG:
        return np.convolve(padded, window / window.sum(), "valid").astype(np.float32)
    half = width // 2 + 1  # two box filters make the same kind of flank in one pass each
    box = (sums[half:] - sums[:-half]) / half
    sums = np.concatenate([[0.0], np.cumsum(box)])
    out = (sums[half:] - sums[:-half]) / half
    return out[:length].astype(np.float32)


def levels(sound: Sound, spans: Sequence[Span]) -> tuple[float, float]:
    """Levels of the speech (its loud half) and of what is under it, in dB of full scale."""
    mono = mono_16k(sound)
    size = round(FRAME_S * 16000)
    count = max(1, len(mono) // size)
    power = (np.pad(mono, (0, max(0, size - len(mono))))[: count * size].reshape(count, size) ** 2).mean(1)
    levels_db = 10 * np.log10(power + 1e-12)
    times = sound.start_s + (np.arange(count) + 0.5) * FRAME_S
    said = np.zeros(count, bool)
    for start_s, end_s in spans:
        said |= (times >= start_s - MARGIN_S) & (times < end_s + MARGIN_S)
    speech_db = float(np.percentile(levels_db[said], 75)) if said.any() else -120.0
    if (~said).sum() * FRAME_S >= LEAST_ROOM_S:
        return speech_db, float(np.percentile(levels_db[~said], 75))
    return speech_db, float(np.percentile(levels_db, 100 * ROOM_SHARE))


def _room_parts(sound: Sound, spans: Sequence[Span]) -> np.ndarray:
    """Which samples are the room alone: outside speech where there is enough of it, else the quietest frames."""
    length, rate = len(sound.samples), sound.sample_rate_hz
    free = np.ones(length, bool)
    for start_s, end_s in spans:
        first, last = ((t - sound.start_s) * rate for t in (start_s - MARGIN_S, end_s + MARGIN_S))
        free[max(0, round(first)) : max(0, round(last))] = False
    if free.sum() >= LEAST_ROOM_S * rate:
        return free
    size = max(1, round(FRAME_S * rate))
    count = max(1, length // size)
    mono = sound.samples.reshape(length, -1).mean(1)
    power = (mono[: count * size].reshape(count, -1) ** 2).mean(1)
    quiet = power <= np.quantile(power, ROOM_SHARE)
    return np.pad(np.repeat(quiet, len(mono[: count * size]) // count), (0, length))[:length]


def room_tone(samples: np.ndarray, rate_hz: int, room: np.ndarray, seed: int = 0) -> np.ndarray:
    """Steady noise (N, C) with the mean spectrum of the room's samples; the same seed gives the same noise."""
    size = 1 << max(5, round(np.log2(0.04 * rate_hz)))
    generator = np.random.default_rng(seed)
    out = np.zeros(samples.shape, np.float32)
    if len(samples) < size:
        return out
    for channel in range(samples.shape[1]):
        frames = np.lib.stride_tricks.sliding_window_view(samples[:, channel], size)[:: size // 2]
        is_room = np.lib.stride_tricks.sliding_window_view(room, size)[:: size // 2].mean(1) > 0.9
        if not is_room.any():
            continue
        window = np.asarray(hann(size, sym=False))
        power = np.abs(np.fft.rfft(frames[is_room] * window, axis=1)) ** 2
        wanted = np.sqrt(np.median(power, axis=0) / np.log(2) / (window**2).sum())  # the median outlives clicks
        noise = generator.standard_normal(len(samples)).astype(np.float32)
        _, _, spectrum = stft(noise, nperseg=size)
        _, shaped = istft(spectrum * wanted[:, None], nperseg=size)
        out[:, channel] = np.pad(shaped, (0, max(0, len(samples) - len(shaped))))[: len(samples)]
    return out
