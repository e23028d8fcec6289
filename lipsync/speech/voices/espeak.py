"""The embedded voice: espeak-ng, over 100 languages, offline, with the times of words and phonemes.

A word lasts from its event to the next word or pause; a phoneme from its event to the next phoneme or pause. Times are
the engine's own sample positions, so they are exact in the sound that comes with them, but for two things. A phoneme
that the engine blends into the one before (no time of its own) gets an equal share of that one's time. And the engine
reports p, t, k at their release: here they begin CLOSURE_S / speed earlier, where the silence before the release
begins (measured in five languages at three speeds: 39 or 49 ms / speed, after s and f half), since that is when the
lips or tongue have closed. Symbols are IPA and may begin with a stress mark (ˈ ˌ); pauses are gaps between phonemes.

espeak-ng is GPL-3 software: an optional engine, loaded at run time behind the voice protocol (see espeak_library.py).
"""

import unicodedata
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cache
from itertools import pairwise, zip_longest

import numpy as np

from lipsync.errors import SpeechError, VoiceError
from lipsync.speech.voices.base import Mark, is_speakable, require_speakable
from lipsync.speech.voices.engine_text import engine_text
from lipsync.speech.voices.espeak_library import (
    EVENT_END,
    EVENT_PHONEME,
    EVENT_WORD,
    EngineEvent,
    Spoken,
    languages,
    synthesize,
    variants,
)
from lipsync.types import Sound, Speech, Timed

NORMAL_WORDS_PER_MINUTE = 175
SPEED_RANGE = (0.5, 2.5)
PITCH_RANGE = (0, 99)
NORMAL_PITCH = 50
FULL_SCALE = 32768.0
ALIASES = {"zh-cn": "cmn", "zh-tw": "cmn", "zh-hk": "yue", "iw": "he", "jp": "ja"}
ASCII_SYMBOLS = {  # the engine writes a few symbols so
    **{"s.": "ʂ", "ts.": "tʂ", "ts.h": "tʂʰ", "z.": "ʐ", "i.": "ɨ"},
    **{"t[": "t̪", "d[": "d̪", "n#": "n", "a:": "aː"},
}
MARKS = "ˈˌ"
CLOSURE_S = 0.044  # silence before the release of a voiceless stop at normal speed
STOPS, HISSES = tuple("ptkcqʈ"), tuple("sfʃ")
MOST_OF_NEIGHBOUR = 0.6  # of the phoneme before, which the closure may take


