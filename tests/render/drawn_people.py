"""Drawn heads whose landmarks a drawn detector knows: two red discs are the eyes, a green one rides on the lower lip.

Nothing here looks like a person; it gives the renderer pictures in which every answer is known.
"""

from fractions import Fraction

import av
import cv2
import numpy as np
import torch

from lipsync.faces.template import HEAD
from lipsync.media import VideoWriter
from lipsync.model.base import Base
from lipsync.model.pixel import PixelModel, PixelModelConfig
from lipsync.model.shape import ShapeSpace
from lipsync.model.speech_to_shape import ShapeModel, ShapeModelConfig
from lipsync.types import Face, Sound

WIDTH, HEIGHT = 160, 192
LOWER = [5, 6, 7, 8, 9, 10, 11, 55, 56, 57, 58, 59, 65, 66, 67]
MARK_Y = 1.6  # of the green disc on a closed mouth, head units


def draw(heads, width=WIDTH, height=HEIGHT, shade=0):
    """A picture with heads given as (x, y, scale px, opening), on a smooth background."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    image = np.stack([90 + 30 * x / width, 110 + 40 * y / height, 130 + 20 * np.sin(x / 40)], -1) + shade
    for cx, cy, scale, opening in heads:
        skin = np.stack([150 + 10 * np.sin(y / 30), 120 + 10 * np.cos(x / 25), 100 + 0 * x], -1)
        inside = ((x - cx) / (1.25 * scale)) ** 2 + ((y - cy - 0.6 * scale) / (1.7 * scale)) ** 2
        image += np.clip(4 - 4 * inside, 0, 1)[..., None] * (skin + shade - image)
        image = np.ascontiguousarray(np.clip(image, 0, 255).astype(np.float32))
        radius = max(2, round(0.14 * scale))
        for side in (-0.5, 0.5):
            disc(image, cx + side * scale, cy, radius, (250, 20, 20))
        disc(image, cx, cy + (MARK_Y + opening) * scale, radius, (20, 230, 20))
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


def disc(image, x, y, radius, colour):
    """An antialiased disc at a sub-pixel place."""
    centre = (round(x * 16), round(y * 16))
    cv2.circle(image, centre, radius * 16, colour, -1, cv2.LINE_AA, 4)


class DrawnDetector:
    """Finds drawn heads by their discs; as many faces as pairs of eyes."""

    def reset(self):
        """Nothing is remembered."""

    def detect(self, image):
        """Faces, largest first."""
        eyes, marks = centres(image, 0), centres(image, 1)
        faces = [face_of(eyes[i], eyes[i + 1], marks) for i in range(0, len(eyes) - 1, 2)]
        return sorted(faces, key=lambda f: f.box_px[0] - f.box_px[2])


def centres(image, channel):
    """Centres of the discs that are strong in one channel, left to right."""
    other = np.delete(image.astype(int), channel, 2).max(2)
    strength = (image[..., channel].astype(int) - other - 60).clip(0).astype(np.float32)
    count, labels, stats, _ = cv2.connectedComponentsWithStats((strength > 0).astype(np.uint8))
    out = []
    for k in range(1, count):
        if stats[k, cv2.CC_STAT_AREA] >= 5:
            rows, columns = np.nonzero(labels == k)
            weight = strength[rows, columns]
            out.append((float((columns * weight).sum() / weight.sum()), float((rows * weight).sum() / weight.sum())))
    return sorted(out)


def face_of(left, right, marks):
    """The average head on two eyes, its lower lip and jaw moved by the nearest mark."""
    (x0, y0), (x1, y1) = left, right
    scale, middle = np.hypot(x1 - x0, y1 - y0), np.array([(x0 + x1) / 2, (y0 + y1) / 2, 0.0])
    head = HEAD.copy()
    mark = min(marks, key=lambda m: abs(m[0] - middle[0]), default=None)
    if mark is not None:
        head[LOWER, 1] += (mark[1] - middle[1]) / scale - MARK_Y
    landmarks = (head * scale + middle).astype(np.float32)
    low, high = landmarks[:, :2].min(0), landmarks[:, :2].max(0)
    return Face((float(low[0]), float(low[1]), float(high[0]), float(high[1])), landmarks)


def write_video(path, pictures, times_s=None, sound=None, rate=Fraction(25)):
    """A video of pictures, at 25 frames a second or at given times."""
    height, width = pictures[0].shape[:2]
    with VideoWriter(path, width=width, height=height, frame_rate=rate, sound=sound, crf=10) as writer:
        for k, picture in enumerate(pictures):
            writer.write(picture, None if times_s is None else times_s[k])
    return path


def head_at(k, opening=None):
    """A head that moves a little with k and opens its mouth now and then."""
    wide = 0.12 * (1 + np.sin(k / 2.5)) if opening is None else opening
    return (80 + 4 * np.sin(k / 7), 62 + 2 * np.cos(k / 5), 36.0, wide)


def speaking(count=24, gap=range(0)):
    """Pictures of one head; none in the frames of `gap`."""
    return [draw([] if k in gap else [head_at(k)]) for k in range(count)]


def noise_speech(seconds, rate=16000, channels=0, seed=0):
    """A sound with syllables, sort of."""
    rng = np.random.default_rng(seed)
    count = round(seconds * rate)
    envelope = np.abs(np.sin(np.arange(count) / rate * 9)) * 0.2
    samples = (rng.standard_normal(count) * envelope).astype(np.float32)
    return Sound(samples if not channels else np.stack([samples, 0.5 * samples][:channels], 1), rate)


def tiny_base(size_px=32, seed=0):
    """Random models of no skill, the same ones for a seed; the shape space opens the mouth."""
    torch.manual_seed(seed)
    config = PixelModelConfig(
        size_px=size_px, channels=(8, 16, 16), width=32, depth=1, heads=2, condition=16, keys=4, head_channels=8,
        chunk_frames=5, mask_top_px=size_px * 12 // 128, mask_side_px=2,
    )  # fmt: skip
    pixel = PixelModel(config).eval()
    shape = ShapeModel(ShapeModelConfig(width=16, dilations=(1, 2), coefficients=2)).eval()
    basis = np.zeros((2, 31, 2))
    basis[0, [*range(2, 9), *range(18, 23), 28, 29, 30], 1] = 1
    basis[1, :, 0] = np.linspace(-1, 1, 31)
    flat = basis.reshape(2, -1)
    flat = np.linalg.qr(flat.T)[0].T * np.sign(flat.sum(1, keepdims=True) + 1e-9)
    flat[0] *= np.sign(flat[0].sum())
    shape.set_space(ShapeSpace(np.zeros(62), flat, np.array([0.4, 0.05])))
    return Base("tiny", shape, pixel, "0" * 64)


def coded(path):
    """Every coded packet of a file, and its tags: all of it but the signature, in which no two files are alike."""
    with av.open(str(path)) as file:
        packets = [(p.stream.index, p.pts, p.dts, bytes(p)) for p in file.demux() if p.size]
        return packets, dict(file.metadata)
