"""Head pose, the window that follows the head, and the mouth in head units.

Pose: landmarks = s · R · head + t, fitted to the anchors that neither jaw nor lips move (Umeyama 1991, weighted
Kabsch with scale). Window: a square that follows the projection of one point of the head, turned with the head's
roll, of one fixed scale per shot: the jaw never moves it. frame → crop is a 2×3 matrix.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from lipsync.config import WindowConfig
from lipsync.errors import NoFaceError
from lipsync.faces.template import ANCHORS, HEAD
from lipsync.types import Track

MOUTH = np.array([*range(3, 14), *range(48, 68)])  # lower jaw line (11), outer lips (12), inner lips (8)
JAW, OUTER_LIP, INNER_LIP = slice(0, 11), slice(11, 23), slice(23, 31)
MOUTH_POINTS = len(MOUTH)


@dataclass(frozen=True)
class HeadPose:
    """Per frame: rotation (F, 3, 3), scale (F,) in px per inter-ocular distance, translation (F, 3) px.

    Rows of frames without a face are NaN.
    """

    rotation: np.ndarray
    scale: np.ndarray
    translation: np.ndarray

    def __len__(self) -> int:
        return len(self.scale)

    def __getitem__(self, part: slice | np.ndarray) -> "HeadPose":
        return HeadPose(self.rotation[part], self.scale[part], self.translation[part])

    @property
    def yaw_deg(self) -> np.ndarray:
        """(F,): turn to the side; 0 frontal."""
        return np.degrees(np.arctan2(self.rotation[:, 0, 2], self.rotation[:, 2, 2]))

    @property
    def pitch_deg(self) -> np.ndarray:
        """(F,): nod; 0 level, as the average head faces a camera."""
        return np.degrees(np.arctan2(-self.rotation[:, 1, 2], np.hypot(self.rotation[:, 0, 2], self.rotation[:, 2, 2])))

    @property
    def roll_deg(self) -> np.ndarray:
        """(F,): tilt in the picture plane."""
        return np.degrees(np.arctan2(self.rotation[:, 1, 0], self.rotation[:, 0, 0]))


def stack_landmarks(track: Track) -> np.ndarray:
    """float64 (F, 68, 3) px; NaN rows where the face was not seen."""
    out = np.full((len(track.faces), 68, 3), np.nan)
    for i, face in enumerate(track.faces):
        if face is not None:
            out[i] = face.landmarks
    return out


def fit_pose(landmarks: np.ndarray, smooth_frames: float = 0.7) -> HeadPose:
    """Fit the head to each frame's anchors, then smooth lightly over time (Gaussian, sigma in frames).

    Args:
        landmarks: (F, 68, 3) px, NaN rows where there is no face.
    """
    frames = len(landmarks)
    rotation, scale, move = np.full((frames, 3, 3), np.nan), np.full(frames, np.nan), np.full((frames, 3), np.nan)
    seen = np.isfinite(landmarks).all((1, 2))
    if seen.any():
        rotation[seen], scale[seen], move[seen] = _umeyama(HEAD[ANCHORS], landmarks[seen][:, ANCHORS])
    rotation = _orthonormal(smooth_seen(rotation, smooth_frames))
    return HeadPose(rotation, smooth_seen(scale, smooth_frames), smooth_seen(move, smooth_frames))


def _umeyama(model: np.ndarray, seen: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """s, R, t of seen ≈ s·R·model + t for every frame; model (A, 3), seen (F, A, 3)."""
    centre_m, centre_s = model.mean(0), seen.mean(1)
    m, s = model - centre_m, seen - centre_s[:, None]
    u, size, vt = np.linalg.svd(np.einsum("fai,aj->fij", s, m))
    sign = np.ones_like(size)
    sign[:, 2] = np.sign(np.linalg.det(u @ vt))
    rotation = (u * sign[:, None]) @ vt
    scale = (size * sign).sum(1) / (m * m).sum()
    return rotation, scale, centre_s - scale[:, None] * (rotation @ centre_m)


def _orthonormal(matrices: np.ndarray) -> np.ndarray:
    out = np.full_like(matrices, np.nan)
    ok = np.isfinite(matrices).all((1, 2))
    if ok.any():
        u, _, vt = np.linalg.svd(matrices[ok])
        out[ok] = u @ vt
    return out


def smooth_seen(values: np.ndarray, sigma_frames: float) -> np.ndarray:
    """Gaussian smoothing over axis 0 within what was seen: NaN rows stay NaN and weigh nothing."""
    if sigma_frames <= 0 or len(values) < 2:
        return values
    flat = values.reshape(len(values), -1)
    seen = np.isfinite(flat).all(1)
    reach = int(np.ceil(3 * sigma_frames))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma_frames) ** 2)

    def blur(column: np.ndarray) -> np.ndarray:
        return np.convolve(column, kernel, mode="full")[reach : reach + len(column)]

    weight = blur(seen.astype(float))
    out = np.full_like(flat, np.nan)
    for c in range(flat.shape[1]):
        out[seen, c] = (blur(np.where(seen, flat[:, c], 0.0)) / np.maximum(weight, 1e-9))[seen]
    return out.reshape(values.shape)


def to_head(points: np.ndarray, pose: HeadPose) -> np.ndarray:
    """(F, L, 3) px in the frame → head units, head turns taken out."""
    return np.einsum("fli,fij->flj", points - pose.translation[:, None], pose.rotation) / pose.scale[:, None, None]


def to_frame(points: np.ndarray, pose: HeadPose) -> np.ndarray:
    """(F, L, 3) head units → px in the frame. The inverse of `to_head`."""
    turned = np.einsum("flj,fij->fli", points, pose.rotation)
    return turned * pose.scale[:, None, None] + pose.translation[:, None]


def window_transforms(pose: HeadPose, config: WindowConfig) -> np.ndarray:
    """Frame → crop for every frame: float64 (F, 2, 3), NaN where there is no face.

    The scale is the median over the shot; centre and roll are smoothed over `config.smooth_frames`.

    Raises:
        NoFaceError: no frame has a face.
    """
    if not np.isfinite(pose.scale).any():
        raise NoFaceError("no face was found in any frame; use footage in which the face is seen from the front")
    head_centre = np.array([[[0.0, config.centre_y, config.centre_z]]]).repeat(len(pose), 0)
    centre = smooth_seen(to_frame(head_centre, pose)[:, 0, :2], config.smooth_frames)
    across = smooth_seen(pose.rotation[:, :2, 0], config.smooth_frames)
    across = across / np.linalg.norm(across, axis=1, keepdims=True)
    zoom = config.size_px / (config.side * np.nanmedian(pose.scale))
    cos, sin = across[:, 0] * zoom, across[:, 1] * zoom
    half = config.size_px / 2
    rows = np.empty((len(pose), 2, 3))
    rows[:, 0] = np.stack([cos, sin, half - cos * centre[:, 0] - sin * centre[:, 1]], 1)
    rows[:, 1] = np.stack([-sin, cos, half + sin * centre[:, 0] - cos * centre[:, 1]], 1)
    return rows


def apply_transform(points: np.ndarray, transforms: np.ndarray) -> np.ndarray:
    """(F, L, ≥2) px through (F, 2, 3): (F, L, 2)."""
    return np.einsum("fij,flj->fli", transforms[:, :, :2], points[..., :2]) + transforms[:, None, :, 2]


def crop_window(image: np.ndarray, transform: np.ndarray, size_px: int) -> np.ndarray:
    """uint8 (S, S, 3): the window of one frame. Pixel centres at integers; area-averaged when it shrinks."""
    shrink = 1.0 / np.hypot(transform[0, 0], transform[0, 1])
    times = int(np.clip(np.ceil(shrink), 1, 8))
    matrix = np.asarray(transform, np.float64) * times
    matrix[:, 2] += (times - 1) / 2
    border = cv2.BORDER_REPLICATE
    crop = cv2.warpAffine(image, matrix, (size_px * times,) * 2, flags=cv2.INTER_LINEAR, borderMode=border)
    return cv2.resize(crop, (size_px, size_px), interpolation=cv2.INTER_AREA) if times > 1 else crop


def fit_projection(mouth: np.ndarray, points: np.ndarray) -> np.ndarray:
    """How head units come to lie in a window: float64 (F, 4, 2), [mouth, 1] · projection ≈ points, by least squares.

    Args:
        mouth: (F, L, 3) head units. points: (F, L, 2) window px. Both are one weak perspective, so the fit is exact.
    """
    return np.linalg.pinv(_with_one(mouth)) @ points


def project(mouth: np.ndarray, projection: np.ndarray) -> np.ndarray:
    """Mouths (F, L, 3) in head units → (F, L, 2) window px, through each frame's projection (F, 4, 2)."""
    return _with_one(mouth) @ projection


def _with_one(mouth: np.ndarray) -> np.ndarray:
    return np.concatenate([mouth, np.ones((*mouth.shape[:2], 1))], 2)


def mouth_opening(mouth: np.ndarray) -> np.ndarray:
    """Inner-lip distance of mouths (..., 31, ≥2), in their own unit: mean over the three middle pairs."""
    upper, lower = mouth[..., [24, 25, 26], :2], mouth[..., [30, 29, 28], :2]
    return np.linalg.norm(upper - lower, axis=-1).mean(-1)
