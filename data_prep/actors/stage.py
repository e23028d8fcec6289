"""Draw one frame of an actor: pose, mouth and gaze in, picture and exact landmarks out.

Everything is drawn in linear light at twice the wanted size, blurred as a lens would, and averaged down.
"""

from dataclasses import dataclass, field

import cv2
import numpy as np

from data_prep.actors import hair as hair_module
from data_prep.actors.actor import Actor
from data_prep.actors.expression import Expression, LandmarkMap, MouthShape
from data_prep.actors.eyes import Gaze, lid_points, paint_eye
from data_prep.actors.geometry import build_head, smooth_step, to_canvas
from data_prep.actors.hair import hang_hair, lift_hair, paint_hair
from data_prep.actors.light import lamp_direction, normals_of, shade
from data_prep.actors.mouth import MouthInside, Part
from data_prep.actors.raster import Drawn, draw, plan_samples
from data_prep.actors.scene import Camera, Pose, backdrop, garment, place
from data_prep.actors.skin import paint_skin

SUPERSAMPLING = 2
EAR_ROWS, EAR_COLUMNS = 22, 15


@dataclass(frozen=True)
class Performance:
    """What one frame shows."""

    pose: Pose = field(default_factory=Pose)
    mouth: MouthShape = field(default_factory=MouthShape)
    gaze: Gaze = field(default_factory=Gaze)


