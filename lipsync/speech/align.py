"""When each word of a known text sounds: the embedded voice says the text too, and its exact times are carried over.

    D[i, j] = c[i, j] + min over s ∈ {0, 1, 2, 3} of D[i−1, j−s] + p(s)
    c[i, j] = √Σ_k (a_ik − b_jk)²      p(s) = STEP_COST·|s − 1|      |j − m·i/n| ≤ band       (Sakoe & Chiba 1978)

a (n, K) are features of the sound, b (m, K) of the espeak rendering, 100 a second, silence at the ends cut off: cepstra
of the levelled log-mel, each with mean 0 and deviation 1 over the frames that sound, and their slopes, so that what is
said counts and not who says it. The path ends at both ends. Each frame of the sound has one frame of the rendering; a
word is what lies between its first and last sounding frame. In a pause of the sound the rendering may wait at no cost.
"""

from dataclasses import replace

import librosa
import numpy as np
from scipy.fft import dct

from lipsync.errors import SpeechError, VoiceError
from lipsync.speech.features import MEL_RATE_HZ, MEL_SILENCE, level, log_mel
from lipsync.speech.voices.base import guess_language
from lipsync.speech.voices.espeak import SPEED_RANGE, EspeakVoice
from lipsync.types import Sound, Speech, Timed

CEPSTRA = 16
SLOPE_FRAMES = 5  # over which a slope is measured
STEP_COST = 0.4  # for each frame by which a step is not 1
SKIP = 3  # of the rendering's frames, at most, that one step passes
BAND = 0.3  # of the length, and at least LEAST_BAND_S
LEAST_BAND_S = 0.4
SILENT_BELOW = 0.5  # of the span between silence and loud speech, in log-mel units
WAIT_COST = 0.3  # of waiting through a pause, each frame
SHORTEST_PAUSE_FRAMES = 5


def with_times(speech: Speech) -> Speech:
    """The same speech with the times of its words and phonemes, where it has none and its text can be spoken here.

    A text in a language that the embedded voice does not speak, or a sound that holds none of it, is left as it is.
    """
    if speech.words or not speech.text:
        return speech
    try:
        words, phonemes = align(speech.sound, speech.text, speech.language)
    except (VoiceError, SpeechError):
        return speech
    return replace(speech, words=words, phonemes=phonemes)


def align(sound: Sound, text: str, language: str = "") -> tuple[list[Timed], list[Timed]]:
    """The words of `text` and their phonemes as they sound in `sound`, in seconds from its first sample.

    Args:
        sound: speech, about as long as its text takes; seconds to a few minutes.
        language: as of the espeak voices; "" is guessed from the letters.

    Raises:
        SpeechError: the sound is silence or far too short, or nothing in the text can be spoken.
        VoiceError: no embedded voice for the language.
    """
    voice = EspeakVoice(language or guess_language(text))
    heard = log_mel(level(sound))
    first, last = _sounding(heard)
    rendering = voice.speak(text)
    length_s = rendering.words[-1].end_s - rendering.words[0].start_s if rendering.words else 0.0
    speed = length_s * MEL_RATE_HZ / max(1, last - first)
    if abs(speed - 1) > 0.05:
        rendering = voice.speak(text, speed=float(np.clip(speed, *SPEED_RANGE)))
    said = log_mel(level(rendering.sound))
    low, high = _sounding(said)
    path = low + warp_path(_features(heard)[first:last], _features(said)[low:high], _silent(heard)[first:last])
    sounding = ~_silent(heard)[first:last]

    def carried(items: list[Timed]) -> list[Timed]:
        return _carry(items, path, sounding, first)

    return carried(rendering.words), carried(rendering.phonemes)


