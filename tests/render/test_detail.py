"""Moving fine detail: fields go where the points went, skin comes from the frame, texture keeps its strength."""

from dataclasses import dataclass

import cv2
import numpy as np
import pytest

from lipsync.faces.align import JAW, MOUTH, OUTER_LIP, crop_window
from lipsync.faces.lip_colour import LOWER, UPPER, outline_mask
from lipsync.faces.template import HEAD
from lipsync.model.pixel import PixelModelConfig
from lipsync.render.composite import Compositor, lips_of
from lipsync.render.detail import DetailMover
from lipsync.render.lips import LipColour, TextureGain, usual_lips

MOUTH_PX = (HEAD[MOUTH, :2] * 45 + [64, 20]).astype(np.float32)


@dataclass
class Known:
    fine: np.ndarray
    windows: np.ndarray
    points: np.ndarray
    whose: tuple = ()

    @property
    def tracks(self):
        return np.array(self.whose) if self.whose else np.zeros(len(self.points), int)


def skin(seed=0, size=128):
    rng = np.random.default_rng(seed)
    noise = cv2.GaussianBlur(rng.normal(0, 1, (size, size, 3)).astype(np.float32), (0, 0), 3)
    return np.clip(130 + 300 * noise, 0, 255).astype(np.uint8)


def lowered(by_px):
    mouth = MOUTH_PX.copy()
    mouth[[18, 19, 20, 21, 22, 28, 29, 30], 1] += by_px
    mouth[JAW, 1] += by_px
    return mouth


def test_a_mouth_that_does_not_move_has_no_field_and_an_even_picture_all_its_detail():
    true = skin()
    found = DetailMover(128).from_frame(true.astype(np.float32), true, np.stack([MOUTH_PX, MOUTH_PX]))
    assert np.abs(found.field).max() < 0.3
    assert found.weight[30:40].min() > 0.99 and found.weight.min() < 0.2


def test_the_field_leads_from_the_new_points_to_the_old_and_is_still_at_the_border():
    new, true = lowered(6.0), skin()
    moved = np.roll(true, 6, 0).astype(np.float32)  # made: what the lowered lip looks like
    found = DetailMover(128).from_frame(moved, true, np.stack([MOUTH_PX, new]))
    chin, lip = np.rint(new[5]).astype(int), np.rint(new[20]).astype(int)
    assert found.field[chin[1], chin[0], 1] == pytest.approx(-5.2, abs=1.0)  # 6 less what counts as standing still
    assert found.field[lip[1], lip[0], 1] == pytest.approx(-6.0, abs=1.0)
    assert np.abs(found.field[[0, -1]]).max() < 2.0


def test_a_jaw_that_only_trembles_moves_no_skin():
    trembling = MOUTH_PX.copy()
    trembling[JAW] += 0.5
    true = skin()
    found = DetailMover(128).from_frame(true.astype(np.float32), true, np.stack([MOUTH_PX, trembling]))
    assert np.abs(found.field[100:]).max() < 0.3


def test_the_close_up_alike_in_mouth_is_picked_and_kept_while_others_are_hardly_better():
    points = np.stack([lowered(y) for y in (0.0, 6.0, 12.0)])
    known = Known(np.zeros((3, 256, 256, 3), np.uint8), np.zeros((3, 128, 128, 3), np.uint8), points)
    mover = DetailMover(128, known)
    assert mover.pick(lowered(1.0)) == 0
    assert mover.pick(lowered(3.1)) == 0  # hardly nearer to 6
    assert mover.pick(lowered(11.0)) == 2
    mover.reset()
    assert mover.pick(lowered(3.1)) == 1


def test_what_the_frame_does_not_show_comes_from_the_close_up():
    size, rng = 512, np.random.default_rng(1)
    frame = cv2.resize(skin(2), (size, size), interpolation=cv2.INTER_CUBIC)
    matrix = np.array([[0.25, 0, -0.375], [0, 0.25, -0.375]])
    true = crop_window(frame, matrix, 128)
    wanted = lowered(12.0)
    open_mouth = frame.astype(np.float32)
    inner = cv2.resize(lips_of(wanted, 128), (size, size))[..., None]
    open_mouth += inner * rng.normal(0, 25, (size, size, 1)).astype(np.float32)  # finer than the window
    fine = np.clip(open_mouth, 0, 255).astype(np.uint8)
    window = crop_window(fine, matrix, 128)
    known = Known(fine[None], window[None], wanted[None])
    mouths = np.stack([MOUTH_PX, wanted])
    made = window.astype(np.float32)
    lips = lips_of(wanted, 128)
    y, x = (int(v) * 4 for v in wanted[OUTER_LIP].mean(0)[::-1])
    strength = []
    for closeups in (None, known):
        out = Compositor(PixelModelConfig(), closeups=closeups)
        out.gain.level = lambda frame, new, old, now: new
        patch = out.paste(frame, matrix, made, true, mouths=mouths).image[y - 12 : y + 12, x - 40 : x + 40]
        strength.append(np.abs(cv2.Laplacian(patch.astype(np.float32).mean(2), cv2.CV_32F)).mean())
    real = np.abs(cv2.Laplacian(fine[y - 12 : y + 12, x - 40 : x + 40].astype(np.float32).mean(2), cv2.CV_32F)).mean()
    assert lips.max() > 0.9 and strength[1] > 0.6 * real and strength[0] < 0.3 * real


