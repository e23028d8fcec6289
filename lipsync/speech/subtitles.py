"""Subtitles in and out: SubRip (.srt) and WebVTT (.vtt).

    SubRip   [number] / 00:01:02,345 --> 00:01:04,000 / text lines / empty line
    WebVTT   WEBVTT / [blocks NOTE, STYLE, REGION] / [name] / 01:02.345 --> 01:04.000 [settings] / text / empty line

What is repaired, with a note that names the line: a byte order mark, any line ends, missing or wrong numbers, a missing
or an extra empty line, "." for "," and fewer than three decimals, other arrows, cues out of order, cues without text.
What is not, and raises: a time line that cannot be read, a cue that ends before it begins, text before the first time
line, bytes that are no text. Overlapping cues are kept as they are (two people may speak at once) and noted.

Formatting tags are taken off; `<v Anna>` and a name in capitals with a colon ("ANNA: …") say who speaks.

Source: W3C WebVTT 2019; SubRip has no standard, the form here is what players agree on.
"""

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from lipsync.errors import SpeechError
from lipsync.media import WholeFile

LONGEST_NAME = 30
_CLOCK = r"(?:(\d+):)?(\d{1,2}):(\d{1,2})(?:[,.](\d{1,3}))?"
_ARROW = r"\s*(?:-{1,3}>|–>|—>|→|&gt;)\s*"
_TIMES = re.compile(rf"\s*{_CLOCK}{_ARROW}{_CLOCK}(?:\s+.*)?\s*")
_LOOKS_TIMED = re.compile(r"\d\s*(?:-{1,3}>|–>|—>)|^\s*-->|-->\s*\d")
_NUMBER = re.compile(r"\s*\d+\s*")
_VOICE = re.compile(r"<v(?:\.[^\s>]*)?\s+([^>]+)>")
_TAG = re.compile(
    r"</?(?:i|b|u|s|c|v|em|strong|font|span|lang|ruby|rt|br)(?:[\s./][^<>]*)?/?>|<(?:\d+:)?\d\d:\d\d\.\d{3}>"
    r"|\{\\[^{}]*\}",
    re.IGNORECASE,
)
_NAME = re.compile(rf"([^\W\d_][^:：\[\]!?,।\n]{{0,{LONGEST_NAME - 1}}})[:：][ \t]+(?=\S)")
_DESCRIPTION = re.compile(r"\[[^\[\]\n]*\]|[♪♫♬♩]+")
_BLOCKS = ("NOTE", "STYLE", "REGION")
_BIDI = dict.fromkeys([0x200E, 0x200F, 0x061C, *range(0x202A, 0x202F), *range(0x2066, 0x206A)])


@dataclass(frozen=True)
class Cue:
    """A text and when it is shown, in seconds; `speaker` is "" when nobody is named."""

    start_s: float
    end_s: float
    text: str
    speaker: str = ""


@dataclass(frozen=True)
class Subtitles:
    """Cues in order of time, and what was repaired on the way in."""

    cues: tuple[Cue, ...]
    notes: tuple[str, ...] = ()


def read_subtitles(path: str | Path) -> Subtitles:
    """Read a .srt or .vtt file. Raises SpeechError that names the file, the line, found and expected."""
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise SpeechError(f"{path}: the subtitles cannot be read: {error.strerror}") from error
    try:
        return parse_subtitles(_decoded(data))
    except SpeechError as error:
        raise SpeechError(f"{path}: {error}") from error


def _decoded(data: bytes) -> str:
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        raise SpeechError(f"not {encoding[:6].upper()} text (byte {error.start}); save it as UTF-8") from error


def parse_subtitles(text: str) -> Subtitles:
    """Parse SubRip or WebVTT (which begins with WEBVTT). Raises SpeechError that names the line."""
    rows = text.lstrip("\ufeff").replace("\r\n", "\n").replace("\r", "\n").replace("\0", "").split("\n")
    is_vtt = rows[0].startswith("WEBVTT")
    if is_vtt:
        rows = _without_blocks(rows)
    marks = [(k, _times(row, k + 1)) for k, row in enumerate(rows)]
    timed = [(k, times) for k, times in marks if times is not None]
    notes: list[str] = []
    first = timed[0][0] if timed else len(rows)
    _check_head(rows, first, is_vtt)
    cues: list[Cue] = []
    for number, (k, (start_s, end_s)) in enumerate(timed, start=1):
        last = timed[number][0] if number < len(timed) else len(rows)
        body = _body(rows[k + 1 : last], last < len(rows), is_vtt)
        if end_s <= start_s:
            raise SpeechError(f"line {k + 1}: the cue ends at {end_s:.3f} s, not after it begins, at {start_s:.3f} s")
        if not is_vtt and k > 0 and rows[k - 1].strip() != str(number):
            notes.append(f"line {k + 1}: cue {number} is numbered {rows[k - 1].strip()[:20]!r}")
        cue = _cue(start_s, end_s, body, is_vtt)
        if cue.text:
            cues.append(cue)
        else:
            notes.append(f"line {k + 1}: cue {number} has no text and was left out")
    if any(a.start_s > b.start_s for a, b in pairwise(cues)):
        notes.append("the cues were not in order of time and were sorted")
    cues.sort(key=lambda cue: (cue.start_s, cue.end_s))
    for a, b in pairwise(cues):
        if b.start_s < a.end_s:
            notes.append(f"two cues overlap at {b.start_s:.3f} s, by {min(a.end_s, b.end_s) - b.start_s:.3f} s")
    if not cues:
        raise SpeechError("no subtitle in it: expected a line such as 00:00:01,000 --> 00:00:02,500 and text under it")
    return Subtitles(tuple(cues), tuple(notes))


