"""The mouth shape: what is said, with who says it and how the head is turned taken out.

    mouth(f) = neutral + D(f),   D(f) ≈ mean + Σ_k std_k · c_k(f) · basis_k       (x, y of 31 points, head units)

`neutral` is the person's own closed, resting mouth; c (F, K) are the coefficients that the shape model predicts, that
reports show and that a creator can edit. The basis is orthonormal, found by principal components over many people.
"""

from dataclasses import dataclass

import numpy as np

from lipsync.errors import NoFaceError
from lipsync.faces.align import MOUTH_POINTS, mouth_opening


def find_neutral(mouth: np.ndarray, share: float = 0.2) -> np.ndarray:
    """A person's resting mouth: the mean over the `share` of frames in which it is least open.

    Args:
        mouth: (F, 31, 3) head units; NaN rows are left out.

    Returns:
        (31, 3).

    Raises:
        NoFaceError: no frame has a face.
    """
    seen = mouth[np.isfinite(mouth).all((1, 2))]
    if not len(seen):
        raise NoFaceError("no frame shows a face, so the mouth at rest is unknown; use footage with a frontal face")
    opening = mouth_opening(seen)
    return seen[opening <= np.quantile(opening, share)].mean(0)


@dataclass(frozen=True)
class ShapeSpace:
    """The linear space of mouth shapes. mean (62,), basis (K, 62) orthonormal rows, std (K,)."""

    mean: np.ndarray
    basis: np.ndarray
    std: np.ndarray

    @property
    def size(self) -> int:
        """K, the number of coefficients."""
        return len(self.std)

    def encode(self, mouth: np.ndarray, neutral: np.ndarray) -> np.ndarray:
        """(F, 31, 3) → coefficients float32 (F, K), each of about unit spread over speech."""
        delta = (mouth - neutral)[..., :2].reshape(len(mouth), -1)
        return ((delta - self.mean) @ self.basis.T / self.std).astype(np.float32)

    def decode(self, coefficients: np.ndarray, neutral: np.ndarray) -> np.ndarray:
        """Coefficients (F, K) → (F, 31, 3); depth stays the neutral mouth's."""
        delta = (coefficients * self.std) @ self.basis + self.mean
        mouth = np.repeat(neutral[None], len(coefficients), 0).astype(np.float64)
        mouth[..., :2] += delta.reshape(-1, MOUTH_POINTS, 2)
        return mouth


def fit_space(deltas: np.ndarray, size: int = 8) -> tuple[ShapeSpace, float]:
    """Principal components of mouth deltas (M, 31, 2): the space and the share of variance that it holds."""
    flat = deltas.reshape(len(deltas), -1).astype(np.float64)
    mean = flat.mean(0)
    _, singular, rows = np.linalg.svd(flat - mean, full_matrices=False)
    variance = singular**2 / len(flat)
    space = ShapeSpace(mean, rows[:size], np.sqrt(variance[:size]))
    return space, float(variance[:size].sum() / variance.sum())
