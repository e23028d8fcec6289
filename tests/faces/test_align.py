"""Pose, windows and tracks on heads whose truth is planted."""

import cv2
import numpy as np
import pytest

from lipsync.config import WindowConfig
from lipsync.errors import NoFaceError
from lipsync.faces.align import (
    MOUTH,
    HeadPose,
    apply_transform,
    crop_window,
    fit_pose,
    fit_projection,
    mouth_opening,
    project,
    smooth_seen,
    to_frame,
    to_head,
    window_transforms,
)
from lipsync.faces.template import ANCHORS, HEAD, add_depth

WINDOW = WindowConfig(size_px=64)


def turn(yaw=0.0, pitch=0.0, roll=0.0):
    y, p, r = np.radians([yaw, pitch, roll])
    about_y = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(p), -np.sin(p)], [0, np.sin(p), np.cos(p)]])
    about_z = np.array([[np.cos(r), -np.sin(r), 0], [np.sin(r), np.cos(r), 0], [0, 0, 1]])
    return about_z @ about_x @ about_y


def heads(frames=12, scale=50.0, **angles):
    """(F, 68, 3) of the average head, moving steadily, and its true pose."""
    at = np.stack([np.linspace(200, 230, frames), np.linspace(150, 140, frames), np.zeros(frames)], 1)
    pose = HeadPose(np.repeat(turn(**angles)[None], frames, 0), np.full(frames, scale), at)
    return to_frame(np.repeat(HEAD[None], frames, 0), pose), pose


@pytest.mark.parametrize(
    "angles", [{}, {"yaw": 25}, {"pitch": -15}, {"roll": 30}, {"yaw": -20, "pitch": 10, "roll": -8}]
)
def test_pose_is_recovered_and_named_right(angles):
    landmarks, truth = heads(**angles)
    pose = fit_pose(landmarks, smooth_frames=0)
    np.testing.assert_allclose(pose.rotation, truth.rotation, atol=1e-6)
    np.testing.assert_allclose(pose.scale, truth.scale, rtol=1e-6)
    np.testing.assert_allclose(pose.translation, truth.translation, atol=1e-4)
    if len(angles) == 1:
        ((name, value),) = angles.items()
        assert getattr(pose, f"{name}_deg")[0] == pytest.approx(value, abs=0.01)


def test_head_units_and_back():
    landmarks, truth = heads(yaw=20, roll=5)
    mouth = to_head(landmarks[:, MOUTH], truth)
    np.testing.assert_allclose(mouth, np.repeat(HEAD[None, MOUTH], len(mouth), 0), atol=1e-9)
    np.testing.assert_allclose(to_frame(mouth, truth), landmarks[:, MOUTH], atol=1e-9)


def test_the_jaw_never_moves_the_window():
    landmarks, _ = heads()
    spoken = landmarks.copy()
    spoken[::2, 3:14, 1] += 20
    spoken[::2, 48:68, 1] += 9
    a = window_transforms(fit_pose(landmarks), WINDOW)
    b = window_transforms(fit_pose(spoken), WINDOW)
    np.testing.assert_array_equal(a, b)


def test_scale_is_fixed_over_the_shot_and_roll_is_followed():
    landmarks, _ = heads(frames=30, roll=20)
    landmarks[15:] = landmarks[15:] * [1.2, 1.2, 1.2]  # leans in
    transforms = window_transforms(fit_pose(landmarks), WINDOW)
    sizes = np.hypot(transforms[:, 0, 0], transforms[:, 0, 1])
    assert np.ptp(sizes) < 1e-9
    assert np.degrees(np.arctan2(transforms[0, 0, 1], transforms[0, 0, 0])) == pytest.approx(20, abs=0.1)


def test_window_shows_nose_tip_to_below_chin():
    landmarks, _ = heads()
    points = apply_transform(landmarks, window_transforms(fit_pose(landmarks), WINDOW))[6]
    assert 0 < points[30, 1] < 20 and 40 < points[8, 1] < 60
    assert abs(points[8, 0] - 32) < 1 and (points[[48, 54], 0] > 5).all() and (points[[48, 54], 0] < 59).all()


def test_frames_without_a_face_stay_in_their_place():
    landmarks, _ = heads()
    landmarks[[3, 4]] = np.nan
    pose = fit_pose(landmarks)
    transforms = window_transforms(pose, WINDOW)
    gone = np.isnan(transforms).any((1, 2))
    assert gone.tolist() == [i in (3, 4) for i in range(12)]
    whole = window_transforms(fit_pose(heads()[0]), WINDOW)
    assert np.abs(transforms[~gone] - whole[~gone]).max() < 1.5


def test_no_face_at_all_is_an_error():
    with pytest.raises(NoFaceError):
        window_transforms(fit_pose(np.full((4, 68, 3), np.nan)), WINDOW)


def test_smoothing_keeps_a_constant_and_leaves_gaps():
    values = np.full((20, 2), 3.0)
    values[5:8] = np.nan
    out = smooth_seen(values, 2.0)
    np.testing.assert_allclose(out[~np.isnan(values[:, 0])], 3.0)
    assert np.isnan(out[5:8]).all()


@pytest.mark.parametrize("zoom", [0.25, 0.6, 1.0, 2.0])
def test_crop_takes_the_place_that_the_transform_says(zoom):
    image = np.zeros((300, 400, 3), np.uint8)
    cv2.circle(image, (210, 160), 12, (255, 255, 255), -1)
    transform = np.array([[zoom, 0, 32 - zoom * 210], [0, zoom, 32 - zoom * 160]])
    crop = crop_window(image, transform, 64).astype(float)[..., 0]
    ys, xs = np.mgrid[:64, :64]
    assert (xs * crop).sum() / crop.sum() == pytest.approx(32, abs=0.15)
    assert (ys * crop).sum() / crop.sum() == pytest.approx(32, abs=0.15)
    whole = image.astype(float)[..., 0].sum()
    assert crop.sum() == pytest.approx(whole * zoom**2, rel=0.03)


def test_opening_is_the_inner_lip_distance():
    mouth = HEAD[MOUTH].copy()
    before = mouth_opening(mouth)
    mouth[28:31, 1] += 0.25
    assert mouth_opening(mouth) - before == pytest.approx(0.25, abs=0.02)


@pytest.mark.parametrize("yaw", [-25, 0, 20])
def test_depth_of_flat_landmarks_is_that_of_the_turned_head(yaw):
    truth = HEAD @ turn(yaw=yaw).T * 40 + [100, 90, 0]
    found = add_depth(truth[:, :2])
    error = found[:, 2] - found[ANCHORS, 2].mean() - (truth[:, 2] - truth[ANCHORS, 2].mean())
    assert np.abs(error).max() < 0.5
    assert found.shape == (68, 3)


def test_a_planted_projection_is_found_and_carries_other_mouths_over():
    rng = np.random.default_rng(4)
    planted = rng.normal(0, 30, (3, 4, 2))
    mouth, other = rng.normal(0, 0.4, (2, 3, 31, 3))

    def through(points):
        return points @ planted[:, :3] + planted[:, 3:]

    found = fit_projection(mouth, through(mouth))
    np.testing.assert_allclose(found, planted, atol=1e-8)
    np.testing.assert_allclose(project(other, found), through(other), atol=1e-8)
