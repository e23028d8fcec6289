"""Before and around learning: footage judged, time measured, the card in words, readers, others' speech, references."""

import numpy as np
import pytest
import torch

from lipsync.config import FinetuneConfig
from lipsync.faces.align import mouth_opening
from lipsync.model.base import load_base
from lipsync.model.checkpoint import save_model
from lipsync.model.judge import Judge, JudgeConfig
from lipsync.training.card_words import READINGS, card_rows, card_text
from lipsync.training.clipstore import load_clips
from lipsync.training.foreign import SCORED_BY, ForeignSound, Puppet, chance_of_order, closes_on_bilabials, speak_lines
from lipsync.training.person import pixel_score
from lipsync.training.person_setup import pixel_task, planned_steps
from lipsync.training.reader import reader_correlation, teach_reader
from lipsync.training.readiness import check_readiness
from lipsync.training.references import choose_references
from tests.model_helpers import TINY, tiny_pixel, tiny_shape
from tests.training_helpers import write_drawn_dataset

CONFIG = FinetuneConfig(minutes=5, chunk_frames=3, held_out_batches=1, reader_steps=8, foreign_share=1.0)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return write_drawn_dataset(tmp_path_factory.mktemp("drawn") / "data")


@pytest.fixture(autouse=True)
def bases(tmp_path, monkeypatch):
    folder = tmp_path / "checkpoints"
    monkeypatch.setenv("LIPSYNC_CHECKPOINTS", str(folder))
    save_model(folder / "base" / "shape.safetensors", tiny_shape(), "shape")
    save_model(folder / "base" / "pixel.safetensors", tiny_pixel(), "pixel")
    return folder


def test_time_and_memory_are_measured_and_the_footage_judged(dataset):
    ready = check_readiness(dataset, config=CONFIG, device="cpu")
    used = ready.devices[0]
    assert used.device == "cpu" and 0 < used.pixel_step_s < 20 and 0.1 < used.memory_gb < 50
    assert used.shape_steps == planned_steps(CONFIG, "shape", used.shape_step_s)
    assert used.minutes * 60 > used.pixel_steps * used.pixel_step_s * 0.9
    assert (ready.footage_s, ready.clips, ready.held_out_clips) == (12.0, 6, 1)
    text = ready.text()
    assert "12 s of footage in 6 clips" in text and "on this CPU" in text and " GB" in text
    assert any("little footage" in line for line in ready.advice)
    assert any("hardly turns" in line for line in ready.advice)


def test_no_step_is_kept_that_bought_likeness_with_sync():
    base = {"mouth_error_grey": 8.0, "mouth_sharpness": 0.7, "cross_sync": 0.93, "cross_judge": 0.1}
    sharper = base | {"mouth_error_grey": 7.0, "mouth_sharpness": 0.9}
    assert pixel_score(base, base) == 0.0
    assert pixel_score(sharper, base) == pytest.approx(1 / 8 + 0.2)
    assert pixel_score(sharper | {"cross_sync": 0.92}, base) == pytest.approx(1 / 8 + 0.2)  # no more than chance
    assert pixel_score(sharper | {"cross_sync": 0.90}, base) == pytest.approx(-0.03)
    assert pixel_score(sharper | {"cross_judge": -0.1}, base) == pytest.approx(1 / 8 + 0.2 - 0.15)


def test_steps_are_as_many_as_fit_but_no_more_than_help():
    config = FinetuneConfig(minutes=10, shape_share=0.2)
    assert planned_steps(config, "pixel", 1.0) == 384
    assert planned_steps(config, "pixel", 0.001) == config.most_pixel_steps
    assert planned_steps(config, "shape", 1e9) == 1


def test_the_card_says_what_is_good_and_what_to_do():
    card = {
        "opening_correlation": {"before": 0.5, "after": 0.9},
        "cross_sync": {"before": 0.95, "after": 0.6},
        "mouth_sharpness": {"before": 0.7, "after": 1.4},
    }
    words = {what: text for what, _, _, text in card_rows(card)}
    assert words[READINGS["opening_correlation"].title] == "good, better than the base"
    assert words[READINGS["cross_sync"].title].startswith("weak, worse than the base; ")
    assert words[READINGS["mouth_sharpness"].title].startswith("weak, worse than the base")
    text = card_text({"person": "Ada", "footage_s": 125.0, "card": card, "consent": {"subject": "Ada"}})
    assert text.startswith("Ada: learned from 2 min 05 s") and "consent: Ada" in text


