"""Another sound for a finished video: its coded pictures are copied as they are, to the last bit and tick.

The file keeps the pictures' times, size, rotation, colour description and tags, subtitles, chapters and other sound
tracks; only the sound track is coded anew.
"""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import av

from lipsync.errors import MediaError
from lipsync.media.assemble import CopiedTrack
from lipsync.media.source import open_source, picture_stream, sound_stream
from lipsync.media.supply import SoundSupply, SoundTrack
from lipsync.media.whole import WholeFile
from lipsync.types import Sound


def write_with_sound(
    video: str | Path,
    sound: Sound | Path,
    out: str | Path,
    seal: Callable[[Path], None] | None = None,
    *,
    end_s: float = float("inf"),
) -> None:
    """Write `video` with `sound` in place of its own; appears when it is whole.

    Args:
        video: an MP4 as `VideoWriter` makes it, without B-frames.
        sound: (N,) or (N, C), or a file, read block by block; heard from time zero of the video's clock on.
        out: the .mp4, .m4v or .mov to write; replaced if it exists.
        end_s: the sound ends here: cut, or followed by silence. Infinite: with its last sample.
        seal: is given the finished file, still under its temporary name, to change in place.

    Raises:
        MediaError: not a video, channels that no layout has, or the file cannot be written.
    """
    file, supply = WholeFile(out), SoundSupply(sound)
    try:
        with ExitStack() as stack:
            source = stack.enter_context(open_source(video))
            stream, replaced = picture_stream(source), sound_stream(source)
            form = "mov" if file.target.suffix.lower() == ".mov" else "mp4"
            scale = stream.time_base.denominator if stream.time_base else 1000
            options = {"movflags": "+faststart", "movie_timescale": str(scale)}
            container = av.open(f"file:{file.part}", mode="w", format=form, container_options=options)
            stack.enter_context(container)
            container.metadata.update(source.container.metadata)
            copy = container.add_stream_from_template(stream)
            beside: list[SoundTrack | CopiedTrack] = [SoundTrack(container, supply)]
            for other in source.container.streams:
                if other.type in ("audio", "subtitle") and other is not replaced:
                    own = stack.enter_context(open_source(video))  # each track is read at its own pace
                    beside.append(CopiedTrack(container, own, own.container.streams[other.index], own.zero_s))
            chapters = source.container.chapters()
            if chapters:
                container.set_chapters(chapters)
            for packet in source.container.demux(stream):
                if packet.dts is None or packet.pts is None or packet.time_base is None:
                    continue
                time_s = float(packet.pts * packet.time_base)
                packet.stream = copy
                container.mux(packet)
                for track in beside:
                    track.write_until(time_s)
            for track in beside:
                track.finish(end_s)
            container.close()
        if seal is not None:
            seal(file.part)
        file.keep()
    except av.FFmpegError as error:
        raise MediaError(f"{file.target}: cannot be written with its sound ({error.strerror})") from error
    finally:
        file.drop()
