"""Who speaks, and how late the sound is: what is seen of a mouth against what is heard.

    score(k) = ½·corr(fast(seen at t), fast(heard at t + k/fps)) + ½·corr(step(seen at t), step(heard at t + k/fps))
    file(k)  = Σ_clips length·score(k) / Σ_clips length     offset_frames = argmax_k file(k), refined by a parabola

The judge that ships sees the mouth's pixels: score(k) is the mean cosine of its vectors of lips and of sound, less the
median over k. Without it, "seen" is the mouth's opening, "heard" the opening that the shape model predicts from the
sound; without a base model it is how loud the speech is. `fast` takes off the mean over 0.6 s, `step` is the difference
of neighbouring frames: the slow part is alike in any two sentences and puts the best lag astray. A camera and its
microphone are apart by one constant, so all clips of a file vote for one offset. Of two faces seen at the same time,
the one whose score is higher speaks. Where consecutive parts of a long file are surely apart by different amounts, its
sound drifts, and no one correction helps.

Source: Chung & Zisserman 2016 search the same way, with an embedding distance in place of the correlation.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from data_prep.clips import Span
from lipsync.errors import SpeechError
from lipsync.faces.align import MOUTH_POINTS, mouth_opening
from lipsync.model.base import DEFAULT_BASE, checkpoints_folder
from lipsync.model.checkpoint import file_hash, load_model
from lipsync.model.judge import RATE_HZ as JUDGED_HZ
from lipsync.model.judge import Judge
from lipsync.model.speech_to_shape import ShapeModel, predict_shape
from lipsync.speech.features import MEL_RATE_HZ, frame_levels_db, log_mel, mono_16k
from lipsync.sync.judge import crop_mouths, judge_file, judge_sync, load_judge
from lipsync.sync.offset import correlation
from lipsync.types import Sound

_BLOCK_S, _EDGE_S = 60.0, 2.0
_SLOW_S = 0.6
# A clip is out of sync when its own best lag lies this far from the file's and beats it surely.
_APART_FRAMES, _APART_S, _LEAST_VOTERS = 4.0, 3.0, 3
_SAME_TIME_SHARE = 0.5
_FULL_OF_SPEECH = 0.5  # of a clip's time
_PART_S, _LEAST_PARTS = 20.0, 3  # of clips, for a part of a file to vote on its own


class SyncJudge(Protocol):
    """Hears how far a mouth would open."""

    name: str
    learned: bool  # whether the networks that ship with the project are there: then pictures are judged by them too
    least_score: float  # of a whole file, for its offset to be believed
    least_margin: float  # by which the best lag must beat lag 0
    least_s: float  # of clips in the file
    alien_score: float  # a file that scores less at every lag over alien_s of clips full of speech has another's sound
    alien_s: float
    apart_score: float  # of a clip's own best lag, and by how much it must beat the file's, to lie apart
    apart_margin: float

    def heard(self, sound: Sound) -> np.ndarray:
        """(T,) at MEL_RATE_HZ from the levelled sound's first sample; any unit."""
        ...


class LipJudge:
    """The embeddings of lipsync/sync/judge.py. `heard` gives the log-mel (T, 80); `curve` needs the windows.

    On 37 clips of 3 s or more of many people, sound moved by −10, −5, 0, 5 and 10 frames: found within one frame of
    where the unmoved sound was found in 98 %, on 8 of a person it never heard in all. Own sound scores 0.18 or more in
    95 %, somebody else's 0.10 in half and 0.19 or less in 95 %. Of foreign sounds under clips of
    4 to 6 s 71 %, of longer ones 89 % score less than alien_score; of 19 own sounds of 4 to 6 s none.
    """

    learned = True
    least_score = 0.17
    least_margin = 0.06  # about 1.5 frames off: a short clip's vote is not sure of less
    least_s = 2.0
    alien_score, alien_s = 0.12, 4.0
    apart_score, apart_margin = 0.2, 0.12

    def __init__(self, model: Judge, name: str = "lips") -> None:
        self.model, self.name = model, name

    def heard(self, sound: Sound) -> np.ndarray:
        """The log-mel, which knows nothing beyond the sound's ends."""
        return log_mel(sound)

    def curve(
        self, span: Span, windows: np.ndarray, heard: np.ndarray, heard_start_s: float, gap_s: float, reach: int
    ) -> np.ndarray:
        """score(k) for k = −reach…reach, float64 (2·reach + 1,); −1 where the span is too short to be judged.

        Args:
            windows: uint8 (F, S, S, 3) of the span.
        """
        wide = int(np.ceil(reach * gap_s * JUDGED_HZ)) + 1
        first = max(0, int((span.start_s - heard_start_s - _EDGE_S) * MEL_RATE_HZ))
        last = max(0, int((span.end_s - heard_start_s + _EDGE_S) * MEL_RATE_HZ))
        part, start_s = heard[first:last], heard_start_s + first / MEL_RATE_HZ
        crops = crop_mouths(windows, self.model.config.size_px)
        try:
            found = judge_sync(self.model, crops, span.times_s, part, start_s, wide).curve
        except SpeechError:
            return np.full(2 * reach + 1, -1.0)
        usable = found > -1
        middle = float(np.median(found[usable]))
        lags_s = np.arange(-wide, wide + 1) / JUDGED_HZ
        return np.interp(np.arange(-reach, reach + 1) * gap_s, lags_s[usable], found[usable] - middle)


