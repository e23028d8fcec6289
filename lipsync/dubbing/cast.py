"""Which voice speaks for whom.

A voice that is named is taken, in the language of the dub. Where none is, the embedded voice gets the variant that is
nearest to the speaker's pitch: a median fundamental frequency under DEEP_HZ takes the deeper ones. Several speakers get
different variants.
"""

from collections.abc import Mapping
from pathlib import Path

import librosa
import numpy as np

from lipsync.errors import VoiceError
from lipsync.media.supply import SoundSupply
from lipsync.speech.features import mono_16k
from lipsync.speech.segments import Transcript
from lipsync.speech.voices import Voice, open_voice
from lipsync.types import Sound

DEEP_HZ = 150.0  # two women on noisy footage were measured at 159 and 161, three men at 123 to 135
DEEP, HIGH = ("", "+m3", "+m7", "+m5"), ("+f2", "+f4", "+f3", "+f5")
MOST_HEARD_S = 20.0  # of a speaker, to know their pitch
LOWEST_HZ, HIGHEST_HZ = 65.0, 400.0
VOICED_DB = 20.0  # under the loudest frames


def choose_voices(
    transcript: Transcript,
    original: SoundSupply | None,
    usual: str,
    named: Mapping[str, str],
    reference: Path | None = None,
) -> dict[str, Voice]:
    """A voice for each speaker of a transcript in the new language; voices that clone clone `reference`.

    Raises:
        VoiceError: a voice is unknown, cannot speak the language, or is a recording; or `named` names a stranger.
    """
    speakers = transcript.speakers
    known = {speaker.casefold(): speaker for speaker in speakers}
    strangers = [name for name in named if name.casefold() not in known]
    if strangers:
        there = ", ".join(speaker or "(nobody is named)" for speaker in speakers)
        raise VoiceError(f"a voice is named for {strangers[0]!r}, who does not speak here; speakers: {there}")
    wanted = {known[name.casefold()]: voice for name, voice in named.items()}
    left = {DEEP: [*DEEP], HIGH: [*HIGH]}
    voices: dict[str, Voice] = {}
    for speaker in speakers:
        name = wanted.get(speaker, usual)
        if not name:
            kind = DEEP if pitch_hz(transcript, original, speaker) < DEEP_HZ else HIGH
            variant = left[kind].pop(0) if left[kind] else kind[0]
            name = f"espeak:{transcript.language}{variant}"
        voice = open_voice(name, transcript.language)
        if not voice.takes_text:
            raise VoiceError(f"{name}: a recording cannot speak new text; name a voice that speaks, or use --audio")
        if reference is not None and getattr(voice, "clone", ""):
            voice = voice.cloning(reference)  # type: ignore[attr-defined]
        voices[speaker] = voice
    return voices


def pitch_hz(transcript: Transcript, original: SoundSupply | None, speaker: str) -> float:
    """The speaker's median fundamental frequency in the original; 0 where nothing is heard of them."""
    if original is None:
        return 0.0
    parts, total_s = [], 0.0
    for segment in transcript.segments:
        if segment.speaker == speaker and total_s < MOST_HEARD_S:
            parts.append(original.part(segment.start_s, segment.end_s).mean(1))
            total_s += segment.duration_s
    heard = np.concatenate(parts) if parts else np.zeros(0, np.float32)
    return median_pitch_hz(Sound(heard, original.rate)) if len(heard) else 0.0


def median_pitch_hz(sound: Sound) -> float:
    """Median fundamental frequency of the loud frames by YIN (de Cheveigné & Kawahara 2002); 0 for silence."""
    mono = mono_16k(sound)
    size, hop = 1024, 256
    if len(mono) < 2 * size or not mono.any():
        return 0.0
    found = librosa.yin(mono, fmin=LOWEST_HZ, fmax=HIGHEST_HZ, sr=16000, frame_length=size, hop_length=hop)
    level = librosa.feature.rms(y=mono, frame_length=size, hop_length=hop)[0]
    count = min(len(found), len(level))
    loud = level[:count] > np.percentile(level, 95) * 10 ** (-VOICED_DB / 20)
    inside = loud & (found[:count] < HIGHEST_HZ - 1) & (found[:count] > LOWEST_HZ + 1)
    return float(np.median(found[:count][inside])) if inside.any() else 0.0
