"""What is heard: new voices on the clock of the video, at the loudness of the old, over what was under them.

voices      each sentence at the integrated loudness of the original's speech (BS.1770)
mix         background + voices, then as a whole at the original's integrated loudness, peaks under −1 dB

All of it is read, mixed and written block by block (speech/blocks.py): a long video needs no more memory than a short.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lipsync.media.supply import SoundSupply
from lipsync.speech.blocks import WavWriter, between, edges
from lipsync.speech.fit import Placement
from lipsync.speech.loudness import LoudnessMeter, Peaks, limiter_gain, limiter_reach, matched
from lipsync.types import Sound

USUAL_LUFS = -18.0  # where the original is silent
FADE_S = 0.004  # at a sentence's ends
CENTRE = 2  # of six channels


@dataclass(frozen=True)
class Heard:
    """Loudness of the original and of the mix, in LUFS."""

    source_lufs: float
    mix_lufs: float


def write_speech(
    path: Path, fitted: Iterable[np.ndarray], placements: Sequence[Placement], length: int, rate_hz: int, lufs: float
) -> None:
    """All sentences at their places, each at `lufs`, silence between: mono WAV of `length` samples."""
    with WavWriter(path, rate_hz, 1) as out:
        at = 0
        for samples, placement in zip(fitted, placements, strict=True):
            first = round(placement.start_s * rate_hz)
            spoken = _faded(matched(Sound(samples, rate_hz), lufs).samples, rate_hz) if len(samples) else samples
            spoken = spoken[max(0, at - first) : max(0, length - first)]
            if len(spoken):
                at = _silence(out, at, max(at, first), rate_hz)
                out.write(spoken)
                at += len(spoken)
        _silence(out, at, length, rate_hz)


def _silence(out: WavWriter, first: int, last: int, rate_hz: int) -> int:
    for a, b in edges(max(0, last - first), rate_hz):
        out.write(np.zeros(b - a, np.float32))
    return max(first, last)


def _faded(samples: np.ndarray, rate_hz: int) -> np.ndarray:
    samples, fade = samples.copy(), min(len(samples) // 2, round(FADE_S * rate_hz))
    if fade:
        ramp = np.linspace(0, 1, fade, dtype=np.float32)
        samples[:fade] *= ramp
        samples[-fade:] *= ramp[::-1]
    return samples


def speech_loudness(original: SoundSupply | None, placements: Sequence[Placement]) -> float:
    """Loudness of what the original says in the slots; USUAL_LUFS where that is silence.

    As one channel hears it: a voice in both of two channels counts once.
    """
    if original is None:
        return USUAL_LUFS
    meter = LoudnessMeter(original.rate, 1)
    for placement in placements:
        meter.add(original.part(placement.slot.start_s, placement.slot.end_s).mean(1))
    return meter.lufs if np.isfinite(meter.lufs) else USUAL_LUFS


def loudness(supply: SoundSupply | None, length: int) -> float:
    """Of a sound from 0 to `length` samples, in LUFS; −inf for silence."""
    if supply is None:
        return -np.inf
    meter = LoudnessMeter(supply.rate, supply.channels)
    for first, last in edges(length, supply.rate):
        meter.add(between(supply, first, last))
    return meter.lufs


def write_mix(path: Path, background: SoundSupply, speech: SoundSupply, length: int, lufs: float) -> None:
    """Voices over background at an integrated loudness (USUAL_LUFS where that is not finite), peaks limited.

    Args:
        background, speech: at one rate; speech in several channels is heard as their mean.
        length: of the mix in samples.
    """
    rate, channels = background.rate, background.channels

    def mixed(first: int, last: int) -> np.ndarray:
        samples, voice = between(background, first, last), between(speech, first, last).mean(1)
        if channels == 6:
            samples[:, CENTRE] += voice
        else:
            samples += voice[:, None]
        return samples

    meter, peaks = LoudnessMeter(rate, channels), Peaks()
    for first, last in edges(length, rate):
        samples = mixed(first, last)
        meter.add(samples)
        peaks.add(samples)
    aim = lufs if np.isfinite(lufs) else USUAL_LUFS
    gain = 10 ** ((aim - meter.lufs) / 20) if np.isfinite(meter.lufs) else 1.0
    ceiling, reach = Peaks(peaks.sample * gain, peaks.true * gain).ceiling(), limiter_reach(rate)
    with WavWriter(path, rate, channels) as out:
        for first, last in edges(length, rate):
            around = mixed(first - 2 * reach, last + 2 * reach) * np.float32(gain)
            samples = around[2 * reach : len(around) - 2 * reach]
            out.write(samples if ceiling is None else samples * limiter_gain(around, ceiling, reach)[:, None])
