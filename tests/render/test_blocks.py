"""Planning in blocks: they grow, and what a short one knows of the resting mouth is mended by those after it."""

import numpy as np
from drawn_people import DrawnDetector, draw, head_at, noise_speech, tiny_base, write_video

from lipsync.config import RenderConfig
from lipsync.faces.align import mouth_opening
from lipsync.media import probe, read_frames
from lipsync.render.blocks import MEND, BlockPlanner
from lipsync.render.dub import dub


def test_blocks_double_up_to_their_full_length(tmp_path):
    video = write_video(tmp_path / "in.mp4", [draw([head_at(k)]) for k in range(170)])
    planner = BlockPlanner(probe(video), RenderConfig(), 32, DrawnDetector(), 70, first_frames=25)
    blocks = list(planner)
    assert [(block.start.first, block.last) for block in blocks] == [(0, 25), (25, 75), (75, 145), (145, 170)]
    again = BlockPlanner(
        probe(video), RenderConfig(), 32, DrawnDetector(), 70, blocks[1].following, blocks[1].carry, first_frames=25
    )
    third = next(iter(again))
    assert (third.start.first, third.last) == (75, 145)
    assert np.array_equal(third.plan.neutral, blocks[2].plan.neutral)
    assert np.array_equal(third.plan.transforms, blocks[2].plan.transforms)


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


def test_a_render_of_growing_pieces_has_all_frames_and_can_keep_them(tmp_path):
    video = write_video(tmp_path / "in.mp4", [draw([head_at(k)]) for k in range(110)])
    config, kept = RenderConfig(segment_s=2.4, first_s=0.8), tmp_path / "kept"
    base = tiny_base()
    result = dub(video, noise_speech(4.4), tmp_path / "o.mp4", base, config, detector=DrawnDetector(), pieces=kept)
    assert result.pieces["made"] == 3 and result.frames == result.rendered == 110  # 20, 40, 50
    assert [f.pts for f in read_frames(tmp_path / "o.mp4")] == [f.pts for f in read_frames(video)]
    again = dub(video, noise_speech(4.4), tmp_path / "o.mp4", base, config, detector=DrawnDetector(), pieces=kept)
    assert again.pieces["made"] == 0
