"""Actors on film: the same frames each time, a face in every frame, landmarks that agree with a detector's."""

from dataclasses import replace

import numpy as np
import pytest
from mediapipe.python.solutions.face_mesh import FaceMesh

from data_prep.actors import cast, load_landmarks, perform, random_actor, render_footage
from data_prep.actors.expression import MouthShape
from data_prep.actors.stage import Performance, Stage
from lipsync.errors import VoiceError
from lipsync.faces.detect import MESH_TO_68, open_detector
from lipsync.media.read import probe, read_frames
from lipsync.types import Sound, Speech, Timed


def speech_of(*phonemes: str, length_s: float = 0.12) -> Speech:
    timed = [Timed(p, 0.1 + i * length_s, 0.1 + (i + 1) * length_s) for i, p in enumerate(phonemes)]
    samples = np.zeros(int(16000 * timed[-1].end_s), np.float32)
    return Speech(Sound(samples, 16000), [], timed)


def test_same_actor_speech_and_seed_give_the_same_frames_and_another_seed_others():
    speech = speech_of("m", "a")
    actor = cast()[3]
    first = list(perform(actor, speech, size_px=(96, 96), tail_s=0.0))
    again = list(perform(actor, speech, size_px=(96, 96), tail_s=0.0))
    other = list(perform(actor, speech, size_px=(96, 96), tail_s=0.0, seed=1))
    assert len(first) == round(25 * 0.34)
    for one, two in zip(first, again, strict=True):
        assert np.array_equal(one.image, two.image) and np.array_equal(one.landmarks, two.landmarks)
    assert not np.array_equal(first[0].image, other[0].image)
    assert first[0].image.dtype == np.uint8 and first[0].landmarks.shape == (68, 3)


def test_size_and_frame_rate_are_parameters():
    frames = list(perform(cast()[8], speech_of("a"), size_px=(120, 160), frame_rate=30, tail_s=0.1))
    assert frames[0].image.shape == (160, 120, 3)
    assert frames[1].time_s == pytest.approx(1 / 30)


def test_the_cast_is_ten_different_people_and_random_actors_are_repeatable():
    names = [actor.name for actor in cast()]
    assert len(set(names)) == len(names) >= 8
    assert random_actor(5) == random_actor(5) != random_actor(6)
    assert random_actor(5, "fr").language == "fr"
    looks = {(a.hair, a.beard, a.skin) for a in (random_actor(seed) for seed in range(30))}
    assert len(looks) == 30


@pytest.mark.parametrize("index", [0, 3])
def test_the_default_detector_finds_every_frame_and_a_lip_network_agrees(index):
    speech = speech_of("m", "a", "p", "i", "b", "u", "f", "a", "m", "o", "t", "ɛ", length_s=0.16)
    detector = open_detector()
    lip_network = FaceMesh(static_image_mode=True, refine_landmarks=True)
    errors, seen, exact = [], [], []
    for frame in perform(cast()[index], speech, size_px=(256, 256), tail_s=0.1):
        faces = detector.detect(frame.image)
        assert len(faces) == 1, f"no face at {frame.time_s:.2f} s"
        found, true = faces[0].landmarks[:, :2], frame.landmarks[:, :2]
        between_eyes = np.linalg.norm(true[36] - true[45])
        errors.append(np.linalg.norm(found - true, axis=1) / between_eyes)
        fine = lip_network.process(frame.image).multi_face_landmarks[0].landmark
        lips = [np.array([fine[i].x, fine[i].y]) * 256 for i in MESH_TO_68[[62, 66]]]
        seen.append(np.linalg.norm(lips[0] - lips[1]) / between_eyes)
        exact.append(np.linalg.norm(true[62] - true[66]) / between_eyes)
    lip_network.close()
    mean = np.mean(errors, axis=0)
    assert mean[48:].mean() < 0.05
    assert mean[36:48].mean() < 0.05
    assert mean.mean() < 0.07
    assert np.corrcoef(seen, exact)[0, 1] > 0.9


def test_depth_is_toward_the_viewer_negative_and_a_turned_head_moves_the_nose():
    stage = Stage(cast()[8], (96, 96))
    _, landmarks = stage.render(Performance())
    assert landmarks[30, 2] < landmarks[8, 2] < landmarks[0, 2]
    assert landmarks[36, 0] < landmarks[45, 0] and landmarks[27, 1] < landmarks[8, 1]


def test_an_open_mouth_shows_teeth_and_a_dark_cavity_where_a_closed_one_is_lips():
    stage = Stage(cast()[0], (192, 192))
    opened, landmarks = stage.render(Performance(mouth=MouthShape(jaw_cm=1.3, gap_cm=1.5)))
    closed, _ = stage.render(Performance())
    top, bottom = landmarks[62], landmarks[66]
    between = opened[int(top[1]) + 1 : int(bottom[1]), int(top[0]) + 2]
    lips = closed[int(top[1]) + 1 : int(bottom[1]), int(top[0]) + 2]
    colourless = between.min(axis=1) / between.max(axis=1)
    assert colourless.max() > 0.8 and between[colourless.argmax()].mean() > 0.5  # teeth
    assert (lips.min(axis=1) / lips.max(axis=1)).max() < 0.75
    assert between.mean(axis=1).min() < 0.6 * lips.mean(axis=1).max()  # the cavity


def test_footage_has_its_landmarks_beside_it(tmp_path):
    speech = speech_of("a", "m")
    path = tmp_path / "take.mp4"
    made = render_footage(cast()[8], speech, path, size_px=(96, 96), tail_s=0.0)
    kept = load_landmarks(path)
    np.testing.assert_array_equal(made.landmarks, kept.landmarks)
    frames = list(read_frames(path))
    assert len(frames) == len(kept.times_s)
    assert probe(path).width == 96 and probe(path).sample_rate_hz > 0
    np.testing.assert_allclose([f.time_s for f in frames], kept.times_s, atol=1e-3)


def test_an_unknown_voice_is_an_error_and_leaves_no_file(tmp_path):
    with pytest.raises(VoiceError):
        render_footage(replace(cast()[0], voice="nonsense:xx"), "Hello.", tmp_path / "x.mp4")
    assert not list(tmp_path.iterdir())
