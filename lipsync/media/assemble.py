"""Put pieces of video, sound and the source's other tracks together into one MP4, without coding pictures again.

Pieces are videos of the same size and settings; each is placed by the time of its first picture, in ticks of the
source's time base. Sound that was not changed is copied packet by packet, bit for bit; other sound is coded as AAC at
its own rate and channels. The source's subtitles (text becomes MP4's own kind), its other sound tracks, its chapters
and its tags come along; what MP4 cannot hold is named in `warnings`.

With `stream` the output grows from its first piece on as a fragmented MP4, which players and pipes take as it comes;
else it appears when it is whole.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import av
from av.container import OutputContainer
from av.packet import Packet
from av.stream import Stream

from lipsync.errors import MediaError
from lipsync.media.source import Source, open_source, picture_stream, sound_stream
from lipsync.media.supply import SoundSupply, SoundTrack
from lipsync.media.whole import WholeFile
from lipsync.media.write import TAGS, movie_timescale
from lipsync.types import VideoInfo

COPIED = ("aac", "mp3", "ac3", "eac3", "alac", "opus", "flac")  # sound that MP4 holds and players know
_TEXT = ("mov_text", "subrip", "ass", "ssa", "webvtt", "text")
STDOUT = Path("-")
_FRAGMENT_US = 500_000  # a fragment goes out after so much, not only where the next piece begins
_PLAIN_STYLE = (  # without styles MP4's encoder of subtitles does not start
    b"[Script Info]\nScriptType: v4.00+\n\n[V4+ Styles]\nFormat: Name, Fontname, Fontsize, PrimaryColour, "
    b"SecondaryColour, OutlineColour, BackColour, Bold, Italic, Underline, StrikeOut, ScaleX, ScaleY, Spacing, Angle, "
    b"BorderStyle, Outline, Shadow, Alignment, MarginL, MarginR, MarginV, Encoding\nStyle: Default,Arial,16,&Hffffff,"
    b"&Hffffff,&H0,&H0,0,0,0,0,100,100,0,0,1,1,0,2,10,10,10,0\n\n[Events]\nFormat: Layer, Start, End, Style, Name, "
    b"MarginL, MarginR, MarginV, Effect, Text\n"
)


class CopiedTrack:
    """A track of an open file, copied packet by packet.

    Args:
        shift_s: added to all times.
    """

    def __init__(self, out: OutputContainer, source: Source, stream: Stream, shift_s: Fraction) -> None:
        self.out, self.source = out, source
        self.base = stream.time_base or Fraction(1, 1000)
        self.shift = round((shift_s - source.zero_s) / self.base)
        self.recoded = stream.type == "subtitle" and stream.codec_context.name != "mov_text"
        if self.recoded:
            self.track: Stream = out.add_stream("mov_text")
            header = stream.codec_context.subtitle_header or _PLAIN_STYLE  # type: ignore[attr-defined]
            self.track.codec_context.subtitle_header = header  # type: ignore[attr-defined]
        else:
            self.track = out.add_stream_from_template(stream, opaque=True)
        for name in ("language", "title", "handler_name"):
            if stream.metadata.get(name):
                self.track.metadata[name] = stream.metadata[name]
        self.packets: Iterator[Packet] = source.container.demux(stream)
        self.next: Packet | None = None
        self.copied = 0

    def write_until(self, time_s: float) -> None:
        """Copy what begins before `time_s`."""
        while True:
            if self.next is None:
                self.next = next((p for p in self.packets if p.pts is not None and p.size), None)
                if self.next is None:
                    return
            at = float((self.next.pts + self.shift) * self.base)  # type: ignore[operator]
            if at >= time_s:
                return
            self._write(self.next)
            self.next = None

    def finish(self, end_s: float) -> None:
        """Copy the rest of what begins before `end_s`."""
        self.write_until(end_s)

    def _write(self, packet: Packet) -> None:
        pts, duration = packet.pts or 0, packet.duration or 0
        dts = packet.dts if packet.dts is not None else pts
        if self.recoded:
            found = packet.stream.decode2(packet)  # type: ignore[attr-defined]
            if found is None:
                return
            packet = self.track.codec_context.encode_subtitle(found)  # type: ignore[attr-defined]
        packet.pts, packet.dts, packet.duration = pts + self.shift, dts + self.shift, duration
        packet.time_base = self.base
        packet.stream = self.track
        self.out.mux(packet)
        self.copied += 1


class Assembler:
    """Writes one MP4 from pieces; use as a context manager, `add` the pieces in order, then `finish`.

    Args:
        out: the file to write; "-" with `stream`: standard output.
        like: what `probe` said of the source: time base, rotation, pixel aspect; its other tracks come along unless
            it is a still or `tracks` is False.
        sound: heard on the pictures' clock; None: no sound.
        copied: a file whose sound is `sound`, unchanged: copied if MP4 can hold its codec.
        stamp: container tags.
        seal: is given the finished file, still under its temporary name, to change in place; not used with `stream`.

    Raises:
        MediaError: cannot be written, or a piece that does not fit.
    """

    def __init__(
        self,
        out: Path,
        like: VideoInfo,
        *,
        time_base: Fraction,
        first_pts: int,
        sound: SoundSupply | None = None,
        copied: Path | None = None,
        tracks: bool = True,
        stamp: dict[str, str] | None = None,
        stream: bool = False,
        seal: Callable[[Path], None] | None = None,
    ) -> None:
        self.path, self.like, self.time_base, self.seal = out, like, time_base, seal
        self.sound, self.copied, self.stamp, self.stream = sound, copied, stamp or {}, stream
        self.tracks = tracks and not like.is_still
        self.shift = max(0, -first_pts)  # MP4 shows nothing before zero
        self.warnings: list[str] = []
        self.file = None if stream else WholeFile(out)
        self._stack, self._beside = ExitStack(), list[SoundTrack | CopiedTrack]()
        self._video: Stream | None = None

    def __enter__(self) -> Self:
        """Open the output."""
        flags = "delay_moov+default_base_moof+frag_keyframe" if self.stream else "+faststart"
        options = {"movflags": flags, "movie_timescale": str(movie_timescale(self.time_base))}
        if self.stream:
            options["frag_duration"] = str(_FRAGMENT_US)
        try:
            if self.file is not None:
                target: object = f"file:{self.file.part}"
            elif self.path == STDOUT:
                target = sys.__stdout__.buffer if sys.__stdout__ is not None else None
            else:
                target = self._stack.enter_context(self.path.open("wb"))
            self.container = av.open(target, mode="w", format="mp4", container_options=options)  # type: ignore[call-overload]
        except (av.FFmpegError, OSError) as error:
            raise MediaError(f"{self.path}: cannot be written ({error.strerror}); check the folder") from error
        return self

    def add(self, piece: Path, first_pts: int) -> None:
        """Append a piece whose first picture is shown at `first_pts` ticks of the time base."""
        with open_source(piece) as source:
            stream = picture_stream(source)
            if self._video is None:
                self._open_tracks(stream)
            for packet in source.container.demux(stream):
                if packet.pts is None or packet.dts is None:
                    continue
                at = round(packet.pts * packet.time_base / self.time_base) + first_pts + self.shift
                packet.duration = round((packet.duration or 0) * packet.time_base / self.time_base)
                packet.pts = packet.dts = at
                packet.time_base = self.time_base
                packet.stream = self._video  # type: ignore[assignment]
                self._mux(packet)
                for track in self._beside:
                    track.write_until(float(at * self.time_base))

    def finish(self, end_s: float) -> None:
        """Write the rest of the sound and the file's index; nothing that begins after `end_s`."""
        end_s += float(self.shift * self.time_base)
        try:
            for track in self._beside:
                track.finish(end_s)
            self.container.close()
            self._stack.close()
            if self.file is not None:
                if self.seal is not None:
                    self.seal(self.file.part)
                self.file.keep()
        except (av.FFmpegError, OSError) as error:
            raise MediaError(f"{self.path}: writing failed at the end ({error.strerror})") from error

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove what is not whole."""
        try:
            if kind is not None:
                self.container.close()
        except (av.FFmpegError, OSError):
            pass  # the first error says more
        finally:
            self._stack.close()
            if self.file is not None:
                self.file.drop()

    def _mux(self, packet: Packet) -> None:
        try:
            self.container.mux(packet)
        except (av.FFmpegError, OSError) as error:
            raise MediaError(f"{self.path}: writing failed ({error.strerror}); is the disk full?") from error

    def _open_tracks(self, pictures: Stream) -> None:
        self._video = self.container.add_stream_from_template(pictures, opaque=True)
        if self.like.rotation and not self.like.is_still:
            self._video.set_display_rotation(-self.like.rotation)  # type: ignore[attr-defined]
        shift_s = self.shift * self.time_base
        if self.copied is not None and self._copy_sound(self.copied, shift_s):
            self.sound = None
        if self.sound is not None:
            self._beside.append(SoundTrack(self.container, self.sound, float(shift_s)))
        if self.tracks:
            self._carry(shift_s)
        self.container.metadata.update(self.stamp)

    def _copy_sound(self, path: Path, shift_s: Fraction) -> bool:
        """Whether the file's sound can be copied and now will be."""
        source = self._stack.enter_context(open_source(path))
        stream = sound_stream(source)
        if stream is None or stream.codec_context.name.removesuffix("float") not in COPIED:
            return False
        own_shift = Fraction(self.sound.shift_s).limit_denominator(1_000_000) if self.sound is not None else 0
        self._beside.append(CopiedTrack(self.container, source, stream, shift_s + own_shift))
        return True

    def _carry(self, shift_s: Fraction) -> None:
        """Take over the source's tags, chapters, subtitles and sound tracks but the one that is replaced."""
        source = self._stack.enter_context(open_source(self.like.path))
        own_sound, pictures = sound_stream(source), picture_stream(source)
        for name, value in source.container.metadata.items():
            if name.lower() in (*TAGS, "creation_time", "location"):
                self.container.metadata[name.lower()] = value
        chapters = source.container.chapters()
        if chapters:
            self.container.set_chapters(chapters)
        for stream in source.container.streams:
            if stream is pictures or stream is own_sound:
                continue
            name = stream.codec_context.name if stream.codec_context is not None else stream.type
            text = stream.type == "subtitle" and name in _TEXT
            if text or (stream.type == "audio" and name.removesuffix("float") in COPIED):
                own = self._stack.enter_context(open_source(self.like.path))  # each track is read at its own pace
                same = own.container.streams[stream.index]
                self._beside.append(CopiedTrack(self.container, own, same, shift_s))
            elif stream.type != "data" or not self._is_chapter_text(name):
                self.warnings.append(
                    f"a track of the source was left out: {stream.type} ({name}), which MP4 does not hold"
                )

    @staticmethod
    def _is_chapter_text(name: str) -> bool:
        return name in ("bin_data", "data")
