"""The whole of dub on drawn heads: frames and times kept, gaps pass through, one seed one result, honest errors."""

from fractions import Fraction

import numpy as np
import pytest
from drawn_people import DrawnDetector, coded, draw, head_at, noise_speech, speaking, tiny_base, write_video

from lipsync.config import RenderConfig
from lipsync.errors import MediaError, NoFaceError, SpeechError, UsageError
from lipsync.media import probe, read_frames, read_sound
from lipsync.render.credentials import read_credentials
from lipsync.render.dub import dub
from lipsync.types import Sound, Speech


@pytest.fixture(scope="module")
def base():
    return tiny_base()


def run(base, video, out, speech=None, config=None, **more):
    speech = speech or noise_speech(1.0)
    return dub(video, speech, out, base, config or RenderConfig(), detector=DrawnDetector(), **more)


def times_of(path):
    return [frame.time_s for frame in read_frames(path)]


def test_gap_in_the_middle_of_a_variable_rate_video(base, tmp_path):
    pictures = speaking(24, gap=range(10, 14))
    rng = np.random.default_rng(0)
    times = np.cumsum(rng.uniform(0.025, 0.07, len(pictures)))
    video = write_video(tmp_path / "in.mp4", pictures, times)
    result = run(base, video, tmp_path / "out.mp4", noise_speech(2.0, 44100, 2))
    assert result.frames == 24 and result.rendered == 20
    assert [p.frame for p in result.passed_through] == [10, 11, 12, 13]
    assert {p.reason for p in result.passed_through} == {"no face"}
    assert [p.time_s for p in result.passed_through] == pytest.approx(times_of(video)[10:14], abs=1e-4)
    assert times_of(tmp_path / "out.mp4") == times_of(video)
    before, after = probe(video), probe(tmp_path / "out.mp4")
    assert (before.width, before.height, before.colour) == (after.width, after.height, after.colour)
    assert (after.sample_rate_hz, after.channels) == (44100, 2)
    assert result.largest_outside_difference == 0


def test_passed_frames_and_surroundings_are_the_source(base, tmp_path):
    video = write_video(tmp_path / "in.mp4", speaking(16, gap=range(6, 9)))
    run(base, video, tmp_path / "out.mp4", config=RenderConfig(crf=1))
    pairs = zip(read_frames(video), read_frames(tmp_path / "out.mp4"), strict=True)
    for k, (a, b) in enumerate(pairs):
        far = np.abs(a.image.astype(int) - b.image)[:40]
        assert far.mean() < 1.0
        changed = np.abs(a.image.astype(int) - b.image)[85:130, 50:110].mean()
        if k in (6, 7, 8):
            assert changed < 0.2, k
        elif k not in (4, 5, 9, 10):  # fading
            assert changed > 1.0, k


def test_entry_next_to_a_gap_is_soft(base, tmp_path):
    video = write_video(tmp_path / "in.mp4", speaking(20, gap=range(0, 6)))
    run(base, video, tmp_path / "out.mp4", config=RenderConfig(crf=1))
    change = [
        np.abs(a.image.astype(int) - b.image)[85:130, 50:110].mean()
        for a, b in zip(read_frames(video), read_frames(tmp_path / "out.mp4"), strict=True)
    ]
    assert change[6] < 0.5 * np.median(change[9:]) and change[6] < change[7] < change[8]
    assert change[19] > 0.6 * np.median(change[9:])  # the video's own end does not fade


def test_one_seed_one_result(base, tmp_path):
    video = write_video(tmp_path / "in.mp4", speaking(8))
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        run(base, video, tmp_path / f"{name}.mp4", config=RenderConfig(seed=seed, steps=2))  # one step sees no noise
    a, b, c = (coded(tmp_path / f"{name}.mp4") for name in "abc")
    assert a == b and a != c


def test_longer_sound_is_cut_and_shorter_padded(base, tmp_path):
    video = write_video(tmp_path / "in.mp4", speaking(25))
    long = run(base, video, tmp_path / "long.mp4", noise_speech(3.0, 48000))
    short = run(base, video, tmp_path / "short.mp4", noise_speech(0.4, 48000))
    assert "2.00 s longer" in long.warnings[0] and short.warnings == []
    for name in ("long", "short"):
        assert len(times_of(tmp_path / f"{name}.mp4")) == 25
        assert read_sound(tmp_path / f"{name}.mp4").duration_s == pytest.approx(1.0, abs=0.03)
    tail = read_sound(tmp_path / "short.mp4").samples[-4000:]
    assert np.abs(tail).max() < 1e-3


