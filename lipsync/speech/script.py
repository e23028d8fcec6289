r"""A script: what shall be spoken, by whom, with which pauses.

    ---                                                    a header, if wanted: who is who (see `lipsync say --cast`)
    ANNA: person=Anna voice=espeak:en+f3
    ---
    ANNA: Good morning. [pause 0.5] How are you?           a line in capitals and a colon names the speaker of that line
    BEN JR: [strong: Fine!] And in [say nəˈvɑːdə: Nevada]? emphasis; pronunciation in IPA
    ANNA: As they say, [lang hi: सब ठीक है].               another language, spoken by the same voice
    Any other line is spoken by the narrator.              \[ and \] are brackets that are read

Anything else in square brackets is an error that names its line and column, so that nothing is read out or dropped by
mistake. Markup does not nest. An explicit pause takes the place of the usual one between sentences or lines.
"""

import re
import shlex
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from lipsync.errors import SpeechError
from lipsync.speech.voices.base import Mark, is_speakable, nothing_to_say
from lipsync.speech.voices.phonetics import to_mnemonics

LONGEST_PAUSE_S = 60.0
LANGUAGE_PAUSE_S = 0.08  # where the language changes within a line
LONGEST_NAME = 30
CAST_KEYS = ("person", "template", "adapter", "voice", "face", "speed")

_NAME = re.compile(rf"\s*([^\W\d_][^:：\[\]!?,।]{{0,{LONGEST_NAME - 1}}})[:：](?:\s+|(?<=：)|$)")
_BRACKET = re.compile(r"\\([\[\]])|\[([^\[\]\n]*)(\]?)|\]")
_PAUSE = re.compile(r"\s*pause\s+(\d+(?:\.\d+)?)\s*(s|ms)?\s*", re.IGNORECASE)
_STRONG = re.compile(r"\s*strong\s*:\s*(.*\S)\s*", re.IGNORECASE)
_SAY = re.compile(r"\s*say\s+([^:]*\S)\s*:\s*(.*\S)\s*", re.IGNORECASE)
_LANG = re.compile(r"\s*lang\s+([A-Za-z]{2,3}(?:[-_][A-Za-z0-9]+)*)\s*:\s*(.*\S)\s*", re.IGNORECASE)
KNOWN = "[pause 0.5], [strong: WORDS], [say IPA: WORD], [lang hi: WORDS]; \\[ is a bracket that is read"


@dataclass(frozen=True)
class Line:
    """Text without markup, who says it ("" is the narrator), how, and in which language ("" is the voice's own).

    `where`: the place of a language's markup in the script, for messages.
    """

    text: str
    speaker: str = ""
    marks: tuple[Mark, ...] = ()
    language: str = ""
    where: str = field(default="", compare=False)

    def part(self, first: int, last: int) -> "Line":
        """The characters first ≤ i < last, without the space around them, with the marks that they bear."""
        first += len(self.text[first:last]) - len(self.text[first:last].lstrip())
        text = self.text[first:last].rstrip()
        clipped = [(max(0, m.start - first), min(len(text), m.end - first), m) for m in self.marks]
        marks = tuple(replace(mark, start=start, end=end) for start, end, mark in clipped if start < end)
        return replace(self, text=text, marks=marks)


@dataclass(frozen=True)
class Pause:
    """Silence."""

    seconds: float


@dataclass(frozen=True)
class Script:
    """Lines and pauses in order; `cast`: settings by speaker, as the header has them."""

    parts: tuple[Line | Pause, ...]
    cast: tuple[tuple[str, Mapping[str, str]], ...] = ()

    @property
    def speakers(self) -> list[str]:
        """Who speaks, in order of appearance; "" is the narrator."""
        return list(dict.fromkeys(part.speaker for part in self.parts if isinstance(part, Line)))

    @property
    def text(self) -> str:
        """All that is spoken, without names and markup."""
        return " ".join(part.text for part in self.parts if isinstance(part, Line))


