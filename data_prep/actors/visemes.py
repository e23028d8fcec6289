"""Phonemes to mouth motion: visual targets by phonetic features, blended by dominance functions.

Each phoneme segment p pulls every parameter toward its target T_p with dominance D_p(t) = a_p·exp(−(|t − c_p|/τ_p)^1.3)
around its centre c_p; the motion is Σ D_p T_p / Σ D_p, so neighbours colour one another and nothing jumps
(Cohen & Massaro 1993, "Modeling coarticulation in synthetic visual speech"). Bilabials are then closed for certain: the
gap between the lips is multiplied by a window that is 0 over the middle of every p, b, m, in whatever neighbourhood.

IPA symbols of any language map by features (vowel height, backness, rounding; place of consonants); diacritics, length
and stress marks are ignored.
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lipsync.types import Timed

PARAMETERS = ("jaw_cm", "gap_cm", "width", "rounding", "press", "tuck", "tongue", "tongue_out")


@dataclass(frozen=True)
class Style:
    """How one person moves the mouth."""

    amplitude: float = 1.0  # of jaw and opening
    spread: float = 1.0  # of width and rounding
    rest_gap_cm: float = 0.0  # between the lips in silence
    sharpness: float = 1.0  # above 1: less co-articulation
    skew_cm: float = 0.0  # one corner higher while speaking


@dataclass(frozen=True)
class Articulation:
    """Mouth shapes over time: each float32 (F,), units as in expression.MouthShape."""

    jaw_cm: np.ndarray
    gap_cm: np.ndarray
    width: np.ndarray
    rounding: np.ndarray
    press: np.ndarray
    tuck: np.ndarray
    tongue: np.ndarray
    tongue_out: np.ndarray
    skew: np.ndarray


# Vowels: height (0 close … 1 open), backness (0 front … 1 back), rounded.
VOWELS: dict[str, tuple[float, float, int]] = {
    "i": (0.0, 0.0, 0),
    "y": (0.0, 0.0, 1),
    "ɨ": (0.05, 0.5, 0),
    "ʉ": (0.0, 0.5, 1),
    "ɯ": (0.0, 1.0, 0),
    "u": (0.0, 1.0, 1),
    "ɪ": (0.2, 0.2, 0),
    "ʏ": (0.2, 0.2, 1),
    "ʊ": (0.2, 0.8, 1),
    "e": (0.35, 0.0, 0),
    "ø": (0.35, 0.0, 1),
    "ɘ": (0.35, 0.5, 0),
    "ɵ": (0.35, 0.5, 1),
    "ɤ": (0.35, 1.0, 0),
    "o": (0.38, 1.0, 1),
    "ə": (0.42, 0.5, 0),
    "ɛ": (0.62, 0.0, 0),
    "œ": (0.62, 0.0, 1),
    "ɜ": (0.58, 0.5, 0),
    "ɞ": (0.6, 0.5, 1),
    "ʌ": (0.68, 0.8, 0),
    "ɔ": (0.66, 1.0, 1),
    "æ": (0.85, 0.0, 0),
    "ɐ": (0.8, 0.5, 0),
    "a": (1.0, 0.3, 0),
    "ɶ": (1.0, 0.0, 1),
    "ɑ": (1.0, 1.0, 0),
    "ɒ": (0.95, 1.0, 1),
    "ɚ": (0.42, 0.5, 1),
    "ɝ": (0.5, 0.5, 1),
    "ᵻ": (0.15, 0.4, 0),
    "ᵿ": (0.2, 0.6, 1),
}
SILENCE_S = 0.6  # before the first and after the last phoneme; farther out the mouth simply rests
BILABIALS = frozenset("pbmɓʙ")
# Consonants: target per parameter and (second) how strongly it pulls on it; what is not named is left to neighbours.
_Pull = dict[str, tuple[float, float]]
_FAMILIES: tuple[tuple[str, _Pull], ...] = (
    ("pbmɓʙ", {"gap_cm": (0.0, 4.0), "press": (1.0, 4.0), "jaw_cm": (0.15, 0.6), "rounding": (0.1, 0.2)}),
    ("fvɱⱱ", {"gap_cm": (0.16, 4.0), "tuck": (1.0, 4.0), "jaw_cm": (0.12, 1.5), "width": (0.1, 0.5)}),
    ("ʋ", {"gap_cm": (0.22, 2.5), "tuck": (0.6, 2.5), "jaw_cm": (0.18, 1.0)}),
    ("ɸβ", {"gap_cm": (0.10, 3.0), "jaw_cm": (0.2, 1.0), "rounding": (0.2, 0.6)}),
    ("wʍɥ", {"gap_cm": (0.16, 2.5), "rounding": (1.0, 3.0), "width": (-0.95, 3.0), "jaw_cm": (0.2, 1.2)}),
    ("ʃʒɕʑʂʐ", {"gap_cm": (0.52, 1.8), "rounding": (0.75, 2.2), "width": (-0.45, 2.0), "jaw_cm": (0.12, 2.5)}),
    ("sz", {"gap_cm": (0.36, 1.6), "width": (0.30, 1.0), "jaw_cm": (0.06, 2.8), "tongue": (0.5, 1.0)}),
    ("tdnʈɖɳɗ", {"gap_cm": (0.40, 0.9), "jaw_cm": (0.22, 1.1), "tongue": (1.0, 2.0)}),
    ("lɾrɭɽɫɬɮʎ", {"gap_cm": (0.55, 0.8), "jaw_cm": (0.40, 0.8), "tongue": (1.0, 2.0)}),
    ("θð", {"gap_cm": (0.42, 1.6), "jaw_cm": (0.34, 1.5), "tongue_out": (1.0, 3.0), "tongue": (0.5, 1.0)}),
    ("ɹɻ", {"gap_cm": (0.36, 1.1), "rounding": (0.55, 1.3), "width": (-0.35, 1.2), "jaw_cm": (0.28, 0.8)}),
    ("jçʝcɟɲ", {"gap_cm": (0.34, 0.9), "width": (0.55, 1.0), "jaw_cm": (0.22, 0.9)}),
    ("kɡgŋxɣqɢɴχʁʀɠ", {"gap_cm": (0.48, 0.45), "jaw_cm": (0.40, 0.6)}),
    ("hɦʔħʕʢʡ", {"gap_cm": (0.55, 0.12), "jaw_cm": (0.5, 0.12)}),
)
CONSONANTS: dict[str, _Pull] = {symbol: pull for symbols, pull in _FAMILIES for symbol in symbols}
_UNKNOWN: _Pull = {"gap_cm": (0.45, 0.3), "jaw_cm": (0.35, 0.3)}


@dataclass(frozen=True)
class _Segment:
    symbol: str
    start_s: float
    end_s: float


def _vowel_pull(symbol: str) -> _Pull:
    height, back, rounded = VOWELS[symbol]
    jaw = 0.28 + 1.10 * height
    if rounded:
        tight = 1.0 - 0.55 * height
        return {
            "gap_cm": (0.22 + 0.95 * height, 1.6),
            "jaw_cm": (0.9 * jaw, 1.5),
            "rounding": (tight, 2.2),
            "width": (-1.0 * tight, 2.4),
        }
    spread = (0.95 - 0.75 * height) * (1.0 - 0.9 * back)
    return {"gap_cm": (0.40 + 1.15 * height, 1.6), "jaw_cm": (jaw, 1.5), "rounding": (0.0, 1.4), "width": (spread, 1.5)}


def symbols_of(phoneme: str) -> list[str]:
    """The base IPA letters of a phoneme's text, diacritics, length and stress left out: "t͡ʃʰ" → ["t", "ʃ"]."""
    letters = unicodedata.normalize("NFD", phoneme.replace("ç", "\u0001")).replace("\u0001", "ç")
    return [c for c in letters if c in VOWELS or c in CONSONANTS or (c.isalpha() and unicodedata.category(c) == "Ll")]


