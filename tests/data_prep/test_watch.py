from fractions import Fraction

import cv2
import numpy as np
import pytest

from data_prep.watch import HELD_PX, hold, stride_of
from lipsync.media import VideoWriter
from lipsync.media.read import read_pictures


@pytest.fixture(scope="module")
def picture(tmp_path_factory):
    """640×480, smooth colours."""
    path = tmp_path_factory.mktemp("watch") / "a.mp4"
    colours = np.random.default_rng(0).integers(40, 220, (6, 8, 3), np.uint8)
    image = cv2.resize(colours, (640, 480), interpolation=cv2.INTER_CUBIC)
    with VideoWriter(path, width=640, height=480, frame_rate=Fraction(25), crf=8) as writer:
        for _ in range(3):
            writer.write(image)
    return next(iter(read_pictures(path)))


@pytest.mark.parametrize("side_px", [120, 400])
def test_what_is_held_of_a_face_lies_where_the_picture_has_it(picture, side_px):
    held, of_whole = (hold(picture, 330, 250, side_px, shown) for shown in (None, picture.small(1280)))
    assert np.array_equal(held.to_frame, of_whole.to_frame) and held.edges == of_whole.edges == (False,) * 4
    assert max(held.image.shape[:2]) == min(side_px, HELD_PX)
    assert np.abs(held.image.astype(int) - of_whole.image).mean() < 3
    height, width = held.image.shape[:2]
    for x, y in ((5, 5), (width - 6, 9), (width // 2, height - 6)):
        at = held.to_frame @ (x, y, 1)
        there = picture.rgb()[round(at[1]), round(at[0])].astype(int)
        assert np.abs(held.image[y, x] - there).max() <= 8, "sampled at another place"


def test_a_face_at_the_picture_s_edge_is_held_as_far_as_it_is_seen(picture):
    held = hold(picture, 10, 470, 200, picture.small(1280))
    assert held.edges == (True, False, False, True) and held.image.shape == (110, 110, 3)
    beyond, inside = np.array([[1.0, 0, 60], [0, 1, -420]]), np.array([[1.0, 0, 0], [0, 1, -300]])
    assert held.covers(beyond, 100) and not held.covers(inside, 100)


@pytest.mark.parametrize(("rate", "stride"), [(12.5, 1), (25, 1), (30, 1), (48, 1), (50, 2), (60, 2), (120, 4)])
def test_up_to_49_pictures_a_second_all_are_looked_at(rate, stride):
    assert stride_of(Fraction(rate)) == stride
