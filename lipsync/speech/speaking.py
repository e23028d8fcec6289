"""A script's speech: sentence after sentence, each by its speaker's voice, with exact silence between.

Where a script gives no pause there are SENTENCE_PAUSE_S between sentences, LINE_PAUSE_S between lines, and
PART_PAUSE_S between the parts of a sentence that is too long to be said at once (lipsync/speech/sentences.py).
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import accumulate, pairwise

import librosa
import numpy as np

from lipsync.errors import VoiceError
from lipsync.progress import Progress, Silent
from lipsync.speech.script import Line, Pause, Script, parse_script
from lipsync.speech.sentences import split_long, split_sentences
from lipsync.speech.takes import Takes
from lipsync.speech.voices.base import Voice, is_speakable, nothing_to_say
from lipsync.types import Sound, Speech, Timed

SENTENCE_PAUSE_S = 0.3
LINE_PAUSE_S = 0.5
PART_PAUSE_S = 0.12


@dataclass(frozen=True)
class Turn:
    """A sentence of a spoken script: who says what from when to when, in seconds of the whole."""

    speaker: str
    text: str
    start_s: float
    end_s: float


@dataclass(frozen=True)
class Spoken:
    """The whole speech and its turns in order."""

    speech: Speech
    turns: list[Turn]


def speak_script(
    script: Script | str,
    voice: Voice | Mapping[str, Voice],
    *,
    speed: float = 1.0,
    progress: Progress | None = None,
    takes: Takes | None = None,
    again: Collection[int] = (),
) -> Speech:
    """The speech of `speak_turns` alone. A recording given as the one voice is returned whole, whatever the script."""
    if not isinstance(voice, Mapping) and not voice.takes_text:
        return voice.speak(script if isinstance(script, str) else script.text, speed=speed)
    return speak_turns(script, voice, speed=speed, progress=progress, takes=takes, again=again).speech


def speak_turns(
    script: Script | str,
    voice: Voice | Mapping[str, Voice],
    *,
    speed: float | Mapping[str, float] = 1.0,
    progress: Progress | None = None,
    takes: Takes | None = None,
    again: Collection[int] = (),
) -> Spoken:
    """Speak a script: sentence after sentence, with exact silence between.

    Args:
        script: parsed, or its text.
        voice: one for everybody, or one for each speaker ("" is the narrator).
        speed: of the speech, one or by speaker; pauses keep their length.
        progress: told each sentence.
        takes: sentences that were said before are taken from there, and new ones kept there.
        again: numbers of sentences, counted from 1, that are said anew although there is a take.

    Returns:
        Speech at the first voice's sample rate, times from the first sample; and a turn for each sentence.

    Raises:
        SpeechError: see `parse_script`.
        VoiceError: a speaker has no voice (names those that have), a recording is to speak a part, there is no sentence
            of a number in `again`, or a language has no voice (names the place in the script).
    """
    names = voice.keys() if isinstance(voice, Mapping) else ()
    parsed = parse_script(script, speakers=names) if isinstance(script, str) else script
    progress = progress or Silent()
    pieces = plan_sentences(parsed)
    count = sum(isinstance(piece, Line) for piece in pieces)
    if unknown := [number for number in again if not 1 <= number <= count]:
        raise VoiceError(f"there is no sentence {unknown[0]}: the script has {count}, counted from 1")
    progress.start("speaking", total=count, unit="sentence")
    spoken: list[Speech | Pause] = []
    number = 0
    for piece in pieces:
        if isinstance(piece, Pause):
            spoken.append(piece)
            continue
        number += 1
        own_speed = speed if isinstance(speed, int | float) else speed.get(piece.speaker, 1.0)
        said_by = _voice_of(piece.speaker, voice)
        spoken.append(_say(piece, said_by, own_speed, takes, number in again))
        progress.advance()
    progress.done()
    return Spoken(join_speech(spoken), _turns(pieces, spoken))


def _say(line: Line, voice: Voice, speed: float, takes: Takes | None, anew: bool) -> Speech:
    """One sentence, from its take where there is one."""
    if line.language and line.language != voice.language:
        try:
            voice = voice.in_language(line.language)
        except VoiceError as error:
            raise VoiceError(f"{line.where}: [lang {line.language}: …]: {error}") from error
    marks = line.marks if getattr(voice, "takes_marks", False) else ()

    def speak() -> Speech:
        more = {"marks": marks} if marks else {}
        return voice.speak(line.text, speed=speed, **more)

    if takes is None:
        return speak()
    return takes.get({"voice": voice.name, "language": voice.language, "text": line.text, "speed": speed,
                      "marks": [[m.start, m.end, m.emphasis, m.ipa] for m in marks]}, speak, anew)  # fmt: skip


def plan_sentences(script: Script) -> list[Line | Pause]:
    """One `Line` a sentence (or a part of a long one), and the usual pauses where the script gives none."""
    plan: list[Line | Pause] = []
    for part in script.parts:
        if isinstance(part, Pause):
            plan.append(part)
            continue
        pause_s = LINE_PAUSE_S
        for line, after_s in _sentences(part):
            if plan and isinstance(plan[-1], Line):
                plan.append(Pause(pause_s))
            plan.append(line)
            pause_s = after_s
    return plan


def _sentences(line: Line) -> list[tuple[Line, float]]:
    """The sentences of a line, and the pause that is usual after each."""
    found: list[tuple[Line, float]] = []
    at = 0
    for sentence in split_sentences(line.text):
        parts = split_long(sentence)
        edges = list(accumulate(map(len, parts), initial=at))
        at = edges[-1]
        lines = [line.part(first, last) for first, last in pairwise(edges)]
        lines = [part for part in lines if is_speakable(part.text)]
        found += [(part, PART_PAUSE_S) for part in lines[:-1]] + [(part, SENTENCE_PAUSE_S) for part in lines[-1:]]
    return found


def _turns(pieces: list[Line | Pause], spoken: list[Speech | Pause]) -> list[Turn]:
    """When each sentence is heard: as `join_speech` counts, in whole samples."""
    rate_hz = next(piece.sound.sample_rate_hz for piece in spoken if isinstance(piece, Speech))
    turns, at = list[Turn](), 0
    for piece, said in zip(pieces, spoken, strict=True):
        length = round(said.seconds * rate_hz) if isinstance(said, Pause) else len(_at_rate(said.sound, rate_hz))
        if isinstance(piece, Line):
            turns.append(Turn(piece.speaker, piece.text, at / rate_hz, (at + length) / rate_hz))
        at += length
    return turns


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
