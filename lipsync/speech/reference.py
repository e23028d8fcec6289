"""The best seconds of somebody's own footage, as the reference from which a voice is cloned.

Each clip of sound gets a penalty in dB, and the least are taken until there are enough seconds:

    (SNR_DB − snr)₊ + |loudness − median| + CLIPPED_DB if clipped + APART_DB·(apart − 1)₊ + PAUSE_DB·(1 − speech)

snr: loud frames (95th percentile) over quiet ones (5th). speech: share of frames in which something is said. apart: how
far the clip's mean cepstrum lies from the median over all clips, in units of the median distance: another speaker, or
music, stands out. A clip whose apart is above MOST_APART or snr below LEAST_SNR_DB is never taken.
"""

from dataclasses import dataclass

import numpy as np
from scipy.fft import dct

from lipsync.errors import SpeechError
from lipsync.speech.features import SAMPLE_RATE_HZ, frame_levels_db, log_mel, loudness_db, mono_16k, speech_activity
from lipsync.types import Sound

LEAST_S, ENOUGH_S, MOST_S = 10.0, 20.0, 30.0
SNR_DB, LEAST_SNR_DB = 40.0, 15.0
CLIPPED_DB, APART_DB, PAUSE_DB = 20.0, 15.0, 20.0
MOST_APART = 3.0
FAIR_DB = 22.0  # a clip with more is taken only to reach LEAST_S
CLIPPED_LEVEL, CLIPPED_SHARE = 0.985, 1e-4
GAP_S = 0.2  # between clips
LOUDNESS_DB, CEILING = -20.0, 0.95
CEPSTRA = 13


@dataclass(frozen=True)
class Quality:
    """What a clip's sound is like; `penalty_db` is the lower the better, infinite for one that is never taken."""

    name: str
    duration_s: float
    snr_db: float
    loudness_db: float
    speech: float
    apart: float
    clipped: bool
    penalty_db: float


@dataclass(frozen=True)
class Reference:
    """The sound, mono at 16 kHz and LOUDNESS_DB, and the clips that it was made of, best first."""

    sound: Sound
    clips: list[Quality]


def choose_reference(clips: list[tuple[str, Sound]]) -> Reference:
    """The best LEAST_S to MOST_S seconds out of clips of one person, ENOUGH_S where there is so much.

    Args:
        clips: names and sounds, any rate.

    Raises:
        SpeechError: there is not enough that is clean; says how much there is, and why the rest was left.
    """
    judged = judge(clips)
    order = [
        k for k in np.argsort([one.penalty_db for one in judged], kind="stable") if np.isfinite(judged[k].penalty_db)
    ]
    taken, total_s = list[int](), 0.0
    for k in order:
        if total_s >= ENOUGH_S or (total_s >= LEAST_S and judged[k].penalty_db > FAIR_DB):
            break
        if total_s + judged[k].duration_s <= MOST_S or not taken:
            taken.append(int(k))
            total_s += judged[k].duration_s
    if total_s < LEAST_S:
        left = len(judged) - len(order)
        raise SpeechError(
            f"only {total_s:.1f} s of clean speech in {len(judged)} clips ({left} too noisy or unlike the others); "
            f"a voice is cloned from {LEAST_S:g} s or more: bring footage with one voice and little noise"
        )
    gap = np.zeros(round(GAP_S * SAMPLE_RATE_HZ), np.float32)
    pieces = [piece for k in sorted(taken) for piece in (mono_16k(clips[k][1])[: round(MOST_S * SAMPLE_RATE_HZ)], gap)]
    return Reference(_levelled(np.concatenate(pieces[:-1])), [judged[k] for k in taken])


def judge(clips: list[tuple[str, Sound]]) -> list[Quality]:
    """What each clip is like, compared with the others."""
    measured = [_measure(sound) for _, sound in clips]
    if not measured:
        return []
    timbre = np.stack([timbre for *_, timbre in measured])
    distance = np.linalg.norm(timbre - np.median(timbre, axis=0), axis=1)
    apart = distance / max(float(np.median(distance)), 1e-6)
    usual_db = float(np.median([loudness for _, loudness, *_ in measured]))
    out = []
    for (name, sound), (snr, loudness, speech, clipped, _), far in zip(clips, measured, apart, strict=True):
        penalty = max(0.0, SNR_DB - snr) + abs(loudness - usual_db) + CLIPPED_DB * clipped
        penalty += APART_DB * max(0.0, float(far) - 1) + PAUSE_DB * (1 - speech)
        if far > MOST_APART or snr < LEAST_SNR_DB or not np.isfinite(loudness):
            penalty = np.inf
        out.append(Quality(name, sound.duration_s, snr, loudness, speech, float(far), clipped, penalty))
    return out


def _measure(sound: Sound) -> tuple[float, float, float, bool, np.ndarray]:
    """SNR and loudness in dB, share of speech, whether clipped, mean cepstrum of the frames that sound."""
    samples = mono_16k(sound)
    plain = Sound(samples, SAMPLE_RATE_HZ)
    levels_db = frame_levels_db(samples)
    quiet_db, loud_db = np.percentile(levels_db, [5, 95])
    loudness = loudness_db(plain)
    active = speech_activity(plain)
    clipped = float((np.abs(samples) > CLIPPED_LEVEL).mean()) > CLIPPED_SHARE
    cepstra = np.asarray(dct(log_mel(plain), type=2, norm="ortho", axis=1))[:, 1:CEPSTRA]  # without loudness
    heard = cepstra[active] if active.any() else cepstra
    return float(loud_db - quiet_db), loudness, float(active.mean()), clipped, heard.mean(0)


def _levelled(samples: np.ndarray) -> Sound:
    gain = 10 ** ((LOUDNESS_DB - loudness_db(Sound(samples, SAMPLE_RATE_HZ))) / 20)
    gain = min(gain, CEILING / max(float(np.abs(samples).max()), 1e-6))
    return Sound((samples * gain).astype(np.float32), SAMPLE_RATE_HZ)