def test_lips_that_close_on_p_b_m_are_told_from_lips_that_do_not():
    line = speak_lines(SCORED_BY)[0]
    times = np.arange(round(line.duration_s * 100)) / 100
    good = np.full(len(times), 0.5)
    for phoneme in line.phonemes:
        if phoneme.text.lstrip("ˈˌ").startswith(("p", "b", "m")):
            good[phoneme.on_lips(times)] = 0.0
    assert chance_of_order(closes_on_bilabials(line, times, good)) > 0.9
    assert chance_of_order(closes_on_bilabials(line, times, -good)) < 0.5
    assert chance_of_order(closes_on_bilabials(line, times, 0 * good)) == 0.5
    assert np.isnan(chance_of_order([(1.0, 1)]))


def test_a_reader_reads_openings_it_has_not_seen(dataset):
    clips = list(load_clips(dataset))
    windows, openings = [c.windows() for c in clips], [mouth_opening(c.mouth) for c in clips]
    reader = teach_reader(windows[:-1], openings[:-1], seed=1, steps=80)
    assert reader_correlation(reader, windows[-1:], openings[-1:]) > 0.8


def test_a_puppets_own_mouth_lands_on_its_own_points(dataset):
    clip = next(iter(load_clips(dataset)))
    puppet, frames = Puppet(clip, clip.windows()), np.array([3, 17, 40])
    np.testing.assert_allclose(puppet.points(clip.mouth[frames], frames), clip.points[frames], atol=1e-3)


def test_driven_chunks_ask_for_what_the_line_says_and_silence_for_rest(dataset):
    clip = next(iter(load_clips(dataset)))
    puppet, lines = Puppet(clip, clip.windows()), speak_lines(SCORED_BY)
    sound = ForeignSound(lines, tiny_shape(), None, TINY)
    frames = 10 + np.arange(4)
    driven = sound.drive(puppet, 0, 0.5, frames, None)
    mouths = puppet.neutral[..., :2] + driven.asked[0].numpy()
    np.testing.assert_allclose(mouth_opening(np.dstack([mouths, 0 * mouths[..., :1]])), driven.opening[0], atol=1e-4)
    assert float(driven.batch.has_sound) == 1 and driven.batch.mels.abs().sum() > 0
    still = sound.drive(puppet, -1, 0.0, frames, None)
    assert float(still.batch.has_sound) == 0 and not still.asked.any()
    assert not set(puppet.references(frames, 2)) & set(range(6, 18))
    made, times, asked = sound.perform(tiny_pixel(), puppet, 0, 1.0)
    assert made.shape == (25, 32, 32, 3) and made.dtype == np.uint8 and len(times) == len(asked) == 25


def test_with_judges_at_hand_they_teach_and_score(dataset, bases):
    for seed, which in enumerate(("supervisor", "scorer")):
        torch.manual_seed(seed)
        save_model(bases / "judges" / f"{which}.safetensors", Judge(JudgeConfig()), "judge")
    clips = list(load_clips(dataset))
    task = pixel_task(load_base("base"), {}, clips[:-1], clips[-1:], CONFIG)
    assert {"cross_judge", "cross_sync", "mouth_sharpness"} <= task.evaluate().keys()
    result = task.step(np.random.default_rng(0))
    assert {"look", "follow", "foreign_sync", "foreign_texture"} <= result.readings.keys()
    result.loss.backward()
    moved = [n for n, p in task.model.named_parameters() if p.grad is not None and bool(p.grad.any())]
    assert moved and all("lora_" in n for n in moved)


def test_references_are_the_persons_and_unlike_one_another(dataset):
    clips = list(load_clips(dataset))
    found = choose_references(clips, 4)
    assert found["references"].shape == (4, 32, 32, 3) and found["reference_points"].shape == (4, 31, 2)
    mouths = [mouth_opening(np.c_[p, 0 * p[:, :1]][None])[0] for p in found["reference_points"].numpy()]
    assert max(mouths) - min(mouths) > 2.0  # px: the least and the most open are both there
    windows = np.concatenate([c.windows() for c in clips])
    assert all((windows == r).all((1, 2, 3)).any() for r in found["references"].numpy())
