"""Open a local file as media, and say in a sentence why it cannot be.

Only the bytes of the named file are ever read. The file is opened by Python and handed over as an open file, every
ffmpeg protocol is forbidden for what the file itself may refer to, and playlists and session descriptions (HLS, DASH,
concat, SDP, …) are refused by name: a crafted upload can name neither another local file nor an address.

The clock. A time is `pts · time_base` as the container states it, edit lists applied, pictures and sound alike. Only
where a format's clock has an arbitrary origin (MPEG-TS and MPEG-PS count on from when the transmitter was switched
on) does zero mean the start of the file.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.format import Flags as FormatFlags
from av.stream import Disposition
from av.video.stream import VideoStream

from lipsync.errors import MediaError
from lipsync.media.lengths import cut_part

# Demuxers that follow references to other files or addresses, and those that take plain text for pictures.
_PLAYLISTS = {"hls", "dash", "concat", "concatf", "imf", "sdp", "rtsp", "rtp", "sap", "webm_dash_manifest"}
_TEXT = {"tty", "bin", "xbin", "adf", "idf", "rcwt"}
_TILED = {"heic", "heix", "heim", "heis", "mif1"}  # photo brands of the MP4 family
_LARGEST_PX = 16384
_NO_PROTOCOL = {"protocol_whitelist": "none"}


class _Bytes:
    """An open file's bytes without its name, so that no demuxer guesses by name or looks beside the file."""

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.read, self.tell = file, file.read, file.tell

    def seek(self, to: int, whence: int = 0) -> int:
        """A damaged file may send its reader to a place that is none: that is a failed read, not a failed program."""
        try:
            return self.file.seek(to, whence)
        except (OSError, ValueError):
            return -1


@dataclass(frozen=True)
class Source:
    """An open container and where its clock's zero lies (seconds on the container's own clock).

    `cut` names the part of a truncated file that its end cuts off; "" when nothing is known to be missing.
    """

    path: Path
    container: InputContainer
    zero_s: Fraction
    cut: str

    def zero_pts(self, time_base: Fraction) -> int:
        """The clock's zero in ticks of `time_base`."""
        return round(self.zero_s / time_base)


def check_file(path: str | Path) -> Path:
    """The path of a local, readable, non-empty file. Raises MediaError that says which of these it is not."""
    text = str(path)
    if "://" in text and not Path(text).exists():
        raise MediaError(f"{text}: an address, but only local files are read; download it first and give its path")
    path = Path(path)
    if path.is_dir():
        raise MediaError(f"{path}: a folder, where a video or picture file was expected; name a file in it")
    if not path.exists():
        raise MediaError(f"{path}: no such file; check the path")
    if not path.is_file():
        raise MediaError(f"{path}: not an ordinary file; copy the media to a file first")
    if path.stat().st_size == 0:
        raise MediaError(f"{path}: empty, 0 bytes; copy or download it again")
    return path


@contextmanager
def open_source(path: str | Path) -> Iterator[Source]:
    """Open a file for reading; closed on leaving.

    Raises:
        MediaError: missing, empty, a folder, not media, or a playlist that refers to other files.
    """
    path = check_file(path)
    try:
        file = path.open("rb")
    except OSError as error:
        raise MediaError(f"{path}: cannot be opened ({error.strerror}); check its permissions") from error
    with file:
        try:
            container = av.open(_Bytes(file), mode="r", options=_NO_PROTOCOL, metadata_errors="replace")
        except av.FFmpegError as error:
            raise MediaError(_why_not(path, error)) from error
        with container:
            name = container.format.name
            if name in _PLAYLISTS:
                raise MediaError(f"{path}: a playlist ({name}) that refers to other files; give the media file itself")
            if name in _TEXT:
                raise MediaError(f"{path}: text ({name}), not video, picture or sound; give a media file")
            cut = cut_part(path)
            if cut == "moov":
                raise MediaError(f"{path}: its index is cut off; the file is truncated: copy or download it again")
            yield Source(path, container, _zero_s(container), cut)


def picture_stream(source: Source) -> VideoStream:
    """The stream of moving pictures (or the still). Cover art of a sound file does not count.

    Raises:
        MediaError: the file has no picture that can be decoded.
    """
    streams = [s for s in source.container.streams.video if not s.disposition & Disposition.attached_pic]
    if not streams:
        held = "sound but no picture" if source.container.streams.audio else "neither picture nor sound"
        raise MediaError(f"{source.path}: holds {held}; give a video or a picture")
    if len(streams) > 1 and source.container.metadata.get("major_brand") in _TILED:
        raise MediaError(f"{source.path}: a photo made of tiles (HEIC), which is not read; save it as JPEG or PNG")
    best = source.container.streams.best("video")
    stream = best if isinstance(best, VideoStream) and best in streams else streams[0]
    if stream.codec_context is None:  # PyAV: no decoder knows the codec
        raise MediaError(f"{source.path}: its pictures are in a codec that is not known; convert it to MP4 (H.264)")
    if not stream.width or not stream.height:
        raise MediaError(f"{source.path}: its picture ({stream.name}) has no size; the file is damaged or no video")
    if max(stream.width, stream.height) > _LARGEST_PX:
        raise MediaError(
            f"{source.path}: {stream.width}×{stream.height} px, more than {_LARGEST_PX} px a side; scale it down"
        )
    return stream


def sound_stream(source: Source) -> AudioStream | None:
    """The stream of sound that a player would choose; None: the file has none.

    Raises:
        MediaError: there is sound, but in a codec that is not known.
    """
    stream = source.container.streams.best("audio") or next(iter(source.container.streams.audio), None)
    if not isinstance(stream, AudioStream):
        return None
    if stream.codec_context is None:
        raise MediaError(f"{source.path}: its sound is in a codec that is not known; convert it to MP4 (AAC)")
    return stream


def _zero_s(container: InputContainer) -> Fraction:
    arbitrary = bool(container.format.flags & FormatFlags.ts_discont.value)
    if not arbitrary or container.start_time is None:
        return Fraction(0)
    return Fraction(container.start_time, 1_000_000)


def _why_not(path: Path, error: av.FFmpegError) -> str:
    with path.open("rb") as file:
        head = file.read(4096)
    if head.lstrip().startswith((b"#EXTM3U", b"ffconcat", b"v=0", b"<?xml", b"<MPD")):
        return f"{path}: a playlist or description of other files, not media itself; give the media file"
    if b"ftyp" in head[:16]:
        return f"{path}: an MP4 file without its index ({error.strerror}): it was cut off; copy or record it again"
    return f"{path}: not a video, picture or sound that can be read ({error.strerror}); convert it to MP4"
