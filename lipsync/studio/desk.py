"""What the page does with dubs: each long step as a background job of the studio's.

find sentences → (transcribe and translate) → edit the table → hear it → dub → edit, or say one sentence again
"""

import shutil
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from lipsync.errors import MediaError, PersonError
from lipsync.progress import Progress
from lipsync.studio import learning, service
from lipsync.studio.dubs import (
    SPANS,
    DubProject,
    check_wanted,
    create_dub,
    find_dub,
    parse_time,
    read_rows,
    save_dub,
    save_rows,
    take_subtitles,
)
from lipsync.studio.people import Person
from lipsync.studio.studio import Studio, write_account

NEAR_S = 0.002  # times are kept in thousandths


class DubDesk:
    """The dubs of a studio's people."""

    def __init__(self, studio: Studio) -> None:
        self.studio = studio

    def create(self, name: str, video: str | None, link: str, language: str) -> str | None:
        """A new dub, by its name; None where its video is fetched first, in a job."""
        person = self.studio.person(name)
        if video:
            return create_dub(person, Path(video), language).folder.name
        if not link.strip():
            raise PersonError("bring a video first, or paste its link")
        url = learning.check_link(link)
        check_wanted(person, language)

        def work(progress: Progress) -> None:
            folder = person.folder / ".fetched"
            try:
                create_dub(person, learning.fetch(url, folder, progress, "consent")[0], language)
            finally:
                shutil.rmtree(folder, ignore_errors=True)

        self.studio.start(person, "Fetching the video", work)
        return None

    def subtitles(self, name: str, key: str, path: str) -> list[str]:
        """Fill the table from subtitles; returns what had to be repaired."""
        return take_subtitles(self._find(name, key), Path(path))

    def find_sentences(self, name: str, key: str) -> None:
        """Start looking for where somebody speaks."""
        dub = self._find(name, key)

        def work(progress: Progress) -> None:
            from lipsync.media.supply import SoundSupply
            from lipsync.speech.segments import Segment, Transcript, write_transcript
            from lipsync.speech.spans import find_spans

            spans = find_spans(SoundSupply(dub.source), progress)
            if not spans:
                raise MediaError("nobody is heard in this video; add rows with their times by hand")
            segments = tuple(Segment(round(a, 2), round(b, 2), "") for a, b in spans)
            write_transcript(dub.folder / SPANS, Transcript(segments))

        self.studio.start(self.studio.person(name), "Finding sentences", work)

    def translate(self, name: str, key: str) -> None:
        """Start transcribing and translating; the table is filled with what comes."""
        person, dub = self.studio.person(name), self._find(name, key)

        def work(progress: Progress) -> None:
            from lipsync.speech.subtitles import read_subtitles, write_subtitles

            self._run(person, dub, progress, until="words")
            if dub.sentences.is_file():  # what was typed before stays beside it
                dub.sentences.replace(dub.sentences.with_name("sentences before.srt"))
            write_subtitles(dub.sentences, read_subtitles(dub.work / "translation.srt").cues)

        self.studio.start(person, "Transcribing and translating", work)

    def voice(self, name: str, key: str, table: Sequence[Sequence[Any]], **changes: Any) -> None:
        """Start speaking the table, to be heard before any picture is made."""
        person, dub = self._keep(name, key, table, changes)

        def work(progress: Progress) -> None:
            self._run(person, dub, progress, subtitles=dub.sentences, until="voices")

        self.studio.start(person, "Speaking", work)

    def dub(self, name: str, key: str, table: Sequence[Sequence[Any]], **changes: Any) -> None:
        """Start the dub, lips and all: what was done before and still holds is not done again."""
        person, dub = self._keep(name, key, table, changes)

        def work(progress: Progress) -> None:
            result = self._run(person, dub, progress, subtitles=dub.sentences)
            shutil.copyfile(dub.work / "subtitles.vtt", dub.result.with_suffix(".vtt"))
            told = {name: value for name, value in asdict(result).items() if name not in ("render", "segments")}
            told |= {"sentences": len(result.segments), "template": str(dub.source), "dub": True}
            write_account(dub.result, {**result.render, **told})

        self.studio.start(person, "Dubbing", work)

    def change(self, name: str, key: str, **changes: Any) -> None:
        """Remember how the dub is to be made."""
        save_dub(replace(self._find(name, key), **changes))

    def keep(self, name: str, key: str, table: Sequence[Sequence[Any]]) -> None:
        """Keep the table as it is being edited."""
        save_rows(self._find(name, key), table, least=0)

    def retake(self, name: str, key: str, table: Sequence[Sequence[Any]], number: int, recording: str | None) -> None:
        """Start saying one sentence of the table anew, by its voice or by a recording, to be heard at once."""
        person, dub = self._keep(name, key, table, {})
        place = _place(dub, table, number)
        more: dict[str, Any] = {"recordings": {place: Path(recording)}} if recording else {"again": (place,)}

        def work(progress: Progress) -> None:
            self._run(person, dub, progress, subtitles=dub.sentences, until="voices", **more)

        self.studio.start(person, "Saying it again", work)

    def _find(self, name: str, key: str) -> DubProject:
        return find_dub(self.studio.person(name), key)

    def _keep(
        self, name: str, key: str, table: Sequence[Sequence[Any]], changes: dict[str, Any]
    ) -> tuple[Person, DubProject]:
        """The dub with the table and the voices as the page has them."""
        dub = save_dub(replace(self._find(name, key), **changes))
        save_rows(dub, table)
        return self.studio.person(name), dub

    def _run(self, person: Person, dub: DubProject, progress: Progress, **more: Any) -> Any:
        wanted = {"language": dub.language, "work": dub.work, "voices": dub.voices, "background": dub.background}
        wanted |= {"translator": dub.translator} if dub.translator else {}
        models = {"voice": dub.voice} if dub.voice else {}
        return service.dub_into(
            dub.source, dub.result, wanted | more, models, {}, progress, person=person, loaded=self.studio.models
        )


def _place(dub: DubProject, table: Sequence[Sequence[Any]], number: int) -> int:
    """Which sentence of the dub, counted from 1, a row of the table as it is shown is. Raises PersonError for none."""
    text = str(table[number - 1][4] or "").strip() if 1 <= number <= len(table) else ""
    if text:
        start_s = parse_time(str(table[number - 1][0]).strip(), f"row {number}")
        spoken = [row for row in read_rows(dub) if row.text]
        near = [k for k, row in enumerate(spoken, start=1) if abs(row.start_s - start_s) < NEAR_S]
        same = [k for k in near if spoken[k - 1].text.split() == text.split()]
        if near:
            return (same or near)[0]
    raise PersonError(f"row {number} of the table holds nothing to say")