def with_mouth(window, mouth, colour):
    out = window.copy()
    cv2.fillConvexPoly(out, cv2.convexHull(np.rint(mouth[OUTER_LIP]).astype(np.int32)), colour)
    return out


def test_a_close_up_with_the_wanted_mouth_is_shown_in_the_light_of_the_frame_and_a_far_one_is_not():
    true, wanted = skin(3), lowered(8.0)
    seen = with_mouth(np.clip(true * 0.8, 0, 255).astype(np.uint8), wanted, (160, 40, 40))
    known = Known(np.zeros((1, 256, 256, 3), np.uint8), seen[None], wanted[None])
    x, y = np.rint(wanted[OUTER_LIP].mean(0)).astype(int)
    made, mouths = true.astype(np.float32), np.stack([MOUTH_PX, wanted])
    out = DetailMover(128, known).with_seen(made, true, mouths)
    assert out[y, x] == pytest.approx([200, 50, 50], abs=14)  # 160 and 40 in a light a quarter stronger
    assert np.abs(out[:25] - made[:25]).max() == 0
    far = Known(known.fine, known.windows, lowered(40.0)[None])
    assert np.array_equal(DetailMover(128, far).with_seen(made, true, mouths), made)


def test_another_persons_mouth_is_not_shown_even_if_it_is_the_wanted_one():
    true, wanted = skin(3), lowered(8.0)
    windows = np.stack([with_mouth(true, wanted, (0, 0, 200)), with_mouth(true, lowered(30.0), (200, 0, 0))])
    known = Known(np.zeros((2, 256, 256, 3), np.uint8), windows, np.stack([wanted, lowered(30.0)]), (0, 1))
    made, mouths = true.astype(np.float32), np.stack([MOUTH_PX, wanted])
    mover = DetailMover(128, known)
    mover.track = 1
    assert np.array_equal(mover.with_seen(made, true, mouths), made)
    mover.track = 0
    mover.reset()
    assert not np.array_equal(mover.with_seen(made, true, mouths), made)


@pytest.mark.parametrize("radius_px", [14, 6])  # over most of a lip; a fingertip at its end
def test_a_close_up_with_a_finger_on_the_lips_is_never_shown(radius_px):
    mouths = np.stack([lowered(y) for y in (0.0, 3.0, 6.0, 9.0, 12.0)])
    windows = np.stack([with_mouth(skin(9), mouth, (150, 60, 60)) for mouth in mouths])
    x, y = np.rint(mouths[2][[18, 19, 20]].mean(0)).astype(int)
    cv2.circle(windows[2], (int(x), int(y)), radius_px, (230, 190, 160), -1)
    assert usual_lips(windows, mouths).tolist() == [True, True, False, True, True]
    mover = DetailMover(128, Known(np.zeros((5, 256, 256, 3), np.uint8), windows, mouths))
    assert mover.pick(mouths[2]) in (1, 3)


def test_another_close_up_takes_over_within_some_frames():
    true, near, wide = skin(3), lowered(1.0), lowered(9.0)
    windows = np.stack([with_mouth(true, near, (200, 0, 0)), with_mouth(true, wide, (0, 0, 200))])
    mover = DetailMover(128, Known(np.zeros((2, 256, 256, 3), np.uint8), windows, np.stack([near, wide])))
    x, y = np.rint(near[OUTER_LIP].mean(0)).astype(int)
    blue = []
    for wanted in [near, near, *[wide] * 6]:
        out = mover.with_seen(true.astype(np.float32), true, np.stack([MOUTH_PX, wanted]))
        blue.append(float(out[y, x, 2] - out[y, x, 0]))
    steps = np.diff(blue)
    assert blue[1] < -100 and blue[-1] > 100
    assert steps.max() < 0.4 * (blue[-1] - blue[1]) and steps.min() > -5


def test_a_close_up_that_faded_out_comes_back_within_some_frames():
    true, near = skin(3), lowered(1.0)
    seen = with_mouth(true, near, (200, 0, 0))
    mover = DetailMover(128, Known(np.zeros((1, 256, 256, 3), np.uint8), seen[None], near[None]))
    x, y = np.rint(near[OUTER_LIP].mean(0)).astype(int)
    red = []
    for wanted in [near, *[lowered(40.0)] * 8, *[near] * 8]:
        out = mover.with_seen(true.astype(np.float32), true, np.stack([MOUTH_PX, wanted]))
        red.append(float(out[y, x, 0] - out[y, x, 1]))
    assert red[0] == pytest.approx(red[-1], abs=5) and red[8] < red[0] - 100
    assert np.diff(red[8:]).max() < 0.4 * (red[-1] - red[8])


