import cv2
import numpy as np
import pytest

from data_prep.shots import find_cuts, thumbnail


def shot(seed, frames=40, move=0.05):
    """A room of its own colours with something that moves in it, float (F, 90, 160, 3)."""
    rng = np.random.default_rng(seed)
    room = cv2.resize(rng.integers(0, 255, (9, 16, 3), np.uint8), (160, 90)).astype(float)
    out = []
    for i in range(frames):
        picture = np.roll(room, round(move * i), axis=1)
        x = 70 + round(8 * np.sin(i / 3))
        picture[30:60, x : x + 25] = 200
        out.append(picture)
    return np.stack(out)


def cuts(pictures):
    return find_cuts(np.stack([thumbnail(p.clip(0, 255).astype(np.uint8)) for p in pictures]))


def test_hard_cuts_are_found_to_the_frame_and_movement_is_none():
    assert cuts(np.concatenate([shot(1), shot(2, 25), shot(3)])) == [40, 65]
    assert cuts(shot(1, 120, move=1.5)) == [], "a camera that pans"


@pytest.mark.parametrize("frames", [1, 2, 4])
def test_a_flash_is_no_cut_but_a_cut_after_it_is_one(frames):
    flashed = shot(1)
    flashed[20 : 20 + frames] = flashed[20 : 20 + frames] * 0.4 + 170
    assert cuts(flashed) == []
    assert cuts(np.concatenate([flashed, shot(2)])) == [40]


@pytest.mark.parametrize("length", [10, 16, 24])
def test_a_dissolve_belongs_to_neither_shot(length):
    a, b = shot(1, 40 + length), shot(2, 40 + length)
    weight = ((np.arange(length) + 1) / (length + 1))[:, None, None, None]
    found = cuts(np.concatenate([a[:40], (1 - weight) * a[40:] + weight * b[:length], b[length:]]))
    assert len(found) == 2 and abs(found[0] - 40) <= 8 and abs(found[1] - (40 + length)) <= 8


def test_a_fade_through_black_is_found():
    down, up = np.linspace(1, 0, 12)[:, None, None, None], np.linspace(0, 1, 12)[:, None, None, None]
    a, b = shot(1), shot(2)
    found = cuts(np.concatenate([a[:28], a[28:] * down, b[:12] * up, b[12:]]))
    assert found and all(24 <= i <= 56 for i in found)


def test_few_pictures_have_no_cut():
    assert cuts(shot(1, 1)) == cuts(shot(1, 5)) == []
