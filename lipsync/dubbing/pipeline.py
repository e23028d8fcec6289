"""A video into another language, stage after stage; every stage leaves a file (folder.py) and is resumed from it.

sound → transcript → translation → voices → fit → mix → lips → the video with its subtitles
"""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lipsync.dubbing.cast import choose_voices
from lipsync.dubbing.folder import WorkFolder, content, write_json
from lipsync.dubbing.lips import render_lips
from lipsync.dubbing.mix import Heard, loudness, speech_loudness, write_mix, write_speech
from lipsync.dubbing.order import DubOrder, DubResult, account, fit_warnings
from lipsync.dubbing.voicing import Takes, speak_all
from lipsync.dubbing.words import Words
from lipsync.errors import MediaError
from lipsync.media import probe
from lipsync.media.remux import write_with_sound
from lipsync.media.supply import SoundSupply
from lipsync.model.base import Base
from lipsync.progress import Progress, Silent
from lipsync.render.credentials import read_credentials, seal
from lipsync.speech.background import Background
from lipsync.speech.blocks import WavWriter, edges
from lipsync.speech.fit import Placement, Slot, place
from lipsync.speech.segments import Segment, Transcript
from lipsync.speech.separate import can_separate, separate
from lipsync.speech.subtitles import Cue, write_subtitles
from lipsync.speech.voices import Voice
from lipsync.types import VideoInfo

RATE_HZ = 48_000  # of the sound, where the video has none
LEAST_RATE_HZ = 16_000
SILENT_LUFS = -70.0  # the original is taken for silence under this


