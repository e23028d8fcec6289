"""Read a file's sound onto the video's clock, and write WAV.

Sample n of the result is heard at `start_s + n / sample_rate_hz` on the clock of the pictures (see `source.py`):
silence stands where packets are missing, overlaps are cut, and an encoder's priming samples and edit lists are
already taken off. Sound whose times only jitter (containers that count in milliseconds) is left untouched.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler

from lipsync.errors import MediaError
from lipsync.media.source import Source, open_source
from lipsync.types import Sound

_JITTER_S = 0.02  # a smaller difference between stated and counted time is rounding, not a gap


@dataclass
class _Run:
    """Sound without a gap: where it starts and its resampled pieces (C, n)."""

    start_s: float
    pieces: list[np.ndarray] = field(default_factory=list)


def read_sound(
    path: str | Path, *, sample_rate_hz: int | None = 16000, mono: bool = True, tolerant: bool = False
) -> Sound | None:
    """The whole sound of a file, float32 at full scale ±1.

    Args:
        path: any sound or video file.
        sample_rate_hz: the wanted rate; None keeps the file's own.
        mono: True gives (N,), the mean of the channels (surround is mixed to stereo first); False gives (N, C).
        tolerant: end at a break or skip what cannot be decoded instead of raising.

    Returns:
        Sound, or None when the file has no sound stream or not one sample in it.

    Raises:
        MediaError: not media, or sound that breaks off, naming the time (unless `tolerant`).
    """
    with open_source(path) as source:
        if not source.container.streams.audio:
            return None
        stream = source.container.streams.audio[0]
        rate = sample_rate_hz or stream.rate
        runs: list[_Run] = []
        resampler, form, next_s = None, None, 0.0
        for frame, time_s in _timed(source, tolerant):
            now = (frame.format.name, frame.layout.name, frame.sample_rate)
            if resampler is None or now != form or abs(time_s - next_s) > _JITTER_S:
                _drain(resampler, runs)
                layout = "stereo" if mono and frame.layout.nb_channels > 2 else frame.layout
                resampler, form, next_s = AudioResampler("fltp", layout, rate), now, time_s
                runs.append(_Run(time_s))
            frame.pts = None
            runs[-1].pieces += [piece.to_ndarray() for piece in resampler.resample(frame)]
            next_s += frame.samples / frame.sample_rate
        _drain(resampler, runs)
        return _join(runs, rate, mono)


def _timed(source: Source, tolerant: bool) -> Iterator[tuple[AudioFrame, float]]:
    stream = source.container.streams.audio[0]
    time_s = 0.0
    try:
        for packet in source.container.demux(stream):
            if packet.is_corrupt:
                raise av.InvalidDataError(0, "incomplete data")
            for frame in packet.decode():
                if frame.pts is not None and frame.time_base:
                    time_s = float(frame.pts * frame.time_base - source.zero_s)
                yield frame, time_s
                time_s += frame.samples / frame.sample_rate
    except av.FFmpegError as error:
        if not tolerant:
            raise MediaError(f"{source.path}: its sound breaks off at {time_s:.3f} s ({error.strerror})") from error


def _drain(resampler: AudioResampler | None, runs: list[_Run]) -> None:
    if resampler is not None:
        runs[-1].pieces += [piece.to_ndarray() for piece in resampler.resample(None)]


def _join(runs: list[_Run], rate: int, mono: bool) -> Sound | None:
    """Place every run at its time; later sound wins where two overlap."""
    parts = [(run.start_s, np.concatenate(run.pieces, axis=1)) for run in runs if run.pieces]
    if not parts:
        return None
    start_s = min(begin for begin, _ in parts)
    channels = max(part.shape[0] for _, part in parts)
    places = [round((begin - start_s) * rate) for begin, _ in parts]
    length = max(place + part.shape[1] for place, (_, part) in zip(places, parts, strict=True))
    samples = np.zeros((length,) if mono else (length, channels), dtype=np.float32)
    for place, (_, part) in zip(places, parts, strict=True):
        span = slice(place, place + part.shape[1])
        samples[span] = part.mean(axis=0) if mono else np.broadcast_to(part.T, (part.shape[1], channels))
    return Sound(samples, rate, start_s)
