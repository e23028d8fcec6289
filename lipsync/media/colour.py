"""Pictures between the stream's own colours (YUV, matrix and range) and RGB as the screen shows it.

    Y = KR·R + (1 − KR − KB)·G + KB·B,   U = (B − Y) / (2 − 2·KB),   V = (R − Y) / (2 − 2·KR)

in 0…255 (full range), or squeezed into 16…235 and 16…240 (limited range); U and V around 128. In 4:2:0 a chroma sample
lies on the even luma column and between two luma rows, where H.264 has it when nothing else is stated.

Matrix and range come from the stream's tags. Where a stream does not say, the common player's rule holds: limited
range; BT.709 from 720 lines up, BT.601 below. The writer applies the same rule to the same tags, so what is read,
left alone and written keeps its colours. Transfer curve and primaries are never converted: an HDR (HLG, PQ) picture
is read as its code values at 8 bits and written back under the same tags.

Reading leaves the arithmetic to swscale with accurate rounding; writing does it here: swscale's chroma comes out half
a level low in full range, and without accurate rounding every channel reads 1.3 levels dark (both measured).

Source: ITU-R BT.601-7, BT.709-6, BT.2020-2 (non-constant luminance); code points of ITU-T H.273.
"""

import cv2
import numpy as np
from av.video.format import VideoFormat
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace, Interpolation

from lipsync.errors import MediaError
from lipsync.types import VideoInfo

BT709 = {"colorspace": 1, "color_range": 1, "color_primaries": 1, "color_trc": 1}  # limited range
_HD_LINES = 720
_MATRICES = {
    1: Colorspace.ITU709,
    4: Colorspace.FCC,
    5: Colorspace.ITU601,
    6: Colorspace.ITU601,
    7: Colorspace.SMPTE240M,
    9: Colorspace.BT2020,
    10: Colorspace.BT2020,
}
_KR_KB = {
    Colorspace.ITU709: (0.2126, 0.0722),
    Colorspace.FCC: (0.30, 0.11),
    Colorspace.ITU601: (0.299, 0.114),
    Colorspace.SMPTE240M: (0.212, 0.087),
    Colorspace.BT2020: (0.2627, 0.0593),
}
_UNSTATED = (0, 2, 3)  # RGB, unspecified, reserved: no matrix is stated
_ACCURATE = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
_ALONG_ROW, _ALONG_COLUMN = np.array([0.25, 0.5, 0.25]), np.array([0.5, 0.5])  # to the chroma sample's place


def matrix_of(colorspace: int, height: int) -> Colorspace:
    """The YUV matrix for H.273 code `colorspace` and a picture of `height` lines.

    Raises:
        MediaError: a matrix that is not one of BT.601, 709, 2020, FCC, 240M (such as Dolby Vision's own).
    """
    if colorspace in _UNSTATED:
        return Colorspace.ITU709 if height >= _HD_LINES else Colorspace.ITU601
    if colorspace not in _MATRICES:
        raise MediaError(
            f"its colours use matrix {colorspace} of ITU-T H.273, which is not supported; convert it to BT.709 (SDR)"
        )
    return _MATRICES[colorspace]


def to_rgb(frame: VideoFrame) -> np.ndarray:
    """The decoded picture as uint8 (H, W, 3) RGB, same size. Raises MediaError for an unsupported matrix."""
    return frame.reformat(
        format="rgb24",
        src_colorspace=matrix_of(frame.colorspace, frame.height),
        interpolation=_ACCURATE,
        dst_color_range=ColorRange.JPEG,
        threads=1,
    ).to_ndarray()


