"""Templates forth and back, and photos: timing, order of reading, sway."""

from fractions import Fraction

import cv2
import numpy as np
import pytest
from drawn_people import DrawnDetector, draw, head_at, noise_speech, speaking, tiny_base, write_video

from lipsync.config import RenderConfig, WindowConfig
from lipsync.errors import FaceChoiceError, NoFaceError
from lipsync.faces.follow import follow_face
from lipsync.media import probe, read_frames, read_sound
from lipsync.render.avatar import read_order, say
from lipsync.render.plan import make_plan
from lipsync.render.sway import Sway
from lipsync.render.template import bounce, calm_stretch, fold


@pytest.fixture(scope="module")
def base():
    return tiny_base()


def plan_of(path, **config):
    return make_plan(path, RenderConfig(**config), 32, detector=DrawnDetector())


def test_fold_turns_back_without_repeating_the_ends():
    assert [fold(k, 4) for k in range(10)] == [0, 1, 2, 3, 2, 1, 0, 1, 2, 3]
    assert [fold(k, 1) for k in range(3)] == [0, 0, 0]
    assert [fold(k, 2) for k in range(4)] == [0, 1, 0, 1]


def test_bounce_keeps_each_step_of_an_uneven_template(tmp_path):
    times = np.array([0.0, 0.04, 0.10, 0.12])
    video = write_video(tmp_path / "t.mp4", speaking(4), times)
    plan = plan_of(video)
    sequence = bounce(plan, 0.4)
    assert sequence.frames.tolist() == [fold(k, 4) for k in range(len(sequence))]
    steps = np.diff(sequence.times_s)
    assert steps[:6] == pytest.approx([0.04, 0.06, 0.02, 0.02, 0.06, 0.04], abs=1e-4)
    end_s = sequence.times_s[-1] + 1 / float(plan.info.frame_rate)
    assert 0.4 <= end_s + 1e-6 < 0.5


def test_the_stretch_that_is_used_has_a_face_throughout(tmp_path):
    video = write_video(tmp_path / "t.mp4", speaking(30, gap=range(8, 12)))
    plan = plan_of(video)
    assert calm_stretch(plan, 5.0) == (12, 30)
    first, last = calm_stretch(plan, 0.2)
    assert last - first == 6 and not {first, last - 1} & set(range(8, 12))


def test_reading_back_in_blocks_gives_the_same_pictures(tmp_path):
    video = write_video(tmp_path / "t.mp4", speaking(11))
    plan = plan_of(video)
    pictures = [frame.image for frame in read_frames(video)]
    order = np.array([2, 3, 4, 5, 6, 7, 8, 7, 6, 5, 4, 3, 2, 3, 4, 4, 4, 9])
    for block in (1, 3 * pictures[0].nbytes, 1 << 30):
        read = list(read_order(plan, order, block))
        assert len(read) == len(order)
        assert all(np.array_equal(image, pictures[k]) for image, k in zip(read, order, strict=True))


class Counting(DrawnDetector):
    pictures = 0

    def detect(self, image):
        self.pictures += 1
        return super().detect(image)


@pytest.mark.parametrize(("stream", "gap", "looked_at"), [(True, 0, 10), (True, 15, 10 + 30), (False, 0, 30)])
def test_of_a_stream_only_the_beginning_of_the_template_is_looked_at_first(
    base, tmp_path, monkeypatch, stream, gap, looked_at
):
    monkeypatch.setattr("lipsync.render.avatar.STREAM_LOOKED_AT_S", 0.4)
    video = write_video(tmp_path / "t.mp4", speaking(30, gap=range(gap)))
    detector, out = Counting(), tmp_path / "out.mp4"
    result = say(noise_speech(1.5), video, out, base, RenderConfig(tail_s=0.0), detector=detector, stream=stream)
    assert detector.pictures == looked_at
    assert result.frames == result.rendered == len(list(read_frames(out))) == 38  # played back, though cut short


def test_a_template_with_several_faces_is_not_read_again_and_one_that_begins_late_is(base, tmp_path, monkeypatch):
    monkeypatch.setattr("lipsync.render.avatar.STREAM_LOOKED_AT_S", 0.4)
    heads = draw([(80, 62, 34, 0.1), (240, 62, 34, 0.1)], width=320)
    both, detector, out = write_video(tmp_path / "both.mp4", [heads] * 40), Counting(), tmp_path / "out.mp4"
    with pytest.raises(FaceChoiceError):
        say(noise_speech(0.4), both, out, base, RenderConfig(), detector=detector, stream=True)
    assert detector.pictures == 10
    late = write_video(tmp_path / "late.mp4", speaking(30), 1 + np.arange(30) / 25)
    with pytest.raises(NoFaceError, match="no picture in its first"):
        follow_face(late, DrawnDetector(), WindowConfig(), end_s=0.4)


