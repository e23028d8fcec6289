"""A part of a video as a file of its own: coded pictures and sound are copied, nothing is coded anew.

A part can only begin at a key picture: it begins at the last one at or before the wanted time, so up to some seconds
early, and the new file's clock starts there.
"""

from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer, OutputContainer

from lipsync.errors import MediaError
from lipsync.media.source import open_source, picture_stream, sound_stream
from lipsync.media.whole import WholeFile


def copy_part(video: Path, out: Path, start_s: float, end_s: float | None) -> None:
    """Write the part of `video` from start_s to end_s (None: to its end) to `out`; appears when it is whole.

    Raises:
        MediaError: not a video, nothing in that part, or its codecs do not fit the suffix of `out`.
    """
    file = WholeFile(out)
    try:
        with open_source(video) as source:
            streams = [s for s in (picture_stream(source), sound_stream(source)) if s is not None]
            zero_s = source.zero_s
            try:
                with av.open(str(file.part), "w") as target:
                    outs = {s.index: target.add_stream_from_template(s) for s in streams}
                    picture = streams[0]
                    base = picture.time_base or Fraction(1, 90000)
                    if start_s > 0:
                        source.container.seek(round((Fraction(start_s) + zero_s) / base), stream=picture)
                    wanted = (start_s + float(zero_s), None if end_s is None else end_s + float(zero_s))
                    count = _copy(source.container, streams, outs, target, *wanted)
            except (av.FFmpegError, ValueError) as error:
                raise MediaError(f"{video}: no part of it can be copied to {out.suffix} ({error})") from error
        if not count:
            raise MediaError(f"{video}: nothing lies between {start_s:g} s and {end_s or 'its end'}; check the times")
        file.keep()
    finally:
        file.drop()


def _copy(
    source: InputContainer, streams: list, outs: dict, target: OutputContainer, start_s: float, end_s: float | None
) -> int:
    """Copy packets until all streams have reached end_s; the first picture's time becomes zero.

    Returns how many pictures lie in the part.
    """
    first_s: Fraction | None = None
    pictures, ended = 0, set()
    for packet in source.demux(streams):
        if packet.dts is None or packet.pts is None or packet.stream.index in ended:
            continue
        base = packet.time_base
        time_s = packet.pts * base
        if end_s is not None and packet.dts * base >= end_s:
            ended.add(packet.stream.index)
            if len(ended) == len(streams):
                break
            continue
        is_picture = packet.stream.index == streams[0].index
        if first_s is None and is_picture and packet.is_keyframe:
            first_s = time_s
        if first_s is None or time_s < first_s:
            continue
        shift = round(first_s / base)
        packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
        pictures += is_picture and time_s >= start_s
        packet.stream = outs[packet.stream.index]
        target.mux(packet)
    return pictures