def _segments(phonemes: Sequence[Timed]) -> list[_Segment]:
    segments = []
    for phoneme in phonemes:
        symbols = symbols_of(phoneme.text)
        edges = np.linspace(phoneme.start_s, phoneme.end_s, len(symbols) + 1)
        segments += [_Segment(s, edges[i], edges[i + 1]) for i, s in enumerate(symbols)]
    return segments


def pull_of(symbol: str) -> _Pull:
    """{parameter: (target, strength)} of one IPA letter; an unknown letter pulls weakly to a half-open mouth."""
    return _vowel_pull(symbol) if symbol in VOWELS else CONSONANTS.get(symbol, _UNKNOWN)


def _closure(segments: list[_Segment], times_s: np.ndarray) -> np.ndarray:
    """Float (F,): 1 over the middle of every bilabial, falling to 0 smoothly outside it."""
    closed = np.zeros(len(times_s))
    for segment in segments:
        if segment.symbol in BILABIALS:
            half = 0.32 * (segment.end_s - segment.start_s) + 0.004
            away = np.abs(times_s - (segment.start_s + segment.end_s) / 2) - half
            ramp = np.clip(1.0 - away / 0.056, 0.0, 1.0)
            closed = np.maximum(closed, ramp * ramp * (3.0 - 2.0 * ramp))
    return closed