class EnergyJudge:
    """Takes loudness for opening: rough, needs nothing."""

    name = "energy"
    learned = False
    least_score = 0.3
    least_margin = 0.12
    least_s = 12.0
    alien_score, alien_s = -1.0, 20.0  # never: loudness is no evidence of that
    apart_score, apart_margin = 0.5, 0.35

    def heard(self, sound: Sound) -> np.ndarray:
        """Level between 45 dB under the loudest and the loudest, smoothed over 70 ms."""
        levels = frame_levels_db(mono_16k(sound)).astype(np.float64)
        top = np.percentile(levels, 99)
        kernel = np.hanning(9)[1:-1]
        return np.convolve(np.maximum(levels - top + 45.0, 0.0), kernel / kernel.sum(), mode="same")


class ShapeJudge:
    """The shape model's opening. `model`: in eval mode, with its space set."""

    learned = True
    least_score = 0.35
    least_margin = 0.03
    least_s = 2.0
    alien_score, alien_s = 0.12, 20.0
    apart_score, apart_margin = 0.5, 0.35

    def __init__(self, model: ShapeModel, name: str = "shape") -> None:
        self.model, self.name = model, name
        space = model.space
        delta = (space.basis * space.std[:, None]).reshape(space.size, MOUTH_POINTS, 2)
        self._weights = (delta[:, [30, 29, 28], 1] - delta[:, [24, 25, 26], 1]).mean(1)

    def heard(self, sound: Sound) -> np.ndarray:
        """Predicted opening, head units, a minute at a time so that memory stays flat."""
        mel = log_mel(sound)
        block, edge = int(_BLOCK_S * MEL_RATE_HZ), int(_EDGE_S * MEL_RATE_HZ)
        out = np.empty(len(mel))
        for first in range(0, len(mel), block):
            last, before = min(len(mel), first + block), max(0, first - edge)
            times_s = np.arange(first - before, last - before) / MEL_RATE_HZ
            out[first:last] = predict_shape(self.model, mel[before : last + edge], times_s) @ self._weights
        return out


@dataclass(frozen=True)
class FileSync:
    """A file's offset (positive: the sound comes late; 0 where it is not clear) and its score there.

    `apart`: indices of the clips for which there is strong evidence that their sound lies elsewhere, or is another's.
    `drifts`: they are all of them, because the sound runs away from the picture.
    """

    offset_frames: float
    score: float
    apart: frozenset[int] = frozenset()
    drifts: bool = False

    @property
    def reason(self) -> str:
        """Why the clips that lie apart are dropped."""
        return "sound drifts" if self.drifts else "out of sync"


def score_curve(span: Span, heard: np.ndarray, heard_start_s: float, gap_s: float, reach: int) -> np.ndarray:
    """score(k) for k = −reach…reach, float64 (2·reach + 1,); −1 where either side is constant."""
    seen, frames = mouth_opening(span.mouth), max(3, round(_SLOW_S / gap_s))
    clock = heard_start_s + np.arange(len(heard)) / MEL_RATE_HZ
    lags = np.arange(-reach, reach + 1) * gap_s
    shifted = [np.interp(span.times_s + lag, clock, heard) for lag in lags]
    fast = [correlation(_fast(seen, frames), _fast(then, frames)) for then in shifted]
    step = [correlation(np.diff(seen), np.diff(then)) for then in shifted]
    return np.nan_to_num((np.array(fast) + np.array(step)) / 2, nan=-1.0)


