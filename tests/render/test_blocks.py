"""Planning in blocks: they grow, and what a short one knows of the resting mouth is mended by those after it."""

from dataclasses import fields

import numpy as np
import pytest
from drawn_people import DrawnDetector, draw, head_at, noise_speech, tiny_base, write_video

from lipsync.config import RenderConfig
from lipsync.faces.align import mouth_opening
from lipsync.media import probe, read_frames
from lipsync.render.blocks import MEND, BlockPlanner
from lipsync.render.dub import dub
from lipsync.render.pieces import Pieces, Record
from lipsync.render.sequence import Sequence


def stretches(blocks):
    return [(block.start.first, block.last) for block in blocks]


def planned(video, frames, first_frames=None, **more):
    return list(
        BlockPlanner(probe(video), RenderConfig(**more), 32, DrawnDetector(), frames, first_frames=first_frames)
    )


def test_blocks_double_up_to_their_full_length(tmp_path):
    video = write_video(tmp_path / "in.mp4", [draw([head_at(k)]) for k in range(170)])
    planner = BlockPlanner(probe(video), RenderConfig(), 32, DrawnDetector(), 70, first_frames=25)
    blocks = list(planner)
    assert stretches(blocks) == [(0, 25), (25, 70), (70, 140), (140, 170)]
    again = BlockPlanner(
        probe(video), RenderConfig(), 32, DrawnDetector(), 70, blocks[1].following, blocks[1].carry, first_frames=25
    )
    third = next(iter(again))
    assert (third.start.first, third.last) == (70, 140)
    assert np.array_equal(third.plan.neutral, blocks[2].plan.neutral)
    assert np.array_equal(third.plan.transforms, blocks[2].plan.transforms)


def test_pools_of_references_share_their_large_pictures_and_come_back_from_disk(tmp_path):
    video = write_video(tmp_path / "in.mp4", [draw([head_at(k)]) for k in range(120)])
    a, b = planned(video, 60)
    kept = {int(frame): k for k, frame in enumerate(a.carry.frames)}
    both = [(kept[frame], k) for k, frame in enumerate(b.carry.frames.tolist()) if frame in kept]
    assert len(both) > 3 and all(a.carry.fine[i] is b.carry.fine[k] for i, k in both)
    assert {picture.shape for picture in b.carry.fine} == {(96, 96, 3)}
    pieces = Pieces(tmp_path / "out.mp4", "key")
    record = Record(1, 60, 0, 0.0, 1.0, 60, 0, [], vars(b.following))
    order = Sequence(np.arange(60), np.arange(60) / 25, np.arange(60))
    pieces.save(record, order, b.carry)
    start, carry = pieces.carried(record)
    assert start == b.following and carry is not None
    for field in fields(carry):
        one, other = getattr(carry, field.name), getattr(b.carry, field.name)
        assert len(one) == len(other) if field.name == "fine" else np.array_equal(one, other)
    assert all(np.array_equal(one, other) for one, other in zip(carry.fine, b.carry.fine, strict=True))
    pieces.close()


def test_a_mouth_that_was_open_at_first_is_mended_without_a_step(tmp_path):
    """Open throughout the first block, closed in the others."""
    pictures = [draw([head_at(k, -0.02 if k < 30 else -0.055)]) for k in range(180)]
    video = write_video(tmp_path / "in.mp4", pictures)
    planner = BlockPlanner(probe(video), RenderConfig(), 32, DrawnDetector(), 80, first_frames=30)
    blocks = list(planner)
    rest = np.concatenate([mouth_opening(block.plan.neutral)[block.start.first - block.lead :] for block in blocks])
    steps = np.abs(np.diff(rest))
    assert rest[0] - rest[-1] > 0.01
    assert rest[29] == rest[30] and steps.max() < 1.5 * (rest[0] - rest[-1]) / MEND
    lead = blocks[2].plan.neutral[: blocks[2].start.first - blocks[2].lead]
    assert np.allclose(lead, blocks[1].plan.neutral[-1])  # the run-in is drawn as it was


def test_short_blocks_mend_without_a_step_too(tmp_path):
    """Blocks shorter than it takes to mend: each goes on from where the one before it was."""
    pictures = [draw([head_at(k, -0.02 if k < 20 else -0.055)]) for k in range(110)]
    blocks = planned(write_video(tmp_path / "in.mp4", pictures), 20)
    rest = np.concatenate([mouth_opening(block.plan.neutral)[block.start.first - block.lead :] for block in blocks])
    assert rest[0] - rest[-1] > 0.005
    assert [rest[b.start.first] for b in blocks[1:]] == pytest.approx([rest[b.last - 1] for b in blocks[:-1]], abs=1e-9)


def two_heads(k, size=24.0, other=22.0):
    return [(80 + 2 * np.sin(k / 7), 80, size, 0.05), (240, 80, other, 0.05)]


def test_a_choice_among_faces_is_made_by_a_full_block(tmp_path):
    """At first the right face is a little larger, over the whole block the left one is."""
    pictures = [draw(two_heads(k, 11 + 0.32 * k, 16), width=320) for k in range(120)]
    video = write_video(tmp_path / "in.mp4", pictures)
    for face in ("", "largest"):
        whole, short = planned(video, 100, face=face), planned(video, 100, 20, face=face)
        assert stretches(whole) == stretches(short) == [(0, 100), (100, 120)]
        for a, b in zip(whole, short, strict=True):
            assert np.array_equal(a.plan.transforms, b.plan.transforms, equal_nan=True)
        assert np.nanmedian(short[0].plan.pose.translation[:, 0]) < 160
    said = planned(video, 100, 20, face="240,80")
    assert stretches(said)[0] == (0, 20) and np.nanmedian(said[0].plan.pose.translation[:, 0]) > 160


def test_a_second_face_that_comes_later_ends_the_short_blocks(tmp_path):
    pictures = [draw(two_heads(k, 36, 14)[: 1 if k < 40 else 2], width=320) for k in range(150)]
    video = write_video(tmp_path / "in.mp4", pictures)
    blocks = planned(video, 100, 20)
    assert stretches(blocks) == [(0, 20), (20, 100), (100, 150)]
    info, first = probe(video), blocks[0]
    again = BlockPlanner(info, RenderConfig(), 32, DrawnDetector(), 100, first.following, first.carry, first_frames=20)
    resumed = list(again)
    assert stretches(resumed) == stretches(blocks[1:])
    assert np.array_equal(resumed[0].plan.transforms, blocks[1].plan.transforms, equal_nan=True)


def test_a_render_of_growing_pieces_has_all_frames_and_can_keep_them(tmp_path):
    video = write_video(tmp_path / "in.mp4", [draw([head_at(k)]) for k in range(110)])
    config, kept = RenderConfig(segment_s=2.4, first_s=0.8), tmp_path / "kept"
    base = tiny_base()
    result = dub(video, noise_speech(4.4), tmp_path / "o.mp4", base, config, detector=DrawnDetector(), pieces=kept)
    assert result.pieces["made"] == 3 and result.frames == result.rendered == 110  # 20, 40, 50
    assert [f.pts for f in read_frames(tmp_path / "o.mp4")] == [f.pts for f in read_frames(video)]
    again = dub(video, noise_speech(4.4), tmp_path / "o.mp4", base, config, detector=DrawnDetector(), pieces=kept)
    assert again.pieces["made"] == 0
