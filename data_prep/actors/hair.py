"""Hair: painted strand by strand on the canvas, lifted off the skull, and as curtains before and behind the head."""

from dataclasses import dataclass

import cv2
import numpy as np

from data_prep.actors.actor import Actor
from data_prep.actors.geometry import CANVAS_PX_PER_CM, Head, canvas_grid, canvas_size, gauss, smooth_step, to_canvas
from data_prep.actors.noise import field, strands

LIFT_CM = {
    "bald": 0.0,
    "buzz": 0.18,
    "short": 1.15,
    "side": 1.35,
    "curly": 2.3,
    "long": 0.95,
    "bob": 1.0,
    "tied": 0.45,
    "scarf": 0.8,
}


def scalp_height(azimuth: np.ndarray, actor: Actor) -> np.ndarray:
    """Height of the hairline, cm above the eyes, by angle from the front (radians, 0 … π)."""
    degrees = np.rad2deg(azimuth)
    front = actor.hairline_cm
    recede = 0.8 * (actor.age > 0.35) * (actor.hair in ("short", "side", "buzz"))
    if actor.hair == "scarf":
        knots = [(0, front), (30, front - 0.5), (50, front - 2.2), (66, -1.5), (75, -7.0), (82, -13.0), (180, -14)]
    elif actor.hair in ("long", "bob"):
        knots = [(0, front), (30, front - 0.4), (48, front - 2.0), (62, 0.5), (72, -3.5), (90, -6), (180, -9)]
    else:
        knots = [
            (0, front),
            (20, front + 0.1),
            (34, front + 0.3 * recede),
            (46, front - 1.0 + recede),
            (57, front - 3.0),
            (66, 1.2),
            (73, -1.0),
            (80, -1.6),
            (86, 2.0),
            (98, 1.5),
            (112, -5),
            (180, -8),
        ]
    return np.interp(degrees, [k[0] for k in knots], [k[1] for k in knots])


def _cover(x: np.ndarray, y: np.ndarray, z: np.ndarray, actor: Actor, soft_cm: float) -> np.ndarray:
    azimuth = np.arctan2(np.abs(x), z + 1.0)
    slope = (scalp_height(azimuth + 0.04, actor) - scalp_height(azimuth - 0.04, actor)) / (0.08 * 7.0)
    distance = (y - scalp_height(azimuth, actor)) / np.sqrt(1 + slope * slope)
    return smooth_step(distance, -soft_cm, soft_cm)


def lift_hair(head: Head, actor: Actor) -> np.ndarray:
    """float32 (R, C): how far the hair stands off the skull at each grid point, cm."""
    lift = LIFT_CM[actor.hair]
    if lift == 0.0:
        return np.zeros(head.points.shape[:2], np.float32)
    x, y, z = (head.points[..., i] for i in range(3))
    rng = np.random.default_rng([actor.seed, 5])
    amount = _cover(x, y - 0.7, z, actor, 1.3 if actor.hair != "scarf" else 0.7)
    lumps = field(rng, x.shape[0], x.shape[1], 14 if actor.hair != "curly" else 7, 1)
    lumps = lumps * smooth_step(np.arange(len(x))[:, None], 1, 10)  # all columns meet at the crown
    rough = {"curly": 0.13, "short": 0.12, "side": 0.09, "scarf": 0.10}.get(actor.hair, 0.05)
    top = 0.62 + 0.38 * smooth_step(y, 1.0, 8.0) if actor.hair in ("short", "side") else np.ones_like(x)
    if actor.hair in ("long", "bob"):
        top = smooth_step(y, -1.0, 3.0)
    if actor.hair == "curly":
        top = 0.12 + 0.88 * smooth_step(y, -3.5, 4.5)
    if actor.hair == "side":
        top = top * (1.0 + 0.22 * np.sin(np.clip(x / 6, -1, 1) * 1.5))
    return (lift * amount * top * (1 + rough * lumps)).astype(np.float32)


def _flow(px: np.ndarray, py: np.ndarray, actor: Actor, rng: np.random.Generator) -> np.ndarray:
    """Angle in which hair grows on the canvas, radians from right, y up."""
    away = np.arctan2(py - 3.0, px * 1.1)
    if actor.hair == "side":
        part = -3.0
        return np.where(px > part, 0.35 - 0.06 * (px - part) - 0.05 * (py - 8), np.pi - 0.9) + 0.0 * away
    if actor.hair in ("long", "bob"):
        part = 0.6 if actor.hair == "long" else -1.5
        side = np.sign(px - part + 1e-6)
        fall = np.clip(np.abs(px - part) / 6.0, 0, 1)
        angle = 0.15 - 1.65 * fall**0.8
        return np.where(side > 0, angle, np.pi - angle)
    if actor.hair == "tied":
        return np.arctan2(1.0 + 0.0 * py, px * 0.10)
    if actor.hair == "curly":
        return rng.uniform(-np.pi, np.pi, len(px))
    return away + 0.25 * np.sin(px * 1.3 + py) + 0.25