def test_lips_keep_their_own_colour_upper_and_lower_apart_and_nothing_else_changes():
    true = skin(5)
    new, made = lowered(6.0), skin(5).astype(np.float32)
    colour = LipColour(128)
    upper, lower = (
        outline_mask(MOUTH_PX[colour_parts()[0]], (128, 128)),
        outline_mask(MOUTH_PX[colour_parts()[1]], (128, 128)),
    )
    true = true.copy()
    true[upper > 0], true[lower > 0] = (120, 60, 60), (180, 90, 90)
    made[outline_mask(new[colour_parts()[0]], (128, 128)) > 0] = (130, 60, 60)
    made[outline_mask(new[colour_parts()[1]], (128, 128)) > 0] = (165, 100, 90)
    add = colour.correction(made, true, np.stack([MOUTH_PX, new]))
    x, y = np.rint(new[20]).astype(int)  # the middle of the lower lip's outer line
    assert add[y - 3, x] == pytest.approx([15, -10, 0], abs=4)
    assert np.abs(add[:20]).max() == 0 and np.abs(add[110:]).max() < 0.1
    once = colour.correction(true.astype(np.float32), true, np.stack([MOUTH_PX, MOUTH_PX]))
    assert np.abs(once).max() > 8  # it follows slowly
    colour.reset()
    assert np.abs(colour.correction(true.astype(np.float32), true, np.stack([MOUTH_PX, MOUTH_PX]))).max() < 1e-3


def colour_parts():
    return UPPER, LOWER


def test_a_streak_that_the_model_draws_beside_the_lips_is_not_pasted():
    true, new = skin(6), lowered(4.0)
    made = true.astype(np.float32)
    x, y = np.rint(new[OUTER_LIP].max(0)).astype(int)[0] + 2, int(new[OUTER_LIP][:, 1].mean()) + 8
    made[y - 3 : y + 4, x - 3 : x + 4] += 70
    frame = cv2.resize(true, (256, 256), interpolation=cv2.INTER_CUBIC)
    matrix = np.array([[0.5, 0, -0.25], [0, 0.5, -0.25]])
    found = []
    for window in (made, true.astype(np.float32)):
        out = Compositor(PixelModelConfig()).paste(frame, matrix, window, true, mouths=np.stack([MOUTH_PX, new]))
        found.append(out.image[2 * y - 6 : 2 * y + 6, 2 * x - 6 : 2 * x + 6].astype(int).mean())
    assert abs(found[0] - found[1]) < 12


def test_texture_is_brought_to_the_strength_of_the_frame_and_not_beyond_its_limits():
    rng = np.random.default_rng(4)
    frame = np.clip(rng.normal(120, 12, (64, 64, 1)).repeat(3, 2), 0, 255).astype(np.uint8)
    everywhere = np.ones((64, 64), np.float32)

    def strength(image):
        return np.abs(cv2.Laplacian(np.asarray(image, np.float32).mean(2), cv2.CV_32F)).mean()

    softer = 120 + (frame.astype(np.float32) - 120) * 0.7
    out = TextureGain().level(frame, softer, everywhere, everywhere)
    assert strength(softer) < 0.75 * strength(frame) and strength(out) == pytest.approx(strength(frame), rel=0.1)
    flat = 120 + (frame.astype(np.float32) - 120) * 0.1
    assert strength(TextureGain().level(frame, flat, everywhere, everywhere)) < 0.2 * strength(frame)
    nowhere = np.zeros((64, 64), np.float32)
    assert np.array_equal(TextureGain().level(frame, softer, everywhere, nowhere), softer)


def test_a_frame_blurred_by_motion_gets_a_mouth_that_is_blurred_too():
    rng = np.random.default_rng(8)
    sharp = np.clip(rng.normal(120, 14, (64, 64, 1)).repeat(3, 2), 0, 255).astype(np.uint8)
    blurred = cv2.GaussianBlur(sharp, (0, 0), 1.2)
    lips = np.zeros((64, 64), np.float32)
    lips[20:44, 16:48] = 1
    mouth = sharp[::-1].astype(np.float32)  # a sharp mouth from elsewhere

    def strength(image):
        return np.abs(cv2.Laplacian(np.asarray(image, np.float32)[24:40, 20:44].mean(2), cv2.CV_32F)).mean()

    gain = TextureGain()
    before = [strength(gain.level(sharp, mouth.copy(), lips, lips)) for _ in range(8)]
    during = strength(gain.level(blurred, mouth.copy(), lips, lips))
    after = strength(gain.level(sharp, mouth.copy(), lips, lips))
    assert during < 0.5 * before[-1] and after > 0.8 * before[-1]