def read_script(path: Path, *, speakers: Collection[str] = ()) -> Script:
    """Parse a UTF-8 text file. Raises SpeechError that names the file, and the line and column of a fault."""
    try:
        return parse_script(Path(path).read_text(encoding="utf-8-sig"), speakers=speakers)
    except OSError as error:
        raise SpeechError(f"{path}: the script cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise SpeechError(f"{path}: not UTF-8 text (byte {error.start}); save the script as UTF-8") from error
    except SpeechError as error:
        raise SpeechError(f"{path}: {error}") from error


def parse_script(text: str, *, speakers: Collection[str] = ()) -> Script:
    """Parse a script.

    Args:
        text: any number of lines; see the top of this file.
        speakers: names that count as speakers in any case of letters and in scripts that have none.

    Raises:
        SpeechError: markup is unknown, empty or left open (names it, its line and column), the header is malformed,
            or nothing in it can be spoken.
    """
    rows = text.splitlines()
    cast, begin = _read_header(rows)
    known = {name.casefold(): name for name in [*speakers, *cast]}
    parts: list[Line | Pause] = []
    for number, row in enumerate(rows[begin:], start=begin + 1):
        match = _NAME.match(row)
        name = match[1].strip() if match else ""
        speaker = known.get(name.casefold(), name if name == name.upper() != name.lower() else "")
        parts += _parse_row(row, match.end() if match and speaker else 0, speaker, number)
    if not any(isinstance(part, Line) for part in parts):
        raise nothing_to_say(text)
    return Script(tuple(parts), tuple(cast.items()))


def _read_header(rows: list[str]) -> tuple[dict[str, dict[str, str]], int]:
    """The cast between two lines of "---" at the top, and the number of rows that the header takes."""
    first = next((number for number, row in enumerate(rows) if row.strip()), 0)
    if not rows or rows[first].strip() != "---":
        return {}, 0
    cast: dict[str, dict[str, str]] = {}
    for number, row in enumerate(rows[first + 1 :], start=first + 2):
        if row.strip() == "---":
            return cast, number
        name, colon, settings = row.partition(":")
        if row.strip() and not (colon and is_speakable(name)):
            raise SpeechError(f"line {number}: {row.strip()!r}; expected in the header: NAME: person=… voice=… …")
        if row.strip():
            cast[name.strip()] = parse_cast(settings, f"line {number}")
    raise SpeechError(f"line {first + 1}: the header has no end; close it with a line of ---")


def parse_cast(settings: str, where: str) -> dict[str, str]:
    """The settings in "person=Anna voice=espeak:en+f3"; a value with spaces stands in quotes; a lone word is a person.

    Raises:
        SpeechError: a key is unknown or twice there, or a value is empty or left open; begins with `where`.
    """
    try:
        words = shlex.split(settings, posix=True)
    except ValueError as error:
        raise SpeechError(f"{where}: {settings.strip()!r}: a quote is left open") from error
    if len(words) == 1 and "=" not in words[0]:
        return {"person": words[0]}
    found: dict[str, str] = {}
    for word in words:
        key, _, value = word.partition("=")
        if key not in CAST_KEYS or not value or key in found:
            fault = "no value" if key in CAST_KEYS and not value else "twice there" if key in found else "unknown"
            raise SpeechError(f"{where}: {word!r} is {fault}; known: {', '.join(f'{k}=…' for k in CAST_KEYS)}")
        found[key] = value
    return found


def _parse_row(row: str, start: int, speaker: str, number: int) -> list[Line | Pause]:
    """The lines and pauses of one row from column `start` on."""
    parts: list[Line | Pause] = []
    text, marks = "", list[Mark]()

    def flush() -> Iterator[Line]:
        line = Line(text, speaker, tuple(marks)).part(0, len(text))
        return iter([line] if is_speakable(line.text) else [])

    position = start
    for bracket in _BRACKET.finditer(row, start):
        text += row[position : bracket.start()]
        position = bracket.end()
        where = f"line {number}, column {bracket.start() + 1}"
        if bracket[1]:
            text += bracket[1]
        elif strong := _match(_STRONG, bracket, where):
            marks.append(Mark(len(text), len(text) + len(strong[1]), emphasis=True))
            text += strong[1]
        elif said := _match(_SAY, bracket, where):
            try:
                to_mnemonics(said[1])
            except SpeechError as error:
                raise SpeechError(f"{where}: {error}") from error
            marks.append(Mark(len(text), len(text) + len(said[2]), ipa=said[1]))
            text += said[2]
        elif spoken := _match(_LANG, bracket, where):
            inner = Line(spoken[2], speaker, (), spoken[1].lower().replace("_", "-"), where)
            around: list[Line | Pause] = [*flush(), inner]
            parts += [piece for line in around for piece in (line, Pause(LANGUAGE_PAUSE_S))]
            text, marks = "", []
        else:
            parts += [*flush(), _pause(bracket, where)]
            text, marks = "", []
    text += row[position:]
    rest = list(flush())
    if not rest and parts and parts[-1] == Pause(LANGUAGE_PAUSE_S):
        parts.pop()
    return [*parts, *rest]


def _match(pattern: re.Pattern[str], bracket: re.Match[str], where: str) -> re.Match[str] | None:
    """Markup of one kind. Raises SpeechError when there is nothing to say in it."""
    found = pattern.fullmatch(bracket[2] or "") if bracket[3] else None
    if found and not is_speakable(found[found.re.groups]):
        raise SpeechError(f"{where}: {bracket[0]!r} holds nothing that can be said")
    return found


def _pause(bracket: re.Match[str], where: str) -> Pause:
    """Raises SpeechError when it is no pause either."""
    pause = _PAUSE.fullmatch(bracket[2] or "") if bracket[3] else None
    if not pause:
        fault = "unknown markup" if bracket[3] else "markup without its closing bracket"
        fault = "a closing bracket without markup" if bracket[0] == "]" else fault
        raise SpeechError(f"{where}: {fault} {bracket[0]!r}; known: {KNOWN}")
    seconds = float(pause[1]) / (1000 if (pause[2] or "").lower() == "ms" else 1)
    if seconds > LONGEST_PAUSE_S:
        raise SpeechError(f"{where}: {bracket[0]!r} is longer than {LONGEST_PAUSE_S:g} s")
    return Pause(seconds)
