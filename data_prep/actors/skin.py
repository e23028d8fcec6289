"""Paint skin, lips, brows, beard and creases on a flat canvas that is the neutral face seen from the front.

The canvas (geometry.canvas_grid) is laid onto the head by each point's neutral x and y, so what is painted moves with
the skin. Colour is sRGB; `bump` is the slope of the fine relief (pores, wrinkles, lip lines, hairs) for shading.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from data_prep.actors.actor import Actor
from data_prep.actors.geometry import (
    CANVAS_PX_PER_CM,
    canvas_grid,
    canvas_size,
    gauss,
    lip_borders,
    mouth_line_y,
    smooth_step,
    to_canvas,
)
from data_prep.actors.noise import field, strands


@dataclass(frozen=True)
class Skin:
    """The painted canvas: colour and gloss uint8 (Hc, Wc, 4), slopes of the relief float32 (Hc, Wc, 2)."""

    colour: np.ndarray
    bump: np.ndarray


def mix(base: np.ndarray, colour: tuple[float, ...] | np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Base (…, 3) moved toward a colour by weight (…)."""
    return base + weight[..., None] * (np.asarray(colour, np.float32) - base)


def lip_weight(x: np.ndarray, y: np.ndarray, actor: Actor) -> np.ndarray:
    """1 on the red of the lips, 0 outside, soft by about a millimetre."""
    upper, lower = lip_borders(x, actor.shape)
    above = y - mouth_line_y(x, actor.shape)
    soft = 0.07
    inside = np.where(above >= 0, smooth_step(above - upper, soft, -soft), smooth_step(-above - lower, soft, -soft))
    return inside * smooth_step(
        np.abs(x), actor.shape.mouth_half_width_cm + 0.05, actor.shape.mouth_half_width_cm - 0.2
    )


def paint_skin(actor: Actor) -> Skin:
    """Paint one actor's canvas; the same actor gives the same canvas."""
    rng = np.random.default_rng([actor.seed, 1])
    x, y = (np.ascontiguousarray(v) for v in canvas_grid())
    height, width = canvas_size()
    shape, level = actor.shape, y / actor.shape.length
    colour = np.broadcast_to(np.array(actor.skin, np.float32), (height, width, 3)).copy()
    _blush(colour, x, y, actor, rng)
    relief = 0.55 * field(rng, height, width, 4.2) + 0.65 * field(rng, height, width, 8.0, 2)
    relief *= 0.6 + 0.5 * actor.age
    gloss = np.full((height, width), 0.34, np.float32)
    gloss += 0.22 * gauss(x, 0, 1.0) * gauss(level, -3.2, 1.6) + 0.14 * gauss(level, 4.5, 1.8) * gauss(x, 0, 3.5)
    gloss *= 0.85 + 0.12 * field(rng, height, width, 3.0)
    _creases(colour, relief, x, y, actor, rng)
    lips = lip_weight(x, y, actor)
    _lips(colour, relief, gloss, lips, x, y, actor, rng)
    _shadows(colour, x, y, actor)
    colour = np.clip(colour, 0, 255).astype(np.uint8)
    _brows(colour, actor, rng)
    if actor.beard != "none":
        _beard(colour, relief, gloss, lips, x, y, actor, rng)
    slope = np.dstack([cv2.Sobel(relief, cv2.CV_32F, 1, 0), -cv2.Sobel(relief, cv2.CV_32F, 0, 1)]) / 30.0
    eye = np.exp(-(((np.abs(x) - shape.eye_distance_cm) / 1.9) ** 4 + (y / 0.9) ** 4))
    slope *= (1 - 0.5 * eye)[..., None]
    return Skin(np.dstack([colour, np.clip(gloss * 255, 0, 255).astype(np.uint8)]), slope.astype(np.float32))


