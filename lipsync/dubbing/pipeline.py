"""A video into another language, stage after stage; every stage leaves a file (folder.py) and is resumed from it.

sound → transcript → translation → voices → fit → mix → lips → the video with its subtitles
"""

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from lipsync.dubbing.cast import choose_voices
from lipsync.dubbing.folder import WorkFolder, content, write_json
from lipsync.dubbing.lips import render_lips
from lipsync.dubbing.mix import Heard, make_background, mix, on_clock, speech_loudness, speech_track
from lipsync.dubbing.order import DubOrder, DubResult, account, fit_warnings
from lipsync.dubbing.voicing import Takes, speak_all
from lipsync.errors import MediaError, SpeechError, UsageError
from lipsync.media import probe, read_sound, write_wav
from lipsync.media.remux import write_with_sound
from lipsync.model.base import Base
from lipsync.progress import Progress, Silent
from lipsync.render.credentials import read_credentials, seal
from lipsync.speech.fit import Placement, Slot, place
from lipsync.speech.hub import has_model
from lipsync.speech.segments import Segment, Transcript, cues_of, read_transcript, segments_of, write_transcript
from lipsync.speech.separate import separate
from lipsync.speech.speakers import name_speakers
from lipsync.speech.subtitles import Cue, read_subtitles, write_subtitles
from lipsync.speech.transcribe import transcribe
from lipsync.speech.translate import read_glossary, translate
from lipsync.speech.translators import open_translator
from lipsync.speech.voices import Voice, open_voice
from lipsync.types import Sound, VideoInfo

RATE_HZ = 48_000  # of the sound, where the video has none
LEAST_RATE_HZ = 16_000


