"""Dub a video: its own pictures at their own times, the mouth following new sound or the mouth of another video.

Frame count, times, size, rotation, pixel format and colour description stay the source's. The video's length wins:
longer sound is cut (and the result says so), shorter sound is followed by silence, in which the mouth rests.
"""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from lipsync.config import RenderConfig
from lipsync.errors import MediaError, UsageError
from lipsync.faces.detect import FaceDetector, open_detector
from lipsync.media import Picture, probe, read_pictures
from lipsync.media.supply import SoundSupply
from lipsync.model.base import Base
from lipsync.progress import Progress, Silent
from lipsync.render.blocks import RUN_IN, Block, BlockPlanner
from lipsync.render.carry import Carry, Start
from lipsync.render.generate import listen, seen_shapes
from lipsync.render.job import Production
from lipsync.render.overlap import Ahead, share_memory
from lipsync.render.part import Part
from lipsync.render.pieces import job_key
from lipsync.render.result import RenderResult
from lipsync.render.sequence import Sequence
from lipsync.types import Sound, Speech, VideoInfo

READ_AHEAD = 8  # pictures


def dub(
    video: Path,
    speech: Speech | Sound | Path | None,
    out: Path,
    base: Base,
    config: RenderConfig | None = None,
    progress: Progress | None = None,
    *,
    mouth_video: Path | None = None,
    detector: FaceDetector | None = None,
    stream: bool = False,
    pieces: Path | None = None,
) -> RenderResult:
    """Make the person in `video` say something else.

    Args:
        video: the template; every frame of it is in the output, at its own time.
        speech: what is heard; its `start_s` is on the video's clock. A file is read part by part, and its sound is
            copied bit for bit where MP4 can hold it. None: the sound of `mouth_video`.
        out: the .mp4 to write; it appears when it is whole, unless `stream`.
        mouth_video: take the mouth's shapes from the landmarks of this video instead of from the sound.
        detector: instead of the one that `config` names.
        stream: write a fragmented MP4 as it comes; `out` may then be "-", standard output. Nothing can be resumed.
        pieces: a folder in which finished pieces stay, for the next sound; see pieces.py. Not used with `stream`.

    Raises:
        UsageError: neither speech nor another video's mouth; `pieces` holds other things.
        NoFaceError: no usable face, or several and no choice.
        MediaError: not a video, a photo, or damaged.
        SpeechError: empty sound.
    """
    share_memory()
    config, progress = config or RenderConfig(), progress or Silent()
    if speech is None and mouth_video is None:
        raise UsageError("dub needs speech, or another video whose mouth is followed")
    video, out = Path(video), Path(out)
    given = speech.sound if isinstance(speech, Speech) else speech
    info = probe(video)
    if info.is_still:
        raise MediaError(f"{video}: a photo has no length to dub; use say, which lets a photo speak")
    heard, size_px = listen(given), base.pixel.config.size_px
    detector = detector or open_detector(config.detector, look=True)
    supply, copied = _sound_of(given, mouth_video, video)
    shapes = None if mouth_video is None else follow_mouth(mouth_video, video, base, config, detector)
    frames, first = _block_frames(info, config, stream)
    production = Production(
        info, out, base, config, progress, job_key(base, config, video), heard, supply, copied,
        coefficients=shapes, frames=info.frames, stream=stream, folder=pieces,
    )  # fmt: skip
    reader = _Reader(info)

    def parts(start: Start | None, carry: Carry | None) -> Iterator[Part]:
        for block in BlockPlanner(info, config, size_px, detector, frames, start, carry, first):
            yield part_of(block)

    try:
        return production.run(parts, reader.pictures)
    finally:
        reader.close()


def _block_frames(info: VideoInfo, config: RenderConfig, stream: bool) -> tuple[int, int]:
    """Frames of a block, at most, and of the first."""
    frames, first = (max(1, round(length_s * info.frame_rate)) for length_s in (config.segment_s, config.first_s))
    if stream:
        return first, first
    if config.face == "sync":  # who speaks shows in time
        return frames, frames
    return frames, min(first, frames)