def _blush(colour: np.ndarray, x: np.ndarray, y: np.ndarray, actor: Actor, rng: np.random.Generator) -> None:
    height, width = x.shape
    level, ax = y / actor.shape.length, np.abs(x)
    dark = actor.skin[1] < 110
    red = np.array([1.02, 0.87, 0.86] if not dark else [1.06, 0.95, 0.92], np.float32)
    warm = 0.75 * gauss(ax, 3.9, 1.5) * gauss(level, -3.4, 1.5) + 0.8 * gauss(x, 0, 1.0) * gauss(level, -3.9, 0.9)
    warm += 0.35 * gauss(x, 0, 1.6) * gauss(level, -10.0, 1.0) + 0.5 * gauss(ax, 3.0, 1.3) * gauss(y, 0.2, 0.7)
    warm += 0.14 * np.clip(field(rng, height, width, 40, 3), -2, 2) * (0.5 + actor.age)
    colour *= 1 + np.clip(warm, -0.4, 1.0)[..., None] * (red - 1)
    colour *= (1 + 0.016 * field(rng, height, width, 26, 3) + 0.010 * field(rng, height, width, 2.4))[..., None]
    pale = 0.04 * gauss(level, 5.0, 1.6) - 0.03 * smooth_step(level, -5.0, -9.0)
    colour *= (1 + pale)[..., None]
    if actor.freckles > 0 or actor.age > 0.6:
        dots = np.zeros((height, width), np.float32)
        for _ in range(int(500 * actor.freckles + 60 * max(actor.age - 0.5, 0))):
            fx, fy = rng.normal(0, 3.4), rng.normal(-2.2, 1.7)
            column, row = to_canvas(np.float64(fx), np.float64(fy))
            cv2.circle(
                dots,
                (int(column * 16), int(row * 16)),
                int(16 * rng.uniform(0.6, 2.2)),
                float(rng.uniform(0.2, 0.8)),
                -1,
                cv2.LINE_AA,
                4,
            )
        colour *= 1 - cv2.GaussianBlur(dots, (0, 0), 0.9)[..., None] * np.array([0.22, 0.33, 0.40], np.float32)
    for _ in range(int(rng.integers(1, 4))):
        column, row = to_canvas(rng.normal(0, 3.5), rng.normal(-4, 3.5))
        mole = np.zeros((height, width), np.float32)
        cv2.circle(mole, (int(column * 16), int(row * 16)), int(16 * rng.uniform(1.2, 2.4)), 0.55, -1, cv2.LINE_AA, 4)
        colour *= 1 - cv2.GaussianBlur(mole, (0, 0), 0.8)[..., None]


def _creases(
    colour: np.ndarray,
    relief: np.ndarray,
    x: np.ndarray,
    y: np.ndarray,
    actor: Actor,
    rng: np.random.Generator,
) -> None:
    level, ax, age = y / actor.shape.length, np.abs(x), actor.age
    height, width = x.shape
    fold_x = 1.75 + (-4.2 - level) * 0.46
    fold = gauss(ax - fold_x, 0, 0.16) * smooth_step(level, -7.6, -6.4) * smooth_step(level, -4.0, -4.8)
    strength = fold * (0.10 + 0.30 * actor.shape.folds)
    for centre in (4.2, 5.0, 5.8):
        wave = centre - 0.25 * np.cos(x / 2.4 + centre) + 0.05 * field(rng, height, width, 60)
        strength += max(age - 0.25, 0) * 0.30 * gauss(y - wave, 0, 0.055) * gauss(x, 0, 3.6)
    for spread in (-0.30, 0.02, 0.34):
        line = y - 0.1 - spread * (ax - actor.shape.eye_distance_cm - 1.2) - 0.3 * spread
        strength += max(age - 0.3, 0) * 0.35 * gauss(line, 0, 0.04) * gauss(ax, actor.shape.eye_distance_cm + 2.4, 0.42)
    side = gauss(ax, 0.55, 0.06) * gauss(y, 1.7, 0.5)
    strength += max(age - 0.4, 0) * 0.3 * side
    relief -= 5.0 * strength
    colour *= 1 - strength[..., None] * np.array([0.32, 0.42, 0.42], np.float32)
    e = actor.shape.eye_distance_cm
    bag = gauss(ax, e - 0.35, 0.95) * gauss(y, -1.05 - 0.08 * np.abs(ax - e), 0.30)
    colour *= 1 - (0.05 + 0.16 * age) * bag[..., None] * np.array([0.7, 1.0, 0.85], np.float32)


