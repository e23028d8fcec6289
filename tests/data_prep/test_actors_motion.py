"""Phonemes to mouth shapes: closed on p, b, m; open on a; narrow on u; any language's IPA."""

import numpy as np
import pytest

from data_prep.actors import Style, mouth_motion, passage, sentence
from data_prep.actors.cast import cast
from data_prep.actors.expression import Expression, LandmarkMap, MouthShape
from data_prep.actors.geometry import build_head
from data_prep.actors.performing import plan_performance
from data_prep.actors.sentences import languages
from data_prep.actors.spoken import Mouthing
from data_prep.actors.visemes import PARAMETERS, VOWELS, pull_of, symbols_of
from lipsync.faces.align import mouth_opening
from lipsync.types import LIPS_LEAD_S, Sound, Speech, Timed


def said(*phonemes: str, length_s: float = 0.1) -> list[Timed]:
    return [Timed(p, 0.2 + i * length_s, 0.2 + (i + 1) * length_s) for i, p in enumerate(phonemes)]


def middles(phonemes: list[Timed]) -> np.ndarray:
    return np.array([(p.start_s + p.end_s) / 2 for p in phonemes])


@pytest.mark.parametrize("bilabial", ["p", "b", "m", "pʰ", "bʱ", "mː"])
@pytest.mark.parametrize("vowel", ["a", "u", "i"])
def test_lips_are_closed_at_the_middle_of_bilabials_between_any_vowels(bilabial, vowel):
    phonemes = said(vowel, bilabial, vowel, length_s=0.06)
    motion = mouth_motion(phonemes, middles(phonemes), Style(amplitude=1.4))
    assert motion.gap_cm[1] == 0.0
    assert motion.gap_cm[0] > 0.05 and motion.gap_cm[2] > 0.05


def test_open_vowels_open_and_rounded_vowels_narrow():
    phonemes = said("a", "t", "i", "t", "u", length_s=0.15)
    a, _, i, _, u = range(5)
    motion = mouth_motion(phonemes, middles(phonemes))
    assert motion.gap_cm[a] > motion.gap_cm[i] + 0.4
    assert motion.jaw_cm[a] > motion.jaw_cm[i] + 0.4
    assert motion.width[u] < -0.4 < 0.3 < motion.width[i]
    assert motion.rounding[u] > 0.6 > 0.3 > motion.rounding[i]


def test_f_tucks_the_lip_without_closing_and_th_shows_the_tongue():
    phonemes = said("a", "f", "a", "θ", "a")
    motion = mouth_motion(phonemes, middles(phonemes))
    assert motion.tuck[1] > 0.6 and 0.0 < motion.gap_cm[1] < 0.5
    assert motion.tongue_out[3] > 0.5 > motion.tongue_out[1]


def test_motion_is_smooth_at_any_frame_rate():
    phonemes = said("p", "a", "b", "u", "m", "i", "s", "ɔ", length_s=0.08)
    times_s = np.arange(0, 1.2, 0.002)
    motion = mouth_motion(phonemes, times_s)
    for name in PARAMETERS:
        assert np.abs(np.diff(getattr(motion, name))).max() < 0.12, name
    coarse = mouth_motion(phonemes, times_s[::20])
    # The ends of a take differ by the silence that is assumed around it, and by nothing else.
    np.testing.assert_allclose(coarse.gap_cm[3:-3], motion.gap_cm[::20][3:-3], atol=2e-3)


def test_silence_is_a_closed_mouth_and_no_phonemes_are_no_error():
    motion = mouth_motion([], np.arange(10) / 25)
    assert motion.gap_cm.shape == (10,)
    np.testing.assert_allclose(motion.gap_cm, 0.0, atol=1e-6)
    phonemes = said("a", "a")
    late = mouth_motion(phonemes, np.array([0.3, 1.5]))
    assert late.gap_cm[0] > 0.8 and late.gap_cm[1] < 0.02


def test_an_actors_lips_lead_their_sound_as_peoples_do():
    phonemes = said("a", "p", "a", "m", "a")
    speech = Speech(Sound(np.zeros(16000, np.float32), 16000), [], phonemes)
    closed_s = middles(phonemes)[[1, 3]] - LIPS_LEAD_S
    shown = plan_performance(cast()[0], speech, closed_s)
    assert [performance.mouth.gap_cm for performance in shown] == [0, 0]
    spoken = Mouthing(cast()[0]).speak(speech, frame_rate=100)
    opening = mouth_opening(spoken.mouth)
    on_lips, in_sound = (np.interp(at, spoken.times_s, opening) for at in (closed_s, closed_s + LIPS_LEAD_S))
    assert (on_lips < 0.25 * in_sound).all(), (on_lips, in_sound)


def test_symbols_of_any_language_map_by_their_features():
    assert symbols_of("t͡ʃʰ") == ["t", "ʃ"]
    assert symbols_of("ˈaɪ") == ["a", "ɪ"]
    assert symbols_of("ɑ̃ː") == ["ɑ"]
    assert symbols_of("ç") == ["ç"]
    for symbol in "ʈɖɳħʕɣçɲβɸɥɴ":
        assert pull_of(symbol), symbol
    assert all(pull_of(v)["gap_cm"][0] > 0.1 for v in VOWELS)
    assert pull_of("☃") == pull_of("ǂ")


def test_a_gap_of_zero_is_closed_exactly_and_a_gap_is_what_it_says():
    head = build_head(cast()[1].shape)
    expression, places = Expression(head), LandmarkMap(head)
    for jaw in (0.0, 0.8):
        lips = places.skin_points(expression.deform(MouthShape(jaw_cm=jaw, press=1.0)))[38:]
        np.testing.assert_allclose(lips[1:4], lips[[7, 6, 5]], atol=1e-4)
    lips = places.skin_points(expression.deform(MouthShape(jaw_cm=0.9, gap_cm=1.1)))[38:]
    assert lips[2, 1] - lips[6, 1] == pytest.approx(1.1, abs=0.02)


def test_rounding_narrows_and_spreading_widens_the_mouth():
    head = build_head(cast()[0].shape)
    expression, places = Expression(head), LandmarkMap(head)

    def width(mouth: MouthShape) -> float:
        lips = places.skin_points(expression.deform(mouth))[26:38]
        return float(lips[6, 0] - lips[0, 0])

    rest = width(MouthShape())
    assert width(MouthShape(width=-1.0, rounding=1.0)) < 0.8 * rest
    assert width(MouthShape(width=1.0)) > 1.06 * rest


@pytest.mark.parametrize("language", languages())
def test_sentences_are_many_and_repeatable(language):
    made = {sentence(language, seed) for seed in range(60)}
    assert len(made) > 40
    assert sentence(language, 5) == sentence(language, 5)
    assert not any("{" in text for text in made)
    assert len(passage(language, 1, 10.0)) >= 140