def paint_hair(colour: np.ndarray, bump: np.ndarray, head: Head, actor: Actor) -> None:
    """Paint the hair of the scalp onto the canvas (uint8 (Hc, Wc, 4), gloss last; slopes (Hc, Wc, 2)), in place."""
    if actor.hair == "scarf":
        _paint_scarf(colour, bump, head, actor)
        return
    rng = np.random.default_rng([actor.seed, 6])
    height, width = canvas_size()
    at_x, at_y, at_z = cv2.split(cv2.resize(head.surface, (width, height), interpolation=cv2.INTER_LINEAR))
    soft = {"bald": 1.2, "buzz": 0.55}.get(actor.hair, 0.55)
    uneven = 0.13 * field(rng, height, width, 26, 2) if actor.hair not in ("long", "bob") else 0.0
    cover = _cover(at_x, at_y + uneven, at_z, actor, soft).astype(np.float32)
    tone = np.array(actor.hair_colour, np.float32)
    if actor.hair == "bald":
        return
    base = colour[..., :3].astype(np.float32)
    strength = 0.80 if actor.hair == "buzz" else 0.97
    under = np.clip(cover * 1.35 - 0.25, 0, 1) * strength
    layer = base + under[..., None] * (0.62 * tone - base)
    layer = np.clip(layer, 0, 255).astype(np.uint8)
    count, length_cm = {
        "buzz": (70000, 0.18),
        "short": (20000, 1.5),
        "side": (20000, 2.4),
        "curly": (11000, 0.75),
        "long": (15000, 3.0),
        "bob": (15000, 3.0),
        "tied": (15000, 2.2),
    }[actor.hair]
    px, py = rng.uniform(-11.4, 11.4, count), rng.uniform(-9.0, 12.1, count)
    column, row = to_canvas(px, py)
    at = (np.clip(row.astype(int), 0, height - 1), np.clip(column.astype(int), 0, width - 1))
    keep = cover[at] > rng.uniform(0.20, 0.95, count)
    px, py, column, row = px[keep], py[keep], column[keep], row[keep]
    kept = len(px)
    angle = _flow(px, py, actor, rng) + 0.13 * rng.standard_normal(kept)
    curl = 2.6 if actor.hair == "curly" else 0.10
    turn = np.linspace(-1, 1, 6)[None] * curl * rng.standard_normal(kept)[:, None]
    bend = angle[:, None] + turn
    steps = (
        np.stack([np.cos(bend), -np.sin(bend)], -1)
        * (length_cm * CANVAS_PX_PER_CM / 6 * rng.uniform(0.5, 1.1, kept))[:, None, None]
    )
    clump = field(rng, height, width, 16, 2)[at][keep]
    shade = np.clip(0.85 + 0.22 * clump + 0.24 * rng.standard_normal(kept), 0.25, 1.9)
    shades = shade[:, None] * tone + (4 + 10 * (shade[:, None] > 1.3))
    strands(layer, np.stack([column, row], 1), steps, shades)
    colour[..., :3] = layer
    gray = cv2.GaussianBlur(cv2.cvtColor(layer, cv2.COLOR_RGB2GRAY).astype(np.float32), (0, 0), 1.0)
    slope = (
        np.dstack([cv2.Sobel(gray, cv2.CV_32F, 1, 0), -cv2.Sobel(gray, cv2.CV_32F, 0, 1)]) / 8 / max(tone.mean(), 25)
    )
    weight = np.clip(under, 0, 1)[..., None]
    bump += weight * (slope * 1.6 - bump)
    colour[..., 3] = (colour[..., 3] * (1 - 0.72 * weight[..., 0])).astype(np.uint8)


def _paint_scarf(colour: np.ndarray, bump: np.ndarray, head: Head, actor: Actor) -> None:
    rng = np.random.default_rng([actor.seed, 6])
    x, y = canvas_grid()
    height, width = canvas_size()
    at_x, at_y, at_z = cv2.split(cv2.resize(head.surface, (width, height), interpolation=cv2.INTER_LINEAR))
    cover = np.maximum(
        _cover(at_x, at_y, at_z, actor, 0.05), smooth_step(y / actor.shape.length, -11.9, -12.15)
    ).astype(np.float32)
    folds = np.sin(2.1 * np.hypot(x * 1.05, y - 1.0) + 0.8 * field(rng, height, width, 130)) * 0.5
    weave = 0.06 * field(rng, height, width, 1.5)
    cloth = np.array(actor.hair_colour, np.float32) * (1 + 0.10 * folds + weave)[..., None]
    colour[..., :3] = np.clip(colour[..., :3] + cover[..., None] * (cloth - colour[..., :3]), 0, 255).astype(np.uint8)
    shadow = cv2.GaussianBlur(cover, (0, 0), 14) * (1 - cover)
    colour[..., :3] = (colour[..., :3] * (1 - 0.75 * shadow[..., None])).astype(np.uint8)
    colour[..., 3] = (colour[..., 3] * (1 - 0.85 * cover)).astype(np.uint8)
    bump += cover[..., None] * (
        np.dstack([cv2.Sobel(folds, cv2.CV_32F, 1, 0), -cv2.Sobel(folds, cv2.CV_32F, 0, 1)]).astype(np.float32) * 0.6
        - bump
    )


