"""Dubs of a person's videos into other languages, each a folder that the page shows as a table of sentences.

    PERSON/dubs/NAME/   dub.json        what is wanted: the video, the language, the voices
                        sentences.srt   what shall be said, as the table has it
                        spans.json      where somebody speaks, when that was looked for
                        work/           every stage's result (lipsync/dubbing/folder.py)
    PERSON/renders/     the result: NAME.mp4, its own account NAME.json, and its subtitles

A sentence without a translation keeps the original's voice.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from lipsync.config import from_mapping
from lipsync.errors import ConfigError, PersonError, UsageError
from lipsync.media.whole import write_text
from lipsync.studio.languages import LANGUAGES
from lipsync.studio.people import Person, add_file

DUBS, NOTE, SENTENCES, SPANS, WORK = "dubs", "dub.json", "sentences.srt", "spans.json", "work"


@dataclass(frozen=True)
class DubProject:
    """What is wanted. `voice`: "" chooses by pitch; `voices`: by speaker. The rest is as DubOrder has it."""

    folder: Path
    video: str
    language: str
    out: str
    voice: str = ""
    voices: Mapping[str, str] = field(default_factory=dict)
    background: str = "auto"
    translator: str = ""

    @property
    def source(self) -> Path:
        """The video."""
        return self.folder / self.video

    @property
    def result(self) -> Path:
        """The dubbed video, whether it is there yet or not."""
        return self.folder.parents[1] / "renders" / self.out

    @property
    def work(self) -> Path:
        """Where the stages lie."""
        return self.folder / WORK

    @property
    def sentences(self) -> Path:
        """The table as subtitles."""
        return self.folder / SENTENCES

    @property
    def language_name(self) -> str:
        """For people."""
        return LANGUAGES.get(self.language, self.language)


@dataclass(frozen=True)
class Row:
    """A sentence of the table. `fit`: how it fits its time, in words, once it was spoken."""

    start_s: float
    end_s: float
    speaker: str
    original: str
    text: str
    fit: str = ""


def list_dubs(person: Person) -> list[DubProject]:
    """The person's dubs, the newest first."""
    notes = sorted((person.folder / DUBS).glob(f"*/{NOTE}"), reverse=True)
    return [_read(note) for note in notes]


def find_dub(person: Person, name: str | None) -> DubProject:
    """The dub in a folder of that name. Raises PersonError when there is none."""
    for dub in list_dubs(person):
        if dub.folder.name == name:
            return dub
    raise PersonError("choose a dub first, or start a new one with a video and a language")


def check_wanted(person: Person, language: str) -> None:
    """Raises ConsentError: the person's record does not cover video. UsageError: no language."""
    person.consent.check("video")
    if not language:
        raise UsageError("choose the language into which the video is dubbed")


def create_dub(person: Person, video: Path, language: str) -> DubProject:
    """A new dub of a video, which is copied in.

    Raises:
        ConsentError, UsageError: see `check_wanted`. MediaError: not a video.
    """
    from lipsync.media import probe

    check_wanted(person, language)
    if probe(video).is_still:
        raise UsageError("a photo has no speech to dub; the Speak tab lets a photo speak")
    stamp = datetime.now().strftime("%Y-%m-%d %H-%M-%S")
    (person.folder / DUBS).mkdir(exist_ok=True)
    taken = {path.name for path in (person.folder / DUBS).iterdir()}
    stamp = next(name for name in (stamp, *(f"{stamp} {n}" for n in range(2, 100))) if name not in taken)
    kept = add_file(person, video, f"{DUBS}/{stamp}")
    out = f"{stamp} {kept.stem[:40]} in {LANGUAGES.get(language, language)}.mp4"
    (person.folder / "renders").mkdir(exist_ok=True)
    return save_dub(DubProject(kept.parent, kept.name, language, out))


def save_dub(dub: DubProject) -> DubProject:
    """Write what is wanted."""
    values = asdict(dub)
    values.pop("folder")
    write_text(dub.folder / NOTE, json.dumps(values, ensure_ascii=False, indent=1))
    return dub


def take_subtitles(dub: DubProject, path: Path) -> list[str]:
    """Fill the table from an .srt or .vtt file in the new language; returns what had to be repaired in it.

    Raises:
        SpeechError: not subtitles; names the line.
    """
    from lipsync.speech.segments import cues_of, segments_of
    from lipsync.speech.subtitles import read_subtitles, write_subtitles

    found = read_subtitles(path)
    write_subtitles(dub.sentences, cues_of(segments_of(found.cues)))
    return list(found.notes)


