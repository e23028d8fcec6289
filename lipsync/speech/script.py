"""A script: what shall be spoken, by whom, with which pauses; and its speech.

    ANNA: Good morning. [pause 0.5] How are you?      a line in capitals and a colon names the speaker of that line
    BEN JR: Fine!
    Any other line is spoken by the narrator.

Markup is `[pause SECONDS]` alone; anything else in square brackets is an error, so that nothing is read out or dropped
by mistake. An explicit pause takes the place of the usual one between sentences or lines. Sentences end at . ! ? … and
their kin: । ॥ (Devanagari), 。！？ (Chinese, Japanese), ؟ ۔ (Arabic, Urdu), ։ (Armenian), ። (Ethiopic), ။ (Burmese).
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import librosa
import numpy as np

from lipsync.errors import SpeechError, VoiceError
from lipsync.progress import Progress, Silent
from lipsync.speech.voices.base import Voice, is_speakable, nothing_to_say
from lipsync.types import Sound, Speech, Timed

SENTENCE_PAUSE_S = 0.3
LINE_PAUSE_S = 0.5
LONGEST_PAUSE_S = 60.0
LONGEST_NAME = 30

_ENDS_ANYWHERE = "।॥。！？｡؟۔።፧။៕։‽"  # no space need follow
_ENDS_BEFORE_SPACE = ".!?…"
_CLOSERS = "\"'”’»›」』】）)"
_END = re.compile(
    rf"(?:[{_ENDS_ANYWHERE}][{_ENDS_ANYWHERE}{_ENDS_BEFORE_SPACE}]*[{_CLOSERS}]*\s*"
    rf"|[{_ENDS_BEFORE_SPACE}]+[{_CLOSERS}]*(?:\s+|$)"
    r"|\n\s*)"
)
_ABBREVIATIONS = frozenset(
    {"mr", "mrs", "ms", "dr", "prof", "sr", "sra", "dra", "jr", "st", "vs", "e.g", "i.e", "z.b", "bzw", "डॉ"}
)
_NAME = re.compile(rf"\s*([^\W\d_][^:：\[\]!?,।]{{0,{LONGEST_NAME - 1}}})[:：](?:\s+|(?<=：)|$)")
_MARKUP = re.compile(r"\[([^\]\n]*)(\]?)")
_PAUSE = re.compile(r"\s*pause\s+(\d+(?:\.\d+)?)\s*(s|ms)?\s*", re.IGNORECASE)


@dataclass(frozen=True)
class Line:
    """Text without markup and who says it; "" is the narrator."""

    text: str
    speaker: str = ""


@dataclass(frozen=True)
class Pause:
    """Silence."""

    seconds: float


@dataclass(frozen=True)
class Script:
    """Lines and pauses in order."""

    parts: tuple[Line | Pause, ...]

    @property
    def speakers(self) -> list[str]:
        """Who speaks, in order of appearance; "" is the narrator."""
        return list(dict.fromkeys(part.speaker for part in self.parts if isinstance(part, Line)))

    @property
    def text(self) -> str:
        """All that is spoken, without names and markup."""
        return " ".join(part.text for part in self.parts if isinstance(part, Line))


def read_script(path: Path, *, speakers: Collection[str] = ()) -> Script:
    """Parse a UTF-8 text file. Raises SpeechError that names the file, and the line of a fault."""
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
        SpeechError: markup is unknown or left open (names it and its line), or nothing in it can be spoken.
    """
    known = {name.casefold(): name for name in speakers}
    parts: list[Line | Pause] = []
    for number, row in enumerate(text.splitlines(), start=1):
        match = _NAME.match(row)
        name = match[1].strip() if match else ""
        speaker = known.get(name.casefold(), name if name == name.upper() != name.lower() else "")
        spoken = row[match.end() :] if match and speaker else row
        parts += _parse_row(spoken, speaker, number)
    if not any(isinstance(part, Line) for part in parts):
        raise nothing_to_say(text)
    return Script(tuple(parts))


def _parse_row(row: str, speaker: str, number: int) -> list[Line | Pause]:
    parts: list[Line | Pause] = []
    position = 0
    for markup in _MARKUP.finditer(row):
        pause = _PAUSE.fullmatch(markup[1])
        if not markup[2] or not pause:
            fault = "unknown markup" if markup[2] else "markup without its closing bracket"
            raise SpeechError(f"line {number}: {fault} {markup[0]!r}; known: [pause SECONDS], such as [pause 0.5]")
        seconds = float(pause[1]) / (1000 if (pause[2] or "").lower() == "ms" else 1)
        if seconds > LONGEST_PAUSE_S:
            raise SpeechError(f"line {number}: {markup[0]!r} is longer than {LONGEST_PAUSE_S:g} s")
        parts += [Line(row[position : markup.start()].strip(), speaker), Pause(seconds)]
        position = markup.end()
    parts.append(Line(row[position:].strip(), speaker))
    return [part for part in parts if isinstance(part, Pause) or is_speakable(part.text)]