def _without_blocks(rows: list[str]) -> list[str]:
    """WebVTT's header and its comment, style and region blocks made empty; line numbers stay."""
    rows, inside = [*rows], True
    for k, row in enumerate(rows):
        if k and not inside and row.startswith(_BLOCKS) and not rows[k - 1].strip():
            inside = True
        inside = inside and bool(row.strip()) and not _TIMES.fullmatch(row)
        if inside:
            rows[k] = ""
    return rows


def _times(row: str, number: int) -> tuple[float, float] | None:
    """Start and end of a time line; None for any other. Raises SpeechError for one that cannot be read."""
    match = _TIMES.fullmatch(row)
    if match is None:
        if _LOOKS_TIMED.search(row):
            raise SpeechError(f"line {number}: found {row.strip()[:60]!r}, expected 00:00:01,000 --> 00:00:02,500")
        return None
    parts = match.groups()
    if any(int(part) > 59 for part in (parts[1], parts[2], parts[5], parts[6])):
        raise SpeechError(f"line {number}: {row.strip()[:60]!r} has more than 59 minutes or seconds in a place")
    return _seconds(parts[:4]), _seconds(parts[4:])


def _seconds(parts: Sequence[str | None]) -> float:
    hours, minutes, seconds, decimals = parts
    whole = int(hours or 0) * 3600 + int(minutes or 0) * 60 + int(seconds or 0)
    return (whole * 1000 + int((decimals or "0").ljust(3, "0"))) / 1000


def _check_head(rows: list[str], first: int, is_vtt: bool) -> None:
    """Nothing but a number (or, in WebVTT, a name) stands before the first time line."""
    for k, row in enumerate(rows[:first]):
        is_label = k == first - 1 and (is_vtt or _NUMBER.fullmatch(row))
        if row.strip() and not is_label:
            raise SpeechError(f"line {k + 1}: found {row.strip()[:60]!r}, expected a cue's number or its time line")


def _body(rows: list[str], another: bool, is_vtt: bool) -> list[str]:
    """The text's lines, without the label of the cue that follows and without empty lines."""
    if another and rows:
        after_gap = len(rows) == 1 or not rows[-2].strip()
        if _NUMBER.fullmatch(rows[-1]) or (is_vtt and after_gap):
            rows = rows[:-1]
    return [row.strip() for row in rows if row.strip()]


def _cue(start_s: float, end_s: float, body: list[str], is_vtt: bool) -> Cue:
    text = "\n".join(body)
    voice = _VOICE.search(text)
    text = _TAG.sub("", text)
    speaker = html.unescape(voice[1]).strip() if voice else ""
    text = clean(html.unescape(text) if is_vtt else text)
    name = _NAME.match(text)
    if not speaker and name and name[1] == name[1].upper() != name[1].lower():
        speaker, text = name[1].strip(), text[name.end() :]
    return Cue(start_s, end_s, text, speaker)


def clean(text: str) -> str:
    """As it can stand in a cue: no empty line, no arrow, no space around a line."""
    rows = (row.strip() for row in re.split(r"[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]", text.replace("\0", "")))
    text = re.sub(r"-+>", "→", "\n".join(row for row in rows if row))
    return re.sub(r"(?<=\d)[ \t]*(?:[–—]>|→|&gt;)[ \t]*(?=\d)", " ⇒ ", text)  # else two times are a time line


def spoken(text: str) -> str:
    """What of a cue is said: one line, without [descriptions of sounds], music signs and marks of direction."""
    rows = [re.sub(r"^[-–—]\s*", "", row) for row in _DESCRIPTION.sub(" ", text.translate(_BIDI)).split("\n")]
    said = " ".join(" ".join(rows).split())
    return "" if said.startswith("(") and said.endswith(")") and said.count("(") == 1 else said


def format_srt(cues: Sequence[Cue]) -> str:
    """SubRip text, numbered from 1; times to the millisecond. A speaker is written as "ANNA: "."""
    blocks = []
    for number, cue in enumerate(cues, start=1):
        text = f"{cue.speaker.upper()}: {clean(cue.text)}" if cue.speaker else clean(cue.text)
        blocks.append(f"{number}\n{_clock(cue.start_s, ',')} --> {_clock(cue.end_s, ',')}\n{text}\n")
    return "\n".join(blocks)


def format_vtt(cues: Sequence[Cue]) -> str:
    """WebVTT text; speakers as voice tags."""
    blocks = ["WEBVTT\n"]
    for cue in cues:
        text = html.escape(clean(cue.text), quote=False)
        text = f"<v {html.escape(cue.speaker, quote=False)}>{text}" if cue.speaker else text
        blocks.append(f"{_clock(cue.start_s, '.')} --> {_clock(cue.end_s, '.')}\n{text}\n")
    return "\n".join(blocks)


def write_subtitles(path: str | Path, cues: Sequence[Cue]) -> None:
    """Write a .srt or .vtt file, UTF-8, whole or not at all. Raises SpeechError for another suffix."""
    path = Path(path)
    form = {".srt": format_srt, ".vtt": format_vtt}.get(path.suffix.lower())
    if form is None:
        raise SpeechError(f"{path}: subtitles are written as .srt or .vtt; rename the file")
    file = WholeFile(path)
    try:
        file.part.write_text(form(cues), encoding="utf-8", newline="\n")
        file.keep()
    except OSError as error:
        raise SpeechError(f"{path}: the subtitles cannot be written: {error.strerror}") from error
    finally:
        file.drop()


def shifted(cue: Cue, start_s: float, end_s: float) -> Cue:
    """The same text at another time."""
    return replace(cue, start_s=start_s, end_s=end_s)


def _clock(time_s: float, point: str) -> str:
    total_ms = max(0, round(time_s * 1000))
    seconds, ms = divmod(total_ms, 1000)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}{point}{ms:03d}"
