"""What is seen between the lips: a dark cavity, lower teeth, tongue and upper teeth, drawn before the head covers them.

Each part is a small grid of points in head coordinates with a painted texture. Upper teeth are fixed to the skull;
lower teeth and tongue turn with the mandible. Colours are linear light.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from data_prep.actors.actor import Actor
from data_prep.actors.expression import JOINT_Y_CM, JOINT_Z_CM, MouthShape
from data_prep.actors.geometry import MOUTH_Y
from data_prep.actors.noise import field

UPPER_WIDTHS_CM = (0.86, 0.66, 0.76, 0.70, 0.68, 0.95)  # from the middle outward: incisors, canine, premolars, molar
LOWER_WIDTHS_CM = (0.54, 0.58, 0.68, 0.70, 0.70, 1.0)
TEXTURE_PX_PER_CM = 60


@dataclass(frozen=True)
class Part:
    """A textured grid: points float32 (R, C, 3) cm, colour float32 (h, w, 4) with opacity last."""

    points: np.ndarray
    colour: np.ndarray


class MouthInside:
    """Teeth and tongue of one actor."""

    def __init__(self, actor: Actor) -> None:
        rng = np.random.default_rng([actor.seed, 2])
        self._y = MOUTH_Y * actor.shape.length
        wide = 0.5 + 0.5 * actor.shape.mouth_half_width_cm / 2.55
        tone = np.array([0.74, 0.69, 0.60], np.float32) * (1.02 - 0.22 * actor.age + 0.05 * rng.standard_normal())
        tone[2] *= 1.0 - 0.12 * actor.age
        self._upper = Part(
            _arch(self._y + 1.10, self._y - 0.35, 8.05, 2.75 * wide),
            _teeth(rng, UPPER_WIDTHS_CM, 1.45, tone, down=True),
        )
        self._lower = Part(
            _arch(self._y - 0.42, self._y - 1.71, 7.8, 2.55 * wide),
            _teeth(rng, LOWER_WIDTHS_CM, 1.29, tone * 0.80, down=False),
        )
        self._tongue_colour = _tongue_texture(rng)

    def parts(self, mouth: MouthShape) -> tuple[Part, ...]:
        """Lower teeth, tongue, upper teeth for this mouth, far to near; points in head coordinates."""
        lower = Part(_turn_jaw(self._lower.points, mouth.jaw_cm), self._lower.colour)
        tongue = Part(_turn_jaw(self._tongue(mouth), 0.75 * mouth.jaw_cm), self._tongue_colour)
        if mouth.tongue_out > 0.3:
            return lower, self._upper, tongue
        return (tongue, lower, self._upper) if mouth.tongue < 0.4 else (lower, tongue, self._upper)

    def _tongue(self, mouth: MouthShape) -> np.ndarray:
        back, across = np.meshgrid(np.linspace(1, 0, 14), np.linspace(-1, 1, 17), indexing="ij")
        tip_y = self._y - 0.78 + 0.62 * mouth.tongue + 0.30 * mouth.tongue_out
        tip_z = 7.35 + 0.35 * mouth.tongue + 1.25 * mouth.tongue_out
        half = 2.05 * np.clip(back * 4 + 0.12, 0, 1) ** 0.5 * (1 - 0.25 * mouth.rounding)
        y = tip_y + 1.25 * np.sin(np.pi * back * 0.62) * (1 - 0.45 * mouth.tongue) - 0.30 * across**2
        y = y - 0.10 * np.exp(-((across / 0.14) ** 2)) * np.clip(back * 3, 0, 1) - 0.25 * np.exp(-back / 0.06)
        return np.stack([half * across, y, tip_z - 4.2 * back], axis=-1).astype(np.float32)


def _turn_jaw(points: np.ndarray, jaw_cm: float) -> np.ndarray:
    angle = jaw_cm / 9.6
    dy, dz = points[..., 1] - JOINT_Y_CM, points[..., 2] - JOINT_Z_CM
    y = np.cos(angle) * dy - np.sin(angle) * dz + JOINT_Y_CM
    z = np.sin(angle) * dy + np.cos(angle) * dz + JOINT_Z_CM
    return np.stack([points[..., 0], y, z], axis=-1)


def _arch(top: float, bottom: float, front_z: float, half_width: float) -> np.ndarray:
    angle, down = np.meshgrid(np.linspace(-1.35, 1.35, 31), np.linspace(0, 1, 8))
    x = half_width * np.sin(angle)
    z = front_z - 3.4 * (1 - np.cos(angle)) - 0.12 * (1 - down)
    return np.stack([x, top + (bottom - top) * down, z], axis=-1).astype(np.float32)


def _teeth(
    rng: np.random.Generator,
    widths: tuple[float, ...],
    height_cm: float,
    tone: np.ndarray,
    *,
    down: bool,
) -> np.ndarray:
    """Texture of a row of teeth, laid along the arch: the row grows from gums at the root to a clear edge."""
    length = int(7.0 * TEXTURE_PX_PER_CM)
    rows = int(height_cm * TEXTURE_PX_PER_CM)
    along = (np.arange(length) - length / 2) / TEXTURE_PX_PER_CM
    root_to_edge = np.linspace(0, 1, rows)[:, None]
    image = np.zeros((rows, length, 4), np.float32)
    gum = np.array([0.36, 0.13, 0.12], np.float32)
    image[..., :3] = gum
    edges = np.concatenate([[0.0], np.cumsum(widths)])
    opacity = np.zeros((rows, length), np.float32)
    for index, (start, width) in enumerate(zip(edges[:-1], widths, strict=True)):
        short = (0.0, 0.055, 0.015, 0.07, 0.09, 0.10)[index] if down else (0.02, 0.0, 0.0, 0.05, 0.08, 0.1)[index]
        for side in (-1, 1):
            u = (side * along - start) / width * 2 - 1
            tint = tone * (1 + 0.03 * rng.standard_normal()) * (1 - 0.055 * index)
            bottom = 1 - short - 0.012 * rng.random() - (0.045 if index != 2 else 0.08) * np.abs(u) ** 4
            neck = (0.36 if down else 0.34) + 0.07 * (np.abs(u) ** 2) - 0.02
            inside = np.clip(1.0 - np.abs(u), 0, 1)[None] * width * TEXTURE_PX_PER_CM / 2
            body = np.clip(inside / 1.4, 0, 1) * np.clip((bottom[None] - root_to_edge) * rows / 1.5, 0, 1)
            body *= np.clip((root_to_edge - neck[None]) * rows / 3, 0, 1)
            round_off = 0.70 + 0.30 * np.clip(1 - np.abs(u[None]) ** 3.0, 0, 1)
            clear = 1 - 0.16 * np.clip((root_to_edge - bottom[None] + 0.16) / 0.16, 0, 1)
            near_gum = 0.88 + 0.12 * np.clip((root_to_edge - neck[None]) / 0.2, 0, 1)
            colour = tint * (round_off * clear * near_gum)[..., None]
            colour[..., 2] *= 0.96 + 0.04 * (1 - near_gum)
            here = (np.abs(u) <= 1)[None] * body
            image[..., :3] += here[..., None] * (colour - image[..., :3])
            band = (np.abs(u) <= 1)[None] * np.clip((bottom[None] - root_to_edge) * rows / 1.5, 0, 1)
            opacity = np.maximum(
                opacity, band * np.where(root_to_edge > neck[None], np.clip(inside / 0.9 + 0.75, 0, 1), 1)
            )
    image[..., :3] *= (1 - 0.60 * np.clip(np.abs(along) / 3.1, 0, 1) ** 1.7)[None, :, None]
    image[..., 3] = opacity
    return np.ascontiguousarray(image if down else image[::-1])


def _tongue_texture(rng: np.random.Generator) -> np.ndarray:
    rows, columns = 90, 130
    tone = np.array([0.22, 0.068, 0.066], np.float32)
    grain = 1 + 0.10 * field(rng, rows, columns, 2.5) + 0.08 * field(rng, rows, columns, 9)
    across = np.linspace(-1, 1, columns)[None]
    back = np.linspace(0, 1, rows)[:, None]
    shade = (
        (1 - 0.35 * np.abs(across) ** 2.5)
        * (1 - 0.93 * np.clip(back / 0.55, 0, 1) ** 0.7)
        * (1 - 0.18 * np.exp(-((across / 0.1) ** 2)))
    )
    image = np.empty((rows, columns, 4), np.float32)
    image[..., :3] = tone * (grain * shade)[..., None]
    image[..., 3] = np.clip((1 - np.abs(across)) / 0.22, 0, 1) ** 1.5
    shine = (
        np.exp(-(((back - 0.10) / 0.05) ** 2))
        * (0.5 + 0.5 * field(rng, rows, columns, 5))
        * np.exp(-((across / 0.5) ** 2))
    )
    image[..., :3] += 0.10 * np.clip(shine, 0, 1)[..., None]
    return np.ascontiguousarray(cv2.GaussianBlur(image, (0, 0), 1.0)[::-1])
