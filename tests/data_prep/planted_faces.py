"""Footage whose faces and speech are planted, and the detector that reads them back: no network, no model.

A face is a red square: its place and side give the head, its green level how far the mouth is open.
"""

from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from lipsync.faces.template import HEAD
from lipsync.media import VideoWriter
from lipsync.types import Face, Sound

RATE = 25
SOUND_HZ = 16_000
SIZE = (320, 192)
SCALE_PX = 48.0  # inter-ocular distance; the square is as wide
MOST_OPEN = 0.4  # head units, at green 110


class PlantedDetector:
    """Finds red squares. Counts what it saw, so that tests can tell work from no work."""

    def __init__(self) -> None:
        self.frames = 0

    def reset(self) -> None:
        pass

    def detect(self, image: np.ndarray) -> list[Face]:
        self.frames += 1
        mask = ((image[..., 0].astype(int) - image[..., 2]) > 90).astype(np.uint8)
        count, labels, stats, centres = cv2.connectedComponentsWithStats(mask)
        faces = []
        for i in range(1, count):
            if stats[i, cv2.CC_STAT_AREA] < 150:
                continue
            scale = float(np.sqrt(stats[i, cv2.CC_STAT_AREA]))
            opening = image[labels == i][:, 1].mean() / 110 * MOST_OPEN
            points = HEAD.copy()
            points[[65, 66, 67], 1] += opening
            points = points * scale + [centres[i][0], centres[i][1] - scale, 0]
            low, high = points[:, :2].min(0), points[:, :2].max(0)
            faces.append(Face((*low, *high), points.astype(np.float32)))
        return sorted(faces, key=lambda f: f.box_px[0] - f.box_px[2])


def mouth_course(seconds: float, seed: int, rate: float = RATE) -> np.ndarray:
    """Opening per frame, 0 to 1: about four syllables a second of different heights."""
    rng = np.random.default_rng(seed)
    times = np.arange(round(seconds * rate)) / rate
    starts = np.cumsum(rng.uniform(0.18, 0.36, int(seconds * 6) + 8)) - 0.5
    heights = rng.uniform(0.3, 1.0, len(starts))
    syllables = heights[:, None] * np.exp(-(((times[None] - starts[:, None]) / 0.07) ** 2))
    return np.clip(syllables.sum(0), 0, 1)


def voice_of(course: np.ndarray, late_s: float = 0.0, rate: float = RATE) -> Sound:
    """Noise as loud as the mouth is open, `late_s` after it."""
    length = round(len(course) / rate * SOUND_HZ)
    times = np.arange(length) / SOUND_HZ - late_s
    loud = np.interp(times, np.arange(len(course)) / rate, course, left=0, right=0)
    noise = np.random.default_rng(5).standard_normal(length)
    return Sound((0.2 * loud**2 * noise).astype(np.float32), SOUND_HZ)


def silence(seconds: float) -> Sound:
    return Sound(np.zeros(round(seconds * SOUND_HZ), np.float32), SOUND_HZ)


def film(
    path: Path,
    courses: list[np.ndarray],
    sound: Sound | None,
    hidden: tuple[float, float] = (0.0, 0.0),
    scale_px: float = SCALE_PX,
    light: float = 1.0,
) -> Path:
    """Write a video of one face per course, side by side; no face from hidden[0] to hidden[1] seconds."""
    width, height = SIZE
    rng = np.random.default_rng(9)
    wall = cv2.resize(rng.integers(60, 160, (24, 40, 1), np.uint8).repeat(3, 2), SIZE, interpolation=cv2.INTER_NEAREST)
    path.parent.mkdir(parents=True, exist_ok=True)
    side = round(scale_px)
    with VideoWriter(path, width=width, height=height, frame_rate=Fraction(RATE), sound=sound, crf=12) as writer:
        for i in range(len(courses[0]) if courses else 50):
            image = wall.copy()
            for face, course in enumerate(courses if not hidden[0] <= i / RATE < hidden[1] else []):
                left = round(width * (face + 0.5) / len(courses) - side / 2 + 3 * np.sin(i / 7))
                top = round(height / 2 - side / 2)
                green = 110 * course[i]
                image[top : top + side, left : left + side] = (210, green, 20)
                image[top : top + side : 6, left : left + side] = (170, green, 20)
            writer.write((image * light).astype(np.uint8))
    return path


def talk(path: Path, seconds: float = 3.0, seed: int = 1, late_s: float = 0.0) -> Path:
    """One face that speaks."""
    course = mouth_course(seconds, seed)
    return film(path, [course], voice_of(course, late_s))
