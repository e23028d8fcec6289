"""What is said and what shall be said instead: transcript.json and translation.srt; reworded.srt where it did not fit.

    given    subtitles in the new language are taken as they are
    heard    else the video is transcribed (or a transcript is given) and translated

Sentences for which seconds are missing are reworded, where the translator is a server that can rephrase.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from lipsync.dubbing.folder import WorkFolder, content
from lipsync.dubbing.order import DubOrder
from lipsync.errors import SpeechError, UsageError, VoiceError
from lipsync.media.supply import SoundSupply
from lipsync.progress import Progress
from lipsync.speech.fit import Placement
from lipsync.speech.segments import Transcript, cues_of, read_transcript, segments_of, write_transcript
from lipsync.speech.speakers import name_speakers
from lipsync.speech.subtitles import read_subtitles, write_subtitles
from lipsync.speech.transcribe import transcribe
from lipsync.speech.translate import Wish, read_glossary, shorter, translate
from lipsync.speech.translators import open_translator
from lipsync.speech.voices import open_voice


class Words:
    """The words of one dub.

    Args:
        order: what is wanted.
        folder: where the stages' files lie.
        original: the video's sound; None where it has none.
        video_id: what the stages are made from.
        end_s: of the video.
        progress: told every stage.
    """

    def __init__(
        self,
        order: DubOrder,
        folder: WorkFolder,
        original: SoundSupply | None,
        video_id: list[Any],
        end_s: float,
        progress: Progress,
    ) -> None:
        self.order, self.folder, self.original = order, folder, original
        self.video_id, self.end_s, self.progress = video_id, end_s, progress
        self.warnings: list[str] = []

    @property
    def language(self) -> str:
        """To speak: as ordered, or of the one voice that was named. Raises UsageError where there is none."""
        found = self.order.language or (open_voice(self.order.voice).language if self.order.voice else "")
        if not found:
            raise UsageError("say which language is spoken: --to LANG, or a --voice of it, such as espeak:hi")
        return found

    @property
    def source_language(self) -> str:
        """Of the old speech, as far as it is known."""
        path = self.folder["transcript.json"]
        return self.order.source_language or (read_transcript(path).language if path.is_file() else "")

    def new(self) -> Transcript:
        """What shall be said: given, edited, or translated. Raises SpeechError when nothing of it can be said."""
        order, target, language = self.order, self.folder["translation.srt"], self.language
        if order.subtitles is not None:
            given = order.subtitles
            self.folder.stage(
                "translation",
                [content(given)],
                ["translation.srt"],
                lambda: write_subtitles(target, cues_of(self._given(given).segments)),
            )
        else:
            old = self._old()
            inputs = [content(self.folder["transcript.json"]), order.translator, language, order.speed]
            inputs += [content(order.glossary)] if order.glossary else []
            self.folder.stage("translation", inputs, ["translation.srt"], lambda: self._translate(old, language))
        found = Transcript(segments_of(read_subtitles(target).cues), language)
        if not found.segments:
            raise SpeechError(f"{target}: nothing in it is spoken")
        if all(segment.start_s >= self.end_s for segment in found.segments):
            raise SpeechError(f"{target}: all of it is after the end of the video, at {self.end_s:.1f} s")
        return found

    def reworded(
        self, new: Transcript, natural_s: Sequence[float], placements: Sequence[Placement], by_hand: Collection[int]
    ) -> Transcript:
        """The sentences that do not fit said shorter by the server that translates; else what came in.

        `by_hand`: indices of sentences whose takes are recordings: their words stay.
        """
        missing = [(k, round(p.missing_s, 2)) for k, p in enumerate(placements) if p.missing_s > 0 and k not in by_hand]
        if not missing or not self.order.translator.startswith(("http://", "https://")):
            return new
        target = self.folder["reworded.srt"]

        def make() -> None:
            engine, spoken_s = open_translator(self.order.translator), self._spoken_s(new.language)
            segments = list(new.segments)
            self.progress.start(f"rewording with {engine.name}", len(missing), "sentences")
            for k, _ in missing:
                slot_s = placements[k].end_s - placements[k].start_s
                wish = Wish(segments[k].text, slot_s, segments[k - 1].text if k else "")
                measure = spoken_s or (lambda text, k=k: natural_s[k] * len(text) / len(new.segments[k].text))
                text = shorter(engine, wish, wish.text, measure, new.language, new.language)
                segments[k] = replace(segments[k], text=text)
                self.progress.advance(1, text[:40])
            self.progress.done()
            write_subtitles(target, cues_of(segments))

        inputs = [content(self.folder["translation.srt"]), self.order.translator, missing]
        self.folder.stage("rewording", inputs, ["reworded.srt"], make)
        found = Transcript(segments_of(read_subtitles(target).cues), new.language)
        if len(found.segments) != len(new.segments):
            raise SpeechError(f"{target}: has other sentences than translation.srt; delete it to have it made anew")
        pairs = zip(new.segments, found.segments, strict=True)
        self.warnings += [
            f"segment {k}, at {a.start_s:.2f} s: reworded to fit: {b.text!r} instead of {a.text!r}"
            for k, (a, b) in enumerate(pairs, start=1)
            if a.text != b.text
        ]
        return found

    def _old(self) -> Transcript:
        """What is said in the video: given, edited, or heard."""
        order = self.order

        def make() -> None:
            if order.transcript is not None:
                found = self._given(order.transcript)
            elif self.original is None:
                raise SpeechError(f"{order.video}: has no sound to transcribe; give --srt FILE in the new language")
            else:
                language = order.source_language or None
                found = transcribe(self.original, order.transcriber, language=language, progress=self.progress)
                found = name_speakers(found, self.original)
            if order.source_language:
                found = replace(found, language=order.source_language)
            write_transcript(self.folder["transcript.json"], found)
            write_subtitles(self.folder["transcript.srt"], cues_of(found.segments))

        given = content(order.transcript) if order.transcript else order.transcriber
        self.folder.stage("transcript", [self.video_id, given, order.source_language], ["transcript.json"], make)
        return read_transcript(self.folder["transcript.json"])

    def _given(self, path: Path) -> Transcript:
        """A transcript that was handed over; what had to be repaired in subtitles becomes a warning."""
        if path.suffix.lower() == ".json":
            return read_transcript(path)
        found = read_subtitles(path)
        self.warnings += [f"{path.name}: {note}" for note in found.notes]
        return Transcript(segments_of(found.cues), self.order.source_language)

    def _translate(self, old: Transcript, language: str) -> None:
        order = self.order
        glossary = read_glossary(order.glossary) if order.glossary else {}
        engine, spoken_s = open_translator(order.translator), self._spoken_s(language)
        new, warnings = translate(old, language, engine, glossary=glossary, spoken_s=spoken_s, progress=self.progress)
        self.warnings += warnings
        write_subtitles(self.folder["translation.srt"], cues_of(new.segments))

    def _spoken_s(self, language: str) -> Callable[[str], float] | None:
        """Seconds a text takes, by a voice that is quick to ask; None where there is none for the language."""
        own, speed = self.order.voice, self.order.speed
        try:
            speaker = open_voice(own if own.startswith("espeak:") else f"espeak:{language}", language)
        except VoiceError:
            return None
        return lambda text: speaker.speak(text, speed=speed).sound.duration_s
