"""The person's best windows, kept in the adapter: sharp, near the usual pose, and unlike one another in mouth.

Farthest-point choice (Gonzalez 1985) over (opening, width) in spreads, among the sharper half of a sample of frames.
They serve where a template shows little of the mouth: a photo has one frame, and its teeth are hidden.
"""

import cv2
import numpy as np
import torch
from torch import Tensor

from lipsync.faces.align import OUTER_LIP, mouth_opening
from lipsync.training.clipstore import Clip

CLIPS, FRAMES_A_CLIP = 24, 20


def choose_references(clips: list[Clip], count: int) -> dict[str, Tensor]:
    """`references` uint8 (R, S, S, 3), `reference_points` float32 (R, 31, 2), `reference_pose_deg` (R, 3)."""
    windows, points, poses, features, sharpness = [], [], [], [], []
    for k in np.unique(np.linspace(0, len(clips) - 1, CLIPS).round().astype(int)):
        clip = clips[k]
        shown = clip.windows()
        opening = mouth_opening(clip.mouth)
        lips = clip.mouth[:, OUTER_LIP, 0]
        width = lips.max(1) - lips.min(1)
        for i in np.unique(np.linspace(0, len(shown) - 1, FRAMES_A_CLIP).round().astype(int)):
            grey = cv2.cvtColor(shown[i], cv2.COLOR_RGB2GRAY)
            windows.append(shown[i])
            points.append(clip.points[i])
            poses.append(clip.pose_deg[i])
            features.append((opening[i], width[i]))
            sharpness.append(float(np.abs(cv2.Laplacian(grey, cv2.CV_32F)).mean()))
    pose, place = np.stack(poses), np.array(features)
    turned = np.linalg.norm(pose[:, :2] - np.median(pose[:, :2], axis=0), axis=1)
    usable = np.flatnonzero((np.array(sharpness) >= np.median(sharpness)) & (turned <= np.quantile(turned, 0.7)))
    usable = usable if len(usable) >= count else np.arange(len(windows))
    place = (place - place.mean(0)) / (place.std(0) + 1e-6)
    chosen = [int(usable[np.argmin(place[usable, 0])])]
    while len(chosen) < min(count, len(usable)):
        apart = np.linalg.norm(place[usable, None] - place[chosen][None], axis=2).min(1)
        chosen.append(int(usable[int(apart.argmax())]))
    return {
        "references": torch.from_numpy(np.stack([windows[i] for i in chosen])),
        "reference_points": torch.from_numpy(np.stack([points[i] for i in chosen]).astype(np.float32)),
        "reference_pose_deg": torch.from_numpy(pose[chosen].astype(np.float32)),
    }
