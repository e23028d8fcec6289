import cv2
import numpy as np
import pytest
from planted_faces import PlantedDetector, film, mouth_course, voice_of

from data_prep.looks import NOT_TOLD, take_look, tell_apart
from data_prep.pipeline import prepare
from data_prep.speaker import EnergyJudge
from lipsync.config import PrepareConfig
from lipsync.errors import ConfigError
from lipsync.faces.template import HEAD


def looks_of(seed, light=1.0, noise=6.0, count=3):
    """Looks of one made-up face: blobs of its own, other light and noise each time."""
    face = cv2.resize(np.random.default_rng(seed).integers(0, 255, (16, 12, 3), np.uint8), (48, 64)).astype(float)
    rng = np.random.default_rng(seed + 1000)
    return np.stack([np.clip(face * light + rng.normal(0, noise, face.shape), 0, 255) for _ in range(count)]).astype(
        np.uint8
    )


def test_stretches_of_one_person_are_merged_across_shots_in_other_light():
    seen = [(looks_of(1), 5.0, (0, 125)), (looks_of(2), 9.0, (125, 350)), (looks_of(1, light=0.9), 6.0, (350, 500))]
    assert tell_apart(seen) == [0, 1, 0], "the first and the last are seen for 11 s together"


def test_two_on_screen_at_once_are_two_even_when_they_look_alike():
    assert tell_apart([(looks_of(1), 5.0, (0, 125)), (looks_of(1), 4.0, (60, 160))]) == [0, 1]


def test_who_is_neither_alike_nor_clearly_other_is_left_undecided():
    half = np.round(0.53 * looks_of(1) + 0.47 * looks_of(2)).astype(np.uint8)
    assert tell_apart([(looks_of(1), 9.0, (0, 225)), (half, 5.0, (225, 350))]) == [0, NOT_TOLD]
    assert tell_apart([(looks_of(1), 9.0, (0, 225)), (looks_of(1)[:0], 5.0, (225, 350))]) == [0, NOT_TOLD]


def test_a_look_is_the_same_face_upright_wherever_it_is_in_the_picture():
    face = looks_of(7, noise=0)[0]
    found = []
    for angle, scale, x, y in ((0.0, 40.0, 200, 150), (0.5, 60.0, 260, 200)):
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) * scale
        landmarks = HEAD * scale
        landmarks[:, :2] = HEAD[:, :2] @ turn.T + [x, y]
        to_picture = np.c_[turn @ np.array([[2.4 / 48, 0], [0, 3.2 / 64]]), turn @ [-1.2, -1.3] + [x, y]]
        found.append(take_look(cv2.warpAffine(face, to_picture, (520, 420)), landmarks).astype(float))
    assert np.abs(found[0] - face).mean() < 12 and np.abs(found[0] - found[1]).mean() < 12


def test_one_person_is_picked_and_the_choice_is_checked(tmp_path):
    course = mouth_course(3.0, 3)
    path = film(tmp_path / "a.mp4", [course], voice_of(course))
    (result,) = prepare(
        [path], tmp_path / "d", PrepareConfig(pick="most"), detector=PlantedDetector(), judge=EnergyJudge()
    )
    assert [c.seen_as for c in result.clips] == [0]
    with pytest.raises(ConfigError, match="pick: expected most"):
        prepare([path], tmp_path / "d", PrepareConfig(pick="ann"), detector=PlantedDetector(), judge=EnergyJudge())
