"""A decoded picture that is looked at, and edited in a few places, without being converted as a whole.

Pixels are edited in the stream's own planes, by what changed alone:

    Y ← Y + 2^(bits − 8) · W · (after − before),        U, V alike, averaged to where their samples lie

W is the stream's RGB → YUV matrix. Where nothing changed, the source's own values stay to the last bit, at 8 or 10
bits, and a picture that is not edited at all goes from decoder to encoder untouched.
"""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Interpolation

from lipsync.media.colour import matrix_of, planes_of, rgb_of, to_rgb
from lipsync.media.orient import Orientation
from lipsync.types import VideoInfo

Box = tuple[int, int, int, int]  # left, top, right, bottom (exclusive)

# What H.264 keeps as it is; names that differ only in the range they imply become the plain one.
_KEPT = {f"yuv{s}p{b}": f"yuv{s}p{b}" for s in ("420", "422", "444") for b in ("", "10le")}
_KEPT |= {f"yuvj{s}p": f"yuv{s}p" for s in ("420", "422", "444")}
_REPACKED = {"nv12": "yuv420p", "nv21": "yuv420p", "nv16": "yuv422p", "p010le": "yuv420p10le", "yuyv422": "yuv422p"}
_NEAREST = {
    "yuv420p12le": "yuv420p10le", "yuv422p12le": "yuv422p10le", "yuv444p12le": "yuv444p10le", "yuva420p": "yuv420p",
    "yuva444p10le": "yuv444p10le", "yuva422p10le": "yuv422p10le", "yuv411p": "yuv420p", "yuv410p": "yuv420p",
    "yuv440p": "yuv444p",
}  # fmt: skip


def plane_format(pixel_format: str, width: int, height: int) -> str:
    """The planar YUV format in which pictures of `pixel_format` are edited and written; "" where they are no YUV.

    H.264 codes odd sizes only without chroma subsampling.
    """
    name = _KEPT.get(pixel_format) or _REPACKED.get(pixel_format) or _NEAREST.get(pixel_format, "")
    odd_across, odd_down = width % 2 and name[3:6] in ("420", "422"), height % 2 and name[3:6] == "420"
    return name.replace(name[3:6], "444") if name and (odd_across or odd_down) else name


def format_warning(info: VideoInfo) -> str:
    """What of the source's pixel format is not kept, in a sentence; "" where all is."""
    kept = plane_format(info.pixel_format, 2, 2)
    if info.pixel_format in _KEPT or info.pixel_format in _REPACKED or info.is_still:
        return ""
    return f"pictures in {info.pixel_format} cannot be kept so in H.264: they are written as {kept or 'yuv420p'}"


def subsampling(name: str) -> tuple[int, int]:
    """How many pixels across and down share a chroma sample of a planar format."""
    return {"420": (2, 2), "422": (2, 1), "444": (1, 1)}[name[3:6]]