@dataclass(frozen=True)
class EspeakVoice:
    """A language with an optional variant, such as "en", "hi+f3" or "es-419+m2"; `pitch` 0–99, 50 is normal.

    Raises:
        VoiceError: the language or variant is unknown (names near ones), the pitch is out of range, or the engine is
            not installed.
    """

    voice: str
    pitch: int = NORMAL_PITCH
    takes_text: bool = True
    takes_marks: bool = True

    def __post_init__(self) -> None:
        language, _, variant = self.voice.partition("+")
        if self.language not in languages():
            raise VoiceError(f"no espeak voice for the language {language!r}; {_near(language, tuple(languages()))}")
        if "+" in self.voice and variant not in variants():
            raise VoiceError(f"no espeak variant {variant!r}; {_near(variant, variants())}")
        if not PITCH_RANGE[0] <= self.pitch <= PITCH_RANGE[1]:
            raise VoiceError(f"pitch {self.pitch} is outside {PITCH_RANGE[0]}–{PITCH_RANGE[1]}")

    @property
    def name(self) -> str:
        """Such as "espeak:en+f3"."""
        return f"espeak:{self.voice}"

    @property
    def language(self) -> str:
        """The engine's language code."""
        code = self.voice.partition("+")[0].replace("_", "-")
        code = ALIASES.get(code.lower(), code.lower())
        return next((known for known in languages() if known.lower() == code), code)

    def speak(self, text: str, *, speed: float = 1.0, marks: Sequence[Mark] = ()) -> Speech:
        """Say `text`; float32 mono at the engine's 22 050 Hz, times from the first sample.

        Args:
            text: any length. Emoji are left out.
            speed: 0.5–2.5 times the normal 175 words a minute.
            marks: words that are emphasised, or said as IPA symbols; a phoneme that the language lacks is said as its
                nearest.

        Raises:
            SpeechError: no speakable character, or the engine found nothing in it that it can say, or the IPA of a mark
                holds a symbol that is none.
            VoiceError: speed is out of range, or the engine failed.
        """
        if not SPEED_RANGE[0] <= speed <= SPEED_RANGE[1]:
            raise VoiceError(f"speed {speed:g} is outside {SPEED_RANGE[0]:g}–{SPEED_RANGE[1]:g}")
        spoken = require_speakable(text)
        voice = languages()[self.language] + "".join(self.voice.partition("+")[1:])
        rate = round(NORMAL_WORDS_PER_MINUTE * speed)
        given = engine_text(spoken, self.language, marks, lambda symbol: _has(languages()[self.language], symbol))
        said = synthesize(given.text, voice, words_per_minute=rate, pitch=self.pitch, marked=given.is_marked)
        if not said.samples.any():
            raise SpeechError(f"the voice {self.name} has no sound for {text[:40]!r}; choose a voice of its language")
        return Speech(
            Sound((said.samples / FULL_SCALE).astype(np.float32), said.sample_rate_hz),
            words=_words(said, spoken, given.origin),
            phonemes=_with_closures(_phonemes(said), CLOSURE_S / speed),
            text=text,
            language=self.language,
        )

    def in_language(self, language: str) -> "EspeakVoice":
        """The same variant and pitch in another language. Raises VoiceError: see the class."""
        return replace(self, voice=language + "".join(self.voice.partition("+")[1:]))


def _near(wanted: str, known: tuple[str, ...]) -> str:
    alike = get_close_matches(wanted.lower(), known, n=5, cutoff=0.5)
    near = dict.fromkeys([*(name for name in known if len(name) > 1 and wanted.lower().startswith(name)), *alike])
    return f"near ones: {', '.join(near)}" if near else f"known: {', '.join(known)}"


def _is_phoneme(event: EngineEvent) -> bool:
    """Not a pause, and not the engine's note "(en)" that it switches language."""
    return event.kind == EVENT_PHONEME and bool(event.symbol.strip(MARKS)) and not event.symbol.startswith("(")


def _phonemes(said: Spoken) -> list[Timed]:
    """Phonemes in order; each ends where the next phoneme, pause or clause end begins."""
    marks = [event for event in said.events if event.kind in (EVENT_PHONEME, EVENT_END)]
    ends = [event.sample for event in marks[1:]] + [len(said.samples)]
    groups: list[tuple[list[str], int, int]] = []  # symbols that share one stretch, its first sample, its end
    for event, end in zip(marks, ends, strict=True):
        if not _is_phoneme(event):
            continue
        symbols, first, last = groups[-1] if groups else ([], -1, -1)
        if last == event.sample and (end == event.sample or first == last):
            groups[-1] = ([*symbols, event.symbol], first, end)
        else:
            groups.append(([event.symbol], event.sample, end))
    phonemes = []
    for symbols, first, last in groups:
        if last > first:
            edges = np.linspace(first, last, len(symbols) + 1) / said.sample_rate_hz
            phonemes += [Timed(_ipa(s), float(a), float(b)) for s, (a, b) in zip(symbols, pairwise(edges), strict=True)]
    return phonemes


