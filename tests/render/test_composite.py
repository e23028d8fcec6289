"""Pasting: nothing outside the mask changes, a window of the source pasted back is the source, colours are matched."""

import cv2
import numpy as np
import pytest

from lipsync.faces.align import MOUTH, crop_window
from lipsync.faces.template import HEAD
from lipsync.model.pixel import PixelModelConfig
from lipsync.model.shapemap import mask_window
from lipsync.render.composite import Compositor, face_reach, largest_outside
from lipsync.render.place import unwarp, window_box, window_coordinates

MODEL = PixelModelConfig()


def picture(height=300, width=400):
    """A smooth picture with some texture."""
    rng = np.random.default_rng(0)
    noise = cv2.GaussianBlur(rng.normal(0, 1, (height, width, 3)).astype(np.float32), (0, 0), 6)
    return np.clip(120 + 500 * noise, 0, 255).astype(np.uint8)


def transform(scale=1.0, turn_deg=0.0, x=200.3, y=150.7, size=128):
    """frame → window of `scale` window px per frame px, centred on (x, y)."""
    matrix = cv2.getRotationMatrix2D((x, y), turn_deg, scale)
    matrix[:, 2] += np.array([size / 2, size / 2]) - [x, y]
    return matrix


CASES = [(1.0, 0.0, 200.3, 150.7), (0.5, 4.0, 200.0, 150.0), (0.4, -9.0, 180.2, 140.9), (1.7, 12.0, 100.5, 90.2)]


@pytest.mark.parametrize("case", CASES)
def test_round_trip(case):
    frame, matrix = picture(), transform(*case)
    true = crop_window(frame, matrix, 128)
    pasted = Compositor(MODEL).paste(frame, matrix, true.astype(np.float32), true)
    u, v = window_coordinates(matrix, (0, 0, 400, 300))
    inside = (u > 6) & (u < 121) & (v > 12) & (v < 127)
    difference = np.abs(pasted.image.astype(int) - frame)
    assert difference[inside].mean() < 1.5
    assert pasted.largest_outside == 0 and difference[~((u > 5) & (u < 122) & (v > 11) & (v < 128))].max() == 0


@pytest.mark.parametrize("case", [*CASES, (1.0, 30.0, 5.0, 8.0), (0.6, 0.0, 395.0, 299.0)])
def test_nothing_outside_the_mask_changes_whatever_is_pasted(case):
    frame, matrix = picture(), transform(*case)
    made = np.random.default_rng(1).uniform(-50, 300, (128, 128, 3)).astype(np.float32)
    pasted = Compositor(MODEL).paste(frame, matrix, made, crop_window(frame, matrix, 128))
    assert pasted.largest_outside == 0
    mask = mask_window(128, MODEL.mask_top_px, MODEL.mask_side_px)
    covered = cv2.warpAffine(mask, matrix, (400, 300), flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP)
    grown = cv2.dilate(covered, np.ones((5, 5)))
    assert (np.abs(pasted.image.astype(int) - frame)[grown == 0] == 0).all()
    assert (pasted.image != frame).any()


def test_a_change_outside_is_found():
    frame = picture()
    out = frame.copy()
    out[3, 4, 1] ^= 7
    assert largest_outside(frame, out, (100, 100, 110, 110), np.ones((10, 10), bool)) == abs(
        int(out[3, 4, 1]) - frame[3, 4, 1]
    )


def test_alpha_is_zero_at_the_edges_and_one_inside():
    compositor = Compositor(MODEL, feather=0.1)
    line = np.arange(-1, 129, dtype=float)
    across, down = compositor.alpha(line, np.full_like(line, 70)), compositor.alpha(np.full_like(line, 64), line)
    assert (
        (across[line <= 5] == 0).all()
        and (across[line >= 122] == 0).all()
        and (across[(line > 20) & (line < 107)] == 1).all()
    )
    assert (
        (down[line <= 11] == 0).all()
        and (down[line >= 128] == 0).all()
        and (down[(line > 26) & (line < 113)] == 1).all()
    )
    assert np.abs(np.diff(across)).max() < 0.15


def test_a_constant_cast_is_taken_out():
    frame, matrix = picture(), transform()
    true = crop_window(frame, matrix, 128)
    made = true.astype(np.float32) + np.array([9.0, -6.0, 4.0], np.float32)
    pasted = Compositor(MODEL).paste(frame, matrix, made, true)
    u, v = window_coordinates(matrix, (0, 0, 400, 300))
    middle = (u > 20) & (u < 108) & (v > 26) & (v < 114)
    assert np.abs(pasted.image.astype(int) - frame)[middle].mean() < 2.0