@dataclass
class Picture:
    """One picture of a stream: `frame` as coded, turned upright for whoever looks.

    `index`, `time_s`, `pts` as in `types.Frame`. Boxes are in upright pixels.
    """

    frame: VideoFrame
    turn: Orientation
    index: int
    time_s: float
    pts: int
    own: bool = False  # whether the planes are this picture's alone: decoders still look at theirs

    @property
    def size(self) -> tuple[int, int]:
        """Upright width and height, px."""
        width, height = self.frame.width, self.frame.height
        return (height, width) if self.turn.transposed else (width, height)

    def rgb(self) -> np.ndarray:
        """The whole picture, uint8 (H, W, 3), upright."""
        return np.ascontiguousarray(self.turn.upright(to_rgb(self.frame)))

    def small(self, most_px: int) -> np.ndarray:
        """The whole picture, at most `most_px` on its longer side: uint8 (h, w, 3), upright.

        Converted without accurate rounding, a twelfth of the time of `rgb`: for finding faces.
        """
        frame, scale = self.frame, min(1.0, most_px / max(self.frame.width, self.frame.height))
        image = frame.reformat(
            width=max(2, round(frame.width * scale)),
            height=max(2, round(frame.height * scale)),
            format="rgb24",
            src_colorspace=matrix_of(frame.colorspace, frame.height),
            interpolation=Interpolation.AREA if scale < 1 else Interpolation.POINT,
            dst_color_range=ColorRange.JPEG,
            threads=1,
        ).to_ndarray()
        return np.ascontiguousarray(self.turn.upright(image))

    def patch(self, box: Box) -> np.ndarray:
        """What `box` shows: uint8 (h, w, 3) RGB, upright. The box must lie in the picture."""
        left, top, right, bottom = self._coded(box)
        name = plane_format(self.frame.format.name, self.frame.width, self.frame.height)
        if not name:
            return np.ascontiguousarray(self.rgb()[box[1] : box[3], box[0] : box[2]])
        self._make_planar(name)
        across, down = subsampling(name)
        margin_x, margin_y = 4 * across, 4 * down  # chroma is interpolated
        x0, y0 = max(0, (left - margin_x) // 2 * 2), max(0, (top - margin_y) // 2 * 2)
        x1, y1 = min(self.frame.width, right + margin_x), min(self.frame.height, bottom + margin_y)
        parts = []
        for number, plane in enumerate(planes(self.frame)):
            sx, sy = (across, down) if number else (1, 1)
            parts.append(plane[y0 // sy : -(-y1 // sy), x0 // sx : -(-x1 // sx)])
        matrix, full = matrix_of(self.frame.colorspace, self.frame.height), self._is_full
        image = rgb_of(parts, matrix, full, (across, down), 10 if name.endswith("10le") else 8)
        image = image[top - y0 : bottom - y0, left - x0 : right - x0]
        return np.ascontiguousarray(self.turn.upright(image))

    def edited(self, box: Box, before: np.ndarray, after: np.ndarray) -> "Picture":
        """The picture with what changed between two looks at `box`, uint8 (h, w, 3) each; planes are copied once."""
        name = plane_format(self.frame.format.name, self.frame.width, self.frame.height)
        if not name:
            image = self.rgb()
            image[box[1] : box[3], box[0] : box[2]] = after
            return Picture(_rgb_frame(self.turn.coded(image), self.frame), self.turn, self.index, self.time_s, self.pts)
        self._make_planar(name)
        out = Picture(copy_frame(self.frame), self.turn, self.index, self.time_s, self.pts, own=True)
        rows, columns = changed(before, after)
        if rows == slice(0):
            return out
        across, down = subsampling(name)
        before, after = (np.ascontiguousarray(image[rows, columns]) for image in (before, after))
        high, wide = before.shape[:2]
        x, y = box[0] + columns.start, box[1] + rows.start
        left, top, right, bottom = self._coded((x, y, x + wide, y + high))
        change = self.turn.coded(cv2.subtract(after, before, dtype=cv2.CV_32F))
        pad = (top % down, (-bottom) % down, left % across, (-right) % across)  # to whole chroma samples
        change = cv2.copyMakeBorder(np.ascontiguousarray(change), *pad, cv2.BORDER_CONSTANT, value=(0, 0, 0))
        matrix = matrix_of(self.frame.colorspace, self.frame.height)
        top_level = 1023 if name.endswith("10le") else 255
        moves = planes_of(change, matrix, self._is_full, (across, down), offset=False)
        for number, (plane, move) in enumerate(zip(planes(out.frame), moves, strict=True)):
            sx, sy = (across, down) if number else (1, 1)
            y, x = (top - pad[0]) // sy, (left - pad[2]) // sx
            height, width = plane.shape
            down_to, right_to = min(move.shape[0], height - y), min(move.shape[1], width - x)
            target = plane[y : y + down_to, x : x + right_to]
            step = np.rint(move[:down_to, :right_to] * ((top_level + 1) / 256))
            target[:] = np.clip(target + step, 0, top_level).astype(plane.dtype)
        return out

    @property
    def _is_full(self) -> bool:
        return self.frame.color_range == ColorRange.JPEG or self.frame.format.name.startswith("yuvj")

    def _coded(self, box: Box) -> Box:
        """An upright box in coded pixels."""
        left, top, right, bottom = box
        width, height = self.size
        if self.turn.flip_y:
            top, bottom = height - bottom, height - top
        if self.turn.flip_x:
            left, right = width - right, width - left
        return (top, left, bottom, right) if self.turn.transposed else (left, top, right, bottom)

    def _make_planar(self, name: str) -> None:
        self.frame = planar(self.frame, name)


def changed(before: np.ndarray, after: np.ndarray) -> tuple[slice, slice]:
    """The rows and columns in which two pictures, uint8 (h, w, 3), differ; empty ones where they do not.

    With those beside them, whose chroma a change reaches.
    """
    apart = cv2.absdiff(before, after).reshape(len(before), -1)
    rows, columns = np.flatnonzero(apart.any(1)), np.flatnonzero(apart.any(0)) // 3
    if not len(rows):
        return slice(0), slice(0)
    return slice(max(0, rows[0] - 2), rows[-1] + 3), slice(max(0, columns[0] - 2), columns[-1] + 3)


def planar(frame: VideoFrame, name: str) -> VideoFrame:
    """The frame in planar format `name`; the same frame where it has it already."""
    if frame.format.name == name or _KEPT.get(frame.format.name) == name:
        return frame
    out = frame.reformat(format=name, interpolation=Interpolation.BICUBIC | Interpolation.ACCURATE_RND, threads=1)
    out.pts, out.time_base = frame.pts, frame.time_base
    out.colorspace, out.color_range = frame.colorspace, frame.color_range
    return out


def planes(frame: VideoFrame) -> list[np.ndarray]:
    """Views of a planar frame's planes, (h, w) each, uint8 or uint16; those of a decoder must not be written."""
    kind: Any = np.uint16 if frame.format.components[0].bits > 8 else np.uint8
    out = []
    for plane in frame.planes:
        rows = np.frombuffer(plane, np.uint8).view(kind).reshape(plane.height, -1)
        out.append(rows[:, : plane.width])
    return out


def copy_frame(frame: VideoFrame) -> VideoFrame:
    """A frame of the same format, size, colours and times with planes of its own."""
    out = VideoFrame(frame.width, frame.height, frame.format.name)
    for source, target in zip(planes(frame), planes(out), strict=True):
        target[:] = source
    out.colorspace, out.color_range = frame.colorspace, frame.color_range
    out.pts, out.time_base = frame.pts, frame.time_base
    return out


def _rgb_frame(image: np.ndarray, like: VideoFrame) -> VideoFrame:
    out = VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
    out.pts, out.time_base = like.pts, like.time_base
    return out