def _with_closures(phonemes: list[Timed], closure_s: float) -> list[Timed]:
    """Begin voiceless stops at their closure, which the engine counts to the phoneme or the pause before."""
    closed: list[Timed] = []
    for phoneme in phonemes:
        if phoneme.text.lstrip(MARKS).startswith(STOPS) and closed:
            before = closed[-1]
            wanted = phoneme.start_s - closure_s * (0.5 if before.text.startswith(HISSES) else 1.0)
            joined = phoneme.start_s - before.end_s < closure_s
            earliest = before.end_s - MOST_OF_NEIGHBOUR * (before.end_s - before.start_s) if joined else before.end_s
            start = max(wanted, min(earliest, phoneme.start_s))
            closed[-1] = Timed(before.text, before.start_s, min(before.end_s, start))
            phoneme = Timed(phoneme.text, start, phoneme.end_s)
        closed.append(phoneme)
    return closed


def _ipa(symbol: str) -> str:
    bare = symbol.lstrip(MARKS)
    return symbol[: len(symbol) - len(bare)] + ASCII_SYMBOLS.get(bare, bare)


@cache
def _has(voice: str, symbol: str) -> bool:
    """Whether a voice has a phoneme: whether anything sounds where it is asked for."""
    said = synthesize(f"[[{symbol}]]", voice, words_per_minute=NORMAL_WORDS_PER_MINUTE, pitch=50, marked=True)
    return any(_is_phoneme(event) for event in said.events)


def _words(said: Spoken, text: str, origin: Sequence[int]) -> list[Timed]:
    """Words as written, each until the next word or pause; what is read as several words ("25") stays one.

    Args:
        origin: the character of `text` that each character given to the engine came from.
    """
    starts: list[EngineEvent] = []
    end = 0  # of the last word, in what the engine was given
    for event in (event for event in said.events if event.kind == EVENT_WORD):
        place = origin[min(max(0, event.position), len(origin) - 1)]
        if not starts or (event.position >= end and place > starts[-1].position):
            starts.append(replace(event, position=place))
        end = max(end, event.position + event.length)
    sounds = [event.sample for event in said.events if _is_phoneme(event)]
    if sounds and (not starts or is_speakable(text[: starts[0].position])):  # Korean words come without events
        starts.insert(0, EngineEvent(EVENT_WORD, sounds[0], 0, 0, ""))
    stops = [event.sample for event in said.events if event.kind != EVENT_WORD and not _is_phoneme(event)]
    words = []
    for event, after in zip_longest(starts, starts[1:]):
        written = list(filter(is_speakable, text[event.position : after.position if after else None].split()))
        following = bisect_right(stops, event.sample)
        stop = stops[following] if following < len(stops) else len(said.samples)
        end = min(stop, after.sample) if after else stop
        limit = after.sample if after else len(said.samples)
        if len(written) > 1 and any(end <= sample < limit for sample in sounds):
            end = limit
        if written and end > event.sample:
            edges = _edges(written, event.sample, end, said)
            spans = zip(written, pairwise(edges / said.sample_rate_hz), strict=True)
            words += [Timed(_bare(word), float(first), float(last)) for word, (first, last) in spans]
    return words


def _edges(written: list[str], first: int, last: int, said: Spoken) -> np.ndarray:
    """Where words begin that are said as one ("to be"), by their letters, at the nearest phonemes; and the end."""
    letters = np.cumsum([0, *(len(word) for word in written)])
    even = first + (last - first) * letters / letters[-1]
    begins = [event.sample for event in said.events if _is_phoneme(event) and first < event.sample < last]
    edges = [first]
    for number, wanted in enumerate(even[1:-1], start=1):
        left = [sample for sample in begins if sample > edges[-1]]
        many = len(written) - 1 - number  # words after this one need phonemes too
        left = left[: len(left) - many] or [round(wanted)]
        edges.append(min(left, key=lambda sample: abs(sample - wanted)))
    return np.array([*edges, last])


def _bare(word: str) -> str:
    """Without the punctuation around it."""
    kept = [index for index, character in enumerate(word) if unicodedata.category(character)[0] in "LMN"]
    return word[kept[0] : kept[-1] + 1] if kept else word