def warp_path(a: np.ndarray, b: np.ndarray, pause: np.ndarray | None = None) -> np.ndarray:
    """For each row of `a` the row of `b` that goes with it: int (n,), from 0 to m − 1, never falling.

    Args:
        a, b: (n, K), (m, K) features.
        pause: bool (n,), rows of `a` at which waiting costs nothing but WAIT_COST.

    Raises:
        SpeechError: no path: one is more than SKIP times as long as the other.
    """
    n, m = len(a), len(b)
    if not n or not m or m > SKIP * n + 1:
        raise SpeechError(f"{n / MEL_RATE_HZ:.2f} s of sound cannot hold what takes {m / MEL_RATE_HZ:.2f} s to say")
    band = round(max(LEAST_BAND_S * MEL_RATE_HZ, BAND * m, m / max(n - 1, 1)))
    width = 2 * band + 1
    centre = np.round(np.arange(n) * (m - 1) / max(n - 1, 1)).astype(int)
    best = np.full(width, np.inf)  # D of the row before, at j = centre − band + column
    best[band] = 0.0
    taken = np.zeros((n, width), np.int8)
    for i in range(n):
        j = centre[i] - band + np.arange(width)
        cost = np.linalg.norm(a[i] - b[np.clip(j, 0, m - 1)], axis=1)
        cost[(j < 0) | (j >= m)] = np.inf
        if i == 0:
            best = np.where(j == 0, cost, np.inf)
            continue
        moved = centre[i] - centre[i - 1]
        reached = np.stack([_shift(best, s - moved) for s in range(SKIP + 1)])
        total = reached + STEP_COST * np.abs(np.arange(SKIP + 1) - 1)[:, None] + cost
        if pause is not None and pause[i]:
            total[0] = reached[0] + WAIT_COST + np.where(np.isfinite(cost), 0, np.inf)
        taken[i] = total.argmin(0)
        best = total.min(0)
    if not np.isfinite(best[m - 1 - centre[-1] + band]):
        raise SpeechError(f"{n / MEL_RATE_HZ:.2f} s of sound do not go with a text of {m / MEL_RATE_HZ:.2f} s")
    path = np.empty(n, int)
    path[-1] = m - 1
    for i in range(n - 1, 0, -1):
        path[i - 1] = path[i] - taken[i, path[i] - centre[i] + band]
    return path


def _shift(row: np.ndarray, by: int) -> np.ndarray:
    """`row` moved towards its end by `by` places, infinity coming in."""
    out = np.full_like(row, np.inf)
    if by >= 0:
        out[by:] = row[: len(row) - by]
    else:
        out[:by] = row[-by:]
    return out


def _loudness(mel: np.ndarray) -> np.ndarray:
    """Per frame, 0 in silence to about 1 in loud speech: float (T,)."""
    level_ = mel.mean(1) - MEL_SILENCE
    return level_ / max(float(np.percentile(level_, 95)), 1e-6)


def _silent(mel: np.ndarray) -> np.ndarray:
    """Frames of pauses that last: bool (T,)."""
    silent = _loudness(mel) < SILENT_BELOW
    edges = np.flatnonzero(np.diff(np.concatenate([[False], silent, [False]]).astype(int)))
    for start, end in zip(edges[::2], edges[1::2], strict=True):
        if end - start < SHORTEST_PAUSE_FRAMES:
            silent[start:end] = False
    return silent


def _sounding(mel: np.ndarray) -> tuple[int, int]:
    """First frame that sounds, and the one after the last. Raises SpeechError in silence."""
    found = np.flatnonzero(~_silent(mel))
    if mel.max() <= MEL_SILENCE + 0.1 or not len(found):
        raise SpeechError("nothing in the sound is loud enough to be speech")
    return int(found[0]), int(found[-1]) + 1


def _features(mel: np.ndarray) -> np.ndarray:
    """(T, 2·CEPSTRA): normalised cepstra and their slopes."""
    cepstra = np.asarray(dct(mel, type=2, norm="ortho", axis=1))[:, :CEPSTRA]
    heard = cepstra[~_silent(mel)]
    cepstra = (cepstra - heard.mean(0)) / (heard.std(0) + 1e-6)
    slopes = librosa.feature.delta(cepstra, width=SLOPE_FRAMES, axis=0, mode="nearest")
    scale = np.sqrt(1.0 / (2 * CEPSTRA))
    return np.concatenate([cepstra, slopes / (slopes.std(0) + 1e-6)], axis=1) * scale


def _carry(items: list[Timed], path: np.ndarray, sounding: np.ndarray, first: int) -> list[Timed]:
    """Times of the rendering as times of the sound, in order, each at least one frame long."""
    out: list[Timed] = []
    for item in items:
        start, end = np.searchsorted(path, [item.start_s * MEL_RATE_HZ, item.end_s * MEL_RATE_HZ])
        inside = start + np.flatnonzero(sounding[start:end])
        start, end = (inside[0], inside[-1] + 1) if len(inside) else (start, max(end, start + 1))
        begin_s = (first + start) / MEL_RATE_HZ
        begin_s = max(begin_s, out[-1].end_s) if out else begin_s
        out.append(Timed(item.text, begin_s, max((first + end) / MEL_RATE_HZ, begin_s + 0.5 / MEL_RATE_HZ)))
    return out