def from_rgb(image: np.ndarray, pixel_format: str, colour: dict[str, int]) -> VideoFrame:
    """uint8 (H, W, 3) RGB as yuv420p (even sizes) or yuv444p, in the matrix and range that `colour`'s tags say."""
    height, width = image.shape[:2]
    weights = _weights(matrix_of(colour.get("colorspace", 2), height), colour.get("color_range") == ColorRange.JPEG)
    yuv = cv2.transform(image, weights).astype(np.uint8, copy=False)
    if pixel_format == "yuv444p":
        return VideoFrame.from_ndarray(np.ascontiguousarray(np.moveaxis(yuv, -1, 0)), format=pixel_format)
    planes = np.empty(height * width * 3 // 2, np.uint8)
    luma, chroma = planes[: height * width], planes[height * width :].reshape(2, height // 2, width // 2)
    luma.reshape(height, width)[:] = yuv[..., 0]
    placed = cv2.sepFilter2D(
        yuv[..., 1:], -1, _ALONG_ROW, _ALONG_COLUMN, anchor=(1, 0), borderType=cv2.BORDER_REPLICATE
    )
    chroma[:] = np.moveaxis(placed[::2, ::2], -1, 0)
    return VideoFrame.from_ndarray(planes.reshape(height * 3 // 2, width), format="yuv420p")


def planes_of(
    image: np.ndarray, matrix: Colorspace, full: bool, sampling: tuple[int, int], *, offset: bool = True
) -> list[np.ndarray]:
    """RGB (H, W, 3), 0…255 or differences of such, as Y (H, W), U and V (H/down, W/across), all float32.

    Args:
        full: full range, else limited.
        sampling: pixels across and down that share a chroma sample; they divide the size.
        offset: False leaves out the constants, for differences.
    """
    across, down = sampling
    weights = _weights(matrix, full).astype(np.float32)
    if not offset:
        weights[:, 3] = 0
    image = np.asarray(image, np.float32)
    coarse = image if down == 1 else cv2.addWeighted(image[::2], _ALONG_COLUMN[0], image[1::2], _ALONG_COLUMN[1], 0)
    if across == 2:
        coarse = cv2.sepFilter2D(coarse, -1, _ALONG_ROW, np.ones(1), borderType=cv2.BORDER_REPLICATE)[:, ::2]
    chroma = cv2.transform(np.ascontiguousarray(coarse), weights[1:])
    return [cv2.transform(image, weights[:1]), *cv2.split(chroma)]


def rgb_of(
    planes: list[np.ndarray], matrix: Colorspace, full: bool, sampling: tuple[int, int], bits: int
) -> np.ndarray:
    """Planes Y (H, W), U and V (H/down, W/across) of `bits` as uint8 (H, W, 3) RGB; chroma interpolated linearly."""
    height, width = planes[0].shape
    chroma = [_at_luma(plane.astype(np.float32), sampling)[:height, :width] for plane in planes[1:]]
    weights = _weights(matrix, full)
    inverse = np.linalg.inv(weights[:, :3])
    scale = 2.0 ** (8 - bits)
    to_rgb = np.c_[inverse * scale, -inverse @ weights[:, 3]].astype(np.float32)
    yuv = cv2.merge([planes[0].astype(np.float32), *chroma])
    return np.clip(np.rint(cv2.transform(yuv, to_rgb)), 0, 255).astype(np.uint8)


def _at_luma(chroma: np.ndarray, sampling: tuple[int, int]) -> np.ndarray:
    """Chroma samples (h, w), interpolated linearly to where luma lies: (h·down, w·across)."""
    across, down = sampling
    (height, width), out = chroma.shape, chroma
    if down == 2:  # a sample lies between two rows, as `resize` has it
        out = cv2.resize(out, (width, 2 * height), interpolation=cv2.INTER_LINEAR)
    if across == 2:  # and on every second column
        pairs = np.empty((*out.shape, 2), np.float32)
        pairs[..., 0] = out
        pairs[:, :-1, 1] = (out[:, :-1] + out[:, 1:]) / 2
        pairs[:, -1, 1] = out[:, -1]
        out = pairs.reshape(len(out), -1)
    return out


def _weights(matrix: Colorspace, full: bool) -> np.ndarray:
    """(3, 4): R, G, B and 1 → Y, U, V."""
    kr, kb = _KR_KB[matrix]
    luma = np.array([kr, 1 - kr - kb, kb])
    weights = np.stack([luma, ([0, 0, 1] - luma) / (2 - 2 * kb), ([1, 0, 0] - luma) / (2 - 2 * kr)])
    if not full:
        weights *= np.array([[219], [224], [224]]) / 255
    return np.c_[weights, [0 if full else 16, 128, 128]]


def describes_video(info: VideoInfo) -> bool:
    """Whether the source's colour tags fit a YUV video: not those of a photo or of RGB pictures."""
    pixels = VideoFormat(info.pixel_format)
    return not (info.is_still or pixels.is_rgb or pixels.has_palette) and info.colour.get("colorspace", 0) != 0