def split_sentences(text: str) -> list[str]:
    """Sentences with the space after them: joined they are `text` again. None is empty."""
    ends = [match.end() for match in _END.finditer(text) if _ends_sentence(text, match)]
    edges = sorted({0, *ends, len(text)})
    return [text[first:last] for first, last in pairwise(edges)]


def _ends_sentence(text: str, match: re.Match[str]) -> bool:
    """Whether the mark found ends a sentence: not before a small letter, nor after "Dr." or an initial."""
    mark = match[0].rstrip()
    if "\n" in match[0] or mark[0] in _ENDS_ANYWHERE:
        return True
    if text[match.end() : match.end() + 1].islower():
        return False
    words = text[max(0, match.start() - 20) : match.start()].split()
    before = words[-1].lstrip("(\"'“‘«¿¡") if words else ""
    is_initial = len(before) == 1 and before.isupper()
    return mark != "." or not (is_initial or before.lower() in _ABBREVIATIONS)


def speak_script(
    script: Script | str,
    voice: Voice | Mapping[str, Voice],
    *,
    speed: float = 1.0,
    progress: Progress | None = None,
) -> Speech:
    """Speak a script: sentence after sentence, with exact silence between.

    Args:
        script: parsed, or its text.
        voice: one for everybody, or one for each speaker ("" is the narrator).
        speed: of the speech; pauses keep their length.
        progress: told each sentence.

    Returns:
        Speech at the first voice's sample rate, times from the first sample. A recording given as the one voice is
        returned whole, whatever the script.

    Raises:
        SpeechError: see `parse_script`.
        VoiceError: a speaker has no voice (names those that have), or a recording is to speak a part.
    """
    if not isinstance(voice, Mapping) and not voice.takes_text:
        return voice.speak(script if isinstance(script, str) else script.text, speed=speed)
    names = voice.keys() if isinstance(voice, Mapping) else ()
    parsed = parse_script(script, speakers=names) if isinstance(script, str) else script
    progress = progress or Silent()
    pieces = _plan(parsed)
    progress.start("speaking", total=sum(isinstance(piece, Line) for piece in pieces), unit="sentence")
    spoken: list[Speech | Pause] = []
    for piece in pieces:
        if isinstance(piece, Pause):
            spoken.append(piece)
        else:
            spoken.append(_voice_of(piece.speaker, voice).speak(piece.text, speed=speed))
            progress.advance()
    progress.done()
    return join_speech(spoken)


def _plan(script: Script) -> list[Line | Pause]:
    """One `Line` a sentence, and the usual pauses where the script gives none."""
    plan: list[Line | Pause] = []
    for part in script.parts:
        if isinstance(part, Pause):
            plan.append(part)
            continue
        if plan and isinstance(plan[-1], Line):
            plan.append(Pause(LINE_PAUSE_S))
        for sentence in filter(is_speakable, split_sentences(part.text)):
            if plan and isinstance(plan[-1], Line):
                plan.append(Pause(SENTENCE_PAUSE_S))
            plan.append(Line(sentence.strip(), part.speaker))
    return plan


def _voice_of(speaker: str, voice: Voice | Mapping[str, Voice]) -> Voice:
    if not isinstance(voice, Mapping):
        return voice
    voices = {name.casefold(): given for name, given in voice.items()}
    found = voices.get(speaker.casefold())
    if found is None:
        known = ", ".join(sorted(name or "the narrator" for name in voice)) or "none"
        raise VoiceError(f"no voice for {speaker or 'the narrator'}; there are voices for: {known}")
    if not found.takes_text:
        raise VoiceError(
            f"the recording {found.name} cannot speak a part of a script; give {speaker} a voice that speaks"
        )
    return found


def join_speech(pieces: list[Speech | Pause]) -> Speech:
    """Speech and silence end to end, at the first speech's sample rate; pauses are whole samples of exact zeros."""
    first = next((piece for piece in pieces if isinstance(piece, Speech)), None)
    if first is None:
        raise nothing_to_say("")
    rate_hz = first.sound.sample_rate_hz
    chunks: list[np.ndarray] = []
    words: list[Timed] = []
    phonemes: list[Timed] = []
    total = 0
    for piece in pieces:
        if isinstance(piece, Pause):
            chunk = np.zeros(round(piece.seconds * rate_hz), dtype=np.float32)
        else:
            chunk = _at_rate(piece.sound, rate_hz)
            words += _shift(piece.words, total / rate_hz)
            phonemes += _shift(piece.phonemes, total / rate_hz)
        chunks.append(chunk)
        total += len(chunk)
    text = " ".join(piece.text for piece in pieces if isinstance(piece, Speech))
    return Speech(Sound(np.concatenate(chunks), rate_hz), words, phonemes, text, first.language)


def _at_rate(sound: Sound, rate_hz: int) -> np.ndarray:
    if sound.sample_rate_hz == rate_hz:
        return sound.samples
    return librosa.resample(sound.samples, orig_sr=sound.sample_rate_hz, target_sr=rate_hz, res_type="soxr_hq")


def _shift(timed: list[Timed], by_s: float) -> list[Timed]:
    return [Timed(item.text, item.start_s + by_s, item.end_s + by_s) for item in timed]
