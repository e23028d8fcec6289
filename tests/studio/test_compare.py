"""Side by side: both videos in one, frame by frame, with the sound of the first; what a run shows on the page."""

from fractions import Fraction

import numpy as np
import pytest

from lipsync.errors import MediaError
from lipsync.media import VideoWriter, probe, read_frames
from lipsync.render.credentials import read_credentials
from lipsync.studio.compare import side_by_side
from lipsync.studio.page.show import learning_curves
from lipsync.types import Sound


def video(path, level, frames=6, height=48):
    sound = Sound(np.zeros(8000, np.float32), 16000)
    with VideoWriter(path, width=64, height=height, frame_rate=Fraction(25), sound=sound) as writer:
        for _ in range(frames):
            writer.write(np.full((height, 64, 3), level, np.uint8))
    return path


def test_left_and_right_are_where_they_belong(tmp_path):
    out = tmp_path / "both.mp4"
    assert side_by_side(video(tmp_path / "a.mp4", 40), video(tmp_path / "b.mp4", 200), out) == 6
    told = read_credentials(out)
    assert told.intact and told.synthetic and told.details["made_from"] == ["a.mp4", "b.mp4"]
    info = probe(out)
    assert (info.width, info.height) == (128, 48) and info.sample_rate_hz
    image = next(iter(read_frames(out))).image
    assert abs(int(image[24, 20].mean()) - 40) < 6 and abs(int(image[24, 100].mean()) - 200) < 6


def test_videos_of_other_heights_are_refused(tmp_path):
    with pytest.raises(MediaError, match="one height"):
        side_by_side(video(tmp_path / "a.mp4", 1), video(tmp_path / "b.mp4", 1, height=64), tmp_path / "c.mp4")


def test_curves_fall_and_name_their_ends():
    curves = {"pixel/loss": [(10, 2.0), (20, 1.0)], "shape/loss": [(10, 1.0)], "pixel/other": [(1, 1.0), (2, 2.0)]}
    html = learning_curves(curves)
    assert html.count("<polyline") == 1 and "2.000 → 1.000 at step 20" in html
    assert learning_curves({}) == ""