@dataclass(frozen=True)
class Voiced:
    """A dub that can be heard: the sentences, their voices and natural lengths, and where they lie."""

    new: Transcript
    voices: dict[str, Voice]
    natural_s: list[float]
    placements: list[Placement]
    background: str
    heard: Heard
    spoken: int


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
        self.original = _sound_of(self.info)
        self.rate_hz = self.original.rate if self.original else RATE_HZ
        self.end_s = self.info.duration_s
        self.length = round(self.end_s * self.rate_hz)
        self.words = Words(order, self.folder, self.original, self.video_id, self.end_s, progress)

    def run(self) -> DubResult:
        """Every stage that is not done yet, up to the one that was ordered."""
        new, voiced, render, subtitles = self.words.new(), None, dict[str, Any](), ""
        if self.order.until != "words":
            voiced = self.voiced(new)
            new = voiced.new
        if voiced is not None and self.order.until == "lips":
            render = render_lips(self.order, self.folder, self.open_base, self.video_id, self.progress)
            subtitles = str(self.finish(voiced))
        rows = []
        if voiced is not None:
            triples = zip(new.segments, voiced.natural_s, voiced.placements, strict=True)
            rows = [
                account(k, s.speaker, s.text, voiced.voices[s.speaker].name, n, p)
                for k, (s, n, p) in enumerate(triples, start=1)
            ]
        result = DubResult(
            out=str(self.order.out) if render else "",
            subtitles=subtitles,
            work=str(self.folder.path),
            language=new.language,
            source_language=self.words.source_language,
            segments=rows,
            in_slot=sum(row.in_slot for row in rows),
            background=voiced.background if voiced else "",
            source_lufs=round(voiced.heard.source_lufs, 2) if voiced else SILENT_LUFS,
            lufs=round(voiced.heard.mix_lufs, 2) if voiced else SILENT_LUFS,
            frames=render.get("frames", 0),
            duration_s=render.get("duration_s", self.end_s),
            stages_made=self.folder.made,
            sentences_spoken=voiced.spoken if voiced else 0,
            render=render,
            warnings=[*self.words.warnings, *self.warnings, *self.folder.warnings, *render.get("warnings", [])],
        )
        write_json(self.folder["result.json"], result.as_dict())
        return result

    def voiced(self, new: Transcript) -> Voiced:
        """Every sentence spoken, fitted and mixed: what is heard, without the pictures."""
        order = self.order
        voices = choose_voices(new, self.original, order.voice, order.voices, order.reference)
        takes = Takes(self.folder, voices, order.speed)
        natural_s = speak_all(takes, new.segments, self.progress)
        placements = self.fitted(new, natural_s)
        by_hand = {k for k, s in enumerate(new.segments) if takes.take(k + 1, s).own}
        heard = self.words.reworded(new, natural_s, placements, by_hand)
        for number in order.again:
            takes.forget(number, heard.segments)
        for number, path in order.recordings.items():
            takes.record(number, heard.segments, path)
        if heard != new or order.again or order.recordings:
            new, natural_s = heard, speak_all(takes, heard.segments, self.progress)
            placements = self.fitted(new, natural_s)
        self.warnings += fit_warnings(placements)
        how = self.background(placements)
        self.speech(takes, new, placements)
        return Voiced(new, voices, natural_s, placements, how, self.mix(), takes.spoken)

    def fitted(self, new: Transcript, natural_s: list[float]) -> list[Placement]:
        """Where each sentence goes."""
        slots = [Slot(s.start_s, s.end_s) for s in new.segments]
        placements = place(slots, natural_s, self.end_s, self.order.fit)
        write_json(self.folder["fit.json"], [asdict(p) for p in placements])
        return placements

    def background(self, placements: list[Placement]) -> str:
        """Write background.wav; returns how the voice was taken out."""
        order, slots = self.order, [asdict(p.slot) for p in placements]
        separated = order.background == "separate" or (order.background == "auto" and can_separate(order.separator))
        spans = [(round(p.start_s, 3), round(p.end_s, 3)) for p in placements]
        where = [order.separator] if separated else ["", slots, spans]  # a separator needs no word of who speaks when
        inputs = [self.video_id, order.background, separated, *where]

        def make() -> None:
            how, blocks = self._background_blocks(placements, separated)
            channels = self.original.channels if self.original else 1
            with WavWriter(self.folder["background.wav"], self.rate_hz, channels) as out:
                for samples in blocks:
                    out.write(samples)
            self.folder.note("background_how", how)

        self.folder.stage("background", inputs, ["background.wav"], make)
        return str(self.folder.noted("background_how") or "by hand")

    def _background_blocks(self, placements: list[Placement], separated: bool) -> tuple[str, Iterator[np.ndarray]]:
        original, order = self.original, self.order
        if original is None or order.background == "none" or self.source_lufs() < SILENT_LUFS:
            channels = original.channels if original else 1
            blocks = edges(self.length, self.rate_hz)
            return "silent", (np.zeros((last - first, channels), np.float32) for first, last in blocks)
        if separated:
            parts = separate(original, order.separator, end_s=self.end_s, progress=self.progress)
            return "separated", (rest for _, rest in parts)
        wanted = {"replace": "replaced", "duck": "ducked"}.get(order.background, "")
        spans = [(p.slot.start_s, p.slot.end_s) for p in placements] + [(p.start_s, p.end_s) for p in placements]
        found = Background(original, self.end_s, spans, wanted)
        return found.how, (found.part(first, last) for first, last in edges(self.length, self.rate_hz))

    def speech(self, takes: Takes, new: Transcript, placements: list[Placement]) -> None:
        """Write speech.wav: the new voices alone."""
        rows = list(enumerate(zip(new.segments, placements, strict=True), start=1))
        keys = []
        self.progress.start("fitting", len(rows), "sentences")
        for number, (segment, placement) in rows:
            keys.append([round(placement.start_s, 4), takes.key(number, segment, placement, self.rate_hz)])
            self.progress.advance()
        self.progress.done()
        lufs = speech_loudness(self.original, placements)

        def make() -> None:
            samples = (takes.fitted(number, s, p, self.rate_hz) for number, (s, p) in rows)
            write_speech(self.folder["speech.wav"], samples, placements, self.length, self.rate_hz, lufs)

        self.folder.stage("speech", [self.video_id, keys, lufs], ["speech.wav"], make)

    def mix(self) -> Heard:
        """Write mix.wav: the voices over the background, as loud as the original or as ordered."""
        folder, wanted = self.folder, self.order.loudness_lufs
        source_lufs = self.source_lufs()

        def make() -> None:
            aim = source_lufs if wanted is None else wanted
            under, voice = (SoundSupply(folder[name], 0, self.rate_hz) for name in ("background.wav", "speech.wav"))
            write_mix(folder["mix.wav"], under, voice, self.length, aim)

        made_from = [content(folder["speech.wav"]), content(folder["background.wav"]), wanted]
        folder.stage("mix", made_from, ["mix.wav"], make)
        mix_lufs = self._measured("mix_lufs", content(folder["mix.wav"]), lambda: SoundSupply(folder["mix.wav"]))
        return Heard(source_lufs, mix_lufs)

    def source_lufs(self) -> float:
        """Loudness of the video's own sound; −inf for silence."""
        return self._measured("source_lufs", self.video_id, lambda: self.original)

    def _measured(self, name: str, of: Any, open_: Callable[[], SoundSupply | None]) -> float:
        """A loudness, measured once for what it is `of`."""
        known = self.folder.noted(name)
        if not known or known["of"] != of:
            supply = open_()
            found = loudness(supply, round(self.end_s * supply.rate) if supply else 0)
            known = {"of": of, "lufs": found if np.isfinite(found) else None}
            self.folder.note(name, known)
        return -np.inf if known["lufs"] is None else float(known["lufs"])

    def finish(self, voiced: Voiced) -> Path:
        """The video with the mix, and its subtitles at the times at which they are spoken."""
        self.progress.start("writing", None)
        lips, order = self.folder["lips.mp4"], self.order
        stated = read_credentials(lips).details | {"dubbed_to": voiced.new.language}
        write_with_sound(
            lips, self.folder["mix.wav"], order.out, lambda part: seal(part, order.out.name, stated), end_s=self.end_s
        )
        pairs = zip(voiced.new.segments, voiced.placements, strict=True)
        cues = [_cue(s, p) for s, p in pairs if p.duration_s > 0]
        subtitles = subtitles_path(order)
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


def _sound_of(info: VideoInfo) -> SoundSupply | None:
    """The video's sound, block by block, at its own rate if that is fit for speech; None where it has none."""
    if not info.sample_rate_hz:
        return None
    rate = info.sample_rate_hz if info.sample_rate_hz >= LEAST_RATE_HZ else RATE_HZ
    try:
        return SoundSupply(info.path, 0, rate)
    except MediaError:  # a track without a single packet
        return None


def _cue(segment: Segment, placement: Placement) -> Cue:
    return Cue(placement.start_s, max(placement.end_s, placement.start_s + 0.001), segment.text, segment.speaker)


def subtitles_path(order: DubOrder) -> Path:
    """Beside the output, under its name; under another where that file was handed in."""
    path = order.out.with_suffix(".srt")
    given = [file.resolve() for file in (order.subtitles, order.transcript) if file is not None]
    return order.out.with_suffix(".dubbed.srt") if path.resolve() in given else path
