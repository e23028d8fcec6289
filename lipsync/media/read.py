"""Read what a video is and its pictures: upright RGB with the exact time of each, one at a time.

`Frame.time_s` is the picture's own presentation time on the source's clock (see `source.py`), so variable frame rate
needs nothing special, and `Frame.pts` is the same time in ticks of `VideoInfo.time_base`. Pictures keep the size they
are coded with, turned upright; pixels that are not square stay as they are (`VideoInfo.pixel_aspect`).
"""

import re
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from heapq import heappop, heappush
from pathlib import Path

import av
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from lipsync.errors import MediaError
from lipsync.media.colour import matrix_of
from lipsync.media.orient import Orientation, orientation_of
from lipsync.media.picture import Picture
from lipsync.media.source import Source, open_source, picture_stream, sound_stream
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
        frame, _ = next(_decoded(source, stream, tolerant=False), (None, None))
        if frame is None:
            raise MediaError(f"{source.path}: no picture in it can be decoded; the file is damaged")
        _check_colour(source, frame)
        return _info(source, stream, frame)


def read_frames(
    path: str | Path, *, start_s: float = 0.0, end_s: float | None = None, tolerant: bool = False, count: bool = True
) -> Iterator[Frame]:
    """Yield the pictures shown at start_s ≤ time < end_s, in order; memory does not grow with length.

    Args:
        path: any video or picture file.
        start_s: on the source's clock; 0 or less means from the first picture, even one with a negative time.
        end_s: on the source's clock; None: to the end.
        tolerant: skip what is broken instead of raising.
        count: False: `index` counts from start_s, which saves reading through everything before it.

    Yields:
        Frame: upright uint8 (H, W, 3) RGB; `index` counts from the file's first picture; times strictly increase.

    Raises:
        MediaError: not media; or at the break of a damaged or truncated file, naming its time, after every picture
            before it has been yielded (unless `tolerant`).
    """
    for picture in read_pictures(path, start_s=start_s, end_s=end_s, tolerant=tolerant, count=count):
        yield Frame(picture.rgb(), picture.index, picture.time_s, picture.pts)


def read_pictures(
    path: str | Path, *, start_s: float = 0.0, end_s: float | None = None, tolerant: bool = False, count: bool = True
) -> Iterator[Picture]:
    """The same as `read_frames`, but as they were decoded: what needs only a part of a picture converts only that.

    Args, errors: see `read_frames`.
    """
    with open_source(path) as source:
        stream = picture_stream(source)
        index = _seek(source, stream, start_s, count) if start_s > 0 else 0
        size, turn = None, Orientation()
        for frame, pts in _timed(source, stream, _decoded(source, stream, tolerant)):
            time_s = float(pts * _time_base(stream))
            if start_s > 0 and time_s < start_s - _MICROSECOND:
                continue
            if end_s is not None and time_s >= end_s - _MICROSECOND:
                return
            if size is None:
                size = (frame.width, frame.height)
                turn = orientation_of(frame, source.path if _is_still(source, stream) else None)
                _check_colour(source, frame)
            if (frame.width, frame.height) != size:
                raise MediaError(
                    f"{source.path}: the picture changes from {size[0]}×{size[1]} to {frame.width}×{frame.height} px "
                    f"at {time_s:.3f} s; split the file there or scale it to one size"
                )
            yield Picture(frame, turn, index, time_s, pts)
            index += 1


def _is_still(source: Source, stream: VideoStream) -> bool:
    return source.container.format.name.endswith("_pipe") or stream.frames == 1


def _time_base(stream: VideoStream) -> Fraction:
    return stream.time_base or Fraction(1, 90000)


def _rate(stream: VideoStream) -> Fraction:
    return stream.average_rate or stream.guessed_rate or stream.base_rate or _STILL_RATE