class Dub:
    """One dub on its way. Use `dub_into`."""

    def __init__(self, order: DubOrder, open_base: Callable[[], Base], progress: Progress) -> None:
        self.order, self.open_base, self.progress = order, open_base, progress
        self.info: VideoInfo = probe(order.video)
        if self.info.is_still:
            raise MediaError(f"{order.video}: a photo has no speech to dub; use say, which lets a photo speak")
        self.folder = WorkFolder(order.work_folder)
        self.warnings: list[str] = []
        self.video_id = [str(order.video.resolve()), order.video.stat().st_size, order.video.stat().st_mtime_ns]
        self.original: Sound | None = read_sound(order.video, sample_rate_hz=None, mono=False)
        rate = self.original.sample_rate_hz if self.original else RATE_HZ
        self.rate_hz = rate if rate >= LEAST_RATE_HZ else RATE_HZ
        if self.original is not None and rate != self.rate_hz:
            self.original = read_sound(order.video, sample_rate_hz=self.rate_hz, mono=False)
        self.end_s = self.info.duration_s

    def run(self) -> DubResult:
        """Every stage that is not done yet."""
        new = self.translation()
        voices = self.voices(new)
        takes = Takes(self.folder, voices, self.order.speed)
        natural_s = speak_all(takes, new.segments, self.progress)
        placements = self.fit(new, natural_s)
        how = self.background(placements)
        heard = self.mix(takes, new, placements, how)
        render = render_lips(self.order, self.folder, self.open_base, self.video_id, self.progress)
        subtitles = self.finish(new, placements)
        rows = [
            account(k, s.speaker, s.text, voices[s.speaker].name, n, p)
            for k, (s, n, p) in enumerate(zip(new.segments, natural_s, placements, strict=True), start=1)
        ]
        result = DubResult(
            out=str(self.order.out),
            subtitles=str(subtitles),
            work=str(self.folder.path),
            language=new.language,
            source_language=self.source_language(),
            segments=rows,
            in_slot=sum(row.in_slot for row in rows),
            background=how,
            source_lufs=round(heard.source_lufs, 2),
            lufs=round(heard.mix_lufs, 2),
            frames=render["frames"],
            duration_s=render["duration_s"],
            stages_made=self.folder.made,
            sentences_spoken=takes.spoken,
            render=render,
            warnings=[*self.warnings, *self.folder.warnings, *render["warnings"]],
        )
        write_json(self.folder["result.json"], result.as_dict())
        return result

    def source_language(self) -> str:
        """Of the old speech, as far as it is known."""
        path = self.folder["transcript.json"]
        known = read_transcript(path).language if path.is_file() else ""
        return self.order.source_language or known

    def transcript(self) -> Transcript:
        """What is said in the video: given, edited, or heard."""
        order = self.order

        def make() -> None:
            if order.transcript is not None:
                found = self.given(order.transcript)
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

    def given(self, path: Path) -> Transcript:
        """A transcript that was handed over; what had to be repaired in subtitles becomes a warning."""
        if path.suffix.lower() == ".json":
            return read_transcript(path)
        found = read_subtitles(path)
        self.warnings += [f"{path.name}: {note}" for note in found.notes]
        return Transcript(segments_of(found.cues), self.order.source_language)

    def translation(self) -> Transcript:
        """What shall be said instead: given, edited, or translated."""
        order, target = self.order, self.folder["translation.srt"]
        language = order.language or self.voice_language()
        if order.subtitles is not None:
            inputs = [content(order.subtitles)]
            self.folder.stage(
                "translation",
                inputs,
                ["translation.srt"],
                lambda: write_subtitles(target, cues_of(self.given(order.subtitles or target).segments)),
            )
        else:
            old = self.transcript()
            inputs = [content(self.folder["transcript.json"]), order.translator, language, order.speed]
            inputs += [content(order.glossary)] if order.glossary else []
            self.folder.stage("translation", inputs, ["translation.srt"], lambda: self.translate(old, language))
        found = Transcript(segments_of(read_subtitles(target).cues), language)
        if not found.segments:
            raise SpeechError(f"{target}: nothing in it is spoken")
        late = [k for k, s in enumerate(found.segments, start=1) if s.start_s >= self.end_s]
        if len(late) == len(found.segments):
            raise SpeechError(f"{target}: all of it is after the end of the video, at {self.end_s:.1f} s")
        return found

    def translate(self, old: Transcript, language: str) -> None:
        """Translate and write translation.srt."""
        order = self.order
        glossary = read_glossary(order.glossary) if order.glossary else {}
        spoken_s = _speaking_time(order.voice or f"espeak:{language}", language, order.speed)
        engine = open_translator(order.translator)
        new, warnings = translate(old, language, engine, glossary=glossary, spoken_s=spoken_s, progress=self.progress)
        self.warnings += warnings
        write_subtitles(self.folder["translation.srt"], cues_of(new.segments))

    def voice_language(self) -> str:
        """The language of the one voice that was named. Raises UsageError where there is none."""
        language = open_voice(self.order.voice).language if self.order.voice else ""
        if not language:
            raise UsageError("say which language is spoken: --to LANG, or a --voice of it, such as espeak:hi")
        return language

    def voices(self, new: Transcript) -> dict[str, Voice]:
        """A voice for each speaker."""
        order = self.order
        return choose_voices(new, self.original, order.voice, order.voices)

    def fit(self, new: Transcript, natural_s: list[float]) -> list[Placement]:
        """Where each sentence goes."""
        slots = [Slot(s.start_s, s.end_s) for s in new.segments]
        placements = place(slots, natural_s, self.end_s, self.order.fit)
        self.warnings += fit_warnings(placements)
        write_json(self.folder["fit.json"], [asdict(p) for p in placements])
        return placements

    def background(self, placements: list[Placement]) -> str:
        """Write background.wav; returns how the voice was taken out."""
        order, slots = self.order, [asdict(p.slot) for p in placements]
        wanted = {"auto": "", "replace": "replaced", "duck": "ducked", "none": "silent"}.get(order.background, "")
        separated = order.background == "separate" or (order.background == "auto" and has_model(order.separator))
        spans = [[round(p.start_s, 3), round(p.end_s, 3)] for p in placements]
        inputs = [self.video_id, order.background, separated, order.separator if separated else "", slots, spans]

        def make() -> None:
            original = on_clock(self.original, self.end_s, self.rate_hz)
            if separated and original.samples.any():
                _, rest = separate(original, order.separator, progress=self.progress)
                how, sound = "separated", rest
            else:
                found = make_background(original, placements, wanted)
                how, sound = found.how, found.sound
            write_wav(self.folder["background.wav"], sound)
            self.folder.note("background_how", how)

        self.folder.stage("background", inputs, ["background.wav"], make)
        return str(self.folder.noted("background_how") or "by hand")

    def mix(self, takes: Takes, new: Transcript, placements: list[Placement], how: str) -> Heard:
        """Write speech.wav and mix.wav."""
        folder, rate = self.folder, self.rate_hz
        original = on_clock(self.original, self.end_s, rate)
        fitted, keys = [], []
        self.progress.start("fitting", len(placements), "sentences")
        for number, (segment, placement) in enumerate(zip(new.segments, placements, strict=True), start=1):
            fitted.append(takes.fitted(number, segment, placement, rate))
            keys.append([round(placement.start_s, 4), float(np.abs(fitted[-1]).sum())])
            self.progress.advance()
        self.progress.done()
        lufs = speech_loudness(self.original, placements)

        def speech() -> None:
            write_wav(folder["speech.wav"], speech_track(fitted, placements, self.end_s, rate, lufs))

        def mixed() -> None:
            voice, under = _read(folder["speech.wav"]), _read(folder["background.wav"])
            under = on_clock(under, self.end_s, rate)
            mono = Sound(voice.samples.reshape(len(voice.samples), -1).mean(1), voice.sample_rate_hz)
            write_wav(folder["mix.wav"], mix(original, under, mono, self.order.loudness_lufs).mix)

        folder.stage("speech", [self.video_id, keys, lufs], ["speech.wav"], speech)
        made_from = [content(folder["speech.wav"]), content(folder["background.wav"]), self.order.loudness_lufs]
        folder.stage("mix", made_from, ["mix.wav"], mixed)
        return _measured(original, _read(folder["speech.wav"]), _read(folder["mix.wav"]))

    def finish(self, new: Transcript, placements: list[Placement]) -> Path:
        """The video with the mix, and its subtitles at the times at which they are spoken."""
        heard = _read(self.folder["mix.wav"])
        self.progress.start("writing", None)
        lips = self.folder["lips.mp4"]
        length = round(self.end_s * heard.sample_rate_hz)
        stated = read_credentials(lips).details | {"dubbed_to": self.order.language}
        sound = Sound(heard.samples[:length], heard.sample_rate_hz)
        write_with_sound(lips, sound, self.order.out, lambda part: seal(part, self.order.out.name, stated))
        cues = [_cue(s, p) for s, p in zip(new.segments, placements, strict=True) if p.duration_s > 0]
        subtitles = subtitles_path(self.order)
        write_subtitles(subtitles, cues)
        write_subtitles(self.folder["subtitles.vtt"], cues)
        self.progress.done()
        return subtitles