def _lips(
    colour: np.ndarray,
    relief: np.ndarray,
    gloss: np.ndarray,
    lips: np.ndarray,
    x: np.ndarray,
    y: np.ndarray,
    actor: Actor,
    rng: np.random.Generator,
) -> None:
    height, width = x.shape
    above = y - mouth_line_y(x, actor.shape)
    tone = np.array(actor.lips, np.float32)
    lines = cv2.resize(field(rng, height // 9, width, 4.0), (width, height)) * 0.8 + 0.6 * field(
        rng, height, width, 6, 2
    )
    shade = 1.0 + 0.035 * lines - 0.10 * (above > 0) - 0.22 * gauss(above, 0, 0.12)
    blotch = 1 + 0.03 * field(rng, height, width, 16, 2)
    painted = tone * (shade * blotch)[..., None]
    colour += (0.90 * lips)[..., None] * (painted - colour)
    upper, lower = lip_borders(x, actor.shape)
    rim = np.where(above >= 0, gauss(above - upper, 0.10, 0.07), 0.6 * gauss(-above - lower, 0.09, 0.07))
    rim = rim * smooth_step(np.abs(x), actor.shape.mouth_half_width_cm, 0.4 * actor.shape.mouth_half_width_cm)
    colour *= (1 + 0.05 * rim)[..., None]
    relief *= 1 - 0.7 * lips
    relief += lips * 0.6 * lines
    gloss += lips * (0.50 + 0.22 * field(rng, height, width, 5, 2) - gloss)


def _shadows(colour: np.ndarray, x: np.ndarray, y: np.ndarray, actor: Actor) -> None:
    """Contact shadows that the lamps' shading cannot see: nostrils, lip line, corners, sockets, under the jaw."""
    shape, level, ax = actor.shape, y / actor.shape.length, np.abs(x)
    above = y - mouth_line_y(x, shape)
    nose = level / shape.nose_length
    n = shape.nose_width
    hole = np.exp(-((((ax - 0.60 * n - 0.5 * (nose + 4.55)) / 0.30) ** 2 + ((nose + 4.60) / 0.125) ** 2) ** 1.6))
    dark = 0.78 * hole + 0.15 * gauss(x, 0, 0.9 * n) * gauss(nose, -4.82, 0.16)
    wing = np.hypot((ax - 1.16 * n) / 0.50, (nose + 4.18) / 0.50)
    dark += 0.34 * gauss(wing, 1.08, 0.16) * smooth_step(ax, 1.05 * n, 1.45 * n) * smooth_step(nose, -3.55, -4.0)
    dark += 0.16 * gauss(wing, 1.0, 0.25) * smooth_step(ax, 1.2 * n, 0.8 * n) * smooth_step(nose, -3.6, -3.9)
    w = shape.mouth_half_width_cm
    dark += 0.55 * gauss(above, 0, 0.045) * smooth_step(ax, w + 0.12, w - 0.25)
    dark += 0.30 * np.exp(-(((ax - w - 0.03) / 0.18) ** 2 + (above / 0.14) ** 2))
    _, lower = lip_borders(x, shape)
    dark += 0.18 * gauss(-above - lower, 0.32, 0.24) * gauss(x, 0, 1.2)
    dark += 0.24 * np.exp(-(((ax - 1.75) / 0.5) ** 2 + ((y - 0.45) / 0.5) ** 2))
    dark += 0.20 * gauss(ax, shape.eye_distance_cm, 1.3) * gauss(y, 0.85, 0.20)
    dark += 0.38 * smooth_step(level, -11.35, -12.6) * smooth_step(level, -17.0, -13.0)
    tint = np.array([0.86, 1.0, 1.02], np.float32)
    colour *= np.clip(1 - np.clip(dark, 0, 0.92)[..., None] * tint, 0.04, 1)


def _brows(colour: np.ndarray, actor: Actor, rng: np.random.Generator) -> None:
    e, thick = actor.shape.eye_distance_cm, actor.brow_thickness
    base = np.array(actor.hair_colour if actor.hair != "scarf" else (44, 32, 27), np.float32)
    base = np.minimum(base, 150) * 0.62 + 0.05 * np.array(actor.skin)
    for side in (-1, 1):
        count = int(420 * (0.6 + 0.4 * thick))
        along = rng.uniform(0, 1, count) ** 0.9
        centre = 1.62 + 0.62 * np.sin(np.pi * np.clip(along * 0.78 + 0.06, 0, 1)) - 0.28 * along**2
        half = thick * np.interp(along, [0, 0.15, 0.5, 0.8, 1], [0.20, 0.26, 0.21, 0.12, 0.05])
        y = centre + half * rng.uniform(-1, 1, count)
        x = e - 1.9 + along * 3.75
        lean = np.interp(along, [0, 0.3, 1], [1.15, 0.55, -0.25]) + 0.18 * rng.standard_normal(count)
        lean -= 0.5 * (y - centre) / np.maximum(half, 0.05) * (along > 0.2)
        length = rng.uniform(0.22, 0.46, count) * CANVAS_PX_PER_CM / 4
        bend = np.linspace(0.15, -0.25, 4)[None]
        angle = lean[:, None] + bend
        steps = np.stack([side * np.cos(angle), -np.sin(angle)], axis=-1) * length[:, None, None]
        column, row = to_canvas(side * x, y)
        layer = np.zeros(colour.shape[:2], np.uint8)
        strands(layer, np.stack([column, row], 1), steps, rng.uniform(60, 170, count))
        soft = cv2.GaussianBlur(layer, (0, 0), 5).astype(np.float32) * 1.25
        weight = np.clip((0.55 * layer.astype(np.float32) + soft) / 255, 0, 0.93)
        colour[:] = mix(colour.astype(np.float32), base, weight).astype(np.uint8)


def _beard_area(x: np.ndarray, y: np.ndarray, lips: np.ndarray, actor: Actor) -> np.ndarray:
    level, ax = y / actor.shape.length, np.abs(x)
    w = actor.shape.mouth_half_width_cm
    above = y - mouth_line_y(x, actor.shape)
    drop = level + 4.95 + 0.10 * ax + 0.12 * gauss(x, 0, 0.2)
    moustache = np.exp(-((ax / (w + 0.55)) ** 6)) * smooth_step(drop, 0.0, -0.45) * smooth_step(above, -0.9, 0.2)
    cheek_line = -6.6 + 0.20 * np.clip(ax - 3.0, 0, 3.2) ** 1.9
    full = smooth_step(level - cheek_line, 0.5, -0.9) * smooth_step(level, -13.2, -11.6)
    chin = np.exp(-((ax / (w * 0.92)) ** 6)) * smooth_step(above, -1.2, -1.9) * smooth_step(level, -12.2, -11.2)
    ring = np.exp(-(((ax - w - 0.35) / 0.55) ** 2)) * smooth_step(above, 0.9, 0.2) * smooth_step(above, -3.0, -2.0)
    bare = gauss(ax, 1.15, 0.6) * gauss(above, -1.55, 0.30) * 0.55
    area = {
        "stubble": np.maximum(full * (1 - bare * 0.5), moustache),
        "full": np.maximum(full * (1 - bare), moustache),
        "moustache": moustache,
        "goatee": np.maximum(np.maximum(chin * (1 - bare), ring), moustache),
    }[actor.beard]
    return np.clip(area * (1 - 1.2 * cv2.dilate(lips.astype(np.float32), np.ones((3, 3)))), 0, 1)


def _beard(
    colour: np.ndarray,
    relief: np.ndarray,
    gloss: np.ndarray,
    lips: np.ndarray,
    x: np.ndarray,
    y: np.ndarray,
    actor: Actor,
    rng: np.random.Generator,
) -> None:
    area = _beard_area(x, y, lips, actor)
    area *= np.clip(1 + (0.12 if actor.beard == "full" else 0.22) * field(rng, x.shape[0], x.shape[1], 22, 2), 0, 1.2)
    tone = np.array(actor.beard_colour or actor.hair_colour, np.float32)
    stubble = actor.beard == "stubble"
    count = 26000 if stubble else 30000
    px = rng.uniform(-7.4, 7.4, count)
    py = rng.uniform(-14.5, -4.0, count)
    column, row = to_canvas(px, py)
    keep = area[
        np.clip(row.astype(int), 0, area.shape[0] - 1), np.clip(column.astype(int), 0, area.shape[1] - 1)
    ] > rng.uniform(0.12, 1.0, count)
    px, column, row = px[keep], column[keep], row[keep]
    length = (rng.uniform(1.0, 2.4, keep.sum()) if stubble else rng.uniform(8, 22, keep.sum())) / 4
    angle = -np.pi / 2 + 0.10 * px + 0.38 * rng.standard_normal(len(px))
    angle = angle[:, None] + np.linspace(-0.25, 0.25, 4) * rng.standard_normal(len(px))[:, None]
    steps = np.stack([np.cos(angle), -np.sin(angle)], -1) * length[:, None, None]
    under = cv2.GaussianBlur(area, (0, 0), 5)
    painted = mix(
        colour.astype(np.float32),
        0.5 * tone + (0.35 if stubble else 0.18) * np.array(actor.skin),
        (0.30 if stubble else 0.66) * under**1.3,
    )
    shade = rng.uniform(0.45, 1.35, len(px))[:, None] * tone[None] + rng.uniform(2, 26, len(px))[:, None]
    layer = np.clip(painted, 0, 255).astype(np.uint8)
    strands(layer, np.stack([column, row], 1), steps, shade)
    weight = (0.60 if stubble else 0.92) * np.clip(under * 1.6, 0, 1)
    keep_skin = painted + weight[..., None] * (layer.astype(np.float32) - painted)
    colour[:] = np.clip(keep_skin, 0, 255).astype(np.uint8)
    relief += under * 1.2 * (cv2.cvtColor(layer, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255 - 0.3) * 4
    gloss *= 1 - 0.55 * under
