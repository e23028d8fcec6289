"""What is heard: new voices on the clock of the video, at the loudness of the old, over what was under them.

voices      each sentence at the integrated loudness of the original's speech (BS.1770)
mix         background + voices, then as a whole at the original's integrated loudness, peaks under −1 dB
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lipsync.speech.background import Background, without_speech
from lipsync.speech.fit import Placement
from lipsync.speech.loudness import loudness_lufs, matched
from lipsync.types import Sound

USUAL_LUFS = -18.0  # where the original is silent
FADE_S = 0.004  # at a sentence's ends
CENTRE = 2  # of six channels


@dataclass(frozen=True)
class Heard:
    """The mix and its measures: loudness of the original, of its speech, and of the mix."""

    mix: Sound
    source_lufs: float
    speech_lufs: float
    mix_lufs: float


def speech_track(
    fitted: Sequence[np.ndarray], placements: Sequence[Placement], end_s: float, rate_hz: int, lufs: float
) -> Sound:
    """All sentences at their places: mono (N,) from 0 to end_s, each at `lufs`."""
    out = np.zeros(round(end_s * rate_hz), np.float32)
    for samples, placement in zip(fitted, placements, strict=True):
        if not len(samples):
            continue
        level = matched(Sound(samples, rate_hz), lufs).samples.copy()
        fade = min(len(level) // 2, round(FADE_S * rate_hz))
        if fade:
            ramp = np.linspace(0, 1, fade, dtype=np.float32)
            level[:fade] *= ramp
            level[-fade:] *= ramp[::-1]
        first = round(placement.start_s * rate_hz)
        room = out[first : first + len(level)]
        room += level[: len(room)]
    return Sound(out, rate_hz)


def speech_loudness(original: Sound | None, placements: Sequence[Placement]) -> float:
    """Loudness of what the original says in the slots; USUAL_LUFS where that is silence.

    As one channel hears it: a voice in both of two channels counts once.
    """
    if original is None:
        return USUAL_LUFS
    rate = original.sample_rate_hz
    mono = original.samples if original.samples.ndim == 1 else original.samples.mean(1)
    parts = []
    for placement in placements:
        first, last = (round((t - original.start_s) * rate) for t in (placement.slot.start_s, placement.slot.end_s))
        parts.append(mono[max(0, first) : max(0, last)])
    found = loudness_lufs(Sound(np.concatenate([np.zeros(0, np.float32), *parts]), rate))
    return found if np.isfinite(found) else USUAL_LUFS


def on_clock(original: Sound | None, end_s: float, rate_hz: int) -> Sound:
    """The original from 0 to end_s as (N, C); silence where it has none."""
    channels = 1 if original is None or original.samples.ndim == 1 else original.samples.shape[1]
    out = np.zeros((round(end_s * rate_hz), channels), np.float32)
    if original is not None:
        first = round(original.start_s * rate_hz)
        samples = original.samples.reshape(len(original.samples), -1)[max(0, -first) :]
        room = out[max(0, first) :]
        room[: len(samples)] = samples[: len(room)]
    return Sound(out, rate_hz)


def make_background(original: Sound, placements: Sequence[Placement], how: str) -> Background:
    """The original without its voice; `how`: "" chooses, "replaced", "ducked", or "silent" for nothing at all."""
    spans = [(p.slot.start_s, p.slot.end_s) for p in placements] + [(p.start_s, p.end_s) for p in placements]
    if how == "silent" or not original.samples.any():
        silence = Sound(np.zeros_like(original.samples), original.sample_rate_hz, original.start_s)
        return Background(silence, "silent", -120.0, -120.0)
    return without_speech(original, spans, how=how)


def mix(original: Sound, background: Sound, speech: Sound, lufs: float | None = None) -> Heard:
    """Voices over background, as loud as the original (or `lufs`).

    Args:
        original: (N, C), on the clock of the other two.
        background: (N, C).
        speech: (N,).
    """
    samples, voice = background.samples.copy(), speech.samples
    length = min(len(samples), len(voice))
    if samples.shape[1] == 6:
        samples[:length, CENTRE] += voice[:length]
    else:
        samples[:length] += voice[:length, None]
    source_lufs = loudness_lufs(original)
    aim = lufs if lufs is not None else source_lufs
    if not np.isfinite(aim):
        aim = USUAL_LUFS
    heard = matched(Sound(samples, background.sample_rate_hz), aim)
    return Heard(heard, source_lufs, loudness_lufs(speech), loudness_lufs(heard))