class Stage:
    """One actor before one camera; what does not change from frame to frame is prepared once."""

    def __init__(self, actor: Actor, size_px: tuple[int, int]) -> None:
        self.actor, self.size_px = actor, size_px
        width, height = (side * SUPERSAMPLING for side in size_px)
        self._size = (width, height)
        self._camera = Camera.for_picture(width, height)
        self.head = build_head(actor.shape)
        self._expression = Expression(self.head)
        self._landmarks = LandmarkMap(self.head)
        skin = paint_skin(actor)
        colour, bump = skin.colour.copy(), skin.bump.copy()
        paint_hair(colour, bump, self.head, actor)
        self._colour, self._bump = colour, bump.astype(np.float16).astype(np.float32)
        self._lift = lift_hair(self.head, actor)[..., None] * normals_of(self.head.points, self.head.split)
        level = self.head.points[..., 1] / actor.shape.length
        self._held = smooth_step(level, -11.9, -16.5).astype(np.float32)
        self._sampling = plan_samples(
            self.head.points + self._lift, 0.78 / self._camera.scale, self.head.split, self.head.jaw_row
        )
        self._neutral = self.head.canvas_xy
        self._inside = MouthInside(actor)
        self._backdrop = backdrop(actor, width, height)
        clothes = garment(actor, self._camera, width, height)
        self._garment_top = max(0, int(np.argmax(clothes[..., 3].any(axis=1))) - int(2 * self._camera.scale))
        self._garment = np.ascontiguousarray(clothes[self._garment_top :])
        self._curtains = hang_hair(actor)
        self._lamp = lamp_direction(actor.light)
        self._ears = None if actor.hair in ("long", "bob", "scarf") else _ear_points(actor)
        self._ear_colour = (np.array(actor.skin, np.float32) * np.array([0.97, 0.84, 0.82]) / 255) ** 2

    def render(self, shown: Performance) -> tuple[np.ndarray, np.ndarray]:
        """Draw a frame: (uint8 (H, W, 3) RGB, landmarks float32 (68, 3) px)."""
        skin = self._expression.deform(shown.mouth)
        points = place(skin + self._lift, shown.pose, self._held)
        lit = shade(points, self.actor.light, self.head.split)
        picture = self._backdrop.copy()
        self._hang(picture, self._curtains.behind, shown.pose, -3.0)
        if self._ears is not None:
            for ear in self._ears:
                self._draw_ear(picture, place(ear, shown.pose))
        screen = self._camera.project(points).astype(np.float32)
        drawn = draw(screen, lit.normals[..., 2] - 0.02, self._sampling, self._size)
        self._draw_mouth(picture, shown, screen)
        self._draw_head(picture, drawn, lit.irradiance, lit.highlight, shown)
        _lay_over(
            picture[self._garment_top :],
            _shifted(
                self._garment,
                0.6 * shown.pose.shift_cm[0] * self._camera.scale,
                -0.6 * shown.pose.shift_cm[1] * self._camera.scale,
            ),
        )
        self._hang(picture, self._curtains.before, shown.pose, 1.5)
        picture = cv2.GaussianBlur(picture, (0, 0), 0.75)
        small = cv2.resize(picture, self.size_px, interpolation=cv2.INTER_AREA)
        tone = np.sqrt(np.clip(small / (1 + 0.10 * small), 0, 1))
        return tone, self._points_68(skin, shown)

    def _draw_head(
        self,
        picture: np.ndarray,
        drawn: Drawn,
        irradiance: np.ndarray,
        highlight: np.ndarray,
        shown: Performance,
    ) -> None:
        light = cv2.remap(np.dstack([irradiance, highlight]), drawn.column, drawn.row, cv2.INTER_LINEAR)
        where = cv2.remap(self._neutral, drawn.column, drawn.row, cv2.INTER_LINEAR)
        column, row = to_canvas(where[..., 0], where[..., 1])
        colour = cv2.remap(self._colour, column, row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        slope = cv2.remap(self._bump, column, row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        colour = colour.astype(np.float32) * np.float32(1 / 255)
        tilt = slope[..., 0] * self._lamp[0] + slope[..., 1] * self._lamp[1]
        np.clip(tilt, -0.5, 0.5, out=tilt)
        shine = light[..., 3] * colour[..., 3] * (1 - 2.2 * tilt)
        pixels = colour[..., :3] * colour[..., :3] * light[..., :3]
        pixels *= (1 - 0.9 * tilt)[..., None]
        pixels += shine[..., None]
        for side in (-1, 1):
            self._draw_eye(pixels, light, where, side, shown.gaze, drawn.mask)
        height, width = drawn.mask.shape
        area = picture[drawn.top : drawn.top + height, drawn.left : drawn.left + width]
        np.copyto(area, pixels, where=drawn.mask[..., None].astype(bool))

    def _draw_eye(
        self,
        pixels: np.ndarray,
        light: np.ndarray,
        where: np.ndarray,
        side: int,
        gaze: Gaze,
        mask: np.ndarray,
    ) -> None:
        e, a = self.actor.shape.eye_distance_cm, self.actor.shape.eye_half_length_cm
        near = (np.abs(where[..., 0] - side * e) < 1.35 * a) & (np.abs(where[..., 1]) < 1.5) & (mask > 0)
        rows, columns = np.flatnonzero(near.any(axis=1)), np.flatnonzero(near.any(axis=0))
        if len(rows) < 4 or len(columns) < 4:
            return
        box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        paint_eye(
            pixels[box], light[box][..., :3], where[box][..., 0], where[box][..., 1], side, gaze, self.actor, self._lamp
        )

    def _draw_mouth(self, picture: np.ndarray, shown: Performance, screen: np.ndarray) -> None:
        if shown.mouth.gap_cm < 0.015:
            return
        edge = screen[self.head.split - 1 : self.head.split + 1].reshape(2, -1, 2)
        w = self.actor.shape.mouth_half_width_cm
        inside = np.abs(self.head.points[self.head.split, :, 0]) < w * 1.02
        inside &= self.head.points[self.head.split, :, 2] > 0
        outline = np.concatenate([edge[0, inside], edge[1, inside][::-1]])
        (left, top), (right, bottom) = outline.min(axis=0) - 4, outline.max(axis=0) + 4
        left, top = max(0, int(left)), max(0, int(top))
        right, bottom = min(self._size[0], int(right)), min(self._size[1], int(bottom))
        window = np.empty((bottom - top, right - left, 3), np.float32)
        window[:] = np.array([0.030, 0.010, 0.009], np.float32)
        for part in self._inside.parts(shown.mouth):
            self._draw_part(window, part, shown.pose, left, top)
        hole = np.zeros(window.shape[:2], np.uint8)
        cv2.fillPoly(hole, [np.round((outline - [left, top]) * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
        seen = cv2.GaussianBlur(hole, (0, 0), 0.30 * self._camera.scale).astype(np.float32) / 255
        shift = np.array([[1, 0, 0], [0, 1, 0.16 * self._camera.scale]], np.float32)
        upper = cv2.warpAffine(seen, shift, (seen.shape[1], seen.shape[0]), borderMode=cv2.BORDER_CONSTANT)
        window *= np.clip(0.22 + 1.05 * upper * seen, 0, 1.0)[..., None] * np.float32(self.actor.light.strength)
        picture[top:bottom, left:right] = window

    def _draw_part(self, window: np.ndarray, part: Part, pose: Pose, left: int, top: int) -> None:
        points = place(part.points, pose)
        screen = self._camera.project(points).astype(np.float32) - np.array([left, top], np.float32)
        plan = plan_samples(points, 0.75 / self._camera.scale)
        normals = normals_of(points)
        drawn = draw(screen, np.abs(normals[..., 2]) + 0.1, plan, (window.shape[1], window.shape[0]))
        height, width = part.colour.shape[:2]
        rows, columns = part.points.shape[:2]
        texture = cv2.remap(
            part.colour,
            drawn.column * ((width - 1) / (columns - 1)),
            drawn.row * ((height - 1) / (rows - 1)),
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )
        lamp = np.clip(normals @ self._lamp * 0.6 + 0.62, 0.15, 1.2).astype(np.float32)
        lit = cv2.remap(lamp, drawn.column, drawn.row, cv2.INTER_LINEAR)
        opacity = (texture[..., 3] * drawn.mask)[..., None]
        box = window[drawn.top : drawn.top + drawn.mask.shape[0], drawn.left : drawn.left + drawn.mask.shape[1]]
        box += opacity * (texture[..., :3] * lit[..., None] - box)

    def _draw_ear(self, picture: np.ndarray, points: np.ndarray) -> None:
        lit = shade(points, self.actor.light, cast_shadow=False)
        screen = self._camera.project(points).astype(np.float32)
        drawn = draw(
            screen,
            np.full(points.shape[:2], 1.0, np.float32),
            plan_samples(points, 0.7 / self._camera.scale),
            self._size,
        )
        depth = np.linspace(0, 1, EAR_COLUMNS, dtype=np.float32)[None]
        dip = np.exp(-(((depth - 0.45) / 0.22) ** 2)) * np.hanning(EAR_ROWS)[:, None]
        tone = self._ear_colour * (1 - 0.55 * dip[..., None]) * np.clip(lit.irradiance, 0.1, 1.4)
        pixels = cv2.remap(tone.astype(np.float32), drawn.column, drawn.row, cv2.INTER_LINEAR)
        height, width = drawn.mask.shape
        area = picture[drawn.top : drawn.top + height, drawn.left : drawn.left + width]
        np.copyto(area, pixels, where=drawn.mask[..., None].astype(bool))

    def _hang(self, picture: np.ndarray, curtain: np.ndarray | None, pose: Pose, z_cm: float) -> None:
        """Lay a flat curtain of hair over the picture, moving with the head."""
        if curtain is None:
            return
        corners = np.array([[-8, 6, z_cm], [8, 6, z_cm], [0, -8, z_cm]], np.float32)
        held = np.array([0.0, 0.0, 0.35])
        there = self._camera.project(place(corners, pose, held)).astype(np.float32)
        here = np.stack(
            [
                (corners[:, 0] - hair_module.CURTAIN_LEFT_CM) * hair_module.CURTAIN_PX_PER_CM,
                (hair_module.CURTAIN_TOP_CM - corners[:, 1]) * hair_module.CURTAIN_PX_PER_CM,
            ],
            1,
        )
        warp = cv2.getAffineTransform(here.astype(np.float32), there)
        edges = (
            np.array([[0, 0, 1], [curtain.shape[1], 0, 1], [0, curtain.shape[0], 1], [*curtain.shape[1::-1], 1]])
            @ warp.T
        )
        left, top = np.maximum(np.floor(edges.min(axis=0)).astype(int), 0)
        right, bottom = np.minimum(np.ceil(edges.max(axis=0)).astype(int), self._size)
        warp[:, 2] -= [left, top]
        _lay_over(picture[top:bottom, left:right], cv2.warpAffine(curtain, warp, (right - left, bottom - top)))

    def _points_68(self, skin: np.ndarray, shown: Performance) -> np.ndarray:
        riding = self._landmarks.skin_points(skin)
        brows = self._landmarks.free_points(self._landmarks.brows)
        eyes = self._landmarks.free_points(lid_points(self.actor.shape, shown.gaze.openness))
        points = np.concatenate([riding[:17], brows, riding[17:26], eyes, riding[26:]])
        placed = place(points, shown.pose)
        flat = self._camera.project(placed) / SUPERSAMPLING
        depth = -placed[:, 2:3] * (self._camera.scale / SUPERSAMPLING)
        return np.concatenate([flat, depth], axis=1).astype(np.float32)


def _lay_over(picture: np.ndarray, layer: np.ndarray) -> None:
    """Blend a layer (h, w, 4) over a picture (h, w, 3), in place; only where there is any."""
    opacity = np.ascontiguousarray(layer[..., 3])
    cv2.blendLinear(np.ascontiguousarray(layer[..., :3]), np.ascontiguousarray(picture), opacity, 1 - opacity, picture)


def _shifted(layer: np.ndarray, right_px: float, down_px: float) -> np.ndarray:
    move = np.array([[1, 0, right_px], [0, 1, down_px]], np.float32)
    return cv2.warpAffine(layer, move, (layer.shape[1], layer.shape[0]), borderMode=cv2.BORDER_REPLICATE)


def _ear_points(actor: Actor) -> list[np.ndarray]:
    """The two ears as grids (EAR_ROWS, EAR_COLUMNS, 3), cm."""
    down = np.linspace(0, 1, EAR_ROWS)[:, None]
    out = np.linspace(0, 1, EAR_COLUMNS)[None]
    reach = np.sin(np.pi * np.clip(down * 0.90 + 0.09, 0, 1)) ** 0.55 * (1.55 - 0.75 * down)
    x = 6.75 * actor.shape.width - 0.25 * down * 2 + 1.05 * reach * out
    y = 1.6 - 5.6 * down * actor.shape.length + 0.5 * out * (1 - 2 * down)
    z = (
        -1.4
        - 1.5 * reach * out
        + 0.16 * np.exp(-(((out - 0.92) / 0.16) ** 2))
        - 0.16 * np.exp(-(((out - 0.5) / 0.2) ** 2))
    )
    right = np.stack(np.broadcast_arrays(x, y, z), axis=-1).astype(np.float32)
    left = right[:, ::-1].copy()
    left[..., 0] *= -1
    return [left, right]