def test_of_a_long_template_the_rest_is_not_looked_at(base, tmp_path, monkeypatch):
    monkeypatch.setattr("lipsync.render.avatar.LOOKED_AT_S", 0.4)
    video, detector = write_video(tmp_path / "t.mp4", speaking(30)), Counting()
    say(noise_speech(0.8), video, tmp_path / "out.mp4", base, RenderConfig(tail_s=0.0), detector=detector)
    assert detector.pictures == 10
    write_video(tmp_path / "short.mp4", speaking(10))
    say(
        noise_speech(0.8),
        tmp_path / "short.mp4",
        tmp_path / "same.mp4",
        base,
        RenderConfig(tail_s=0.0),
        detector=detector,
    )
    pairs = zip(read_frames(tmp_path / "out.mp4"), read_frames(tmp_path / "same.mp4"), strict=True)
    assert max(np.abs(a.image.astype(int) - b.image).mean() for a, b in pairs) < 1.0  # as if it ended there


def test_say_lasts_as_long_as_the_speech(base, tmp_path):
    video = write_video(tmp_path / "t.mp4", speaking(9), sound=noise_speech(0.36))
    speech = noise_speech(1.2, 22050)
    result = say(speech, video, tmp_path / "out.mp4", base, RenderConfig(tail_s=0.2), detector=DrawnDetector())
    assert result.frames == 35 and result.rendered == 35 and result.passed_through == []
    assert result.largest_outside_difference == 0 and result.warnings == []
    frames = list(read_frames(tmp_path / "out.mp4"))
    assert [f.time_s for f in frames] == pytest.approx(np.arange(35) / 25, abs=1e-4)
    sound = read_sound(tmp_path / "out.mp4", sample_rate_hz=None)
    assert sound.sample_rate_hz == 22050 and sound.duration_s == pytest.approx(1.4, abs=0.05)
    head = np.stack([f.image[:40].astype(float) for f in frames])
    assert np.abs(np.diff(head, axis=0)).mean((1, 2, 3)).max() < 3.0  # no jump where it turns back


def test_a_photo_speaks(base, tmp_path):
    photo = tmp_path / "photo.png"
    cv2.imwrite(str(photo), np.ascontiguousarray(draw([head_at(0, 0.0)], width=161, height=193)[..., ::-1]))
    config = RenderConfig(photo_motion=0.0, tail_s=0.0, crf=1)
    result = say(noise_speech(0.6), photo, tmp_path / "out.mp4", base, config, detector=DrawnDetector())
    info = probe(tmp_path / "out.mp4")
    assert (info.width, info.height, info.frame_rate) == (160, 192, Fraction(25))
    assert result.frames == 15 and result.rendered == 15 and result.largest_outside_difference == 0
    frames = [f.image.astype(int) for f in read_frames(tmp_path / "out.mp4")]
    assert max(np.abs(f[:40] - frames[0][:40]).mean() for f in frames) < 0.5
    with pytest.raises(NoFaceError, match="blank"):
        cv2.imwrite(str(tmp_path / "blank.png"), np.full((80, 80, 3), 90, np.uint8))
        say(noise_speech(0.2), tmp_path / "blank.png", tmp_path / "no.mp4", base, detector=DrawnDetector())


def test_sway_moves_the_head_slowly_and_leaves_the_rest(tmp_path):
    photo = tmp_path / "photo.png"
    cv2.imwrite(str(photo), np.ascontiguousarray(draw([(160, 90, 30.0, 0.0)], width=320, height=320)[..., ::-1]))
    plan = plan_of(photo)
    image = next(read_frames(photo)).image
    sway, again, other = Sway(plan, 1.0, 4), Sway(plan, 1.0, 4), Sway(plan, 1.0, 5)
    assert np.array_equal(Sway(plan, 0.0, 4).move(image, 3.0), image)
    assert np.array_equal(sway.move(image, 3.0), again.move(image, 3.0))
    assert not np.array_equal(sway.move(image, 3.0), other.move(image, 3.0))
    places = []
    for k in range(250):
        moved = sway.move(image, k / 25)
        assert np.array_equal(moved[:, :40], image[:, :40]) and np.array_equal(moved[:, -40:], image[:, -40:])
        faces = DrawnDetector().detect(moved)
        places.append(faces[0].landmarks[36:48, :2].mean(0) / 30.0)
    places = np.array(places)
    assert 0.005 < places.std(0).max() < 0.2
    assert np.linalg.norm(np.diff(places, axis=0), axis=1).max() < 0.02  # head units a frame
