import numpy as np

from data_prep.mirror import find_mirrored
from data_prep.sights import find_bars
from lipsync.config import CheckConfig


def person(rng, files, flipped=(), clips=3):
    """Pictures of one drawn face with marks on one side, under light that comes from anywhere."""
    face = rng.integers(90, 150, (16, 16, 1)).astype(np.float32).repeat(8, 0).repeat(8, 1).repeat(3, 2)
    out = {}
    for k in range(files):
        slope = np.linspace(-1, 1, 128)[None, :, None] * rng.uniform(-40, 40)
        pictures = [np.clip(face + slope + rng.normal(0, 6, face.shape), 0, 255).astype(np.uint8) for _ in range(clips)]
        out[f"{k}.mp4"] = [p[:, ::-1] for p in pictures] if k in flipped else pictures
    return out


def test_the_file_that_is_mirrored_against_the_others_is_named():
    rng = np.random.default_rng(0)
    assert find_mirrored(person(rng, 5)) == []
    assert find_mirrored(person(rng, 5, flipped=(2,))) == ["2.mp4"]
    assert find_mirrored(person(rng, 7, flipped=(0, 4))) == ["0.mp4", "4.mp4"]


def test_strangers_and_too_few_files_say_nothing():
    rng = np.random.default_rng(1)
    strangers = {f"{k}.mp4": person(rng, 1)["0.mp4"] for k in range(6)}
    assert find_mirrored(strangers) == []
    assert find_mirrored(person(rng, 2, flipped=(1,))) == []


def test_bars_are_measured_and_dark_scenes_are_none():
    rng = np.random.default_rng(2)
    bright = [rng.integers(60, 200, (90, 160, 3), np.uint8) for _ in range(4)]
    assert find_bars(bright, CheckConfig()).kind == ""
    letter = [p.copy() for p in bright]
    for p in letter:
        p[:12], p[-12:] = 4, 6
    bars = find_bars(letter, CheckConfig())
    assert bars.kind == "letterboxed" and bars.top == bars.bottom == 12 / 90
    pillar = [np.pad(p[:, 40:120], ((0, 0), (40, 40), (0, 0))) for p in bright]
    assert find_bars(pillar, CheckConfig()).kind == "pillarboxed"
    floor = [p.copy() for p in bright]
    for p in floor:
        p[-30:] = 5
    assert find_bars(floor, CheckConfig()).kind == "", "a dark floor is no bar"
    assert find_bars([np.zeros((90, 160, 3), np.uint8)] * 3, CheckConfig()).kind == ""
    assert find_bars([], CheckConfig()).kind == ""