def part_of(block: Block) -> Part:
    """A block as a part of the output: its own pictures at their own times."""
    plan, lead = block.plan, block.start.first - block.lead
    sequence = Sequence(np.arange(len(plan)), plan.times_s, plan.pts)
    return Part(block.start.number, plan, sequence, lead, block.references, block.following, block.carry)


class _Reader:
    """Decodes a video once, a little ahead, for parts that overlap by their run-in; parts may be left out."""

    def __init__(self, info: VideoInfo) -> None:
        self.info, self._next = info, 0
        self._ahead: Ahead[Picture] | None = None
        self._last: deque[Picture] = deque(maxlen=RUN_IN)

    def pictures(self, part: Part) -> Iterator[Picture]:
        """The pictures of a part. Raises MediaError when the file is another than when it was planned."""
        wanted = part.sequence.pts
        if self._ahead is None or part.number != self._next:
            self.close()
            self._last.clear()
            start_s = float(part.sequence.times_s[0]) if part.number else 0.0
            self._ahead = Ahead(read_pictures(self.info.path, start_s=start_s, count=False), READ_AHEAD)
        self._next = part.number + 1
        kept = [picture for picture in self._last if picture.pts >= wanted[0]]
        for k, pts in enumerate(wanted):
            picture = kept[k] if k < len(kept) else next(self._ahead, None)
            if picture is None or picture.pts != pts:
                raise MediaError(
                    f"{self.info.path}: no picture at {float(pts * self.info.time_base):.3f} s, where there was one; "
                    "did the file change while it was read?"
                )
            if k >= len(kept):
                self._last.append(picture)
            yield picture

    def close(self) -> None:
        """Stop decoding."""
        if self._ahead is not None:
            self._ahead.close()


def follow_mouth(
    mouth_video: Path, video: Path, base: Base, config: RenderConfig, detector: FaceDetector
) -> Callable[[np.ndarray], np.ndarray]:
    """Mouth shapes (N, K) of another video at times on `video`'s clock, both beginning at their first pictures."""
    info, space, config = probe(mouth_video), base.shape.space, replace(config, face="")
    frames = max(1, round(config.segment_s * info.frame_rate))
    times, shapes = list[np.ndarray](), list[np.ndarray]()
    for block in BlockPlanner(info, config, base.pixel.config.size_px, detector, frames):
        lead = block.start.first - block.lead
        own = block.plan.times_s[lead:]
        times.append(own)
        if block.plan.able.any():
            shapes.append(seen_shapes(block.plan, space, own - block.plan.times_s[0]))
        else:
            shapes.append(np.zeros((len(own), space.size), np.float32))
    seen_s, seen = np.concatenate(times), np.concatenate(shapes)
    first_s = next(read_pictures(video)).time_s
    rest = (
        np.zeros((1, space.size), np.float32)
        if len(seen) == 0
        else space.encode(np.zeros((1, 31, 3)), np.zeros((31, 3)))
    )
    known_s, known = np.append(seen_s - seen_s[0], seen_s[-1] - seen_s[0] + 0.3), np.concatenate([seen, rest])

    def at(times_s: np.ndarray) -> np.ndarray:
        return np.stack([np.interp(times_s - first_s, known_s, column) for column in known.T], 1).astype(np.float32)

    return at


def _sound_of(
    given: Sound | Path | None, mouth_video: Path | None, video: Path
) -> tuple[SoundSupply | None, Path | None]:
    """What is heard, and the file it can be copied from."""
    if isinstance(given, Path):
        return SoundSupply(given), given
    if given is not None:
        return SoundSupply(given), None
    if mouth_video is None or not probe(mouth_video).sample_rate_hz:
        return None, None
    return SoundSupply(mouth_video, next(read_pictures(video)).time_s), mouth_video
