"""Mouth shapes: the space, neutral mouths, maps, and the speech-to-shape model's clock."""

import numpy as np
import pytest
import torch

from lipsync.errors import NoFaceError
from lipsync.faces.align import MOUTH, mouth_opening
from lipsync.faces.template import HEAD
from lipsync.model.shape import find_neutral, fit_space
from lipsync.model.shapemap import draw_shape, mask_window
from lipsync.model.speech_to_shape import STEP_RATE_HZ, at_times, predict_shape
from lipsync.speech.features import MEL_SILENCE
from tests.model_helpers import tiny_shape


def _mouths(frames=200, seed=0):
    """Template mouths that open and widen: a planted two-dimensional space."""
    rng = np.random.default_rng(seed)
    base, open_by, wide_by = HEAD[MOUTH], np.zeros((31, 3)), np.zeros((31, 3))
    open_by[27:31, 1] = 1
    open_by[0:11, 1] = 0.8
    wide_by[:, 0] = np.sign(base[:, 0])
    a, b = rng.uniform(0, 0.3, frames), rng.normal(0, 0.05, frames)
    return base + a[:, None, None] * open_by + b[:, None, None] * wide_by, a


def test_space_recovers_a_planted_one_and_round_trips():
    mouth, _ = _mouths()
    neutral = find_neutral(mouth)
    space, share = fit_space((mouth - neutral)[..., :2], size=8)
    assert share > 0.999
    back = space.decode(space.encode(mouth, neutral), neutral)
    np.testing.assert_allclose(back[..., :2], mouth[..., :2], atol=1e-4)
    gram = space.basis @ space.basis.T
    np.testing.assert_allclose(gram, np.eye(8), atol=1e-8)


def test_neutral_is_the_closed_mouth_and_skips_frames_without_face():
    mouth, amount = _mouths()
    mouth[3] = np.nan
    neutral = find_neutral(mouth)
    closed = mouth_opening(mouth[np.argmin(np.where(np.isnan(mouth[:, 0, 0]), 9, amount))])
    assert mouth_opening(neutral) < closed + 0.06
    assert np.isfinite(neutral).all()


def test_no_face_has_no_neutral():
    with pytest.raises(NoFaceError):
        find_neutral(np.full((5, 31, 3), np.nan))


def test_map_shows_the_opening_where_it_is():
    _mouth, _ = _mouths()
    size, scale = 64, 25.0
    points = HEAD[MOUTH][:, :2] * scale + [32, 0]
    points[27:31, 1] += 6  # open
    shape = draw_shape(points, size)
    assert shape.shape == (3, size, size) and shape.dtype == np.uint8
    centre = points[[25, 29]].mean(0).round().astype(int)
    assert shape[1, centre[1], centre[0]] == 255 and shape[0, centre[1], centre[0]] == 0
    closed = HEAD[MOUTH][:, :2] * scale + [32, 0]
    closed[27:31] = closed[[26, 25, 24, 24]]
    assert draw_shape(closed, size)[1].sum() < shape[1].sum() / 2
    chin = points[5].round().astype(int)
    assert shape[2, chin[1], chin[0]] > 128


def test_mask_is_the_same_whatever_the_mouth_and_reaches_the_bottom():
    mask = mask_window(64, 6, 3)
    assert mask[:6].sum() == 0 and mask[-1, 3:-3].all() and mask[:, :3].sum() == 0


def test_interpolation_to_frame_times_is_exact_on_a_ramp():
    steps = torch.arange(100.0)[None, :, None] / STEP_RATE_HZ
    for rate in (23.976, 25, 29.97, 60):
        times = torch.arange(40)[None] / rate
        torch.testing.assert_close(at_times(steps, times)[0, :, 0], times[0], atol=1e-5, rtol=0)


def test_prediction_does_not_depend_on_how_the_sound_is_placed():
    """The same speech, later on the clock, gives the same mouth later."""
    model, rng = tiny_shape(), np.random.default_rng(0)
    mel, times = rng.normal(0, 0.3, (200, 80)).astype(np.float32), np.arange(40) / 25
    early = predict_shape(model, mel, times)
    late = predict_shape(model, mel, times + 5.0, start_s=5.0)
    np.testing.assert_allclose(early, late, atol=1e-4)


def test_silence_is_a_still_mouth():
    model = tiny_shape()
    still = predict_shape(model, np.full((300, 80), MEL_SILENCE, np.float32), np.arange(60) / 25)
    assert np.abs(np.diff(still, axis=0)).max() < 1e-5


def test_long_before_and_after_the_sound_the_mouth_is_as_still_as_in_silence():
    model = tiny_shape()
    mel = np.random.default_rng(3).normal(0, 0.3, (40, 80)).astype(np.float32)
    still = predict_shape(model, np.full((300, 80), MEL_SILENCE, np.float32), np.array([1.5]))[0]
    for times in ([-7.0, -4.0, 0.2], [0.2, 5.0, 9.0]):
        found = predict_shape(model, mel, np.array(times))
        far = found[np.abs(np.array(times)) > 1]
        np.testing.assert_allclose(far, np.stack([still, still]), atol=1e-5)


def test_sound_far_away_does_not_matter_but_near_sound_does():
    model, rng = tiny_shape(), np.random.default_rng(1)
    mel = rng.normal(0, 0.3, (600, 80)).astype(np.float32)
    far, near = mel.copy(), mel.copy()
    far[500:] = 0
    near[98:104] = 0
    at = np.array([1.0])
    here = predict_shape(model, mel, at)
    assert np.abs(here - predict_shape(model, near, at)).max() > 1e-4
    np.testing.assert_allclose(here, predict_shape(model, far, at), atol=1e-5)


def test_sounds_of_any_length_reach_the_network_in_few_lengths():
    model, rng, lengths = tiny_shape(), np.random.default_rng(2), list[int]()
    model.stem.register_forward_pre_hook(lambda _, given: lengths.append(given[0].shape[-1]))
    mel = rng.normal(0, 0.3, (400, 80)).astype(np.float32)
    found = [predict_shape(model, mel[:count], np.array([0.5]))[0] for count in range(200, 400, 7)]
    assert len(set(lengths)) <= 2 and len(lengths) > 20
    np.testing.assert_allclose(found, np.stack([found[0]] * len(found)), atol=1e-5)
