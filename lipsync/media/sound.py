"""Read a file's sound onto the video's clock; write WAV.

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

from lipsync.errors import MediaError
from lipsync.media.source import Source, open_source, sound_stream
from lipsync.media.whole import WholeFile
from lipsync.types import Sound

_JITTER_S = 0.02  # a smaller difference between stated and counted time is rounding, not a gap
_SILENCE_S = 3600.0  # the most silence that is put where a file states none
_PREROLL_S = 0.5  # decoded before a wanted part, for codecs whose frames lean on earlier ones


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