def dub_into(order: DubOrder, open_base: Callable[[], Base], progress: Progress | None = None) -> DubResult:
    """Dub a video into another language.

    Args:
        order: what is wanted.
        open_base: gives the models; called only when lips are to be rendered.
        progress: told every stage.

    Raises:
        UsageError: no language. SpeechError: subtitles, transcript or sound are not what they should be.
        CheckpointError: a model is not there (says how to get it). VoiceError, MediaError, NoFaceError, ConfigError.
    """
    return Dub(order, open_base, progress or Silent()).run()


def _cue(segment: Segment, placement: Placement) -> Cue:
    return Cue(placement.start_s, max(placement.end_s, placement.start_s + 0.001), segment.text, segment.speaker)


def _speaking_time(voice: str, language: str, speed: float) -> Callable[[str], float] | None:
    """Seconds a text takes, by a voice that is quick to ask; None where there is none for the language."""
    from lipsync.errors import VoiceError

    name = voice if voice.startswith("espeak:") else f"espeak:{language}"
    try:
        speaker = open_voice(name, language)
    except VoiceError:
        return None
    return lambda text: speaker.speak(text, speed=speed).sound.duration_s


def _read(path: Path) -> Sound:
    sound = read_sound(path, sample_rate_hz=None, mono=False)
    if sound is None:
        raise MediaError(f"{path}: holds no sound; delete it to have it made anew")
    return sound


def _measured(original: Sound, speech: Sound, heard: Sound) -> Heard:
    from lipsync.speech.loudness import loudness_lufs

    return Heard(heard, loudness_lufs(original), loudness_lufs(speech), loudness_lufs(heard))


def subtitles_path(order: DubOrder) -> Path:
    """Beside the output, under its name; under another where that file was handed in."""
    path = order.out.with_suffix(".srt")
    given = [file.resolve() for file in (order.subtitles, order.transcript) if file is not None]
    return order.out.with_suffix(".dubbed.srt") if path.resolve() in given else path
