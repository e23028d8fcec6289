"""Write H.264 and AAC to MP4 as pictures come, with the source's times, size, rotation and colour description.

With `like` (what `probe` said of the source) every picture keeps the source's exact time stamp, in the source's own
time base; it is coded turned as the source was, under the same display matrix, pixel aspect and colour tags. Without
it, times count up by `frame_rate`, and colours are BT.709, limited range. A still's colours are never carried over:
they describe a photo, not a video.

No B-frames: pictures are stored in the order they are shown, so that the track's length comes out right at a variable
frame rate (measured: 65 ms short with them) and a reader that ignores edit lists sees the same times.

Pictures that come as they were decoded (`Picture`) go to the encoder in their own planes. Sizes are kept exactly, and
so are chroma subsampling and depth (8 or 10 bits) where the source has a format that H.264 knows; anything else is
4:2:0. H.264 can code an odd width or height only without chroma subsampling, so those are written as 4:4:4, which
browsers' and desktop software decoders play and some hardware decoders do not.

Sound is coded while pictures come and interleaved with them; what is longer than the pictures stays. MP4 shows
nothing before time zero: where the first picture's time is negative, all times, the sound's too, move by that much.
The file is written under a temporary name and appears when it is whole.
"""

from collections.abc import Callable
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import av
import numpy as np
from av.container import OutputContainer
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange
from av.video.stream import VideoStream

from lipsync.errors import MediaError
from lipsync.media.colour import BT709, describes_video, from_rgb, matrix_of, planes_of
from lipsync.media.orient import turned
from lipsync.media.picture import Picture, planar, plane_format, planes, subsampling
from lipsync.media.supply import SoundSupply, SoundTrack
from lipsync.media.whole import WholeFile
from lipsync.types import Sound, VideoInfo

_SUFFIXES = (".mp4", ".m4v", ".mov")
# The tags an MP4 file has a place for.
TAGS = ("title", "artist", "album", "comment", "description", "copyright", "genre", "date", "synopsis", "keywords")


