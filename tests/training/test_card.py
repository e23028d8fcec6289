"""The card: planted models get the readings that they deserve."""

from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
import torch

from lipsync.model.base import Base
from lipsync.progress import Silent
from lipsync.speech.features import MEL_RATE_HZ, MEL_SILENCE
from lipsync.training import card
from lipsync.training.clipstore import load_clips
from lipsync.training.foreign import ForeignSpeech
from lipsync.training.shape_task import fit_shape_space, shape_clips
from lipsync.types import Sound, Timed
from tests.model_helpers import tiny_pixel
from tests.training_helpers import write_drawn_dataset


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    return list(load_clips(write_drawn_dataset(tmp_path_factory.mktemp("card") / "data", clips=4, frames=60)))


def _planted(drawn, late_s: float = 0.0, gain: float = 1.0, deaf: bool = False):
    """Clips, a base, and a predictor that knows the true mouth of each clip's sound; silence is at rest."""
    space, _ = fit_shape_space(drawn)
    clips = shape_clips(drawn, space)

    def predict(model, mel, times_s, style):
        known = next((c for c in clips if c.mel.shape == mel.shape and np.array_equal(c.mel, mel)), None)
        if deaf:
            known = clips[0]
        if known is None or (mel == MEL_SILENCE).all():
            return np.zeros((len(times_s), clips[0].coefficients.shape[1]))
        at = times_s - late_s
        return np.stack([gain * np.interp(at, known.times_s, row) for row in known.coefficients.T], 1)

    return clips, cast(Base, SimpleNamespace(shape=SimpleNamespace(space=space), style=None)), predict


def test_a_model_that_knows_the_answer(drawn, monkeypatch):
    clips, base, predict = _planted(drawn)
    monkeypatch.setattr(card, "predict_shape", predict)
    monkeypatch.setattr(card, "speak_lines", lambda lines: ())
    found = card.measure_shape(base, clips, Silent())
    assert found["own_sound_correlation"] == pytest.approx(1, abs=1e-4)
    assert found["spread_ratio"] == pytest.approx(1, abs=1e-3)
    assert found["offset_within_1_frame_share"] == 1 and found["silent_motion_ratio"] == 0
    assert found["foreign_sound_correlation"] < 0.6
    assert "closes_on_p_b_m" not in found, "nothing was spoken"


def test_footage_out_of_sync_is_told_from_a_model_that_is(drawn, monkeypatch):
    """Sound 4 frames late in the footage: put in sync, a perfect model is perfect; a clip nobody is sure of is out."""
    clips, base, predict = _planted(drawn, late_s=4 / 25)
    monkeypatch.setattr(card, "predict_shape", predict)
    found = card.measure_in_sync(base, clips, [4 / 25] * (len(clips) - 1) + [None], Silent())
    assert found["in_sync_correlation"] == pytest.approx(1, abs=1e-3)
    assert found["in_sync_share"] == pytest.approx(1 - 1 / len(clips))
    assert card.measure_in_sync(base, clips, [0.0] * len(clips), Silent())["in_sync_correlation"] < 0.9
    assert card.measure_in_sync(base, clips, [None] * len(clips), Silent()) == {"in_sync_share": 0.0}


def test_one_that_is_late_and_timid_and_one_that_does_not_listen(drawn, monkeypatch):
    monkeypatch.setattr(card, "speak_lines", lambda lines: ())
    clips, base, predict = _planted(drawn, late_s=3 / 25, gain=0.5)
    monkeypatch.setattr(card, "predict_shape", predict)
    late = card.measure_shape(base, clips, Silent())
    assert late["offset_within_1_frame_share"] == 0
    assert late["own_sound_correlation"] < 0.9 < late["own_sound_correlation_at_best_offset"]
    assert late["spread_ratio"] == pytest.approx(0.5, abs=0.05)
    clips, base, predict = _planted(drawn, deaf=True)
    monkeypatch.setattr(card, "predict_shape", predict)
    deaf = card.measure_shape(base, clips[1:], Silent())
    assert deaf["foreign_sound_correlation"] == pytest.approx(deaf["own_sound_correlation"], abs=0.02)


def _line() -> ForeignSpeech:
    sounds = [("p", 0.2, 0.3), ("ɑː", 0.3, 0.6), ("b", 0.6, 0.7), ("a", 0.7, 1.0), ("m", 1.0, 1.1)]
    phonemes = tuple(Timed(text, start, end) for text, start, end in sounds)
    sound = Sound(np.zeros(1600 * 12, np.float32), 16_000, 0.0)
    return ForeignSpeech("line", np.zeros((int(1.2 * MEL_RATE_HZ), 80), np.float32), phonemes, sound)


@pytest.mark.parametrize(("sign", "expected"), [(1.0, 1.0), (-1.0, 0.0)])
def test_closing_on_planted_phonemes(drawn, monkeypatch, sign, expected):
    """A mouth that opens in vowels closes on p, b, m; one that does the opposite does not."""
    _, base, _ = _planted(drawn)
    line, weights = _line(), card.opening_weights(base.shape.space)

    def predict(model, mel, times_s, style):
        vowel = np.zeros(len(times_s))
        for phoneme in line.phonemes[1::2]:
            vowel += phoneme.on_lips(times_s)
        return sign * vowel[:, None] * weights / (weights @ weights)

    monkeypatch.setattr(card, "predict_shape", predict)
    assert card.measure_closing(base, [line]) == expected


def test_pixels_that_are_copied_from_the_truth(drawn, monkeypatch):
    pixel = tiny_pixel()
    base = cast(Base, SimpleNamespace(pixel=pixel, device=torch.device("cpu")))
    found = card.measure_pixels(base, drawn, Silent())
    assert found["outside_mask_largest_1_steps"] == 0 and found["error_near_lips_grey_8_steps"] > 1
    monkeypatch.setattr(card, "sample", lambda model, batch, x, *rest: x)
    perfect = card.measure_pixels(base, drawn, Silent())
    assert perfect["error_near_lips_grey_1_steps"] == 0
    assert perfect["sharpness_ratio_1_steps"] == 1 and perfect["motion_ratio_4_steps"] == 1
    monkeypatch.setattr(card, "sample", lambda model, batch, x, *rest: x + 2 / 127.5)
    shifted = card.measure_pixels(base, drawn, Silent())
    assert shifted["error_near_lips_grey_2_steps"] == pytest.approx(2, abs=0.01)
    assert shifted["outside_mask_largest_2_steps"] == pytest.approx(2, abs=0.01)
