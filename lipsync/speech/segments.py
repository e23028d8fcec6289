"""What is said when and by whom: the transcript that dubbing starts from, as a file that people can read and edit.

    {"language": "en", "segments": [{"start_s": 0.5, "end_s": 2.25, "speaker": "", "text": "Good morning.",
                                     "words": [["Good", 0.5, 0.9], ["morning.", 0.9, 2.25]]}, …]}

Segments are in order of time; `words` may be left out, and so may `speaker`.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lipsync.errors import SpeechError
from lipsync.media import WholeFile
from lipsync.speech.subtitles import Cue, spoken
from lipsync.types import Timed


@dataclass(frozen=True)
class Segment:
    """A stretch of speech on the video's clock."""

    start_s: float
    end_s: float
    text: str
    speaker: str = ""
    words: tuple[Timed, ...] = ()

    @property
    def duration_s(self) -> float:
        """Length of the stretch."""
        return self.end_s - self.start_s


@dataclass(frozen=True)
class Transcript:
    """Segments in order of time; `language` is a code such as "en", or "" when unknown."""

    segments: tuple[Segment, ...]
    language: str = ""

    @property
    def speakers(self) -> list[str]:
        """Who speaks, in order of appearance."""
        return list(dict.fromkeys(segment.speaker for segment in self.segments))


def segments_of(cues: Sequence[Cue]) -> tuple[Segment, ...]:
    """Cues as speech: what is not said ([music], ♪) is left out, and so are cues of nothing else."""
    said = (Segment(cue.start_s, cue.end_s, spoken(cue.text), cue.speaker) for cue in cues)
    return tuple(segment for segment in said if segment.text)


def cues_of(segments: Sequence[Segment]) -> list[Cue]:
    """Segments as subtitles."""
    return [Cue(segment.start_s, segment.end_s, segment.text, segment.speaker) for segment in segments]


def write_transcript(path: str | Path, transcript: Transcript) -> None:
    """Write the JSON form, whole or not at all; times to the millisecond."""
    rows = []
    for segment in transcript.segments:
        words = [[word.text, round(word.start_s, 3), round(word.end_s, 3)] for word in segment.words]
        row = {"start_s": round(segment.start_s, 3), "end_s": round(segment.end_s, 3), "speaker": segment.speaker}
        rows.append({**row, "text": segment.text, **({"words": words} if words else {})})
    body = ",\n".join("  " + json.dumps(row, ensure_ascii=False) for row in rows)
    file = WholeFile(path)
    try:
        text = f'{{"language": {json.dumps(transcript.language)}, "segments": [\n{body}\n]}}\n'
        file.part.write_text(text, encoding="utf-8")
        file.keep()
    finally:
        file.drop()


def read_transcript(path: str | Path) -> Transcript:
    """Read the JSON form. Raises SpeechError that names the file, the segment, found and expected."""
    path = Path(path)
    try:
        values = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise SpeechError(f"{path}: the transcript cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise SpeechError(f"{path}: no transcript: {error}") from error
    rows = values.get("segments") if isinstance(values, dict) else None
    if not isinstance(rows, list):
        raise SpeechError(f'{path}: no transcript: expected an object with a list "segments"')
    segments = [_segment(row, f"{path}: segment {number}") for number, row in enumerate(rows, start=1)]
    segments.sort(key=lambda segment: segment.start_s)
    return Transcript(tuple(segments), str(values.get("language", "")))


def _segment(row: Any, where: str) -> Segment:
    try:
        words = tuple(Timed(str(text), float(start), float(end)) for text, start, end in row.get("words", []))
        segment = Segment(
            float(row["start_s"]), float(row["end_s"]), str(row["text"]), str(row.get("speaker") or ""), words
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise SpeechError(f"{where}: expected start_s, end_s and text, found {str(row)[:80]} ({error})") from error
    if not 0 <= segment.start_s < segment.end_s < float("inf"):
        raise SpeechError(
            f"{where}: it lasts from {segment.start_s} s to {segment.end_s} s; it must end after it begins"
        )
    return segment
