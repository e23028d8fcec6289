"""One render, from planned parts to a finished file: what dub and say share.

A part is a stretch of output positions with its plan. Each is rendered into a piece of its own (pieces.py), and they
are joined without coding again. A piece that holds what a render would give now is not rendered again: so an
interrupted render goes on where it was, and one of a sound that was edited renders what the edit touches, with the
same result, packet for packet, as from the beginning. Planning, decoding, generating and pasting with encoding run at
the same time, each a little ahead of the next.
"""

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from fractions import Fraction
from itertools import groupby, islice
from operator import itemgetter
from pathlib import Path

import numpy as np

from lipsync.config import RenderConfig
from lipsync.errors import LipsyncError, MediaError, NoFaceError
from lipsync.media import VideoWriter
from lipsync.media.assemble import Assembler
from lipsync.media.picture import format_warning
from lipsync.media.supply import SoundSupply
from lipsync.media.write import fine_base
from lipsync.model.base import Base
from lipsync.progress import Cancelled, Progress
from lipsync.render.carry import Carry, Start
from lipsync.render.credentials import seal
from lipsync.render.generate import Heard, HeardFile, Told, speech_shapes
from lipsync.render.idle import speaking_times, with_surroundings
from lipsync.render.overlap import Ahead, give_back_memory, share_memory, take_short_turns
from lipsync.render.part import Job, Part, Ready
from lipsync.render.pieces import Pieces, Record, first_apart, stale_stretches, told_by
from lipsync.render.result import RenderResult, details_of, stamp_of, summarise
from lipsync.render.sequence import IDLE, AnyPicture, Sequence, Stage
from lipsync.speech.features import mel_at
from lipsync.types import VideoInfo

Finish = Callable[[np.ndarray, float], np.ndarray]
UNSIGNED = "a stream is not signed, as that needs the whole file: its tags alone say that it is synthetic"
CHUNKS_A_PART = 1 << 20  # seeds of different parts' chunks never meet


