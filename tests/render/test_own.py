"""The adapter's own windows among a template's references: only where the template shows little, and in its light."""

import dataclasses
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from drawn_people import DrawnDetector, draw, head_at, noise_speech, tiny_base

from lipsync.config import RenderConfig, WindowConfig
from lipsync.faces.align import INNER_LIP, JAW, OUTER_LIP, mouth_opening
from lipsync.media import read_frames
from lipsync.render.avatar import say
from lipsync.render.own import FAR, skin_colour, with_own_references
from lipsync.render.pieces import job_key
from lipsync.render.plan import References

SIZE = 128
SKIN, LIGHT = np.array([150.0, 120.0, 100.0]), np.array([0.8, 1.0, 1.2])


def mouth(opening_px):
    """31 points: jaw as the lower half of a circle, lips as two ellipses."""
    points = np.zeros((31, 2))
    for part, count, width, height in ((OUTER_LIP, 12, 22, 8 + opening_px / 2), (INNER_LIP, 8, 14, opening_px / 2)):
        turn = np.pi + np.arange(count) * 2 * np.pi / count  # from the left corner over the top
        points[part] = np.stack([64 + width * np.cos(turn), 62 + height * np.sin(turn)], 1)
    turn = np.linspace(np.pi, 0, 11)
    points[JAW] = np.stack([64 + 50 * np.cos(turn), 50 + 60 * np.sin(turn)], 1)
    return points


def references(openings_px, light=1.0, track=0):
    count = len(openings_px)
    points = np.stack([mouth(value) for value in openings_px]).astype(np.float32)
    windows = np.broadcast_to(SKIN * light, (count, SIZE, SIZE, 3)).round().astype(np.uint8).copy()
    opening = mouth_opening(points) * WindowConfig().side / SIZE
    pose, tracks = np.zeros((count, 3)), np.full(count, track)
    fine = np.zeros((count, 2 * SIZE, 2 * SIZE, 3), np.uint8)
    return References(windows, points, np.arange(count), opening, pose, np.zeros((9, 3)), tracks, fine)


def kept(openings_px):
    own = references(openings_px, LIGHT)
    return {
        "references": torch.from_numpy(own.windows),
        "reference_points": torch.from_numpy(own.points),
        "reference_pose_deg": torch.zeros(len(openings_px), 3),
    }


def test_a_closed_template_gets_the_adapters_open_mouths_in_its_own_light():
    template = references([1.0], track=3)
    joined = with_own_references(template, kept([2, 12, 20]))
    assert len(joined.windows) == 4
    assert joined.opening.argmax() == 3
    assert joined.opening[1:] == pytest.approx(references([2, 12, 20]).opening, rel=1e-5)
    assert (joined.frames[1:] == FAR).all()
    assert (joined.tracks == 3).all()
    assert np.abs(joined.windows[1:].astype(float) - SKIN).max() <= 1.5  # the other light is taken out
    assert joined.fine is template.fine
    np.testing.assert_array_equal(joined.windows[:1], template.windows)


@pytest.mark.parametrize(("shown", "own"), [([1, 15], [2, 20]), ([1, 10], [2, 20])])
def test_a_template_that_shows_an_open_mouth_keeps_to_itself(shown, own):
    template = references(shown)
    assert with_own_references(template, kept(own)) is template


def test_without_an_adapter_or_of_another_size_nothing_joins():
    template = references([1.0])
    assert with_own_references(template, {}) is template
    small = kept([2, 20]) | {"references": torch.zeros(2, 64, 64, 3, dtype=torch.uint8)}
    assert with_own_references(template, small) is template


def test_skin_is_measured_beside_the_lips():
    window = np.zeros((SIZE, SIZE, 3), np.uint8)
    window[:] = SKIN
    cv2.ellipse(window, (64, 62), (24, 13), 0, 0, 360, (200, 20, 20), -1)  # lips and what is between them
    np.testing.assert_allclose(skin_colour(window, mouth(6)), SKIN, atol=2)


def test_a_photo_speaks_with_the_adapters_windows(tmp_path):
    photo = tmp_path / "photo.png"
    cv2.imwrite(str(photo), np.ascontiguousarray(draw([head_at(0, 0.0)], width=161, height=193)[..., ::-1]))
    base = tiny_base()
    points = np.stack([mouth(2), mouth(20)]) / 4  # windows of 32 px
    rng = np.random.default_rng(0)
    windows = torch.from_numpy(rng.integers(0, 256, (2, 32, 32, 3), np.uint8))
    own = {"references": windows, "reference_points": torch.from_numpy(points)}
    person = dataclasses.replace(base, references=own | {"reference_pose_deg": torch.zeros(2, 3)})
    pictures = []
    for number, used in enumerate((base, person)):
        out = tmp_path / f"{number}.mp4"
        config = RenderConfig(photo_motion=0.0, tail_s=0.0, crf=1)
        result = say(noise_speech(0.2), photo, out, used, config, detector=DrawnDetector())
        assert result.largest_outside_difference == 0
        pictures.append(np.stack([frame.image for frame in read_frames(out)]).astype(int))
    assert np.abs(pictures[0] - pictures[1]).max() > 8


def test_kept_pieces_are_of_the_same_windows(tmp_path):
    template = tmp_path / "template.mp4"
    template.write_bytes(b"any")
    base, windows = tiny_base(), torch.zeros(2, 8, 8, 3, dtype=torch.uint8)
    held = ({}, {"references": windows}, {"references": windows + 1})
    assert len({job_key(replace(base, references=each), RenderConfig(), template) for each in held}) == 3
