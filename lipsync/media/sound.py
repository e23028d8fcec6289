"""Read a file's sound onto the video's clock; write WAV; code AAC beside pictures.

Sample n of the result is heard at `start_s + n / sample_rate_hz` on the clock of the pictures (see `source.py`):
silence stands where packets are missing, overlaps are cut, and an encoder's priming samples and edit lists are
already taken off. Sound whose times only jitter (containers that count in milliseconds) is left untouched.
"""

import math
import wave
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import OutputContainer

from lipsync.errors import MediaError
from lipsync.media.source import Source, open_source, sound_stream
from lipsync.media.whole import WholeFile
from lipsync.types import Sound

_JITTER_S = 0.02  # a smaller difference between stated and counted time is rounding, not a gap
_SILENCE_S = 3600.0  # the most silence that is put where a file states none
_PREROLL_S = 0.5  # decoded before a wanted part, for codecs whose frames lean on earlier ones
_AAC_RATES_HZ = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000)
_AAC_FRAME = 1024
_LAYOUTS = {1: "mono", 2: "stereo", 3: "3.0", 4: "4.0", 5: "5.0", 6: "5.1", 8: "7.1"}


@dataclass
class _Run:
    """Sound without a gap: where it starts and its resampled pieces (C, n)."""

    start_s: float
    pieces: list[np.ndarray] = field(default_factory=list)


def read_sound(
    path: str | Path,
    *,
    sample_rate_hz: int | None = 16000,
    mono: bool = True,
    start_s: float | None = None,
    end_s: float | None = None,
    tolerant: bool = False,
) -> Sound | None:
    """The sound of a file, or the part start_s ≤ time < end_s of it; float32, full scale ±1.

    Args:
        path: any sound or video file.
        sample_rate_hz: the wanted rate; None keeps the file's own.
        mono: True gives (N,), the mean of the channels (surround is mixed to stereo first); False gives (N, C).
        start_s, end_s: on the pictures' clock; None: from the first sample, to the last. Only the part is held.
        tolerant: skip what cannot be decoded, and end at a break, instead of raising.

    Returns:
        Sound, or None when the file has no sound stream or no sample in that part.

    Raises:
        MediaError: not media, or sound that breaks off, naming the time (unless `tolerant`).
    """
    with open_source(path) as source:
        stream = sound_stream(source)
        if stream is None:
            return None
        if start_s is not None and stream.time_base:
            wanted = source.zero_pts(stream.time_base) + round(Fraction(start_s - _PREROLL_S) / stream.time_base)
            with suppress(av.FFmpegError):  # not seekable: decoding starts at the beginning instead
                source.container.seek(wanted, stream=stream, backward=True)
        rate = sample_rate_hz or stream.rate
        runs: list[_Run] = []
        resampler, form, next_s = None, None, 0.0
        for frame, time_s in _timed(source, stream, tolerant):
            if end_s is not None and time_s >= end_s:
                break
            length_s = frame.samples / frame.sample_rate
            if start_s is not None and time_s + length_s < start_s - _PREROLL_S:
                continue
            now = (frame.format.name, frame.layout.name, frame.sample_rate)
            if resampler is None or now != form or abs(time_s - next_s) > _JITTER_S:
                _drain(resampler, runs)
                layout = "stereo" if mono and frame.layout.nb_channels > 2 else frame.layout
                resampler, form, next_s = AudioResampler("fltp", layout, rate), now, time_s
                runs.append(_Run(time_s))
            frame.pts = None
            runs[-1].pieces += [piece.to_ndarray() for piece in resampler.resample(frame)]
            next_s += length_s
        _drain(resampler, runs)
        return _part(_join(source.path, runs, rate, mono), start_s, end_s)


def _timed(source: Source, stream: AudioStream, tolerant: bool) -> Iterator[tuple[AudioFrame, float]]:
    """Decoded sound and when it starts; MediaError at a break unless tolerant."""
    time_s, why = 0.0, ""
    packets = source.container.demux(stream)
    while not why:
        try:
            packet = next(packets, None)
            if packet is None:
                break
            if packet.is_corrupt:
                raise av.InvalidDataError(0, "incomplete data")
            frames = packet.decode()
        except av.FFmpegError as error:
            why = "" if tolerant else error.strerror or "unreadable data"
            continue
        for frame in frames:
            if frame.pts is not None and frame.time_base:
                time_s = float((frame.pts - source.zero_pts(frame.time_base)) * frame.time_base)
            yield frame, time_s
            time_s += frame.samples / frame.sample_rate
    if not why and source.cut:
        why = f"its {source.cut} part goes on beyond the end of the file"
    if why and not tolerant:
        raise MediaError(
            f"{source.path}: its sound breaks off at {time_s:.3f} s ({why}); the file is truncated or damaged: "
            "copy it again, or cut it before that time"
        )


def _drain(resampler: AudioResampler | None, runs: list[_Run]) -> None:
    if resampler is not None:
        runs[-1].pieces += [piece.to_ndarray() for piece in resampler.resample(None)]