@dataclass
class Production:
    """A render in parts.

    key: what decides all pieces alike, see `job_key`; folder: where they are kept for good, None: nowhere.
    coefficients: mouth shapes (N, K) at times, where they come from another video instead of from what is heard.
    frames: about how many there will be, for the progress; finish: what is done to a finished picture, last.
    orders: of every part with its lead, where they are known before planning.
    """

    info: VideoInfo
    out: Path
    base: Base
    config: RenderConfig
    progress: Progress
    key: str
    heard: Heard | HeardFile
    sound: SoundSupply | None
    copied: Path | None = None
    coefficients: Callable[[np.ndarray], np.ndarray] | None = None
    frames: int = 0
    finish: Finish | None = None
    stream: bool = False
    folder: Path | None = None
    orders: list[tuple[Sequence, int]] | None = None
    tracks: bool = True  # whether the template's other tracks, chapters and tags come along
    seconds: dict[str, float] = field(default_factory=lambda: {"plan": 0.0, "generate": 0.0, "paste": 0.0})

    def run(
        self,
        parts: Callable[[Start | None, Carry | None], Iterator[Part]],
        pictures: Callable[[Part], Iterator[AnyPicture]],
    ) -> RenderResult:
        """Render what is left to render and put it together.

        Args:
            parts: the parts from a start on (None: from the beginning), planned one by one.
            pictures: the template's picture for each position of a part; asked for in the order of the parts.

        Raises:
            NoFaceError: no picture could be rendered. MediaError: see the writer and the reader.
        """
        share_memory()
        take_short_turns()
        begun = time.monotonic()
        place = Path(tempfile.mkdtemp(prefix="lipsync-")) / "stream" if self.stream else self.out
        pieces = Pieces(place, self.key, None if self.stream else self.folder)
        try:
            records = self._render(pieces, parts, pictures)
            self._check(records)
            if not self.stream:
                with self._assembler(records[0].first_pts) as assembler:
                    for record in records:
                        assembler.add(pieces.path(record.number), record.first_pts)
                    self._end(assembler, records)
        except BaseException as error:
            failed = isinstance(error, LipsyncError) and not isinstance(error, Cancelled)
            if self.stream or failed or not pieces.done():
                pieces.drop()
            raise
        else:
            if not self.stream:
                pieces.finish(len(records))
        finally:
            pieces.close()
            if self.stream:
                shutil.rmtree(place.parent, ignore_errors=True)
            give_back_memory()
        self.seconds["render"] = time.monotonic() - begun
        result = summarise(self.out, self.info, records, self.base, self.config, self.seconds, self._warnings)
        kept = {"folder": str(self.folder), "mb": round(pieces.size_mb(), 1)} if self.folder is not None else {}
        return replace(result, pieces={"made": self._made, "kept": len(records) - self._made} | kept)

    def _render(
        self,
        pieces: Pieces,
        parts: Callable[[Start | None, Carry | None], Iterator[Part]],
        pictures: Callable[[Part], Iterator[AnyPicture]],
    ) -> list[Record]:
        """Make the pieces that are not there or no longer hold; all of them, in order."""
        self._made, count = 0, len(self.orders) if self.orders is not None else pieces.count
        records = {number: record for number, record in pieces.done().items() if self._holds(pieces, record)}
        self.progress.start("rendering", self.frames or None, "frames")
        if records:
            there = sum(record.frames for record in records.values())
            self.progress.advance(there, f"{len(records)} pieces are there already")
        assembler: Assembler | None = None
        while True:
            apart = first_apart(records)
            if apart is not None:  # of another division: what is kept from there on does not follow
                records, count = {number: records[number] for number in records if number < apart}, None
                pieces.note_count(None)
            stretches = stale_stretches(set(records), count)
            if not stretches:
                break
            first, stop = stretches[0]
            start, carry = pieces.carried(records[first - 1]) if first else (None, None)
            for record in self._made_of(pieces, islice(parts(start, carry), stop and stop - first), pictures):
                records[record.number] = record
                self._made += 1
                if self.stream:
                    assembler = assembler or self._assembler(record.first_pts).__enter__()
                    assembler.add(pieces.path(record.number), record.first_pts)
                    pieces.path(record.number).unlink()
            if stop is None:
                count = max(records, default=-1) + 1
            elif stop - 1 not in records:
                raise MediaError(f"{self.info.path}: shorter than before; did the file change while it was read?")
        if assembler is not None:
            self._end(assembler, list(records.values()))
        self.progress.done()
        return [records[number] for number in range(len(records))]

    def _made_of(
        self, pieces: Pieces, parts: Iterator[Part], pictures: Callable[[Part], Iterator[AnyPicture]]
    ) -> Iterator[Record]:
        """Render and save parts one after another, the next planned and generated meanwhile."""
        planned = Ahead(self._timed(parts), 1)
        generated = Ahead(self._generated(planned, pictures), 2)
        try:
            for ready, stages in groupby(generated, itemgetter(0)):
                if ready is None:
                    continue
                part = ready.part
                record = self._piece(pieces.begin(part.number), ready, map(itemgetter(1), stages))
                if not self.stream:  # of which nothing is gone on with
                    pieces.save(record, part.sequence, part.carry)
                yield record
        finally:
            generated.close()
            planned.close()

    def _holds(self, pieces: Pieces, record: Record) -> bool:
        """Whether a finished piece is what a render would give now."""
        if self.orders is None:
            order, lead = pieces.order(record.number), record.lead
        elif record.number < len(self.orders):
            order, lead = self.orders[record.number]
        else:
            return False
        return self._told(order, lead).hash == record.told

    def _told(self, order: Sequence, lead: int) -> Told:
        """What a part follows, from its times alone."""
        times_s, around = order.times_s, np.zeros(0, np.float32)
        wide_s, own = with_surroundings(times_s, 1 / float(self.info.frame_rate))
        heard = self.heard.part(float(wide_s[0]), float(wide_s[-1]))
        given = self.coefficients
        wide = given(wide_s) if given else speech_shapes(self.base.shape, heard, wide_s, self.base.style)
        shapes, spoken_s = wide[own], speaking_times(self.base.shape.space, wide, wide_s, own, self.config.opening)
        if not self.heard.is_silent:
            half_width = self.base.pixel.config.mel_half_width
            around = mel_at(heard.log_mel, times_s, start_s=heard.start_s, half_width=half_width)
        return Told(heard, shapes, spoken_s, told_by(order, lead, shapes, around, spoken_s))

    def _timed(self, parts: Iterator[Part]) -> Iterator[Part]:
        while True:
            begun = time.monotonic()
            part = next(parts, None)
            self.seconds["plan"] += time.monotonic() - begun
            if part is None:
                return
            yield part

    def _generated(
        self, parts: Iterator[Part], pictures: Callable[[Part], Iterator[AnyPicture]]
    ) -> Iterator[tuple[Ready | None, Stage | None]]:
        """All that lies before pasting, part after part without a pause; None ends a part, so that it is saved then."""
        for part in parts:
            ready = self._ready(part)
            for stage in ready.stages(pictures(part)):
                yield ready, stage
            yield None, None

    def _piece(self, path: Path, ready: Ready, stages: Iterator[Stage]) -> Record:
        """Write one part into a video of its own, whose first picture lies at time zero."""
        part, renderer, told = ready.part, ready.renderer, ready.told
        sequence, still, time_base = part.sequence, self.info.is_still, self.time_base
        times_s, ticks = sequence.times_s, sequence.pts
        if still:
            ticks = np.array([round(Fraction(t) / time_base) for t in times_s])
        first_pts, passed = int(ticks[part.lead]), list[list[object]]()
        with VideoWriter(
            path,
            width=self.info.width,
            height=self.info.height,
            frame_rate=self.info.frame_rate,
            like=None if still else self.info,
            crf=self.config.crf,
        ) as writer:
            for k, picture in enumerate(ready.finished(stages)):
                if k < part.lead:
                    continue
                if self.finish is not None and isinstance(picture, np.ndarray):
                    picture = self.finish(picture, float(times_s[k]))
                writer.write(picture, pts=int(ticks[k]) - first_pts)
        if renderer is not None:
            self.seconds["generate"] += renderer.tally.generate_s
            self.seconds["paste"] += renderer.tally.paste_s
            passed = [[k, part.plan.reasons[sequence.frames[k]] or IDLE] for k in renderer.tally.passed]
        else:
            passed = [[k, part.plan.reasons[sequence.frames[k]]] for k in range(part.lead, len(sequence))]
        return Record(
            part.number,
            len(sequence) - part.lead,
            first_pts,
            float(times_s[part.lead]),
            float(times_s[-1]),
            renderer.tally.rendered if renderer is not None else 0,
            renderer.tally.largest_outside if renderer is not None else 0,
            [[k - part.lead, round(float(times_s[k]), 4), reason] for k, reason in passed],
            asdict(part.following) if part.following is not None else {},
            part.lead,
            told.hash,
        )

    def _ready(self, part: Part) -> Ready:
        told = self._told(part.sequence, part.lead)
        if part.references is None:
            return Ready(part, told, None, self.progress)
        job = Job(part.plan, part.sequence, told.heard, None, self.base, self.config)
        renderer = job.renderer(job.place(told.shapes), self.progress, part.references, part.number * CHUNKS_A_PART)
        renderer.generator.has_sound = 0.0 if self.heard.is_silent else 1.0
        renderer.lead, renderer.spoken_s = part.lead, told.spoken_s
        return Ready(part, told, renderer, self.progress)

    @property
    def time_base(self) -> Fraction:
        """In which the output's times are counted."""
        return fine_base(self.info.frame_rate) if self.info.is_still else self.info.time_base

    def _assembler(self, first_pts: int) -> Assembler:
        return Assembler(
            self.out,
            self.info,
            time_base=self.time_base,
            first_pts=first_pts,
            sound=self.sound,
            copied=self.copied,
            tracks=self.tracks,
            stamp=stamp_of(self.base),
            stream=self.stream,
            seal=lambda part: seal(part, self.out.name, details_of(self.base, self.config)),
        )

    def _end(self, assembler: Assembler, records: list[Record]) -> None:
        end_s = records[-1].last_s + 1 / float(self.info.frame_rate)
        assembler.finish(end_s)
        more = format_warning(self.info), UNSIGNED if self.stream else ""
        self._warnings = [*assembler.warnings, *filter(None, more)]
        over_s = self.sound.end_s - end_s if self.sound is not None else 0.0
        if over_s > 0.01:
            length_s = end_s - records[0].first_s
            self._warnings.append(f"the sound is {over_s:.2f} s longer than the video and was cut at {length_s:.2f} s")

    def _check(self, records: list[Record]) -> None:
        if any(record.rendered or any(row[2] == IDLE for row in record.passed) for record in records):
            return
        why = ", ".join(sorted({str(row[2]) for record in records for row in record.passed})) or "no picture"
        raise NoFaceError(
            f"{self.info.path}: no frame can be done ({why}); use a video with a larger face, seen from the front"
        )