def mouth_motion(phonemes: Sequence[Timed], times_s: np.ndarray, style: Style | None = None) -> Articulation:
    """Mouth shapes at given times.

    Args:
        phonemes: IPA with times, in seconds on the same clock as times_s; may be empty.
        times_s: float (F,).
        style: the speaker's way; average when None.

    Returns:
        Articulation of F values each. The gap is exactly 0 at the middle of p, b, m.

    Source: Cohen & Massaro 1993, equations 1–4.
    """
    style = style or Style()
    times_s = np.asarray(times_s, dtype=np.float64)
    segments = _segments(phonemes)
    weights = {name: np.full(len(times_s), 1e-4) for name in PARAMETERS}
    sums = {name: np.zeros(len(times_s)) for name in PARAMETERS}
    sums["gap_cm"] += 1e-4 * style.rest_gap_cm
    for segment in _with_silences(segments):
        centre, length = (segment.start_s + segment.end_s) / 2, segment.end_s - segment.start_s
        tau = (0.34 * length + 0.024) / style.sharpness
        decay = np.exp(-((np.maximum(np.abs(times_s - centre) - 0.12 * length, 0.0) / tau) ** 1.3))
        for name, (target, strength) in _pulls(segment.symbol, style).items():
            weights[name] += strength * decay
            sums[name] += strength * decay * target
    blended = {name: sums[name] / weights[name] for name in PARAMETERS}
    closed = _closure(segments, times_s)
    blended["gap_cm"] = np.clip(blended["gap_cm"], 0.0, None) * (1.0 - closed)
    blended["jaw_cm"] = np.clip(blended["jaw_cm"], 0.0, None) * (1.0 - 0.45 * closed)
    blended["press"] = np.clip(closed, 0.0, 1.0)
    # Teeth and lip cannot be further apart than the jaw and the upper lip allow.
    blended["gap_cm"] = np.minimum(blended["gap_cm"], 1.15 * blended["jaw_cm"] + 0.35)
    blended["skew"] = style.skew_cm * np.clip(blended["gap_cm"] / 0.6, 0.0, 1.0)
    return Articulation(**{name: value.astype(np.float32) for name, value in blended.items()})


def _pulls(symbol: str, style: Style) -> _Pull:
    if symbol == "":
        return {name: (style.rest_gap_cm if name == "gap_cm" else 0.0, 1.2) for name in PARAMETERS}
    pulls = dict.fromkeys(("tuck", "tongue", "tongue_out"), (0.0, 0.7)) | pull_of(symbol)
    scale = {"jaw_cm": style.amplitude, "gap_cm": style.amplitude, "width": style.spread, "rounding": style.spread}
    return {name: (target * scale.get(name, 1.0), strength) for name, (target, strength) in pulls.items()}


def _with_silences(segments: list[_Segment]) -> list[_Segment]:
    """Add a segment "" wherever nothing is said for 80 ms or more, the ends included."""
    if not segments:
        return []
    filled, last_s = [], segments[0].start_s - SILENCE_S
    for segment in segments:
        if segment.start_s - last_s > 0.08:
            filled.append(_Segment("", last_s, segment.start_s))
        filled.append(segment)
        last_s = max(last_s, segment.end_s)
    return [*filled, _Segment("", last_s, last_s + SILENCE_S)]
