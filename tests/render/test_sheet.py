"""A sheet goes near its values, still at border and nose; a part of it, and of a mouth's window, is the whole's."""

import numpy as np
import pytest

from lipsync.faces.align import MOUTH, OUTER_LIP
from lipsync.faces.template import HEAD
from lipsync.render.detail import mouth_part, soft_hulls
from lipsync.render.place import of, shifted, to_part, unwarp, window_box, window_coordinates
from lipsync.render.sheet import GRID, Sheet

POINTS = HEAD[MOUTH, :2] * 45 + [64, 20]
WHOLE = (0, 0, 128, 128)


def test_a_sheet_goes_near_its_values_and_is_still_at_the_border():
    values = np.tile([5.0, -3.0], (len(POINTS), 1))
    sheet = Sheet(POINTS, 128).carry(values, WHOLE)
    x, y = np.rint(POINTS.mean(0)).astype(int)
    assert sheet.shape == (128, 128, 2) and sheet.dtype == np.float32
    assert sheet[y, x] == pytest.approx([5, -3], abs=0.5)
    assert np.abs(sheet[0]).max() < 1.5 and np.abs(sheet[:, 0]).max() < 1.5


@pytest.mark.parametrize("move", [[0.0, 8.0], [0.0, -8.0], [6.0, 0.0]])
def test_a_nose_is_still_whatever_the_mouth_does(move):
    sheet = Sheet(POINTS, 128).carry(np.tile(move, (len(POINTS), 1)), WHOLE)
    x, y = np.rint(HEAD[[31, 33, 35], :2] * 45 + [64, 20]).astype(int).T  # the base of the nose
    u, v = np.rint(POINTS[OUTER_LIP].mean(0)).astype(int)
    assert np.linalg.norm(sheet[y, x], axis=-1).max() < 2.5 and sheet[v, u] == pytest.approx(move, abs=1.0)


def test_a_part_of_a_sheet_is_the_wholes():
    sheet, values = Sheet(POINTS, 128), np.random.default_rng(0).normal(0, 3, POINTS.shape)
    part = (17, 30, 101, 96)
    assert np.abs(sheet.carry(values, part) - sheet.carry(values, WHOLE)[of(part)]).max() < 1e-4


@pytest.mark.parametrize("by_px", [0.0, 30.0, -40.0, 300.0])
def test_the_mouths_part_holds_all_that_the_model_decides(by_px):
    mouths = np.stack([POINTS, POINTS + np.array([0.0, by_px])])
    left, top, right, bottom = part = mouth_part(mouths, 128)
    assert all(edge % GRID == 0 for edge in part) and right - left >= 48 and bottom - top >= 48
    zone = soft_hulls([mouths[:, OUTER_LIP].reshape(-1, 2)], WHOLE, 0.07 * 128, 0.028 * 128)
    zone[of(part)] = 0
    assert 0 <= left < right <= 128 and 0 <= top < bottom <= 128 and zone.max() < 1 / 256
    assert mouth_part(mouths / 4, 32) == (0, 0, 32, 32)


@pytest.mark.parametrize(("scale", "turn"), [(0.21, 0.1), (0.43, -0.2), (0.8, 0.0), (1.6, 0.3)])
def test_a_part_of_a_window_is_seen_where_the_window_is(scale, turn):
    matrix = scale * np.array([[np.cos(turn), np.sin(turn), 0], [-np.sin(turn), np.cos(turn), 0]])
    matrix[:, 2] = [64, 64] - matrix[:, :2] @ [400, 300]
    part = (20, 32, 100, 96)
    v, u = np.mgrid[0:128, 0:128].astype(np.float32)
    box = window_box(to_part(matrix, part), (80, 64), (600, 800))
    assert box is not None and window_box(matrix, (64, 80), (600, 800), np.zeros((128, 128), np.float32)) is None
    x, y = window_coordinates(matrix, box)
    inside = (x > 23) & (x < 96) & (y > 35) & (y < 92)
    for smooth in (True, False):
        seen = unwarp(np.dstack([u, v])[of(part)], to_part(matrix, part), box, smooth=smooth)
        here = unwarp(np.dstack([u, v])[of(part)], shifted(to_part(matrix, part), box), (0, 0, *x.shape[::-1]), smooth)
        assert np.abs(seen - here).max() < 1e-3
        assert np.abs(seen - np.dstack([x, y]))[inside].max() < 0.1
