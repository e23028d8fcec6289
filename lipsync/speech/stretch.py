"""Speech made longer or shorter without changing its pitch: WSOLA, waveform-similarity overlap-add.

    y[n] = Σ_k w[n − k·H] · x[n − k·H + τ_k]        w: Hann, 2·H samples; τ_k ∈ k·H·r ± Δ

r is the rate (input per output), and τ_k is where the input looks most like what would have followed frame k − 1:
the largest normalised cross-correlation. At r = 1 the input comes back. Whole periods are repeated or left out, so
voices stay as they are; in measurements it beat the phase vocoder, whose transients smear.

Source: Verhelst & Roelands 1993, "An overlap-add technique based on waveform similarity".
"""

import numpy as np

FRAME_S = 0.030
REACH_S = 0.008  # a period of the deepest voices (about 62 Hz and up, both sides)


def stretched(samples: np.ndarray, length: int, rate_hz: int) -> np.ndarray:
    """Mono (N,) in exactly `length` samples, float32; the same pitch.

    Raises:
        ValueError: `samples` is empty or not mono, or `length` is not positive.
    """
    if samples.ndim != 1 or not len(samples) or length < 1:
        raise ValueError(f"expected mono samples and a positive length, found {samples.shape} and {length}")
    samples = samples.astype(np.float32)
    if length == len(samples):
        return samples
    hop = max(8, round(FRAME_S * rate_hz / 2))
    reach = round(REACH_S * rate_hz)
    frames = -(-length // hop) + 1
    pad = 2 * hop + reach
    source = np.pad(samples, (pad, 2 * pad))
    window = np.hanning(2 * hop + 1)[:-1].astype(np.float32)
    step = len(samples) / length
    out = np.zeros((frames + 1) * hop, np.float32)
    expected: np.ndarray | None = None
    for k in range(frames):
        wanted = pad + round((k - 1) * hop * step)
        at = wanted if expected is None else wanted + _shift(source, wanted, expected, reach)
        out[k * hop : (k + 2) * hop] += window * source[at : at + 2 * hop]
        expected = source[at + hop : at + 3 * hop]
    return out[hop : hop + length]


def _shift(source: np.ndarray, wanted: int, expected: np.ndarray, reach: int) -> int:
    """Where, within ± reach of `wanted`, the source is most like `expected`; 0 where it is silent."""
    low = max(0, wanted - reach)
    part = source[low : wanted + reach + len(expected)]
    if len(part) < len(expected):
        return 0
    likeness = np.correlate(part, expected, "valid")
    squares = np.concatenate([[0.0], np.cumsum(part.astype(np.float64) ** 2)])
    energy = squares[len(expected) :] - squares[: -len(expected)]
    if energy.max() < 1e-9 or not np.any(expected):
        return 0
    score = likeness / np.sqrt(energy + 1e-3 * energy.max())
    best = int(score.argmax())
    middle = wanted - low
    if middle < len(score) and score[middle] >= score[best] - 1e-6 * abs(score[best]):
        best = middle
    return low + best - wanted
