import numpy as np
import pytest

from data_prep.quality import brightness, repeated_share, sharpness, window_reason
from lipsync.config import PrepareConfig


def moving(frames=60, seed=0):
    """Windows of a textured picture that slides a pixel or two per frame."""
    rng = np.random.default_rng(seed)
    wall = rng.integers(60, 200, (64, 64 + 3 * frames, 3), np.uint8)
    places = np.cumsum(rng.integers(1, 3, frames))
    return np.stack([wall[:, x : x + 64] for x in places])


def test_sharpness_of_a_known_pattern():
    """A checkerboard of ±d around its mean has |Laplacian| = 8·d at every pixel."""
    board = 100 + 10 * (np.indices((64, 64)).sum(0) % 2 * 2 - 1)
    windows = np.repeat(board[None, :, :, None], 3, 3).repeat(10, 0).astype(np.uint8)
    assert sharpness(windows) == pytest.approx(80, abs=0.1)
    assert sharpness(np.full((10, 64, 64, 3), 90, np.uint8)) == pytest.approx(0, abs=1e-3)


def test_brightness_is_the_luma():
    windows = np.zeros((5, 8, 8, 3), np.uint8)
    windows[..., 1] = 100
    assert brightness(windows) == pytest.approx(58.7, abs=0.01)


@pytest.mark.parametrize(("every", "share"), [(2, 0.5), (5, 0.2)])
def test_repeated_frames_are_counted(every, share):
    """15 → 30 repeats every second frame, 24 → 30 every fifth."""
    whole = moving(100)
    index = np.arange(100) - (np.arange(100) % every == every - 1)
    assert repeated_share(whole[index]) == pytest.approx(share, abs=0.03)
    assert repeated_share(whole) == 0.0
    assert window_reason(whole[index], PrepareConfig()) == "repeated frames"


def test_a_pause_is_no_repetition():
    whole = moving(60)
    index = np.r_[0:20, np.full(20, 20), 20:40]
    assert repeated_share(whole[index]) < 0.05


def test_each_fault_of_the_picture_has_its_reason():
    config = PrepareConfig()
    assert window_reason(moving(), config) == ""
    assert window_reason((moving() * 0.1).astype(np.uint8), config) == "too dark"
    assert window_reason(np.full((20, 64, 64, 3), 120, np.uint8), config) == "blurred"
