"""What a dub is asked to do, and what it says of itself afterwards."""

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from lipsync.config import RenderConfig
from lipsync.speech.fit import FitConfig, Placement
from lipsync.speech.hub import DEFAULTS, SEPARATOR, TRANSLATOR, WHISPER

BACKGROUNDS = ("auto", "separate", "replace", "duck", "none")
UNTIL = ("words", "voices", "lips")


@dataclass(frozen=True)
class DubOrder:
    """A video into another language.

    language: to speak, such as "hi"; "" is that of the voice.
    subtitles: .srt or .vtt in the new language; then nothing is transcribed or translated.
    transcript: what is said in the old one: .srt, .vtt or transcript.json; then nothing is transcribed.
    source_language: of the old speech; "" is heard, or as the transcript says.
    voice: of everybody whom `voices` (speaker → voice) does not name; "" chooses embedded voices by pitch.
    loudness_lufs: of the result; None: the original's.
    reference: the recording that a voice which clones is to sound like.
    again, recordings: numbers of sentences, counted from 1, that are spoken anew, or by a recording.
    until: the last stage: one of UNTIL.
    """

    video: Path
    out: Path
    language: str = ""
    subtitles: Path | None = None
    transcript: Path | None = None
    source_language: str = ""
    voice: str = ""
    voices: Mapping[str, str] = field(default_factory=dict)
    speed: float = 1.0
    transcriber: str = DEFAULTS[WHISPER]
    translator: str = DEFAULTS[TRANSLATOR]
    glossary: Path | None = None
    background: str = "auto"
    separator: str = DEFAULTS[SEPARATOR]
    loudness_lufs: float | None = None
    work: Path | None = None
    reference: Path | None = None
    again: Collection[int] = ()
    recordings: Mapping[int, Path] = field(default_factory=dict)
    until: str = "lips"
    fit: FitConfig = field(default_factory=FitConfig)
    render: RenderConfig = field(default_factory=RenderConfig)

    @property
    def work_folder(self) -> Path:
        """Where the stages' files lie: `work`, or a folder beside the output."""
        return self.work or self.out.with_name(f"{self.out.stem}.dub")


@dataclass(frozen=True)
class DubbedSegment:
    """One sentence: who says what, its slot, where it was placed, and what it took."""

    number: int
    speaker: str
    text: str
    voice: str
    slot_start_s: float
    slot_end_s: float
    start_s: float
    end_s: float
    natural_s: float
    rate: float
    borrowed_s: float
    missing_s: float
    outside_s: float
    in_slot: bool


@dataclass(frozen=True)
class DubResult:
    """A dub, as far as it was ordered: the rest is empty. `render`: the renderer's own account of the pictures."""

    out: str
    subtitles: str
    work: str
    language: str
    source_language: str
    segments: list[DubbedSegment]
    in_slot: int
    background: str
    source_lufs: float
    lufs: float
    frames: int
    duration_s: float
    stages_made: list[str]
    sentences_spoken: int
    render: dict[str, Any]
    warnings: list[str]

    def as_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return asdict(self)


def fit_warnings(placements: list[Placement]) -> list[str]:
    """A sentence for each segment that could not be fitted in peace: which, where, and how many seconds are missing."""
    warnings = []
    for number, p in enumerate(placements, start=1):
        where = f"segment {number}, at {p.slot.start_s:.2f} s"
        if p.duration_s <= 0:
            warnings.append(f"{where}: there is no time left for it in the video, so it is not heard")
        elif p.missing_s > 0:
            done = f"it is spoken {p.rate:.2f} times as fast" + (f" and cut after {p.kept:.0%}" if p.kept < 1 else "")
            warnings.append(f"{where}: {p.missing_s:.2f} s are missing to say it naturally; {done}: shorten its text")
        elif p.borrowed_s > 0.08:
            warnings.append(f"{where}: goes on {p.borrowed_s:.2f} s into the silence after it")
        if abs(p.moved_s) > 0.08:
            warnings.append(f"{where}: begins {p.moved_s:.2f} s later, because its slot lies over another")
    return warnings


def account(number: int, speaker: str, text: str, voice: str, natural_s: float, p: Placement) -> DubbedSegment:
    """The row of one sentence; times to the millisecond."""
    return DubbedSegment(
        number=number,
        speaker=speaker,
        text=text,
        voice=voice,
        slot_start_s=round(p.slot.start_s, 3),
        slot_end_s=round(p.slot.end_s, 3),
        start_s=round(p.start_s, 3),
        end_s=round(p.end_s, 3),
        natural_s=round(natural_s, 3),
        rate=round(p.rate, 3),
        borrowed_s=round(p.borrowed_s, 3),
        missing_s=round(p.missing_s, 3),
        outside_s=round(p.outside_s, 3),
        in_slot=p.in_slot,
    )
