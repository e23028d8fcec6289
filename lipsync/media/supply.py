"""Sound piece by piece, from memory or from a file, and coded as AAC beside pictures.

Any part on the pictures' clock, silence where there is none:

    part(a, b)[n] is heard at a + n / rate,      n < round((b − a) · rate)

A file is read part after part (BLOCK_S at a time), so that memory does not grow with its length.
"""

from fractions import Fraction
from pathlib import Path

import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.container import OutputContainer

from lipsync.errors import MediaError
from lipsync.media.sound import read_sound
from lipsync.media.source import open_source, sound_stream
from lipsync.types import Sound

BLOCK_S = 10.0
_AAC_RATES_HZ = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000)
_AAC_FRAME = 1024
_LAYOUTS = {1: "mono", 2: "stereo", 3: "3.0", 4: "4.0", 5: "5.0", 6: "5.1", 8: "7.1"}


class SoundSupply:
    """Sound that can be asked for in parts.

    Args:
        source: sound in memory, or a sound or video file.
        shift_s: added to the source's own times.
        sample_rate_hz: None: the source's own; a file can be resampled while it is read.

    Raises:
        MediaError: a file without sound, or no sample.
    """

    def __init__(self, source: Sound | Path, shift_s: float = 0.0, sample_rate_hz: int | None = None) -> None:
        self.source, self.shift_s = source, shift_s
        if isinstance(source, Sound):
            if not len(source.samples):
                raise MediaError("sound of 0 samples cannot be written; give sound with something in it")
            self.rate, self.start_s = source.sample_rate_hz, source.start_s + shift_s
            self.channels = source.samples.shape[1] if source.samples.ndim == 2 else 1
            self.end_s = self.start_s + source.duration_s
        else:
            own_rate, self.channels, first_s, end_s = _measure(source)
            self.rate = sample_rate_hz or own_rate
            self.start_s, self.end_s = first_s + shift_s, end_s + shift_s
        self._held = Sound(np.zeros((0, self.channels), np.float32), self.rate)

    def part(self, start_s: float, end_s: float) -> np.ndarray:
        """Float32 (round((end_s − start_s) · rate), C)."""
        count = max(0, round((end_s - start_s) * self.rate))
        if isinstance(self.source, Sound):
            return _cut(self.source, start_s - self.shift_s, count)
        out, at = np.zeros((count, self.channels), np.float32), 0
        while at < count:
            now_s = start_s - self.shift_s + at / self.rate
            self._hold(now_s)
            length = min(count - at, max(1, round((self._held.start_s + BLOCK_S - now_s) * self.rate)))
            out[at : at + length] = _cut(self._held, now_s, length)
            at += length
        return out

    def _hold(self, time_s: float) -> None:
        """Have the block with `time_s` (the file's own clock) at hand, and a little of what follows it."""
        first_s = np.floor(time_s / BLOCK_S + 1e-9) * BLOCK_S
        if self._held.start_s == first_s and len(self._held.samples):
            return
        found = read_sound(
            self.source, sample_rate_hz=self.rate, mono=False, start_s=first_s, end_s=first_s + BLOCK_S + 0.01
        )  # type: ignore[arg-type]
        held = found if found is not None else Sound(np.zeros((1, self.channels), np.float32), self.rate, first_s)
        length = round((BLOCK_S + 0.01) * self.rate)
        samples = np.zeros((length, self.channels), np.float32)
        place = round((held.start_s - first_s) * self.rate)
        piece = held.samples[: length - place]
        samples[place : place + len(piece), : piece.shape[1]] = piece[:, : self.channels]
        self._held = Sound(samples, self.rate, first_s)


def _cut(sound: Sound, start_s: float, count: int) -> np.ndarray:
    samples = sound.samples.reshape(len(sound.samples), -1)
    first = round((start_s - sound.start_s) * sound.sample_rate_hz)
    out = np.zeros((count, samples.shape[1]), np.float32)
    low, high = max(first, 0), min(first + count, len(samples))
    if high > low:
        out[low - first : high - first] = samples[low:high]
    return out


