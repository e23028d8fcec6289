"""How late the sound is: the lag at which what is heard best explains what is seen.

    score(k) = corr(opening heard at t + k/fps, opening seen at t)        offset_frames = argmax_k score(k)

"Heard" is the opening that the shape model predicts from the sound; positive: the sound comes late.
Source: Chung & Zisserman 2016 use the same search with an embedding distance in place of the correlation.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Offset:
    """The best lag in frames, its correlation, and by how much it beats the median lag."""

    frames: int
    score: float
    margin: float


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Pearson correlation; NaN when either is constant."""
    a, b = a - a.mean(), b - b.mean()
    size = np.sqrt((a * a).sum() * (b * b).sum())
    return float((a * b).sum() / size) if size > 1e-12 else float("nan")


def find_offset(seen: np.ndarray, heard: np.ndarray, heard_first: int, reach: int) -> Offset:
    """Search lags −reach…+reach.

    Args:
        seen: (F,) mouth opening per frame.
        heard: (≥ F + 2·reach,) predicted opening at the frame rate; heard[heard_first] belongs to frame 0 at lag 0.
    """
    scores = []
    for lag in range(-reach, reach + 1):
        first = heard_first + lag
        scores.append(correlation(seen, heard[first : first + len(seen)]))
    values = np.nan_to_num(np.array(scores), nan=-1.0)
    best = int(values.argmax())
    return Offset(best - reach, float(values[best]), float(values[best] - np.median(values)))