def test_mouth_of_another_video_is_followed(base, tmp_path):
    template = write_video(tmp_path / "in.mp4", [draw([head_at(k, 0.0)]) for k in range(20)])
    sound = noise_speech(0.8, 22050)
    other = write_video(tmp_path / "mouth.mp4", speaking(20), sound=sound)
    result = dub(template, None, tmp_path / "out.mp4", base, detector=DrawnDetector(), mouth_video=other)
    assert result.rendered == 20 and probe(tmp_path / "out.mp4").sample_rate_hz == 22050
    with pytest.raises(UsageError):
        dub(template, None, tmp_path / "no.mp4", base, detector=DrawnDetector())


def test_the_output_says_that_it_is_synthetic(base, tmp_path):
    video = write_video(tmp_path / "in.mp4", speaking(6))
    run(base, video, tmp_path / "out.mp4")
    assert b"Synthetic video" in (tmp_path / "out.mp4").read_bytes()
    credentials = read_credentials(tmp_path / "out.mp4")
    assert credentials.intact and credentials.synthetic and credentials.details["base_hash"] == base.hash


def two_heads(k):
    return draw([(80, 70, 34.0, 0.1), (240, 75, 33.0, 0.1 * (k % 3))], width=320)


def test_two_faces_need_a_choice(base, tmp_path):
    video = write_video(tmp_path / "in.mp4", [two_heads(k) for k in range(8)])
    with pytest.raises(NoFaceError, match=r"2 faces of about the same size.*left"):
        run(base, video, tmp_path / "out.mp4")
    assert not list(tmp_path.glob("*out*"))
    changed = {}
    for face in ("left", "right", "0", "1", "largest"):
        run(base, video, tmp_path / "out.mp4", config=RenderConfig(face=face, crf=1))
        a, b = next(read_frames(video)).image, next(read_frames(tmp_path / "out.mp4")).image
        columns = np.abs(a.astype(int) - b).sum((0, 2))
        changed[face] = "left" if columns[:160].sum() > columns[160:].sum() else "right"
    assert changed == {"left": "left", "right": "right", "0": "left", "1": "right", "largest": "left"}


def test_nothing_is_left_after_an_error(base, tmp_path):
    empty = write_video(tmp_path / "empty.mp4", [draw([])] * 6)
    with pytest.raises(NoFaceError, match=r"empty\.mp4"):
        run(base, empty, tmp_path / "out.mp4")
    video = write_video(tmp_path / "in.mp4", speaking(6))
    with pytest.raises(SpeechError):
        run(base, video, tmp_path / "out.mp4", Sound(np.zeros(0, np.float32), 16000))
    (tmp_path / "text.mp4").write_text("hello")
    with pytest.raises(MediaError):
        run(base, tmp_path / "text.mp4", tmp_path / "out.mp4")
    short = (tmp_path / "in.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(short[: len(short) * 2 // 3])
    with pytest.raises(MediaError):
        run(base, tmp_path / "cut.mp4", tmp_path / "out.mp4")
    assert not list(tmp_path.glob("*out*"))


def test_a_small_face_passes_through_whole(base, tmp_path):
    video = write_video(tmp_path / "in.mp4", [draw([(80, 60, 36.0 if k < 8 else 20.0, 0.1)]) for k in range(16)])
    result = run(base, video, tmp_path / "out.mp4", config=RenderConfig(least_inter_ocular_px=28))
    assert result.frames == 16 and result.passed_through
    assert {p.reason for p in result.passed_through} == {"face too small"}


def test_speech_nouns_are_taken_as_they_are(base, tmp_path):
    video = write_video(tmp_path / "in.mp4", speaking(6), rate=Fraction(30000, 1001))
    result = run(base, video, tmp_path / "out.mp4", Speech(noise_speech(0.2)))
    assert result.frame_rate == pytest.approx(29.97, abs=0.01) and result.frames == 6
    assert set(result.as_dict()) >= {"out", "rendered", "passed_through", "seed", "seconds", "warnings"}