def _fast(values: np.ndarray, frames: int) -> np.ndarray:
    """Values (F,) less their Hann-weighted mean over about `frames` frames; the ends are held."""
    kernel = np.hanning(2 * (frames // 2) + 3)[1:-1]
    padded = np.pad(values, len(kernel) // 2, mode="edge")
    return values - np.convolve(padded, kernel / kernel.sum(), mode="valid")


def file_sync(
    curves: Sequence[np.ndarray],
    lengths_s: Sequence[float],
    judge: SyncJudge,
    most_drift_frames: float = 2.5,
    speech_shares: Sequence[float] = (),
) -> FileSync:
    """The one offset that a file's clips, in order of time, vote for by length; 0 where the vote is not clear.

    Args:
        speech_shares: of each clip, the share of time in which something is said; none: all of it. A mouth that rests
            agrees with no sound, so clips with long pauses are no evidence that the sound is somebody else's.
    """
    if not len(curves):
        return FileSync(0.0, 0.0)
    parts = part_offsets(curves, lengths_s, judge)
    if len(parts) >= _LEAST_PARTS and _runs_away(parts, most_drift_frames):
        return FileSync(0.0, 0.0, frozenset(range(len(curves))), drifts=True)
    pooled = np.average(np.stack(curves), axis=0, weights=np.asarray(lengths_s))
    reach, best = len(pooled) // 2, int(pooled.argmax())
    place, inside = float(best - reach), 0 < best < len(pooled) - 1
    if inside:
        a, b, c = pooled[best - 1 : best + 2]
        place += float(0.5 * (a - c) / (a - 2 * b + c)) if a - 2 * b + c < -1e-9 else 0.0
    score = float(pooled[best])
    clear = score >= judge.least_score and score - float(pooled[reach]) >= judge.least_margin
    believed = inside and clear and sum(lengths_s) >= judge.least_s
    full = [i for i in range(len(curves)) if not len(speech_shares) or speech_shares[i] >= _FULL_OF_SPEECH]
    if sum(lengths_s[i] for i in full) >= judge.alien_s:
        best_full = np.average([curves[i] for i in full], axis=0, weights=[lengths_s[i] for i in full]).max()
        if best_full < judge.alien_score:
            return FileSync(0.0, score, frozenset(range(len(curves))))
    place, score = (round(place, 2), score) if believed else (0.0, float(pooled[reach]))
    sure = len(curves) >= _LEAST_VOTERS and score >= judge.least_score
    judged = [i for i, length_s in enumerate(lengths_s) if sure and length_s >= _APART_S]
    apart = [i for i in judged if _lies_apart(curves[i], place, judge)]
    return FileSync(place, score, frozenset(apart))


def part_offsets(curves: Sequence[np.ndarray], lengths_s: Sequence[float], judge: SyncJudge) -> np.ndarray:
    """Best lags, in frames, of consecutive parts of about _PART_S of clips; parts that are not sure are left out."""
    found: list[float] = []
    held: list[tuple[np.ndarray, float]] = []
    for curve, length_s in zip(curves, lengths_s, strict=True):
        held.append((curve, length_s))
        if sum(s for _, s in held) >= _PART_S:
            pooled = np.average([c for c, _ in held], axis=0, weights=[s for _, s in held])
            best = int(pooled.argmax())
            if pooled[best] >= judge.least_score and 0 < best < len(pooled) - 1:
                found.append(float(best - len(pooled) // 2))
            held = []
    return np.array(found)


def _runs_away(parts: np.ndarray, most_frames: float) -> bool:
    """Whether lags of consecutive parts lie on a slope, and further apart than `most_frames`."""
    slope, start = np.polyfit(np.arange(len(parts)), parts, 1)
    off = np.abs(parts - start - slope * np.arange(len(parts)))
    return bool(abs(slope) * (len(parts) - 1) > most_frames and np.median(off) <= 1.0)


def _lies_apart(curve: np.ndarray, place: float, judge: SyncJudge) -> bool:
    own, at = int(curve.argmax()), round(place) + len(curve) // 2
    far = abs(own - at) > _APART_FRAMES and 0 < own < len(curve) - 1
    return far and curve[own] >= judge.apart_score and curve[own] - curve[at] >= judge.apart_margin


def silent_rivals(spans: Sequence[Span], scores: Sequence[float]) -> set[int]:
    """Which spans to drop because a face seen at the same time follows the sound better: indices."""
    losers: set[int] = set()
    order = sorted(range(len(spans)), key=lambda i: (-scores[i], spans[i].first))
    for place, i in enumerate(order):
        if i in losers:
            continue
        losers |= {j for j in order[place + 1 :] if _same_time(spans[i], spans[j])}
    return losers


def _same_time(a: Span, b: Span) -> bool:
    shared = min(a.last, b.last) - max(a.first, b.first)
    return shared > _SAME_TIME_SHARE * min(a.last - a.first, b.last - b.first)


def open_judge(base: str = DEFAULT_BASE) -> SyncJudge:
    """The judge of lips that ships, else the shape model of a base, else loudness.

    Raises:
        CheckpointError: what is there is broken.
    """
    lips = judge_file("supervisor")
    if lips.is_file():
        return LipJudge(load_judge("supervisor"), f"lips {file_hash(lips)[:8]}")
    file = checkpoints_folder() / base / "shape.safetensors"
    if not file.is_file():
        return EnergyJudge()
    return ShapeJudge(load_model(file, "shape"), f"shape {file_hash(file)[:8]}")
