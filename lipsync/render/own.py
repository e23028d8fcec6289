"""The person's own windows, kept in their adapter, among the references of a template that shows little of the mouth.

A photo, or footage with closed lips, does not say what the teeth look like; the adapter knows. Where the template's
widest mouth is less open than SHOWN of the adapter's widest, the adapter's windows join the pool, in the template's
light: each channel times the ratio of the skin's mean between mouth and jaw. Else they stay out: measured, a template
that shows an open mouth has the better references, taken minutes from where they serve (tests/bench/LOG.md).
"""

from collections.abc import Mapping
from dataclasses import replace

import cv2
import numpy as np
from torch import Tensor

from lipsync.config import WindowConfig
from lipsync.faces.align import OUTER_LIP, mouth_opening
from lipsync.render.plan import References

SHOWN = 0.5
FAR = 1 << 30  # frame number of what is no frame of the template: never near one that is generated
LEAST_GAIN, MOST_GAIN = 0.6, 1.7
LIP_MARGIN_PX = 9


def with_own_references(references: References, kept: Mapping[str, Tensor]) -> References:
    """The template's references, joined by the adapter's where they show what the template does not.

    Args:
        references: of the template; `fine` is left as it is.
        kept: `references`, `reference_points` and `reference_pose_deg` of model/lora.py; empty where there are none.
    """
    if not kept:
        return references
    windows, points, pose_deg = (
        kept[name].cpu().numpy() for name in ("references", "reference_points", "reference_pose_deg")
    )
    seen_px, own_px = mouth_opening(references.points), mouth_opening(points)
    if windows.shape[1:] != references.windows.shape[1:] or seen_px.max() >= SHOWN * own_px.max():
        return references
    goal = np.mean([skin_colour(w, p) for w, p in zip(references.windows, references.points, strict=True)], axis=0)
    lit = np.stack([_in_light(w, skin_colour(w, p), goal) for w, p in zip(windows, points, strict=True)])
    track = np.bincount(references.tracks).argmax()
    return replace(
        references,
        windows=np.concatenate([references.windows, lit]),
        points=np.concatenate([references.points, points.astype(references.points.dtype)]),
        frames=np.concatenate([references.frames, np.full(len(lit), FAR)]),
        opening=np.concatenate([references.opening, own_px * WindowConfig().side / windows.shape[1]]),
        pose_deg=np.concatenate([references.pose_deg, pose_deg]),
        tracks=np.concatenate([references.tracks, np.full(len(lit), track)]),
    )


def skin_colour(window: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Mean colour (3,) between lips and jaw of a window uint8 (S, S, 3) with its mouth's points (31, 2)."""
    skin, lips = np.zeros(window.shape[:2], np.uint8), np.zeros(window.shape[:2], np.uint8)
    cv2.fillConvexPoly(skin, cv2.convexHull(np.round(points).astype(np.int32)), 1)
    cv2.fillConvexPoly(lips, cv2.convexHull(np.round(points[OUTER_LIP]).astype(np.int32)), 1)
    lips = cv2.dilate(lips, np.ones((LIP_MARGIN_PX, LIP_MARGIN_PX), np.uint8))
    there = cv2.subtract(skin, lips)
    return np.array(cv2.mean(window, there if there.any() else None)[:3])


def _in_light(window: np.ndarray, colour: np.ndarray, goal: np.ndarray) -> np.ndarray:
    gain = np.clip((goal + 1) / (colour + 1), LEAST_GAIN, MOST_GAIN)
    return np.clip(window * gain, 0, 255).round().astype(np.uint8)
