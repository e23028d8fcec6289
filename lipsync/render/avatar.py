"""Say something with a template: footage is played forth and back as long as the speech lasts, a photo is held.

Which pictures are shown when is decided in template.py, from all that is looked at: of a long template its first
LOOKED_AT_S, and in a stream, whose first picture shall leave soon, its first STREAM_LOOKED_AT_S; four times as much as
long as no face in it can be done. Going back reads blocks of pictures again, so that memory does not grow with the
template's length. A photo's head sways a little, slowly (see sway.py), and it blinks (see blink.py).
"""

import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np

from lipsync.config import RenderConfig
from lipsync.errors import FaceChoiceError, MediaError, NoFaceError
from lipsync.faces.detect import FaceDetector, open_detector
from lipsync.faces.follow import read_stretch
from lipsync.media import Picture, probe, read_pictures
from lipsync.media.supply import SoundSupply
from lipsync.model.base import Base
from lipsync.progress import Progress, Silent
from lipsync.render.blocks import RUN_IN
from lipsync.render.carry import Carry, Start
from lipsync.render.generate import listen
from lipsync.render.job import Production
from lipsync.render.part import Part
from lipsync.render.pieces import job_key
from lipsync.render.plan import Plan, make_plan, read_references
from lipsync.render.result import RenderResult
from lipsync.render.sequence import AnyPicture, Sequence
from lipsync.render.sway import enliven
from lipsync.render.template import bounce, hold
from lipsync.types import Sound, Speech, VideoInfo

T = TypeVar("T")
BLOCK_BYTES = 96 << 20  # pictures held while a template is played back
LOOKED_AT_S, STREAM_LOOKED_AT_S = 600.0, 20.0  # of a template; 3 kB are held for each picture of it


def say(
    speech: Speech | Sound,
    template: Path,
    out: Path,
    base: Base,
    config: RenderConfig | None = None,
    progress: Progress | None = None,
    *,
    detector: FaceDetector | None = None,
    stream: bool = False,
    pieces: Path | None = None,
) -> RenderResult:
    """Make the person in a template say something; the video is as long as the speech and `config.tail_s`.

    Args:
        speech: what is said; its first sample is heard at the first picture.
        template: a video or photo of the person.
        out: the .mp4 to write; it appears when it is whole, unless `stream`.
        detector: instead of the one that `config` names.
        stream: write a fragmented MP4 as it comes; `out` may then be "-", standard output. Nothing can be resumed.
        pieces: a folder in which finished pieces stay for the next render, see dub.

    Raises:
        NoFaceError: no usable face, or several and no choice.
        MediaError: the template is not a video or photo, or damaged.
        SpeechError: empty sound.
    """
    config, progress = config or RenderConfig(), progress or Silent()
    detector = detector or open_detector(config.detector, look=True)
    template, out = Path(template), Path(out)
    given = speech.sound if isinstance(speech, Speech) else speech
    sound = Sound(given.samples, given.sample_rate_hz, 0.0)
    heard = listen(sound)
    begun = time.monotonic()
    plan = _plan_of(template, STREAM_LOOKED_AT_S if stream else LOOKED_AT_S, config, base, progress, detector)
    planned_s = time.monotonic() - begun
    length_s = sound.duration_s + config.tail_s
    still = plan.info.is_still
    sequence = hold(plan, length_s) if still else bounce(plan, length_s)
    finish = enliven(plan, config, detector) if still else None
    orders = orders_of(sequence, config.first_s if stream else config.segment_s, plan.info)
    production = Production(
        plan.info, out, base, config, progress, job_key(base, config, template), heard, SoundSupply(sound),
        tracks=False, frames=len(sequence), finish=finish, stream=stream, folder=pieces, orders=orders,
    )  # fmt: skip
    production.seconds["plan"] = planned_s
    references = read_references(plan, base.pixel.config.size_px)
    lasts = np.cumsum([len(order) - lead for order, lead in orders]).tolist()

    def parts(start: Start | None, carry: Carry | None) -> Iterator[Part]:
        for number in range(start.number if start is not None else 0, len(orders)):
            order, lead = orders[number]
            yield Part(number, plan, order, lead, references, Start(number + 1, lasts[number]))

    def pictures(part: Part) -> Iterator[AnyPicture]:
        return read_order(plan, part.sequence.frames) if still else decode_order(plan, part.sequence.frames)

    return production.run(parts, pictures)


def _plan_of(
    template: Path, end_s: float, config: RenderConfig, base: Base, progress: Progress, detector: FaceDetector
) -> Plan:
    """The plan of a template's beginning; of more where nothing there can be done. Raises: see make_plan."""
    info = probe(template)
    while not info.is_still and end_s < info.duration_s:
        try:
            return make_plan(template, config, base.pixel.config.size_px, progress, detector, end_s)
        except FaceChoiceError:
            raise
        except NoFaceError:
            end_s *= 4
    return make_plan(template, config, base.pixel.config.size_px, progress, detector)


def orders_of(sequence: Sequence, piece_s: float, info: VideoInfo) -> list[tuple[Sequence, int]]:
    """A sequence in parts of `piece_s`, each with how many positions of the part before run in."""
    frames = max(1, round(piece_s * float(info.frame_rate)))
    firsts = range(0, len(sequence), frames)
    return [
        (sequence.part(max(0, first - RUN_IN), min(first + frames, len(sequence))), min(first, RUN_IN))
        for first in firsts
    ]


def decode_order(plan: Plan, frames: np.ndarray, block_bytes: int = BLOCK_BYTES) -> Iterator[Picture]:
    """A video template's pictures in any order, as they are decoded; see `read_order`."""
    info = plan.info

    def stretch(first: int, last: int) -> Iterator[Picture]:
        start_s = float(plan.times_s[first]) if first else 0.0
        pictures = read_pictures(info.path, start_s=start_s, count=False)
        at = first
        for at, picture in enumerate(islice(pictures, last - first), first):
            if picture.pts != plan.pts[at]:
                break
            yield picture
        else:
            at += 1
        if at != last:
            raise MediaError(f"{info.path}: other pictures than when it was planned; did the file change meanwhile?")

    return _in_order(frames, max(1, 2 * block_bytes // (info.width * info.height * 3)), stretch)


def read_order(plan: Plan, frames: np.ndarray, block_bytes: int = BLOCK_BYTES) -> Iterator[np.ndarray]:
    """The template's pictures in any order; stretches that go forth are read as a stream, those that go back in blocks.

    Args:
        frames: (N,) template frames.
        block_bytes: how much a block may hold, at least one picture.
    """
    block = max(1, block_bytes // (plan.info.width * plan.info.height * 3))
    return _in_order(frames, block, lambda first, last: read_stretch(plan, first, last))


def _in_order(frames: np.ndarray, block: int, stretch: Callable[[int, int], Iterator[T]]) -> Iterator[T]:
    at = 0
    while at < len(frames):
        step = int(frames[at + 1] - frames[at]) if at + 1 < len(frames) else 0
        stop = at + 1
        while stop < len(frames) and frames[stop] - frames[stop - 1] == step:
            stop += 1
        first, last = int(frames[at]), int(frames[stop - 1])
        if step == 1:
            yield from stretch(first, last + 1)
        elif step == -1:
            for high in range(first + 1, last, -block):
                yield from reversed(list(stretch(max(high - block, last), high)))
        else:
            image = next(stretch(first, first + 1))
            for _ in range(at, stop if step == 0 else at + 1):
                yield image
            stop = stop if step == 0 else at + 1
        at = stop