def _decoded(source: Source, stream: VideoStream, tolerant: bool) -> Iterator[tuple[VideoFrame, int | None]]:
    """Every picture that can be decoded and its stated time in ticks, then MediaError at the break unless tolerant."""
    stream.thread_type = "AUTO"
    end, why, in_order = 0, "", source.container.format.name == "avi"
    decode_times: list[int] = []  # AVI states no presentation times: the n-th picture takes the n-th decode time
    packets = source.container.demux(stream)
    while not why:
        try:
            packet = next(packets, None)
            if packet is None:
                break
            if packet.is_corrupt:
                raise av.InvalidDataError(0, "incomplete data")
            pictures = packet.decode()
        except av.FFmpegError as error:
            if tolerant:
                continue
            why, pictures = error.strerror or "unreadable data", _flushed(stream)
        else:
            if packet.dts is not None:
                end = max(end, packet.dts + (packet.duration or 0))
                heappush(decode_times, packet.dts)
        for frame in pictures:
            stated = frame.pts if frame.pts is not None else frame.dts
            yield frame, heappop(decode_times) if in_order and decode_times else stated
    if not why and source.cut:
        why = f"its {source.cut} part goes on beyond the end of the file"
    if why and not tolerant:
        end_s = float(end * _time_base(stream) - source.zero_s)
        raise MediaError(
            f"{source.path}: breaks off at {end_s:.3f} s ({why}); the file is truncated or damaged: copy it again, "
            "or cut it before that time"
        )


def _flushed(stream: VideoStream) -> list[VideoFrame]:
    """The pictures a decoder still holds back."""
    with suppress(av.FFmpegError):
        return stream.codec_context.decode(None)
    return []


def _timed(
    source: Source, stream: VideoStream, frames: Iterator[tuple[VideoFrame, int | None]]
) -> Iterator[tuple[VideoFrame, int]]:
    """Each picture with its pts counted from the clock's zero; strictly increasing; a missing pts is filled in."""
    zero = source.zero_pts(_time_base(stream))
    step = max(1, round(1 / (_rate(stream) * _time_base(stream))))
    last = None
    for frame, stated in frames:
        pts = stated - zero if stated is not None else (0 if last is None else last + step)
        if last is not None and pts <= last:
            pts = last + 1
        last = pts
        yield frame, pts


def _seek(source: Source, stream: VideoStream, start_s: float, count: bool) -> int:
    """Go to the last key picture before start_s; the number of pictures before it (packets), 0 without `count`."""
    time_base, zero = _time_base(stream), source.zero_pts(_time_base(stream))
    start = zero + round(Fraction(start_s - _MICROSECOND) / time_base)
    before = _pictures_before(source, stream, start) if count else 0
    with suppress(av.FFmpegError):  # not seekable: decoding starts at the beginning instead
        source.container.seek(start, stream=stream, backward=True)
    return before


def _pictures_before(source: Source, stream: VideoStream, start: int) -> int:
    """How many pictures are shown before pts `start`."""
    before = 0
    with open_source(source.path) as counting:
        for packet in counting.container.demux(counting.container.streams[stream.index]):
            stated = packet.pts if packet.pts is not None else packet.dts
            if stated is None or packet.is_discard:
                continue
            before += stated < start
            if packet.dts is not None and packet.dts >= start:
                break
    return before


def _duration_s(source: Source, stream: VideoStream) -> float:
    if stream.duration:
        return float(stream.duration * _time_base(stream))
    stated = re.fullmatch(r"(\d+):(\d+):(\d+(?:\.\d+)?)", stream.metadata.get("DURATION", ""))  # Matroska
    if stated:
        return int(stated[1]) * 3600 + int(stated[2]) * 60 + float(stated[3])
    return (source.container.duration or 0) / 1_000_000


def _check_colour(source: Source, frame: VideoFrame) -> None:
    try:
        matrix_of(frame.colorspace, frame.height)
    except MediaError as error:
        raise MediaError(f"{source.path}: {error}") from error


def _info(source: Source, stream: VideoStream, frame: VideoFrame) -> VideoInfo:
    time_base, rate = _time_base(stream), _rate(stream)
    still = _is_still(source, stream)
    duration_s = _duration_s(source, stream)
    frames = 1 if still else stream.frames or round(duration_s * rate)
    turn = orientation_of(frame, source.path if still else None)
    width, height = (frame.height, frame.width) if turn.transposed else (frame.width, frame.height)
    sound = sound_stream(source)
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
