"""A text as espeak-ng is given it: worded (lipsync/speech/wording.py), with emphasis as SSML and phonemes in [[ ]]."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lipsync.speech.voices.base import Mark
from lipsync.speech.voices.phonetics import to_mnemonics
from lipsync.speech.wording import spoken_form

_STRONG, _WEAK = '<emphasis level="strong">', "</emphasis>"
_ESCAPES = {"&": "&amp;", "<": " ", ">": " "}


@dataclass(frozen=True)
class EngineText:
    """`origin[i]`: the character of the written text that character i came from, and one more at its end."""

    text: str
    origin: tuple[int, ...]
    is_marked: bool = False


def engine_text(
    text: str, language: str, marks: Sequence[Mark] = (), has: Callable[[str], bool] | None = None
) -> EngineText:
    """The engine's form of a text.

    Args:
        marks: in any order; where two overlap the later one begins where the earlier ends.
        has: whether the voice has a phoneme (see `to_mnemonics`).

    Raises:
        SpeechError: a mark's IPA holds a symbol that cannot be said.
    """
    out, origin, at = "", list[int](), 0

    def add(piece: str, first: int, last: int, as_is: str | None = None) -> None:
        nonlocal out
        if as_is is not None:
            out += as_is
            origin.extend([first] * len(as_is))
            return
        worded = spoken_form(piece, language)
        for character, place in zip(worded.text, worded.origin, strict=False):
            escaped = _ESCAPES.get(character, character) if marks else character
            out += escaped
            origin.extend([first + place] * len(escaped))

    for mark in sorted(marks, key=lambda one: one.start):
        start = max(at, mark.start)
        if mark.end <= start or not (mark.ipa or mark.emphasis):
            continue
        add(text[at:start], at, start)
        if mark.ipa:
            add("", start, mark.end, f" [[{to_mnemonics(mark.ipa, has)}]] ")
        elif mark.emphasis:
            add("", start, start, _STRONG)
            add(text[start : mark.end], start, mark.end)
            add("", mark.end, mark.end, _WEAK)
        at = mark.end
    add(text[at:], at, len(text))
    return EngineText(out, (*origin, len(text)), bool(marks))
