"""A sync judge learns which sound belongs to drawn lips, finds planted lags, and puts clips in sync."""

import numpy as np
import pytest
import torch

from lipsync.errors import SpeechError
from lipsync.model.judge import Judge, JudgeConfig, lag_scores, mouth_crops
from lipsync.sync.judge import crop_mouths, judge_sync
from lipsync.training.clipstore import load_clips
from lipsync.training.judge_task import JudgeTask, JudgeTaskConfig, judge_clips, judge_side
from lipsync.training.judging import in_sync
from lipsync.training.loop import LoopConfig, train
from lipsync.training.shape_task import fit_shape_space, shape_clips
from tests.training_helpers import write_drawn_dataset

SMALL = JudgeConfig(
    size_px=32, channels=(8, 16, 16, 16), width=32, embedding=16, lip_layers=1, dilations=(1, 2), dropout=0.0
)
TASK = JudgeTaskConfig(batch=6, frames=24, reach=8, augment=False, bfloat16=False)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return write_drawn_dataset(tmp_path_factory.mktemp("drawn") / "data")


@pytest.fixture(scope="module")
def learned(dataset, tmp_path_factory):
    clips = list(load_clips(dataset))
    space, _ = fit_shape_space(clips)
    torch.manual_seed(0)
    encoded = judge_clips(clips, space, 32, {})
    task = JudgeTask(Judge(SMALL), encoded[:-1], encoded[-1:], TASK)
    loop = LoopConfig(steps=120, learning_rate=3e-3, warmup_steps=5, ema_decay=0.9, evaluations=1)
    train(task, loop, tmp_path_factory.mktemp("run"))
    return task, space


def test_it_finds_the_lag_of_a_clip_it_has_not_seen(learned):
    readings = learned[0].evaluate()
    assert readings["within_1"] == 1.0 and readings["score"] > -0.07


@pytest.mark.parametrize("planted", [0, 2, -3, 5])
def test_planted_lags_are_found(learned, dataset, planted):
    judge = learned[0].model.eval()
    clip = list(load_clips(dataset))[-1]
    crops = crop_mouths(clip.windows(), 32)
    found = judge_sync(judge, crops, clip.mel_times_s - planted / 25, clip.log_mel, reach=8)
    assert abs(found.offset_frames - planted) <= 1.0
    assert found.confidence >= found.score
    silence = np.full_like(clip.log_mel, -1.0)
    assert judge_sync(judge, crops, clip.mel_times_s, silence, reach=8).confidence < found.confidence


def test_clips_are_put_in_sync(learned, dataset, tmp_path):
    task, space = learned
    late = list(load_clips(write_drawn_dataset(tmp_path / "late", late_frames=3)))
    clips = shape_clips(late, space)
    as_found = {c.name: float(c.times_s[0]) for c in clips}
    moved = in_sync(task.model.eval(), clips, late, as_found, least=0.05)
    lag = [(after.times_s[0] - as_found[after.name]) * 25 for after in moved]
    assert np.median(np.abs(np.array(lag) - 3)) <= 1.0
    assert [c.times_s[0] for c in in_sync(task.model, clips, late, as_found, least=9.0)] == list(as_found.values())


def test_it_reads_the_shape_off_the_crop(learned):
    task, _ = learned
    clip = task.held_out[0]
    crops = torch.from_numpy(clip.crops[None, :, None, 4:-4, 4:-4]).float()
    with torch.inference_mode():
        read = task.model.read_shape(task.model.features(crops))[0, :, 0].numpy()
    assert np.corrcoef(read, clip.coefficients[:, 0])[0, 1] > 0.8


def test_lags_without_sound_are_left_out():
    lips = torch.nn.functional.normalize(torch.randn(1, 10, 4, generator=torch.Generator().manual_seed(0)), dim=-1)
    sound = torch.cat([torch.zeros(1, 3, 4), lips, torch.zeros(1, 3, 4)], 1)
    heard = torch.cat([torch.zeros(1, 3), torch.ones(1, 10), torch.zeros(1, 3)], 1)
    scores = lag_scores(lips, sound, heard)
    assert scores.shape == (1, 7) and int(scores.argmax()) == 3 and float(scores[0, 3]) == pytest.approx(1.0)
    heard[:, 3:9] = 0
    assert float(lag_scores(lips, sound, heard)[0, 3]) == -1.0


def test_crops_lie_where_the_mouth_is_and_carry_gradients():
    windows = torch.zeros(1, 3, 128, 128, requires_grad=True)
    with torch.no_grad():
        windows[:, :, 58:63, 62:67] = 255.0
    crop = mouth_crops(windows, 48)
    assert crop.shape == (1, 1, 48, 48)
    row, column = divmod(int(crop[0, 0].argmax()), 48)
    assert abs(row - 24) <= 1 and abs(column - 24) <= 1
    assert mouth_crops(windows, 48, 4).shape == (1, 1, 56, 56)
    crop.sum().backward()
    assert windows.grad is not None and float(windows.grad[:, :, :15].abs().max()) == 0


def test_too_little_to_judge(learned, dataset):
    clip = next(load_clips(dataset))
    crops = crop_mouths(clip.windows(), 32)[:10]
    with pytest.raises(SpeechError, match=r"0\.\d+ s of lips"):
        judge_sync(learned[0].model, crops, clip.mel_times_s[:10], clip.log_mel)


def test_judges_learn_from_disjoint_people(dataset):
    records = [c.record for c in load_clips(dataset)]
    sides = {r.person: judge_side(r) for r in records if r.person}
    assert set(sides.values()) <= {"supervisor", "scorer"}
    for record in records:
        assert judge_side(record) == (sides[record.person] if record.person else "supervisor")
