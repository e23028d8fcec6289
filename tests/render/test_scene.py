"""Scenes: who is seen when, who hears what, cuts between templates, several faces in one picture, and grids."""

from fractions import Fraction

import numpy as np
import pytest
from drawn_people import HEIGHT, WIDTH, DrawnDetector, draw, head_at, noise_speech, tiny_base, write_video

from lipsync.config import RenderConfig
from lipsync.errors import UsageError
from lipsync.media import read_frames, read_sound
from lipsync.render.credentials import read_credentials
from lipsync.render.scene import Actor, Shot, Stage, perform, plan_shots, sound_of
from lipsync.speech.speaking import Spoken, Turn
from lipsync.types import Speech

RATE = 16000
TURNS = [
    Turn("ANNA", "a", 0.0, 0.4),
    Turn("BEN", "b", 0.5, 0.9),
    Turn("ANNA", "c", 1.0, 1.2),
    Turn("ANNA", "d", 1.3, 1.4),
]


def spoken(turns):
    sound = noise_speech(turns[-1].end_s, RATE)
    heard = np.zeros(len(sound.samples), bool)
    for turn in turns:
        heard[round(turn.start_s * RATE) : round(turn.end_s * RATE)] = True
    sound.samples[~heard] = 0
    return Spoken(Speech(sound, text="a b c d"), turns)


def film(path, shade=0, heads=1, count=20, width=WIDTH):
    places = [(40, 0.1), (120, 0.0)] if heads == 2 else [(80, 0.1)]
    pictures = []
    for k in range(count):
        drawn = [(x + 2 * np.sin(k / 7), 62, 30.0, wide) for x, wide in places] if heads == 2 else [head_at(k)]
        pictures.append(draw(drawn, width=width, shade=shade))
    return write_video(path, pictures)


@pytest.fixture(scope="module")
def base():
    return tiny_base()


def test_the_camera_goes_to_whoever_speaks(base, tmp_path):
    stages = [Stage(tmp_path / "a", (Actor("anna", base),)), Stage(tmp_path / "b", (Actor("BEN", base),))]
    shots = plan_shots(TURNS, stages, np.arange(40) / 25)
    assert shots == [Shot(0, 0, 12), Shot(1, 12, 24), Shot(0, 24, 40)]  # cuts at 0.45 s and 0.95 s
    both = [Stage(tmp_path / "a", (Actor("ANNA", base), Actor("BEN", base)))]
    assert plan_shots(TURNS, both, np.arange(40) / 25) == [Shot(0, 0, 40)]


def test_each_hears_only_their_own_turns():
    said = spoken(TURNS)
    anna, ben = sound_of(said, "Anna").samples, sound_of(said, "BEN").samples
    np.testing.assert_array_equal(anna + ben, said.speech.sound.samples)
    assert np.abs(anna).max() > 0 and not (anna * ben).any()
    assert not anna[8000:14400].any() and not ben[:8000].any() and not ben[14400:].any()
    assert not sound_of(said, "nobody").samples.any()


def test_cuts_between_templates(base, tmp_path):
    stages = [
        Stage(film(tmp_path / "a.mp4"), (Actor("ANNA", base),)),
        Stage(film(tmp_path / "b.mp4", shade=60), (Actor("BEN", base),)),
    ]
    said = spoken(TURNS)
    out = tmp_path / "out.mp4"
    result = perform(said, stages, out, RenderConfig(tail_s=0.2), detector=DrawnDetector())
    assert (result.frames, result.width, result.height, result.layout) == (40, WIDTH, HEIGHT, "cut")
    assert [actor["rendered"] for actor in result.actors] == [28, 12]
    assert result.largest_outside_difference == 0 and result.warnings == []
    assert [(shot["start_s"], shot["end_s"]) for shot in result.shots] == [(0, 0.48), (0.48, 0.96), (0.96, 1.6)]
    told = read_credentials(out)
    assert told.intact and told.synthetic and told.details["actors"][1]["base"] == "tiny"
    frames = list(read_frames(out))
    np.testing.assert_allclose([frame.time_s for frame in frames], np.arange(40) / 25, atol=1e-4)
    corner = np.array([frame.image[:10, :10].mean() for frame in frames])
    bright = corner > corner[0] + 30
    assert bright.tolist() == [12 <= k < 24 for k in range(40)]
    heard = read_sound(out, sample_rate_hz=None)
    assert heard.duration_s == pytest.approx(1.6, abs=0.07)


