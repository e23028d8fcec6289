"""Read what a video is and its pictures: upright RGB with the exact time of each, one at a time.

`Frame.time_s` is the picture's own presentation time on the source's clock (see `source.py`), so variable frame rate
needs nothing special, and `Frame.pts` is the same time in ticks of `VideoInfo.time_base`. Pictures keep the size they
are coded with, turned upright; pixels that are not square stay as they are (`VideoInfo.pixel_aspect`).
"""

from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from lipsync.errors import MediaError
from lipsync.media.colour import matrix_of, to_rgb
from lipsync.media.orient import Orientation, orientation_of
from lipsync.media.source import Source, open_source, picture_stream
from lipsync.types import Frame, VideoInfo

_STILL_RATE = Fraction(25)
_MICROSECOND = 1e-6


def probe(path: str | Path) -> VideoInfo:
    """What a video or picture file is; decodes its first picture.

    Raises:
        MediaError: not a readable file, no picture in it, or a picture that cannot be decoded.
    """
    with open_source(path) as source:
        stream = picture_stream(source)
        frame = next((frame for frame in _decoded(source, stream, tolerant=False)), None)
        if frame is None:
            raise MediaError(f"{source.path}: no picture in it can be decoded; the file is damaged")
        _check_colour(source, frame)
        return _info(source, stream, frame)


def read_frames(
    path: str | Path, *, start_s: float = 0.0, end_s: float | None = None, tolerant: bool = False
) -> Iterator[Frame]:
    """Yield the pictures shown at start_s ≤ time < end_s, in order; memory does not grow with length.

    Args:
        path: any video or picture file.
        start_s: on the source's clock; 0 or less means from the first picture, even one with a negative time.
        end_s: on the source's clock; None: to the end.
        tolerant: skip what is broken instead of raising.

    Yields:
        Frame: upright uint8 (H, W, 3) RGB; `index` counts from the file's first picture; times strictly increase.

    Raises:
        MediaError: not media; or at the break of a damaged or truncated file, naming its time, after every picture
            before it has been yielded (unless `tolerant`).
    """
    with open_source(path) as source:
        stream = picture_stream(source)
        index = _seek(source, stream, start_s) if start_s > 0 else 0
        size = None
        for frame, pts in _timed(source, stream, _decoded(source, stream, tolerant)):
            time_s = float(pts * _time_base(stream))
            if start_s > 0 and time_s < start_s - _MICROSECOND:
                continue
            if end_s is not None and time_s >= end_s - _MICROSECOND:
                return
            if size is None:
                size = (frame.width, frame.height)
                _check_colour(source, frame)
            if (frame.width, frame.height) != size:
                raise MediaError(
                    f"{source.path}: the picture changes from {size[0]}×{size[1]} to {frame.width}×{frame.height} px "
                    f"at {time_s:.3f} s; split the file there or scale it to one size"
                )
            image = orientation_of(frame).upright(to_rgb(frame).to_ndarray())
            yield Frame(np.ascontiguousarray(image), index, time_s, pts)
            index += 1


def _time_base(stream: VideoStream) -> Fraction:
    return stream.time_base or Fraction(1, 90000)


def _rate(stream: VideoStream) -> Fraction:
    return stream.average_rate or stream.guessed_rate or stream.base_rate or _STILL_RATE


def _decoded(source: Source, stream: VideoStream, tolerant: bool) -> Iterator[VideoFrame]:
    """Every picture that can be decoded, then MediaError at the break unless tolerant."""
    stream.thread_type = "AUTO"
    end_s = 0.0
    packets = source.container.demux(stream)
    try:
        for packet in packets:
            if packet.is_corrupt:
                raise av.InvalidDataError(0, "incomplete data")
            if packet.pts is not None:
                end_s = float((packet.pts + (packet.duration or 0)) * _time_base(stream) - source.zero_s)
            yield from packet.decode()
    except av.FFmpegError as error:
        if not tolerant:
            raise MediaError(f"{source.path}: breaks off at {end_s:.3f} s ({error.strerror})") from error


def _timed(source: Source, stream: VideoStream, frames: Iterator[VideoFrame]) -> Iterator[tuple[VideoFrame, int]]:
    """Each picture with its pts counted from the clock's zero; strictly increasing; a missing pts is filled in."""
    zero = source.zero_pts(_time_base(stream))
    step = max(1, round(1 / (_rate(stream) * _time_base(stream))))
    last = None
    for frame in frames:
        stated = frame.pts if frame.pts is not None else frame.dts
        pts = stated - zero if stated is not None else (0 if last is None else last + step)
        if last is not None and pts <= last:
            pts = last + 1
        last = pts
        yield frame, pts


def _seek(source: Source, stream: VideoStream, start_s: float) -> int:
    """Go to the last key picture before start_s; the number of pictures before start_s (packets, not decoded)."""
    time_base, zero = _time_base(stream), source.zero_pts(_time_base(stream))
    start = zero + round(Fraction(start_s - _MICROSECOND) / time_base)
    before = 0
    with open_source(source.path) as counting:
        for packet in counting.container.demux(counting.container.streams[stream.index]):
            stated = packet.pts if packet.pts is not None else packet.dts
            if stated is None or packet.is_discard:
                continue
            before += stated < start
            if packet.dts is not None and packet.dts >= start:
                break
    with suppress(av.FFmpegError):  # not seekable: decoding starts at the beginning instead
        source.container.seek(start, stream=stream, backward=True)
    return before


def _check_colour(source: Source, frame: VideoFrame) -> None:
    try:
        matrix_of(frame.colorspace, frame.height)
    except MediaError as error:
        raise MediaError(f"{source.path}: {error}") from error


def _info(source: Source, stream: VideoStream, frame: VideoFrame) -> VideoInfo:
    container, time_base, rate = source.container, _time_base(stream), _rate(stream)
    still = container.format.name.endswith("_pipe") or stream.frames == 1
    duration_s = float(stream.duration * time_base) if stream.duration else (container.duration or 0) / 1_000_000
    frames = 1 if still else stream.frames or round(duration_s * rate)
    turn: Orientation = orientation_of(frame)
    width, height = (frame.height, frame.width) if turn.transposed else (frame.width, frame.height)
    sound = next(iter(container.streams.audio), None)
    return VideoInfo(
        path=source.path,
        width=width,
        height=height,
        frame_rate=_STILL_RATE if still else rate,
        frames=frames,
        duration_s=0.0 if still else duration_s,
        rotation=turn.rotation,
        time_base=time_base,
        pixel_format=frame.format.name,
        colour={
            "colorspace": int(frame.colorspace),
            "color_range": int(frame.color_range),
            "color_primaries": int(frame.color_primaries),
            "color_trc": int(frame.color_trc),
        },
        sample_rate_hz=sound.rate if sound is not None else 0,
        channels=sound.channels if sound is not None else 0,
        is_still=still,
        pixel_aspect=stream.sample_aspect_ratio or Fraction(1),
    )
