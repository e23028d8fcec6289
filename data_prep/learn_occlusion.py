"""Learn the network of lipsync/faces/occlusion.py: covers are drawn over windows of clips whose mouths are clear.

Every picture of a batch is a window as it is, or one with a cover away from the lips (clear), with a hand, microphone
or any shape over the lips (covered), or with letters over them (text). A cover hides when it takes a good part of the
lips' box. Light, colour, blur and coding change at random, so that drawn edges alone give nothing away.

    python -m data_prep.learn_occlusion DATASET... [--steps 2500] [--further]
"""

import argparse
import sys
import zlib
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from safetensors.torch import save_file
from torch.nn import functional as F

from lipsync.faces.occlusion import CLEAR, COVERED, TEXT, WEIGHTS, MouthLooker, as_input, load_looker, mouth_picture
from lipsync.training.clipstore import load_clips

SIZE = 64  # side of the windows that are drawn on, px
LIPS = (19, 24, 45, 42)  # left, top, right, bottom of the lips' usual place in them
_HIDES, _SPARES = 0.35, 0.06  # share of the lips' box under a cover; between the two nothing is learned
_INK_HIDES, _INK_SPARES = 0.12, 0.03  # the same of letters with their edges
_LETTERS = (2.5, 18.0)  # height of a capital, px of the 64: from subtitles of a face that fills the picture to a title
_FONTS = (cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_COMPLEX, cv2.FONT_HERSHEY_TRIPLEX)
_INKS = (0.5, 0.2, 0.3)  # white, yellow, any light colour
_ALPHABET = "abcdefghijklmnopqrstuvwxyz" + "aeinorst" * 3 + " " * 10
Picture = np.ndarray


def shape_mask(rng: np.random.Generator, kind: str, centre: np.ndarray) -> np.ndarray:
    """Opacity uint8 (64, 64) of a hand, a ball on a stick, or a polygon about `centre` px."""
    mask = np.zeros((SIZE, SIZE), np.uint8)
    unit, turn = rng.uniform(20, 38), rng.uniform(-np.pi, np.pi)
    axes = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])

    def at(x: float, y: float) -> tuple[int, int]:
        return tuple(np.rint(centre + axes @ np.array([x, y]) * unit).astype(int).tolist())

    if kind == "hand":
        cv2.ellipse(
            mask, at(0, 0.3), (int(0.5 * unit), int(0.45 * unit)), np.degrees(turn), 0, 360, 255, -1, cv2.LINE_AA
        )
        spread, thick = rng.uniform(0.8, 1.5), max(3, int(rng.uniform(0.2, 0.3) * unit))
        for x in (-0.4, -0.13, 0.13, 0.4)[: rng.integers(1, 5)]:
            cv2.line(mask, at(x, 0.1), at(x * spread, -rng.uniform(0.5, 0.95)), 255, thick, cv2.LINE_AA)
    elif kind == "ball":
        radius = int(rng.uniform(0.25, 0.5) * unit)
        cv2.circle(mask, at(0, 0), radius, 255, -1, cv2.LINE_AA)
        cv2.line(mask, at(0, 0), at(0, 3), 255, max(2, int(rng.uniform(0.3, 1.2) * radius)), cv2.LINE_AA)
    else:
        corners = [
            at(*(rng.uniform(0.25, 0.7) * np.array([np.cos(a), np.sin(a)]))) for a in np.sort(rng.uniform(0, 6.3, 6))
        ]
        cv2.fillPoly(mask, [np.array(corners)], 255, cv2.LINE_AA)
    return mask