def _join(path: Path, runs: list[_Run], rate: int, mono: bool) -> Sound | None:
    """Place every run at its time; later sound wins where two overlap. Raises MediaError for a leap of hours."""
    parts = [(run.start_s, np.concatenate(run.pieces, axis=1)) for run in runs if run.pieces]
    if not parts:
        return None
    start_s = min(begin for begin, _ in parts)
    channels = max(part.shape[0] for _, part in parts)
    places = [round((begin - start_s) * rate) for begin, _ in parts]
    length = max(place + part.shape[1] for place, (_, part) in zip(places, parts, strict=True))
    silence_s = (length - sum(part.shape[1] for _, part in parts)) / rate
    if silence_s > _SILENCE_S:  # a damaged or crafted time stamp would otherwise ask for any amount of memory
        raise MediaError(f"{path}: its sound leaps over {silence_s:.0f} s of nothing; it is damaged: convert it to MP4")
    samples = np.zeros((length,) if mono else (length, channels), dtype=np.float32)
    for place, (_, part) in zip(places, parts, strict=True):
        span = slice(place, place + part.shape[1])
        samples[span] = part.mean(axis=0) if mono else np.broadcast_to(part.T, (part.shape[1], channels))
    return Sound(samples, rate, start_s)


def _part(sound: Sound | None, start_s: float | None, end_s: float | None) -> Sound | None:
    if sound is None:
        return None
    rate, length = sound.sample_rate_hz, len(sound.samples)
    first = 0 if start_s is None else min(length, max(0, math.ceil((start_s - sound.start_s) * rate - 1e-6)))
    end = length if end_s is None else max(first, min(length, math.ceil((end_s - sound.start_s) * rate - 1e-6)))
    return Sound(sound.samples[first:end], rate, sound.start_s + first / rate) if end > first else None


def write_wav(path: str | Path, sound: Sound) -> None:
    """Write 16-bit PCM WAV, clipped at full scale; `start_s` is not kept (WAV has no clock).

    Raises:
        MediaError: the folder does not exist or cannot be written.
    """
    file = WholeFile(path)
    samples = sound.samples if sound.samples.ndim == 2 else sound.samples[:, None]
    pcm = np.rint(np.clip(samples, -1.0, 1.0) * 32767).astype("<i2")
    try:
        with wave.open(str(file.part), "wb") as out:
            out.setnchannels(samples.shape[1])
            out.setsampwidth(2)
            out.setframerate(sound.sample_rate_hz)
            out.writeframes(pcm.tobytes())
        file.keep()
    except OSError as error:
        raise MediaError(f"{path}: cannot be written ({error.strerror}); check the folder") from error
    finally:
        file.drop()


class SoundTrack:
    """An AAC track of a file being written, coded up to where the pictures are, so that both lie interleaved.

    The track begins at time zero: sound that starts later follows silence (players read that more surely than an
    empty edit), and what lies before zero is cut. Rates that AAC does not know are resampled to 48 kHz.
    """

    def __init__(self, container: OutputContainer, sound: Sound) -> None:
        """Raises MediaError for an empty sound or a number of channels that no layout has."""
        self.samples, self.rate = sound.samples, sound.sample_rate_hz
        channels = self.samples.shape[1] if self.samples.ndim == 2 else 1
        if channels not in _LAYOUTS or not len(self.samples):
            raise MediaError(f"sound of {len(self.samples)} samples in {channels} channels cannot be written")
        self.samples = self.samples.reshape(-1, channels)
        self.layout = _LAYOUTS[channels]
        if self.rate not in _AAC_RATES_HZ:
            self._resample(48000)
        self.at = 0  # samples coded so far, counted from time zero
        self.begin(sound.start_s)
        self.container = container
        self.stream = container.add_stream("aac", rate=self.rate, bit_rate=(48_000 + self.rate) * channels)
        self.stream.codec_context.layout = self.layout

    def begin(self, start_s: float) -> None:
        """Let the first sample be heard at `start_s`; before anything is coded."""
        self.first = round(start_s * self.rate)
        self.end = self.first + len(self.samples)

    def write_until(self, time_s: float) -> None:
        """Code what is heard before `time_s`."""
        while self.at < self.end and self.at < time_s * self.rate:
            frame = self._frame(self._piece(self.at, min(self.at + _AAC_FRAME, self.end)))
            frame.pts, frame.time_base = self.at, Fraction(1, self.rate)
            self.container.mux(self.stream.encode(frame))
            self.at += frame.samples

    def finish(self) -> None:
        """Code the rest."""
        self.write_until(float("inf"))
        self.container.mux(self.stream.encode(None))

    def _piece(self, begin: int, end: int) -> np.ndarray:
        """Samples begin ≤ n < end counted from time zero, silence before the first."""
        held = self.samples[max(0, begin - self.first) : max(0, end - self.first)]
        return np.pad(held, ((end - begin - len(held), 0), (0, 0)))

    def _frame(self, piece: np.ndarray) -> AudioFrame:
        planes = np.ascontiguousarray(piece.T, dtype=np.float32)
        frame = AudioFrame.from_ndarray(planes, format="fltp", layout=self.layout)
        frame.sample_rate = self.rate
        return frame

    def _resample(self, rate: int) -> None:
        resampler = AudioResampler("fltp", self.layout, rate)
        pieces = resampler.resample(self._frame(self.samples)) + resampler.resample(None)
        self.samples, self.rate = np.concatenate([piece.to_ndarray() for piece in pieces], axis=1).T, rate
