"""Another sound for a finished video: its coded pictures are copied as they are, to the last bit and tick.

The file keeps the pictures' times, size, rotation, colour description and tags; only the sound track is coded anew.
"""

from pathlib import Path

import av

from lipsync.errors import MediaError
from lipsync.media.sound import SoundTrack
from lipsync.media.source import open_source, picture_stream
from lipsync.media.whole import WholeFile
from lipsync.types import Sound


def write_with_sound(video: str | Path, sound: Sound, out: str | Path) -> None:
    """Write `video` with `sound` in place of its own; appears when it is whole.

    Args:
        video: an MP4 as `VideoWriter` makes it, without B-frames.
        sound: heard from its `start_s` on, on the video's clock.
        out: the .mp4, .m4v or .mov to write; replaced if it exists.

    Raises:
        MediaError: not a video, or the file cannot be written.
    """
    file = WholeFile(out)
    try:
        with open_source(video) as source:
            stream = picture_stream(source)
            form = "mov" if file.target.suffix.lower() == ".mov" else "mp4"
            scale = stream.time_base.denominator if stream.time_base else 1000
            options = {"movflags": "+faststart", "movie_timescale": str(scale)}
            with av.open(f"file:{file.part}", mode="w", format=form, container_options=options) as container:
                container.metadata.update(source.container.metadata)
                copy = container.add_stream_from_template(stream)
                track = SoundTrack(container, sound)
                for packet in source.container.demux(stream):
                    if packet.dts is None or packet.pts is None or packet.time_base is None:
                        continue
                    time_s = float(packet.pts * packet.time_base)
                    packet.stream = copy
                    container.mux(packet)
                    track.write_until(time_s)
                track.finish()
        file.keep()
    except av.FFmpegError as error:
        raise MediaError(f"{file.target}: cannot be written with its sound ({error.strerror})") from error
    finally:
        file.drop()