def _measure(path: Path) -> tuple[int, int, float, float]:
    """Rate, channels, first and last time of a file's sound, from its packets."""
    with open_source(path) as source:
        stream = sound_stream(source)
        if stream is None or stream.time_base is None:
            raise MediaError(f"{path}: holds no sound; give a file with speech in it")
        base, first, last = stream.time_base, None, 0
        for packet in source.container.demux(stream):
            if packet.pts is not None:
                first = packet.pts if first is None else min(first, packet.pts)
                last = max(last, packet.pts + (packet.duration or 0))
        if first is None:
            raise MediaError(f"{path}: its sound is empty (0 samples); give a file with speech in it")
        zero = source.zero_pts(base)
        return stream.rate, stream.channels, float(max(first - zero, 0) * base), float((last - zero) * base)


class SoundTrack:
    """An AAC track of a file being written, coded up to where the pictures are, so that both lie interleaved.

    The track begins at time zero: sound that starts later follows silence (players read that more surely than an
    empty edit), and what lies before zero is cut. Rates that AAC does not know are resampled to 48 kHz.
    """

    def __init__(self, container: OutputContainer, sound: SoundSupply, shift_s: float = 0) -> None:
        """Sound later by `shift_s`. Raises MediaError for channels that no layout has."""
        if sound.channels not in _LAYOUTS:
            raise MediaError(f"sound in {sound.channels} channels cannot be written")
        if sound.rate not in _AAC_RATES_HZ:
            sound = _at_48_khz(sound, _LAYOUTS[sound.channels])
        self.sound, self.rate, self.layout = sound, sound.rate, _LAYOUTS[sound.channels]
        self.at = 0  # samples coded so far, counted from time zero
        self.begin(shift_s)
        self.container = container
        self.stream = container.add_stream("aac", rate=self.rate, bit_rate=(48_000 + self.rate) * sound.channels)
        self.stream.codec_context.layout = self.layout

    def begin(self, shift_s: float) -> None:
        """Let everything be heard later by `shift_s`; before anything is coded."""
        self.shift_s = shift_s
        self.end = round((self.sound.end_s + shift_s) * self.rate)

    def write_until(self, time_s: float) -> None:
        """Code what is heard before `time_s`."""
        while self.at < self.end and self.at < time_s * self.rate:
            last = min(self.at + _AAC_FRAME, self.end)
            piece = self.sound.part(self.at / self.rate - self.shift_s, last / self.rate - self.shift_s)
            frame = _frame(piece, self.layout, self.rate)
            frame.pts, frame.time_base = self.at, Fraction(1, self.rate)
            self.container.mux(self.stream.encode(frame))
            self.at = last

    def finish(self, end_s: float = float("inf")) -> None:
        """Code the rest; to `end_s`, with silence where the sound is shorter, if one is given."""
        self.end = round(end_s * self.rate) if np.isfinite(end_s) else self.end
        self.write_until(float("inf"))
        self.container.mux(self.stream.encode(None))


def _frame(piece: np.ndarray, layout: str, rate: int) -> AudioFrame:
    frame = AudioFrame.from_ndarray(np.ascontiguousarray(piece.T, dtype=np.float32), format="fltp", layout=layout)
    frame.sample_rate = rate
    return frame


def _at_48_khz(sound: SoundSupply, layout: str) -> SoundSupply:
    if isinstance(sound.source, Path):
        return SoundSupply(sound.source, sound.shift_s, 48000)
    resampler, samples = AudioResampler("fltp", layout, 48000), sound.source.samples.reshape(-1, sound.channels)
    pieces = resampler.resample(_frame(samples, layout, sound.rate)) + resampler.resample(None)
    made = np.concatenate([piece.to_ndarray() for piece in pieces], axis=1).T
    return SoundSupply(Sound(made, 48000, sound.source.start_s), sound.shift_s)