@dataclass(frozen=True)
class Curtains:
    """Hair or cloth that hangs free: canvases float32 (Hc, Wc, 4) in linear light, drawn behind and before the head."""

    behind: np.ndarray | None
    before: np.ndarray | None


CURTAIN_PX_PER_CM, CURTAIN_LEFT_CM, CURTAIN_TOP_CM, CURTAIN_WIDTH_CM, CURTAIN_HEIGHT_CM = 28.0, -14.0, 14.5, 28.0, 36.0


def _hanging(
    actor: Actor, rng: np.random.Generator, *, end_y: float, count: int, dark: float, behind: bool
) -> np.ndarray:
    """A fall of strands on both sides, from the parting over the temples to end_y: uint8 (H, W, 4)."""
    width, height = int(CURTAIN_WIDTH_CM * CURTAIN_PX_PER_CM), int(CURTAIN_HEIGHT_CM * CURTAIN_PX_PER_CM)
    layer = np.zeros((height, width, 4), np.uint8)
    half, part = 7.45 * actor.shape.width, 0.5 if actor.hair == "long" else -1.6
    side = rng.choice([-1.0, 1.0], count)
    depth = rng.uniform(0, 1, count)[:, None]  # 0: nearest the face … 1: outermost
    lock = np.floor(depth * 9 + 0.25 * rng.standard_normal((count, 1)))
    t = np.linspace(0, 1, 25)[None]
    turn = np.clip(t / 0.34, 0, 1) * np.pi / 2
    fall = np.clip((t - 0.34) / 0.66, 0, 1)
    root_y = actor.hairline_cm + 0.1 + (12.0 - actor.hairline_cm) * depth
    wide = half - 1.35 + 2.3 * depth if not behind else half - 3.5 + 4.2 * depth
    bend_y = 1.6 + 1.6 * depth
    x = part * side[:, None] + (wide - part * side[:, None]) * np.sin(turn) ** 1.15
    y = root_y + (bend_y - root_y) * (1 - np.cos(turn))
    tip = end_y + 1.1 * rng.standard_normal((count, 1)) - 0.6 * depth
    y = y + (tip - bend_y) * fall
    wave = 0.42 if actor.hair == "long" else 0.12
    x = x + wave * np.sin(fall * 8.5 + lock * 1.7 + side[:, None]) * fall**0.7 + 0.16 * np.sin(lock * 5.1) * fall
    x = x + (0.9 if actor.hair == "long" else 0.5) * np.sin(fall * 2.2) * (0.35 + 0.65 * depth)
    x = x - (0.9 if actor.hair == "bob" else 0.2) * fall**3 + 0.13 * rng.standard_normal((count, 1)) * (0.3 + fall)
    px = (side[:, None] * x - CURTAIN_LEFT_CM) * CURTAIN_PX_PER_CM
    py = (CURTAIN_TOP_CM - y) * CURTAIN_PX_PER_CM
    glow = 0.85 + 0.09 * np.sin(lock * 2.9)
    glow = glow - 0.20 * (depth < 0.10)
    shade = np.clip(glow + 0.22 * rng.standard_normal((count, 1)), 0.25, 1.7)[:, 0] * dark
    tone = np.array(actor.hair_colour, np.float32)
    path = np.round(np.stack([px, py], -1) * 16).astype(np.int32)
    for i in np.argsort(depth[:, 0] + 0.25 * rng.standard_normal(count)):
        value = tuple(float(v) for v in np.clip(tone * shade[i] + 3, 0, 255))
        cv2.polylines(layer, [path[i]], False, (*value, 255.0), 1 if i % 3 else 2, cv2.LINE_AA, 4)
    return layer


def hang_hair(actor: Actor) -> Curtains:
    """The free-hanging hair of one actor."""
    rng = np.random.default_rng([actor.seed, 7])
    if actor.hair not in ("long", "bob"):
        return Curtains(None, None)
    end = -19.5 if actor.hair == "long" else -10.0
    behind = _hanging(actor, rng, end_y=end, count=3000, dark=0.55, behind=True)
    before = _hanging(actor, rng, end_y=end, count=3400, dark=1.0, behind=False)
    return Curtains(_linear(behind, actor), _linear(before, actor))


def _linear(layer: np.ndarray, actor: Actor) -> np.ndarray:
    alpha = layer[..., 3:].astype(np.float32) / 255
    colour = layer[..., :3].astype(np.float32) / np.maximum(alpha, 1e-3)
    height = np.linspace(CURTAIN_TOP_CM, CURTAIN_TOP_CM - CURTAIN_HEIGHT_CM, len(layer))
    shine = 0.72 + 0.75 * gauss(height, 6.0, 1.8) - 0.25 * smooth_step(height, 0.0, -14.0)
    across = np.linspace(-1, 1, layer.shape[1]) * np.sin(np.deg2rad(actor.light.azimuth_deg))
    light = shine[:, None] * (1 + 0.9 * across[None])
    return np.dstack([(np.clip(colour, 0, 255) / 255) ** 2 * light[..., None], alpha]).astype(np.float32)
