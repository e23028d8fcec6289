"""Another sound for a finished video: its coded pictures are copied as they are, to the last bit and tick.

The file keeps the pictures' times, size, rotation, colour description and tags; only the sound track is coded anew.
"""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.container import OutputContainer

from lipsync.errors import MediaError
from lipsync.media.source import open_source, picture_stream
from lipsync.media.whole import WholeFile
from lipsync.types import Sound

_AAC_RATES_HZ = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000)
_LAYOUTS = {1: "mono", 2: "stereo", 3: "3.0", 4: "4.0", 5: "5.0", 6: "5.1", 8: "7.1"}
_PIECE = 1 << 16  # samples handed over at a time


def write_with_sound(
    video: str | Path, sound: Sound, out: str | Path, seal: Callable[[Path], None] | None = None
) -> None:
    """Write `video` with `sound` in place of its own; appears when it is whole.

    Args:
        video: an MP4 as `VideoWriter` makes it, without B-frames.
        sound: (N,) or (N, C), heard from time zero of the video's clock on.
        out: the .mp4, .m4v or .mov to write; replaced if it exists.
        seal: is given the finished file, still under its temporary name, to change in place.

    Raises:
        MediaError: not a video, channels that no layout has, or the file cannot be written.
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
                track = _Coder(container, sound)
                for packet in source.container.demux(stream):
                    if packet.dts is None or packet.pts is None or packet.time_base is None:
                        continue
                    time_s = float(packet.pts * packet.time_base)
                    packet.stream = copy
                    container.mux(packet)
                    track.write_until(time_s)
                track.finish()
        if seal is not None:
            seal(file.part)
        file.keep()
    except av.FFmpegError as error:
        raise MediaError(f"{file.target}: cannot be written with its sound ({error.strerror})") from error
    finally:
        file.drop()


class _Coder:
    """An AAC track, coded up to where the pictures are, so that both lie interleaved."""

    def __init__(self, container: OutputContainer, sound: Sound) -> None:
        channels = 1 if sound.samples.ndim == 1 else sound.samples.shape[1]
        if channels not in _LAYOUTS or not len(sound.samples):
            raise MediaError(f"sound of {len(sound.samples)} samples in {channels} channels cannot be written")
        self.samples, self.rate = sound.samples.reshape(-1, channels), sound.sample_rate_hz
        self.layout, self.at, self.container = _LAYOUTS[channels], 0, container
        coded = self.rate if self.rate in _AAC_RATES_HZ else 48000
        self.resampler = AudioResampler("fltp", self.layout, coded)
        self.stream = container.add_stream("aac", rate=coded, bit_rate=(48_000 + coded) * channels)
        self.stream.codec_context.layout = self.layout

    def write_until(self, time_s: float) -> None:
        """Hand over what is heard before `time_s`."""
        while self.at < len(self.samples) and self.at < time_s * self.rate:
            piece = self.samples[self.at : self.at + _PIECE]
            planes = np.ascontiguousarray(piece.T, dtype=np.float32)
            frame = AudioFrame.from_ndarray(planes, format="fltp", layout=self.layout)
            frame.sample_rate, frame.pts, frame.time_base = self.rate, self.at, Fraction(1, self.rate)
            for part in self.resampler.resample(frame):
                self.container.mux(self.stream.encode(part))
            self.at += len(piece)

    def finish(self) -> None:
        """Code the rest."""
        self.write_until(float("inf"))
        for part in self.resampler.resample(None):
            self.container.mux(self.stream.encode(part))
        self.container.mux(self.stream.encode(None))
