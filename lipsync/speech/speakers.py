"""Who speaks in which segment, by how they sound: nobody is recognised, voices are only told apart.

Each segment is described by the mean and spread of its mel cepstrum (coefficients 1–12, which carry the vocal tract and
not the loudness) and by the logarithm of its pitch. Segments are joined from the nearest on (average linkage) until no
two groups are nearer than FAR; where that leaves one group, nobody is named. Segments too short to be described take
the name of the nearest in time.
"""

from dataclasses import replace

import librosa
import numpy as np
from scipy.cluster.hierarchy import fcluster, linkage

from lipsync.media.supply import SoundSupply
from lipsync.speech.blocks import supply_of
from lipsync.speech.features import mono_16k
from lipsync.speech.segments import Segment, Transcript
from lipsync.types import Sound

COEFFICIENTS = 13
LEAST_S = 0.8
FAR = 3.2  # between groups of segments: see the log for how one voice and two lie
MOST_SPEAKERS = 8
LOUD_DB = 30.0


def name_speakers(transcript: Transcript, sound: Sound | SoundSupply) -> Transcript:
    """Name the speakers "SPEAKER 1", "SPEAKER 2", … in order of appearance; a single one stays nameless."""
    numbers = speaker_numbers(transcript.segments, sound)
    if len(set(numbers)) < 2:
        return transcript
    order = list(dict.fromkeys(numbers))
    named = [
        replace(segment, speaker=f"SPEAKER {order.index(number) + 1}")
        for segment, number in zip(transcript.segments, numbers, strict=True)
    ]
    return replace(transcript, segments=tuple(named))


def speaker_numbers(segments: tuple[Segment, ...], sound: Sound | SoundSupply) -> list[int]:
    """A group number for each segment."""
    supply = supply_of(sound)
    described: list[np.ndarray | None] = []
    for segment in segments:
        part = supply.part(segment.start_s, segment.end_s)
        described.append(describe(mono_16k(Sound(part, supply.rate))) if len(part) else None)
    rows = [k for k, row in enumerate(described) if row is not None]
    if len(rows) < 2:
        return [0] * len(segments)
    points = np.stack([row for row in described if row is not None])
    tree = linkage(points, method="average")
    groups = fcluster(tree, FAR, criterion="distance")
    if groups.max() > MOST_SPEAKERS:
        groups = fcluster(tree, MOST_SPEAKERS, criterion="maxclust")
    return [int(groups[min(range(len(rows)), key=lambda i: abs(rows[i] - k))]) for k in range(len(segments))]


def describe(mono: np.ndarray) -> np.ndarray | None:
    """A voice as (24,) numbers of about equal weight; None where too little is heard."""
    if len(mono) < LEAST_S * 16000 or not np.any(mono):
        return None
    mel = librosa.feature.melspectrogram(y=mono, sr=16000, n_fft=512, hop_length=160, n_mels=40, fmax=7600)
    level_db = 10 * np.log10(mel.sum(0) + 1e-10)
    loud = level_db > np.percentile(level_db, 95) - LOUD_DB
    cepstrum = librosa.feature.mfcc(S=librosa.power_to_db(mel, top_db=None), n_mfcc=COEFFICIENTS)[1:, loud]
    return np.concatenate([cepstrum.mean(1) / 8.0, cepstrum.std(1) / 8.0])