def read_rows(dub: DubProject) -> list[Row]:
    """The table: what shall be said, and what the original says where nothing was put in its place yet."""
    from lipsync.speech.segments import read_transcript, segments_of
    from lipsync.speech.subtitles import read_subtitles

    new = segments_of(read_subtitles(dub.sentences).cues) if dub.sentences.is_file() else ()
    known = [path for path in (dub.work / "transcript.json", dub.folder / SPANS) if path.is_file()]
    old = read_transcript(known[0]).segments if known else ()
    fits, rows = _fits(dub), list[Row]()
    for s in new:
        original = " ".join(o.text for o in old if _shared(s, o) > 0.5 * o.duration_s)
        rows.append(Row(s.start_s, s.end_s, s.speaker, original, s.text, fits.get((round(s.start_s, 3), s.text), "")))
    open_ = [o for o in old if sum(_shared(s, o) for s in new) < 0.5 * o.duration_s]
    rows += [Row(o.start_s, o.end_s, o.speaker, o.text, "") for o in open_]
    return sorted(rows, key=lambda row: row.start_s)


def save_rows(dub: DubProject, table: Sequence[Sequence[Any]], least: int = 1) -> int:
    """Keep the table as the page has it: rows of from, to, who, original, text, fit. Returns how many are spoken.

    Raises:
        UsageError: a row's times are none, or fewer than `least` are spoken.
    """
    from lipsync.speech.subtitles import Cue, write_subtitles

    cues = []
    for number, cells in enumerate(table, start=1):
        start, end, speaker, _, text = (str(cell if cell is not None else "").strip() for cell in cells[:5])
        if text:
            where = f"row {number} ({text[:30]})"
            start_s, end_s = parse_time(start, where), parse_time(end, where)
            if not start_s < end_s:
                raise UsageError(f"{where}: it must end after it begins, found {start} to {end}")
            cues.append(Cue(start_s, end_s, text, speaker))
    if len(cues) < least:
        raise UsageError("nothing to say yet: type a translation beside a sentence, or bring subtitles")
    write_subtitles(dub.sentences, sorted(cues, key=lambda cue: cue.start_s))
    return len(cues)


def parse_time(text: str, where: str) -> float:
    """Seconds of "12.5", "1:02.5" or "1:00:02.5". Raises UsageError."""
    try:
        parts = [float(part) for part in text.replace(",", ".").split(":")]
    except ValueError:
        parts = []
    if not 1 <= len(parts) <= 3 or any(not 0 <= part < float("inf") for part in parts):
        raise UsageError(f"{where}: {text!r} is no time; write seconds, or 1:02.5")
    return sum(part * 60**k for k, part in enumerate(reversed(parts)))


def format_time(time_s: float) -> str:
    """Such as 1:02.50; what `parse_time` reads."""
    hundredths = round(time_s * 100)
    return f"{hundredths // 6000}:{hundredths // 100 % 60:02d}.{hundredths % 100:02d}"


def parse_voices(text: str) -> dict[str, str]:
    """Speaker → voice from lines "ANNA = espeak:hi+f2". Raises UsageError naming the line."""
    voices = {}
    for row in filter(str.strip, text.splitlines()):
        speaker, sign, voice = (part.strip() for part in row.partition("="))
        if not sign or not voice:
            raise UsageError(f"{row.strip()!r}: expected a line such as ANNA = espeak:hi+f2")
        voices[speaker] = voice
    return voices


def fit_words(row: Mapping[str, Any]) -> str:
    """How a sentence fits its time, from its line in a dub's result."""
    if row["end_s"] <= row["start_s"]:
        return "no time left for it"
    if row["missing_s"] > 0:
        return f"{row['missing_s']:.1f} s too long: shorten it (said {row['rate']:.1f} × as fast)"
    if row["borrowed_s"] > 0.08:
        return f"fits, {row['borrowed_s']:.1f} s into the pause after it"
    return "fits" if row["rate"] <= 1.2 else f"fits, a little fast ({row['rate']:.1f} ×)"


def _fits(dub: DubProject) -> dict[tuple[float, str], str]:
    path = dub.work / "result.json"
    rows = json.loads(path.read_text(encoding="utf-8")).get("segments", []) if path.is_file() else []
    return {(round(row["slot_start_s"], 3), row["text"]): fit_words(row) for row in rows}


def _shared(one: Any, other: Any) -> float:
    return max(0.0, min(one.end_s, other.end_s) - max(one.start_s, other.start_s))


def _read(note: Path) -> DubProject:
    try:
        return from_mapping(DubProject, {**json.loads(note.read_text(encoding="utf-8")), "folder": note.parent})
    except (ValueError, TypeError, ConfigError) as error:
        raise PersonError(f"{note}: damaged ({error}); delete its folder and start the dub again") from error
