"""Both detectors' own code: one on a rendered actor, one on small weights made here."""

import gc
from pathlib import Path

import numpy as np
import pytest
import torch

from data_prep.actors import cast, perform
from lipsync.errors import ConfigError, NoFaceError
from lipsync.faces.detect import FaceAlignmentDetector, open_detector
from lipsync.faces.template import HEAD
from lipsync.faces.track import Tracker, iou, track_faces
from lipsync.types import Face, Frame, Sound, Speech, Timed


@pytest.fixture(scope="module")
def actor_frames():
    phonemes = [Timed("m", 0.0, 0.08), Timed("ɑː", 0.08, 0.3), Timed("m", 0.3, 0.4)]
    speech = Speech(Sound(np.zeros(16000 // 2, np.float32), 16000), [], phonemes)
    return list(perform(cast()[0], speech, frame_rate=25, size_px=(256, 256), tail_s=0.0))


def test_default_detector_finds_an_actor_where_they_are(actor_frames):
    detector = open_detector()
    for frame in actor_frames[::3]:
        faces = detector.detect(frame.image)
        assert len(faces) == 1
        iod = np.linalg.norm(frame.landmarks[36:42, :2].mean(0) - frame.landmarks[42:48, :2].mean(0))
        error = np.linalg.norm(faces[0].landmarks[48:68, :2] - frame.landmarks[48:68, :2], axis=1).mean() / iod
        assert error < 0.08


def test_a_small_face_in_a_large_picture_is_found(actor_frames):
    image = np.full((1080, 1920, 3), 90, np.uint8)
    small = actor_frames[0].image[::2, ::2]
    image[400:528, 1200:1328] = small
    faces = open_detector().detect(image)
    assert faces and 1200 < faces[0].landmarks[:, 0].mean() < 1328 and 400 < faces[0].landmarks[:, 1].mean() < 528


def test_a_lone_face_is_found_as_among_several_and_a_second_one_soon_after_it_comes(actor_frames):
    several, lone = open_detector(others_every=1), open_detector(others_every=3)
    alone = [np.concatenate([f.image, np.full_like(f.image, 90)], 1) for f in actor_frames[:6]]
    both = [np.concatenate([f.image, f.image[:, ::-1]], 1) for f in actor_frames[:5]]
    for image in alone:
        (expected,), (found,) = several.detect(image), lone.detect(image)
        np.testing.assert_array_equal(found.landmarks, expected.landmarks)
    counts = [len(lone.detect(image)) for image in both]
    assert counts[-1] == 2 and counts.index(2) < 3 and sorted(counts) == counts
    after = [len(lone.detect(image)) for image in alone]
    assert after[-1] == 1 and lone._alone


def test_no_face_is_an_empty_list_not_an_error():
    assert open_detector().detect(np.full((200, 300, 3), 120, np.uint8)) == []


def test_unknown_detector_names_the_known_ones():
    with pytest.raises(ConfigError, match="mediapipe, face-alignment"):
        open_detector("nope")


class _Net:
    """Stands for face_alignment.FaceAlignment: what get_landmarks_from_image answers."""

    def __init__(self, answer):
        self.answer = answer

    def get_landmarks_from_image(self, image, return_bboxes):
        assert return_bboxes and image.dtype == np.uint8
        return self.answer


def _with_net(answer):
    detector = FaceAlignmentDetector.__new__(FaceAlignmentDetector)
    detector._net = _Net(answer)
    return detector


def test_face_alignment_answers_become_faces_with_depth(actor_frames):
    flat = actor_frames[0].landmarks[:, :2]
    box = np.array([0, 0, 255, 255, 0.9])
    faces = _with_net(([flat, flat / 2], [None, None], [box, box])).detect(actor_frames[0].image)
    assert len(faces) == 2 and faces[0].score == pytest.approx(0.9)
    assert np.ptp(faces[0].box_px) > np.ptp(faces[1].box_px)
    assert faces[0].landmarks.shape == (68, 3) and np.ptp(faces[0].landmarks[:, 2]) > 10
    assert _with_net((None, None, None)).detect(actor_frames[0].image) == []


def test_face_alignment_really_loads_and_runs(tmp_path, monkeypatch, actor_frames):
    """The package's own loading code, on random weights of its real architectures put where it looks for them."""
    from face_alignment.api import models_urls
    from face_alignment.detection.sfd.net_s3fd import s3fd
    from face_alignment.models import FAN

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    torch.manual_seed(0)
    checkpoints = tmp_path / "hub" / "checkpoints"
    checkpoints.mkdir(parents=True)
    torch.save(s3fd().state_dict(), tmp_path / "s3fd.pth")
    torch.save(FAN(4).state_dict(), checkpoints / models_urls["2DFAN-4"].rsplit("/", 1)[1])
    detector = FaceAlignmentDetector(face_detector_kwargs={"path_to_detector": str(tmp_path / "s3fd.pth")})
    box = np.array([40.0, 60.0, 210.0, 240.0, 0.99])
    monkeypatch.setattr(detector._net.face_detector, "detect_from_image", lambda image: [box])
    faces = detector.detect(actor_frames[0].image)
    assert len(faces) == 1 and faces[0].landmarks.shape == (68, 3) and faces[0].score == pytest.approx(0.99)


def test_face_alignment_without_weights_or_network_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("torch.hub.download_url_to_file", _no_network)
    with pytest.raises(NoFaceError, match="Connect once, or use the default detector"):
        FaceAlignmentDetector()


def _no_network(url, dst, hash_prefix=None, progress=True):
    raise OSError("no network")


def _face(x, y=0.0, size=50.0):
    landmarks = (HEAD * size / 3 + [x + size / 2, y + size / 2, 0]).astype(np.float32)
    return Face((x, y, x + size, y + size), landmarks)


class _Scripted:
    def __init__(self, answers):
        self.answers, self.resets = list(answers), 0

    def detect(self, image):
        return self.answers.pop(0)

    def reset(self):
        self.resets += 1


def _frames(count, level=lambda i: 100):
    return [Frame(np.full((40, 60, 3), level(i), np.uint8), i, i / 25) for i in range(count)]


def test_two_people_stay_themselves_when_the_detector_swaps_their_order():
    left, right = _face(0), _face(200)
    tracks = track_faces(_frames(6), _Scripted([[left, right], [right, left]] * 3))
    assert len(tracks) == 2
    for first, track in tracks:
        assert first == 0 and len({face.box_px for face in track.faces}) == 1


def test_a_gap_keeps_its_place_and_a_long_one_ends_the_track():
    answers = [[_face(0)]] * 5 + [[]] * 3 + [[_face(2)]] * 5 + [[]] * 50 + [[_face(2)]] * 4
    tracks = track_faces(_frames(len(answers)), _Scripted(answers))
    assert [(first, len(track.faces), int(track.seen.sum())) for first, track in tracks] == [(0, 13, 10), (63, 4, 4)]
    assert tracks[0][1].seen.tolist() == [True] * 5 + [False] * 3 + [True] * 5


def test_a_cut_ends_every_track_and_forgets_the_last_picture():
    detector = _Scripted([[_face(0)]] * 8)
    tracker = Tracker(detector)
    for frame in _frames(8, lambda i: 20 if i < 4 else 220):
        tracker.update(frame)
    assert tracker.cuts == [4] and detector.resets == 1
    assert sorted((first, len(track.faces)) for first, track in tracker.finish()) == [(0, 4), (4, 4)]


def test_iou_of_known_boxes():
    assert iou((0, 0, 2, 2), (1, 0, 3, 2)) == pytest.approx(1 / 3)
    assert iou((0, 0, 1, 1), (1, 1, 2, 2)) == 0


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="counts threads where the system lists them")
def test_a_detector_that_is_no_longer_used_leaves_no_thread_behind():
    open_detector()
    gc.collect()
    before = len(list(Path("/proc/self/task").iterdir()))
    for _ in range(2):
        detector = open_detector()
        assert len(list(Path("/proc/self/task").iterdir())) > before
        del detector
        gc.collect()
    assert len(list(Path("/proc/self/task").iterdir())) <= before
