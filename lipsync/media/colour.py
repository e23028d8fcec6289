"""Pictures between the stream's own colours (YUV, matrix and range) and RGB as the screen shows it.

Matrix and range come from the stream's tags. Where a stream does not say, the common player's rule holds: limited
range; BT.709 from 720 lines up, BT.601 below. The writer applies the same rule to the same tags, so what is read,
left alone and written keeps its colours. Transfer curve and primaries are never converted: an HDR (HLG, PQ) picture
is read as its code values at 8 bits and written back under the same tags.

Source: ITU-R BT.601-7, BT.709-6, BT.2020-2 (non-constant luminance); code points of ITU-T H.273.
"""

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
_UNSTATED = (0, 2, 3)  # RGB, unspecified, reserved: no matrix is stated
_HOW = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT


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


def to_rgb(frame: VideoFrame) -> VideoFrame:
    """The decoded picture as rgb24, same size. Raises MediaError for an unsupported matrix."""
    return frame.reformat(
        format="rgb24",
        src_colorspace=matrix_of(frame.colorspace, frame.height),
        interpolation=_HOW,
        dst_color_range=ColorRange.JPEG,
        threads=1,
    )


def from_rgb(frame: VideoFrame, pixel_format: str, colour: dict[str, int]) -> VideoFrame:
    """An rgb24 picture as YUV in `pixel_format`, in the matrix and range that `colour`'s tags say."""
    frame.color_range = ColorRange.JPEG
    full = colour.get("color_range") == ColorRange.JPEG
    return frame.reformat(
        format=pixel_format,
        dst_colorspace=matrix_of(colour.get("colorspace", 2), frame.height),
        dst_color_range=ColorRange.JPEG if full else ColorRange.MPEG,
        interpolation=_HOW,
        threads=1,
    )


def describes_video(info: VideoInfo) -> bool:
    """Whether the source's colour tags fit a YUV video: not those of a photo or of RGB pictures."""
    pixels = VideoFormat(info.pixel_format)
    return not (info.is_still or pixels.is_rgb or pixels.has_palette) and info.colour.get("colorspace", 0) != 0
