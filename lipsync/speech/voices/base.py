"""What a voice is: text in, `Speech` out. Engines live behind this protocol, so that none of them is needed by another.

Text counts as speakable when it holds a letter or a digit of any script (Unicode categories L and N).
"""

import unicodedata
from dataclasses import dataclass
from typing import Protocol

from lipsync.errors import SpeechError
from lipsync.types import Speech

FIRST_PICTURE = 0x2190  # arrows, dingbats, emoji: symbols from here on are pictures; ° © and such lie below
SHOWN_CHARACTERS = 40


@dataclass(frozen=True)
class Mark:
    """How the characters start ≤ i < end of a text are said: with emphasis, or as IPA symbols ("": as written)."""

    start: int
    end: int
    emphasis: bool = False
    ipa: str = ""


class Voice(Protocol):
    """Speaks text. `takes_text` is False where the words are fixed, as in a recording.

    A voice that also knows emphasis and pronunciation has `takes_marks = True`, and its `speak` a keyword
    `marks: Sequence[Mark] = ()`. Word times are empty where an engine gives none: `lipsync.speech.align` finds them.
    """

    @property
    def name(self) -> str:
        """What `open_voice` takes, such as "espeak:en+f3"."""
        ...

    @property
    def language(self) -> str:
        """Language code such as "en", or "" when unknown."""
        ...

    @property
    def takes_text(self) -> bool:
        """Whether the sound follows the text."""
        ...

    def speak(self, text: str, *, speed: float = 1.0) -> Speech:
        """Say `text`, `speed` times as fast as normal. Mono. Raises SpeechError, VoiceError."""
        ...

    def in_language(self, language: str) -> "Voice":
        """The same speaker in another language such as "hi". Raises VoiceError where the engine does not speak it."""
        ...


_SCRIPTS = {  # first word of a letter's Unicode name → a language of the voices that is written so
    **{"DEVANAGARI": "hi", "BENGALI": "bn", "GURMUKHI": "pa", "GUJARATI": "gu", "ORIYA": "or", "TAMIL": "ta"},
    **{"TELUGU": "te", "KANNADA": "kn", "MALAYALAM": "ml", "SINHALA": "si", "THAI": "th", "MYANMAR": "my"},
    **{"GEORGIAN": "ka", "HANGUL": "ko", "ETHIOPIC": "am", "CYRILLIC": "ru", "ARABIC": "ar", "HEBREW": "he"},
    **{"GREEK": "el", "ARMENIAN": "hy", "HIRAGANA": "ja", "KATAKANA": "ja", "CJK": "cmn", "LATIN": "en"},
}
_URDU, _PERSIAN, _UKRAINIAN = frozenset("ٹڈڑںےھ"), frozenset("پچژگ"), frozenset("іїєґ")


def guess_language(text: str) -> str:
    """The language of a text by its letters alone: that of the commonest script; "en" where there are none."""
    letters = [c for c in text if unicodedata.category(c)[0] in "LM"]
    names = [unicodedata.name(c, "").replace("-", " ").split(" ")[0] for c in letters]
    counts = {script: names.count(script) for script in _SCRIPTS}
    best = max(counts, key=lambda script: counts[script])
    if not counts[best]:
        return "en"
    found, used = _SCRIPTS[best], set(text.lower())
    if found == "cmn" and counts["HIRAGANA"] + counts["KATAKANA"]:
        return "ja"
    if found == "ar":
        return "ur" if used & _URDU else "fa" if used & _PERSIAN else "ar"
    return "uk" if found == "ru" and used & _UKRAINIAN else found


def without_pictures(text: str) -> str:
    """Replace emoji and other pictures by spaces, so that none is read out; every other character keeps its place."""

    def is_picture(character: str) -> bool:
        return ord(character) >= FIRST_PICTURE and unicodedata.category(character) in ("So", "Sk")

    return "".join(" " if is_picture(c) or c == "\0" else c for c in text)


def is_speakable(text: str) -> bool:
    """Whether `text` holds a letter or a digit of any script."""
    return any(unicodedata.category(character)[0] in "LN" for character in text)


def nothing_to_say(text: str) -> SpeechError:
    """The error for a text with no speakable character, which shows what it holds instead."""
    found = f"only {text.strip()[:SHOWN_CHARACTERS]!r}" if text.strip() else "an empty text"
    return SpeechError(f"nothing to say: found {found}, expected a letter or a digit; write what shall be spoken")


def require_speakable(text: str) -> str:
    """The text to be spoken, without pictures. Raises SpeechError when nothing in it can be spoken."""
    if not is_speakable(text):
        raise nothing_to_say(text)
    return without_pictures(text)