def test_two_faces_in_one_picture(base, tmp_path):
    template = film(tmp_path / "two.mp4", heads=2)
    stages = [Stage(template, (Actor("ANNA", base, "left"), Actor("BEN", base, "right")))]
    result = perform(spoken(TURNS), stages, tmp_path / "out.mp4", RenderConfig(crf=1), detector=DrawnDetector())
    assert [actor["rendered"] for actor in result.actors] == [result.frames] * 2
    assert result.largest_outside_difference == 0
    before = [frame.image.astype(int) for frame in read_frames(template)]
    first = next(iter(read_frames(tmp_path / "out.mp4"))).image.astype(int)
    changed = np.abs(first - before[0]).max(2) > 12
    left, right = changed[:, : WIDTH // 2].any(), changed[:, WIDTH // 2 :].any()
    assert left and right and not changed[:40].any()


def test_a_grid_shows_all_at_once(base, tmp_path):
    stages = [
        Stage(film(tmp_path / "a.mp4"), (Actor("ANNA", base),)),
        Stage(film(tmp_path / "b.mp4", shade=60), (Actor("BEN", base),)),
        Stage(film(tmp_path / "c.mp4", width=120), (Actor("CLEO", base),)),
    ]
    config = RenderConfig(tail_s=0.1)
    result = perform(spoken(TURNS[:2]), stages, tmp_path / "o.mp4", config, layout="grid", detector=DrawnDetector())
    assert (result.width, result.height) == (2 * WIDTH, 2 * HEIGHT)
    assert [actor["rendered"] for actor in result.actors] == [25] * 3
    image = list(read_frames(tmp_path / "o.mp4"))[12].image.astype(int)
    tiles = [image[y : y + 10, x : x + 10].mean() for y, x in [(0, 0), (0, WIDTH), (HEIGHT, 0), (HEIGHT, WIDTH)]]
    assert tiles[1] > tiles[0] + 30 and tiles[2] < 20 and tiles[3] < 20  # the narrow one has bars, the fourth is empty
    assert image[HEIGHT : HEIGHT + 10, WIDTH // 2].mean() > 60


def test_a_photo_beside_a_video_at_another_rate(base, tmp_path):
    import cv2

    photo = tmp_path / "photo.png"
    cv2.imwrite(str(photo), np.ascontiguousarray(draw([head_at(0, 0.0)])[..., ::-1]))
    slow = write_video(tmp_path / "slow.mp4", [draw([head_at(k)]) for k in range(10)], rate=Fraction(15))
    stages = [Stage(slow, (Actor("ANNA", base),)), Stage(photo, (Actor("BEN", base),))]
    result = perform(spoken(TURNS[:2]), stages, tmp_path / "o.mp4", RenderConfig(tail_s=0.1), detector=DrawnDetector())
    assert result.frame_rate == 15 and result.frames == 15
    assert sum(actor["rendered"] for actor in result.actors) == 15


@pytest.mark.parametrize(
    ("names", "layout", "message"),
    [
        (["ANNA"], "cut", "BEN speaks and is nobody in the cast"),
        (["ANNA", "BEN", "anna"], "cut", "ANNA speaks and is on several stages"),
        (["ANNA", "BEN"], "split", "no layout is called 'split'"),
    ],
)
def test_casts_that_do_not_fit(base, tmp_path, names, layout, message):
    stages = [Stage(tmp_path / name, (Actor(name, base),)) for name in names]
    with pytest.raises(UsageError, match=message):
        perform(spoken(TURNS), stages, tmp_path / "o.mp4", layout=layout)