def cover_colours(rng: np.random.Generator, window: Picture, other: Picture, kind: str) -> np.ndarray:
    """What the cover looks like: float32 (64, 64, 3)."""
    if kind == "hand" and rng.random() < 0.8:
        x, y = rng.integers(8, 18) if rng.random() < 0.5 else rng.integers(46, 56), rng.integers(10, 24)
        tone = np.median(window[y - 2 : y + 3, x - 2 : x + 3].reshape(-1, 3), 0) * rng.uniform(0.7, 1.25)
        tone = tone + rng.normal(0, 5, 3)
    elif rng.random() < 0.4:
        return np.rot90(other, int(rng.integers(4))).astype(np.float32)
    else:
        tone = rng.uniform(10, 90, 1).repeat(3) + rng.normal(0, 6, 3) if kind == "ball" else rng.uniform(0, 255, 3)
    coarse = cv2.resize(rng.normal(0, 1, (4, 4, 1)).astype(np.float32), (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)
    fine = rng.normal(0, rng.uniform(0, 14), (SIZE, SIZE)).astype(np.float32)
    if kind == "ball" and rng.random() < 0.6:
        step = rng.integers(2, 5)
        fine[::step] += rng.uniform(10, 50)
        fine[:, ::step] += rng.uniform(10, 50)
    return tone[None, None] * (1 + rng.uniform(0, 0.25) * coarse[..., None]) + fine[..., None]


def lay_cover(rng: np.random.Generator, window: Picture, other: Picture) -> tuple[Picture, int]:
    """A window with something drawn on it, and its class; −1 where it is neither hidden nor clear."""
    kind = ("hand", "hand", "ball", "shape")[rng.integers(4)]
    left, top, right, bottom = LIPS
    over = rng.random() < 0.7
    centre = rng.uniform((left, top), (right, bottom)) if over else rng.uniform(0, SIZE, 2)
    mask = shape_mask(rng, kind, centre)
    colours = cover_colours(rng, window, other, kind)
    edge = cv2.subtract(mask, cv2.erode(mask, np.ones((3, 3), np.uint8))).astype(np.float32)[..., None] / 255
    opacity = cv2.GaussianBlur(mask, (0, 0), rng.uniform(0.3, 1.2)).astype(np.float32)[..., None] / 255
    shadow = cv2.GaussianBlur(mask, (0, 0), 5).astype(np.float32)[..., None] / 255
    out = (
        window * (1 - rng.uniform(0, 0.4) * shadow) * (1 - opacity)
        + colours * (1 - rng.uniform(0, 0.4) * edge) * opacity
    )
    share = float(mask[top:bottom, left:right].mean()) / 255
    label = COVERED if share > _HIDES else CLEAR if share < _SPARES else -1
    return np.clip(out, 0, 255).astype(np.uint8), label


def lay_text(rng: np.random.Generator, window: Picture) -> tuple[Picture, int]:
    """A window with a line or two of letters, and its class by the ink on the lips; −1 where there is a little."""
    scale = 4
    big = cv2.resize(window, (SIZE * scale,) * 2, interpolation=cv2.INTER_LINEAR)
    height = scale * float(np.exp(rng.uniform(*np.log(_LETTERS))))
    near_lips = rng.uniform(LIPS[1] + 2, LIPS[3] + height / scale)
    row = scale * (near_lips if rng.random() < 0.75 else rng.choice([rng.uniform(2, 16), rng.uniform(58, 72)]))
    font = int(rng.choice(_FONTS))
    thick = max(1, round(height * rng.uniform(0.07, 0.24)))
    size = cv2.getFontScaleFromHeight(font, round(height), thick)
    edge = thick + 2 * round(height * rng.uniform(0.03, 0.14)) if rng.random() < 0.8 else 0
    fore = (np.array([255, 255, 255]), np.array([250, 230, 40]), rng.uniform(90, 255, 3))[rng.choice(3, p=_INKS)]
    boxed, ink = rng.random() < 0.25, np.zeros(big.shape[:2], np.uint8)
    for line in range(rng.integers(1, 3)):
        letters = rng.choice(list(_ALPHABET.upper() if rng.random() < 0.3 else _ALPHABET), 40)
        place = (round(rng.uniform(-6, 0) * height), round(row + line * rng.uniform(1.4, 1.9) * height))
        if boxed:
            corners = (0, place[1] - round(1.25 * height)), (SIZE * scale, place[1] + round(0.3 * height))
            cv2.rectangle(big, *corners, (0, 0, 0), -1)
            cv2.rectangle(ink, *corners, 255, -1)
        for picture, colour in ((big, (0.0, 0.0, 0.0)), (ink, (255.0,))):
            if edge:
                cv2.putText(picture, "".join(letters), place, font, size, colour, edge, cv2.LINE_AA)
        for picture, colour in ((big, tuple(float(v) for v in fore)), (ink, (255.0,))):
            cv2.putText(picture, "".join(letters), place, font, size, colour, thick, cv2.LINE_AA)
    left, top, right, bottom = (scale * side for side in LIPS)
    share = float(ink[top:bottom, left:right].mean()) / 255
    label = TEXT if share > _INK_HIDES else CLEAR if share < _INK_SPARES else -1
    return cv2.resize(big, (SIZE, SIZE), interpolation=cv2.INTER_AREA), label


def vary(rng: np.random.Generator, picture: Picture) -> Picture:
    """The same under other light, another camera and another coding."""
    out = picture[:, ::-1] if rng.random() < 0.5 else picture
    if rng.random() < 0.15:
        out = cv2.cvtColor(cv2.cvtColor(out, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    shift, zoom = rng.uniform(-3, 3, 2), rng.uniform(0.9, 1.1)
    turn = cv2.getRotationMatrix2D((SIZE / 2, SIZE / 2), rng.uniform(-8, 8), zoom)
    turn[:, 2] += shift
    out = cv2.warpAffine(out, turn, (SIZE, SIZE), borderMode=cv2.BORDER_REPLICATE)
    if rng.random() < 0.4:
        out = cv2.GaussianBlur(out, (0, 0), rng.uniform(0.3, 1.3))
    light = rng.uniform(0.6, 1.3) * (1 + rng.normal(0, 0.06, 3))
    out = np.clip(255 * (out / 255.0) ** rng.uniform(0.75, 1.35) * light, 0, 255).astype(np.uint8)
    if rng.random() < 0.5:
        coded = cv2.imencode(".jpg", out, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(30, 95))])[1]
        out = cv2.imdecode(coded, cv2.IMREAD_COLOR)
    return np.asarray(out)


def make_batch(rng: np.random.Generator, windows: np.ndarray, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Pictures (count, 3, 32, 32) and their classes (count,), a third of them not touched."""
    pictures, labels = [], []
    while len(labels) < count:
        window, other = windows[rng.integers(len(windows))], windows[rng.integers(len(windows))]
        draw = rng.random()
        picture, label = (
            (window, CLEAR) if draw < 0.35 else (lay_cover(rng, window, other) if draw < 0.8 else lay_text(rng, window))
        )
        if label >= 0:
            pictures.append(mouth_picture(vary(rng, picture)))
            labels.append(label)
    return as_input(np.stack(pictures)), torch.tensor(labels)


def learn(
    windows: np.ndarray, steps: int, looker: MouthLooker | None = None, seed: int = 0, batch: int = 128
) -> MouthLooker:
    """Train on windows uint8 (N, 64, 64, 3) of clear mouths: a new network, or `looker` further at half the rate."""
    torch.manual_seed(seed)
    rng, rate = np.random.default_rng(seed), 1e-3 if looker else 2e-3
    looker = (looker or MouthLooker()).train()
    optimizer = torch.optim.AdamW(looker.parameters(), rate, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps)
    for _ in range(steps):
        pictures, labels = make_batch(rng, windows, batch)
        loss = F.cross_entropy(looker(pictures), labels, label_smoothing=0.02)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return looker.eval()


def collect(datasets: Sequence[Path], each: int = 6) -> tuple[np.ndarray, np.ndarray]:
    """Windows uint8 (N, 64, 64, 3) of the clips, and whether their person is held out: bool (N,)."""
    windows, held = [], []
    for clip in load_clips(list(datasets)):
        own = clip.windows()
        for i in np.linspace(0, len(own) - 1, min(each, len(own))).astype(int):
            windows.append(cv2.resize(own[i], (SIZE, SIZE), interpolation=cv2.INTER_AREA))
            held.append(zlib.crc32((clip.record.person or clip.record.source).encode()) % 7 == 0)
    return np.stack(windows), np.array(held)


def save(looker: MouthLooker, path: Path = WEIGHTS) -> None:
    """Write the weights in half precision."""
    save_file({name: value.half().contiguous() for name, value in looker.state_dict().items()}, path)


def main(argv: Sequence[str] | None = None) -> int:
    """Learn, say how well held-out people are told, save."""
    parser = argparse.ArgumentParser("python -m data_prep.learn_occlusion", description="Learn to see hidden mouths.")
    parser.add_argument("dataset", type=Path, nargs="+", metavar="DATASET")
    parser.add_argument("--steps", type=int, default=2500)
    parser.add_argument("--further", action="store_true", help="begin with the shipped weights")
    args = parser.parse_args(argv)
    windows, held = collect(args.dataset)
    looker = learn(windows[~held], args.steps, load_looker() if args.further else None)
    pictures, labels = make_batch(np.random.default_rng(1), windows[held], 2000)
    with torch.inference_mode():
        told = looker(pictures).argmax(1)
    for name, index in (("clear", CLEAR), ("covered", COVERED), ("text", TEXT)):
        sys.stdout.write(f"{name}: {100 * float((told == index)[labels == index].float().mean()):.1f} % right\n")
    save(looker)
    return 0


if __name__ == "__main__":
    sys.exit(main())
