"""Where somebody speaks, by loudness alone: the sentences' places where nothing can be transcribed.

Stretches of `speech_activity`, those nearer than JOIN_S to one another taken as one up to MOST_S; what is shorter than
LEAST_S is a cough or a chair.
"""

import numpy as np

from lipsync.media.supply import SoundSupply
from lipsync.progress import Progress, Silent
from lipsync.speech.features import MEL_RATE_HZ, speech_activity
from lipsync.types import Sound

JOIN_S, LEAST_S, MOST_S = 0.45, 0.35, 8.0
BLOCK_S = 300.0


def find_spans(supply: SoundSupply, progress: Progress | None = None) -> list[tuple[float, float]]:
    """(start_s, end_s) of stretches of speech, in order, on the sound's clock; none in silence."""
    progress = progress or Silent()
    heard: list[tuple[float, float]] = []
    progress.start("looking for speech", supply.end_s, "seconds")
    at_s = supply.start_s
    while at_s < supply.end_s:
        end_s = min(supply.end_s, at_s + BLOCK_S)
        samples = supply.part(at_s, end_s)
        if samples.any():
            active = speech_activity(Sound(samples, supply.rate)).astype(np.int8)
            edges = np.flatnonzero(np.diff(np.concatenate([[0], active, [0]]))).reshape(-1, 2) / MEL_RATE_HZ
            heard += [(at_s + first, min(end_s, at_s + last)) for first, last in edges.tolist()]
        progress.advance(end_s - at_s)
        at_s = end_s
    progress.done()
    joined: list[tuple[float, float]] = []
    for first_s, last_s in heard:
        if joined and first_s - joined[-1][1] < JOIN_S and last_s - joined[-1][0] <= MOST_S:
            joined[-1] = (joined[-1][0], last_s)
        else:
            joined.append((first_s, last_s))
    return [(first_s, last_s) for first_s, last_s in joined if last_s - first_s >= LEAST_S]