def test_colours_are_smoothed_over_time_and_forgotten_on_reset():
    frame, matrix = np.full((300, 400, 3), 120, np.uint8), transform()
    true = crop_window(frame, matrix, 128)
    compositor = Compositor(MODEL, colour_smooth_frames=4)
    levels = []
    for shift in (10, 0, 0, 0, 0, 0, 0, 0):
        pasted = compositor.paste(frame, matrix, true + np.float32(shift), true)
        levels.append(int(pasted.image[150, 200, 0]) - 120)
    assert levels[0] == 0 and levels[1] < -5 and abs(levels[7]) < 3
    assert levels[1:] == sorted(levels[1:])
    compositor.reset()
    assert compositor.paste(frame, matrix, true + np.float32(10), true).image[150, 200, 0] == 120


def test_strength_fades_the_whole_window():
    frame, matrix = np.full((300, 400, 3), 100, np.uint8), transform()
    true = crop_window(frame, matrix, 128)
    made = true.astype(np.float32)
    made[50:80, 40:90] = 200
    levels = [int(Compositor(MODEL).paste(frame, matrix, made, true, s).image[151, 200, 0]) for s in (0.0, 0.5, 1.0)]
    assert levels[0] == 100 and levels[1] == pytest.approx((100 + levels[2]) / 2, abs=1) and levels[2] > 190


def test_unwarp_is_right_to_a_fraction_of_a_pixel():
    v, u = np.mgrid[0:128, 0:128].astype(np.float32)
    ramp = np.stack([u, v, u + v], -1)
    for case in CASES:
        matrix = transform(*case)
        box = window_box(matrix, 128, (300, 400))
        x, y = window_coordinates(matrix, box)
        inside = (x > 3) & (x < 124) & (y > 3) & (y < 124)
        out = unwarp(ramp, matrix, box)
        assert np.abs(out[..., 0] - x)[inside].max() < 0.1 and np.abs(out[..., 1] - y)[inside].max() < 0.1


def test_a_window_off_the_picture_is_left_alone():
    frame, matrix = picture(), transform(x=2000.0, y=150.0)
    assert window_box(matrix, 128, frame.shape) is None
    true = np.zeros((128, 128, 3), np.uint8)
    assert np.array_equal(Compositor(MODEL).paste(frame, matrix, true.astype(np.float32), true).image, frame)


MOUTHS = np.repeat((HEAD[None, MOUTH, :2] * 60 + [64, 0]).astype(np.float32), 2, axis=0)


def grainy():
    """A picture with detail finer than a window pixel."""
    rng = np.random.default_rng(3)
    return np.clip(picture() + rng.normal(0, 12, (300, 400, 3)), 0, 255).astype(np.uint8)


def test_skin_and_its_detail_stay_and_the_mouth_is_replaced():
    frame, matrix = grainy(), transform(0.4, 5.0)
    true = crop_window(frame, matrix, 128)
    made = true.astype(np.float32)
    made[60:80, 50:78] += 60  # between the lips
    made[85:95, 20:34] += 60  # a cheek that a model got wrong
    pasted = Compositor(MODEL).paste(frame, matrix, made, true, mouths=MOUTHS)
    plain = Compositor(MODEL).paste(frame, matrix, made, true)
    u, v = window_coordinates(matrix, (0, 0, 400, 300))
    difference = np.abs(pasted.image.astype(int) - frame).mean(2)
    cheek = (u > 98) & (u < 114) & (v > 50) & (v < 100)
    mouth = (u > 58) & (u < 70) & (v > 64) & (v < 76)
    wrong = (u > 23) & (u < 31) & (v > 87) & (v < 93)
    assert difference[cheek].mean() < 1.0 and difference[wrong].mean() < 1.0
    assert np.abs(plain.image.astype(int) - frame).mean(2)[cheek].mean() > 5
    assert difference[mouth].mean() > 20
    assert pasted.largest_outside == 0


@pytest.mark.parametrize("case", CASES)
def test_a_window_pasted_back_with_its_detail_is_the_frame(case):
    frame, matrix = grainy(), transform(*case)
    true = crop_window(frame, matrix, 128)
    pasted = Compositor(MODEL).paste(frame, matrix, true.astype(np.float32), true, mouths=MOUTHS)
    u, v = window_coordinates(matrix, (0, 0, 400, 300))
    lips = (u > 34) & (u < 94) & (v > 50) & (v < 90)
    assert np.abs(pasted.image.astype(int) - frame)[~lips].max() <= 1


def test_only_what_a_mouth_can_move_is_replaced():
    reach = face_reach(MOUTHS, 128)
    lowered = MOUTHS.copy()
    lowered[1, :, 1] += 12
    wider = face_reach(lowered, 128)
    points = np.rint(MOUTHS[0]).astype(int)
    assert (reach[points[:, 1], points[:, 0]] > 0.9).all() and reach[45, 64] > 0.9  # the nose's base
    assert reach[127, 10] == 0 and reach[12, 64] < 0.001 and reach[127, 64] < 0.6
    assert (wider - reach).min() > -1e-6 and wider[122, 64] > reach[122, 64]