class VideoWriter:
    """Writes one video; use as a context manager.

    Args:
        path: the file to write, .mp4, .m4v or .mov; replaced in one step at the end if it exists.
        width, height: of the upright pictures that `write` will be given, in px.
        frame_rate: the nominal rate; gives the times of pictures that come without one.
        sound: heard from its own `start_s` on, at its own rate and channels; None: no sound track.
        like: the source whose times, rotation, colours and pixel aspect to keep.
        crf: H.264 quality, 0 (lossless) to 51.
        preset: libx264's speed.
        stamp: container tags such as {"comment": …}.
        seal: is given the finished file, still under its temporary name, to change in place.

    Raises:
        MediaError: a name, size or tag that cannot be written; on leaving, when no picture was written.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        width: int,
        height: int,
        frame_rate: Fraction,
        sound: Sound | None = None,
        like: VideoInfo | None = None,
        crf: float = 18,
        preset: str = "veryfast",
        stamp: dict[str, str] | None = None,
        seal: Callable[[Path], None] | None = None,
    ) -> None:
        self.file, self.seal = WholeFile(path), seal
        self.path = self.file.target
        if self.path.suffix.lower() not in _SUFFIXES:
            raise MediaError(f"{self.path}: only {', '.join(_SUFFIXES)} files are written; rename the output")
        if min(width, height) < 2 or max(width, height) > 16384 or frame_rate <= 0:
            raise MediaError(f"{self.path}: {width}×{height} px at {frame_rate} frames a second cannot be written")
        unknown = set(stamp or {}) - set(TAGS)
        if unknown:
            raise MediaError(f"{self.path}: MP4 has no tag {sorted(unknown)}; the known ones are {', '.join(TAGS)}")
        self.width, self.height, self.frame_rate = width, height, Fraction(frame_rate)
        self.sound, self.like, self.crf, self.preset, self.stamp = sound, like, crf, preset, stamp or {}
        self.orientation = turned(like.rotation if like is not None and not like.is_still else 0)
        self.colour = like.colour if like is not None and describes_video(like) else BT709
        self.time_base = like.time_base if like is not None and not like.is_still else fine_base(self.frame_rate)
        self.frames = 0
        self._shift_pts = 0  # added to all times when the first is negative
        self._last_pts: int | None = None
        self._container: OutputContainer | None = None
        self._stream: VideoStream | None = None
        self._sound_track: SoundTrack | None = None

    def __enter__(self) -> Self:
        """Open the temporary file."""
        try:
            container = av.open(
                f"file:{self.file.part}",
                mode="w",
                format="mov" if self.path.suffix.lower() == ".mov" else "mp4",
                container_options={
                    "movflags": "+faststart",
                    "movie_timescale": str(movie_timescale(self.time_base)),
                },
            )
        except (av.FFmpegError, OSError) as error:
            raise MediaError(f"{self.path}: cannot be written ({error.strerror}); check the folder") from error
        self._container = container
        try:
            container.metadata.update(self.stamp)
            self._stream = self._video_stream(container)
            self._sound_track = SoundTrack(container, SoundSupply(self.sound)) if self.sound is not None else None
        except BaseException:
            self._abandon()
            raise
        return self

    def write(self, image: np.ndarray | Picture, time_s: float | None = None, pts: int | None = None) -> None:
        """Append one upright picture, uint8 (H, W, 3) RGB, or one as it was decoded from `like`.

        Args:
            image: the picture; a decoded one goes to the encoder in its own planes, unconverted.
            time_s: when it is shown; used where `pts` is not given.
            pts: the same in ticks of `like.time_base`: exact. With neither, the next tick of `frame_rate`.

        Raises:
            MediaError: another size or type than announced, or a time not later than the last picture's.
        """
        if self._container is None or self._stream is None:
            raise MediaError(f"{self.path}: the writer is not open; use it in a with statement")
        frame = self._frame(image, self._stream.pix_fmt or "yuv420p")
        pts = self._pts(time_s, pts)
        frame.pts, frame.time_base = pts, self.time_base
        frame.pict_type = 0  # a decoded frame still says what it was coded as, which x264 would obey
        frame.duration = max(1, round(1 / (self.frame_rate * self.time_base)))
        try:
            self._container.mux(self._stream.encode(frame))
            if self._sound_track is not None:
                self._sound_track.write_until(float(pts * self.time_base))
        except av.FFmpegError as error:
            raise MediaError(f"{self.path}: writing failed at picture {self.frames} ({error.strerror})") from error
        self._last_pts, self.frames = pts, self.frames + 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Finish and rename; on an error remove what was written."""
        if kind is not None:
            self._abandon()
            return
        try:
            self._finish()
        except BaseException:
            self._abandon()
            raise

    def _finish(self) -> None:
        if self._container is None or self._stream is None:
            return
        if self.frames == 0:
            raise MediaError(f"{self.path}: no picture was given, so there is no video to write")
        try:
            self._container.mux(self._stream.encode(None))
            if self._sound_track is not None:
                self._sound_track.finish()
            self._container.close()
        except av.FFmpegError as error:
            raise MediaError(f"{self.path}: writing failed at the end ({error.strerror})") from error
        self._container = None
        if self.seal is not None:
            self.seal(self.file.part)
        self.file.keep()

    def _abandon(self) -> None:
        if self._container is not None:
            with suppress(av.FFmpegError):
                self._container.close()
            self._container = None
        self.file.drop()

    def _frame(self, image: np.ndarray | Picture, pixel_format: str) -> VideoFrame:
        """The picture as the encoder takes it. Raises MediaError for another size or type than announced."""
        if isinstance(image, Picture):
            if image.size != (self.width, self.height):
                raise MediaError(
                    f"{self.path}: picture {self.frames} is {image.size}, expected {(self.width, self.height)}"
                )
            named = plane_format(image.frame.format.name, image.frame.width, image.frame.height)
            if named == pixel_format and image.turn == self.orientation:
                return planar(image.frame, named)
            image = image.rgb()
        if image.shape != (self.height, self.width, 3) or image.dtype != np.uint8:
            raise MediaError(
                f"{self.path}: picture {self.frames} is {image.dtype} {image.shape}, "
                f"expected uint8 {(self.height, self.width, 3)}"
            )
        return self._from_rgb(np.ascontiguousarray(self.orientation.coded(image)), pixel_format)

    def _from_rgb(self, coded: np.ndarray, pixel_format: str) -> VideoFrame:
        if pixel_format in ("yuv420p", "yuv444p"):
            return from_rgb(coded, pixel_format, self.colour)
        height, width = coded.shape[:2]
        frame, bits = VideoFrame(width, height, pixel_format), 10 if pixel_format.endswith("10le") else 8
        full = self.colour.get("color_range") == ColorRange.JPEG
        matrix = matrix_of(self.colour.get("colorspace", 2), height)
        made = planes_of(coded, matrix, full, subsampling(pixel_format))
        for plane, values in zip(planes(frame), made, strict=True):
            plane[:] = np.clip(np.rint(values * 2 ** (bits - 8)), 0, 2**bits - 1)
        return frame

    def _pts(self, time_s: float | None, pts: int | None) -> int:
        if pts is None:
            exact_s = Fraction(self.frames) / self.frame_rate if time_s is None else Fraction(time_s)
            pts = round(exact_s / self.time_base)
        if self._last_pts is None:
            self._shift_pts = max(0, -pts)
            if self._sound_track is not None and self.sound is not None:
                self._sound_track.begin(float(self._shift_pts * self.time_base))
        pts += self._shift_pts
        if self._last_pts is not None and pts <= self._last_pts:
            raise MediaError(
                f"{self.path}: picture {self.frames} at {float(pts * self.time_base):.4f} s is not later than the one "
                f"before, at {float(self._last_pts * self.time_base):.4f} s"
            )
        return pts

    def _video_stream(self, container: OutputContainer) -> VideoStream:
        turn = self.orientation
        width, height = (self.height, self.width) if turn.transposed else (self.width, self.height)
        # x264's macroblock tree reads memory that it never wrote in small pictures: the same frames, other bytes.
        stream = container.add_stream(
            "libx264",
            rate=self.frame_rate.limit_denominator(1001),
            options={"crf": str(self.crf), "preset": self.preset, "bf": "0", "x264-params": "mbtree=0"},
            time_base=self.time_base,
            width=width,
            height=height,
        )
        stream.pix_fmt = self._pixel_format(width, height)
        context = stream.codec_context
        for name, value in self.colour.items():
            setattr(context, name, value)
        if self.like is not None and self.like.pixel_aspect != 1:
            context.sample_aspect_ratio = self.like.pixel_aspect
        if turn.rotation:
            stream.set_display_rotation(-turn.rotation)
        return stream

    def _pixel_format(self, width: int, height: int) -> str:
        """The source's own where H.264 has it, else 4:2:0, or 4:4:4 for odd sizes."""
        if self.like is not None and describes_video(self.like):
            named = plane_format(self.like.pixel_format, width, height)
            if named:
                return named
        return "yuv444p" if width % 2 or height % 2 else "yuv420p"


def movie_timescale(time_base: Fraction) -> int:
    """Ticks a second of an MP4's own clock, in which edit lists state where a track begins: the pictures' exactly."""
    return time_base.denominator * -(-1000 // time_base.denominator)


def fine_base(frame_rate: Fraction) -> Fraction:
    """A time base in which k/frame_rate is exact and any other time is within 10 µs."""
    fine = max(1, -(-50_000 // frame_rate.numerator))
    return Fraction(1, frame_rate.numerator * fine)
