"""Pictures edited in their own planes: what is not edited stays to the last bit, what is edited is seen."""

from fractions import Fraction

import numpy as np
import pytest
from av.video.reformatter import Colorspace
from made_media import QUARTER_TURNS, make_video, numbered

from lipsync.media import read_frames, read_pictures
from lipsync.media.colour import planes_of
from lipsync.media.picture import copy_frame, plane_format, planes, subsampling

FORMATS = ["yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv422p10le"]
BOX = (31, 22, 90, 71)  # odd on purpose


def video(tmp_path, pixel_format="yuv420p", turn=0, colour=None, size=(160, 120)):
    coded = [np.ascontiguousarray(np.rot90(numbered(k, *size), turn // 90)) for k in range(3)]
    path = tmp_path / "a.mp4"
    make_video(path, range(3), images=coded, pixel_format=pixel_format, matrix=QUARTER_TURNS[turn], colour=colour)
    return path


@pytest.mark.parametrize("turn", QUARTER_TURNS)
@pytest.mark.parametrize("pixel_format", FORMATS)
def test_a_patch_is_what_the_whole_picture_shows_there(tmp_path, pixel_format, turn):
    path = video(tmp_path, pixel_format, turn)
    for picture, frame in zip(read_pictures(path), read_frames(path), strict=True):
        assert picture.size == frame.image.shape[1::-1] and picture.pts == frame.pts
        for box in (BOX, (0, 0, 20, 33), (100, 80, 120 if turn % 180 else 160, 120)):
            left, top, right, bottom = box
            whole = frame.image[top:bottom, left:right].astype(int)
            assert np.abs(picture.patch(box) - whole).max() <= 1


@pytest.mark.parametrize("turn", QUARTER_TURNS)
@pytest.mark.parametrize("pixel_format", FORMATS)
def test_an_edit_is_seen_in_its_place_and_nowhere_else(tmp_path, pixel_format, turn):
    picture = next(read_pictures(video(tmp_path, pixel_format, turn)))
    kept = copy_frame(picture.frame)
    left, top, right, bottom = BOX
    before = picture.patch(BOX)
    after = before.copy()
    after[10:30, 13:41] = np.clip(after[10:30, 13:41].astype(int) + np.array([40, 10, -30]), 0, 255)
    edited = picture.edited(BOX, before, after)
    assert all(np.array_equal(a, b) for a, b in zip(planes(picture.frame), planes(kept), strict=True))
    inside = np.zeros(picture.rgb().shape[:2], bool)
    inside[top + 10 : top + 30, left + 13 : left + 41] = True
    near = np.zeros_like(inside)
    near[top + 8 : top + 32, left + 11 : left + 43] = True  # a chroma sample reaches two pixels on
    seen = edited.rgb().astype(int)
    core = np.zeros_like(inside)
    core[top + 13 : top + 27, left + 16 : left + 38] = True
    wanted = picture.rgb().astype(int)
    wanted[top:bottom, left:right] = after
    assert np.abs(seen - wanted)[core].mean() < 1.5
    assert np.abs(seen - picture.rgb().astype(int))[core].mean() > 15
    luma_changed = planes(edited.frame)[0] != planes(picture.frame)[0]
    assert not (picture.turn.upright(luma_changed[..., None])[..., 0] & ~near).any()
    assert np.array_equal(edited.rgb()[~near], picture.rgb()[~near]) or pixel_format.startswith("yuv42")
    unchanged = picture.edited(BOX, before, before)
    assert all(np.array_equal(a, b) for a, b in zip(planes(unchanged.frame), planes(picture.frame), strict=True))


@pytest.mark.parametrize("turn", QUARTER_TURNS)
@pytest.mark.parametrize("pixel_format", FORMATS)
def test_an_edit_moves_the_planes_by_the_whole_pictures_change(tmp_path, pixel_format, turn):
    """What is computed near the change alone is what the whole picture's change comes to, beside it too."""
    picture = next(read_pictures(video(tmp_path, pixel_format, turn)))
    left, top, right, bottom = BOX
    before = np.full((bottom - top, right - left, 3), 90, np.uint8)
    after = before.copy()
    after[18:33, 14:41, 0] += 60
    whole = np.zeros((*picture.size[::-1], 3), np.float32)
    whole[top:bottom, left:right] = after.astype(np.float32) - before
    moves = planes_of(picture.turn.coded(whole), Colorspace.ITU601, False, subsampling(pixel_format), offset=False)
    edited = picture.edited(BOX, before, after)
    for new, old, move in zip(planes(edited.frame), planes(picture.frame), moves, strict=True):
        scale, top_level = (4, 1023) if pixel_format.endswith("10le") else (1, 255)
        assert np.array_equal(new, np.clip(old + np.rint(scale * move), 0, top_level))
        assert (new != old).sum() > 50


def test_ten_bits_keep_their_finer_steps(tmp_path):
    """An edit moves 10-bit values by whole 8-bit steps' worth and leaves the two finer bits of the rest alone."""
    picture = next(read_pictures(video(tmp_path, "yuv420p10le")))
    luma = planes(picture.frame)[0]
    assert len(np.unique(luma % 4)) > 1 and luma.max() > 255
    before = picture.patch(BOX)
    edited = picture.edited(BOX, before, np.clip(before.astype(int) + 8, 0, 255).astype(np.uint8))
    step = planes(edited.frame)[0].astype(int) - luma
    left, top, right, bottom = BOX
    step = step[top:bottom, left:right][(before.max(2) < 240)]
    assert np.median(step) == pytest.approx(8 * 4 * 219 / 255, abs=1)


def test_a_small_picture_is_the_same_picture(tmp_path):
    path = video(tmp_path, turn=90, size=(320, 240))
    picture = next(read_pictures(path))
    small = picture.small(160)
    assert small.shape == (120, 160, 3)
    whole = picture.rgb().astype(float).reshape(120, 2, 160, 2, 3).mean((1, 3))
    assert np.abs(small - whole).mean() < 2
    assert picture.small(5000).shape == (240, 320, 3)


def test_formats_that_are_written():
    assert plane_format("nv12", 4, 4) == "yuv420p" and plane_format("yuvj422p", 4, 4) == "yuv422p"
    assert plane_format("yuv420p10le", 5, 4) == "yuv444p10le" and plane_format("yuv422p", 4, 5) == "yuv422p"
    assert plane_format("gbrp", 4, 4) == "" and plane_format("yuv420p12le", 4, 4) == "yuv420p10le"


def test_pictures_without_planes_are_edited_as_rgb(tmp_path):
    make_video(tmp_path / "a.mkv", range(2), codec="ffv1", pixel_format="bgra", rate=Fraction(25))
    picture = next(read_pictures(tmp_path / "a.mkv"))
    before = picture.patch(BOX)
    assert np.array_equal(before, picture.rgb()[BOX[1] : BOX[3], BOX[0] : BOX[2]])
    after = np.full_like(before, 77)
    seen = picture.edited(BOX, before, after).rgb()
    assert np.array_equal(seen[BOX[1] : BOX[3], BOX[0] : BOX[2]], after)
    assert np.array_equal(seen[:20], picture.rgb()[:20])
