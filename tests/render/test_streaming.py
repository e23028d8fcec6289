"""A render as a stream: out early, playable where it breaks off, the same frames; sound that is heard part by part."""

import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
from drawn_people import DrawnDetector, noise_speech, speaking, tiny_base, write_video

from lipsync.config import RenderConfig
from lipsync.media import probe, read_frames, write_wav
from lipsync.media.supply import SoundSupply
from lipsync.progress import Silent
from lipsync.render.dub import dub
from lipsync.render.generate import HeardFile, hear


def test_a_stream_has_the_same_frames_and_begins_early(tmp_path):
    base = tiny_base()
    video = write_video(tmp_path / "in.mp4", speaking(50))
    config = RenderConfig(seed=3, segment_s=0.8, first_s=0.8)
    sizes, out = [], tmp_path / "live.mp4"

    class Watch(Silent):
        def advance(self, amount=1.0, note=""):
            sizes.append(out.stat().st_size if out.exists() else 0)

    dub(video, noise_speech(2.0), out, base, config, Watch(), detector=DrawnDetector(), stream=True)
    dub(video, noise_speech(2.0), tmp_path / "whole.mp4", base, config, detector=DrawnDetector())
    assert any(size > 5000 for size in sizes[:45])  # out before the last piece was rendered
    data = out.read_bytes()
    assert data.count(b"moof") >= 2 and data.index(b"moov") < data.index(b"moof")
    for a, b in zip(read_frames(out), read_frames(tmp_path / "whole.mp4"), strict=True):
        assert a.pts * 1.0 == b.pts * 1.0 and np.array_equal(a.image, b.image)
    assert probe(out).channels == 1
    assert not list(tmp_path.glob(".*"))


STREAMED = """
    import sys, time
    sys.path[:0] = {paths!r}
    import torch; torch.set_num_threads(1)
    import lipsync.render.dub as module
    from drawn_people import DrawnDetector, tiny_base
    from lipsync.cli.run import main
    from lipsync.studio import service
    class Slow(DrawnDetector):
        def detect(self, image):
            time.sleep(0.02)
            return super().detect(image)
    module.open_detector = lambda *args, **more: Slow()
    service.Models.open = lambda *args: tiny_base()
    sys.exit(main(["dub", {video!r}, "--audio", {speech!r}, "--stream", "--out", "-"]))
"""


def test_a_stream_to_standard_output_begins_early_plays_and_says_that_it_is_not_signed(tmp_path):
    video = write_video(tmp_path / "in.mp4", speaking(200))
    write_wav(tmp_path / "a.wav", noise_speech(8.0))
    paths = [str(Path(__file__).parent), str(Path(__file__).parents[2])]
    code = textwrap.dedent(STREAMED).format(paths=paths, video=str(video), speech=str(tmp_path / "a.wav"))
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    begun, data, first_s = time.monotonic(), b"", 0.0
    while piece := process.stdout.read1(1 << 16):
        data += piece
        if not first_s and data.count(b"moof") >= 2:  # so the first fragment is whole
            first_s, so_far = time.monotonic() - begun, data
    said = process.communicate()[1].decode()
    assert process.returncode == 0 and "not signed" in said
    assert 0 < first_s < time.monotonic() - begun - 1.0 and len(so_far) < 0.7 * len(data)
    (tmp_path / "begun.mp4").write_bytes(so_far[: so_far.rindex(b"moof") - 4])
    (tmp_path / "whole.mp4").write_bytes(data)
    assert 5 <= len(list(read_frames(tmp_path / "begun.mp4", tolerant=True))) < 200
    assert len(list(read_frames(tmp_path / "whole.mp4"))) == 200 and probe(tmp_path / "whole.mp4").channels == 1
    assert b"Synthetic video" in data


GROWN = """
    import resource, sys
    sys.path[:0] = {paths!r}
    import torch; torch.set_num_threads(1)
    from pathlib import Path
    from drawn_people import DrawnDetector, noise_speech, tiny_base
    from lipsync.config import RenderConfig
    from lipsync.render.dub import dub
    dub(Path(sys.argv[1]), noise_speech(float(sys.argv[2])), Path(sys.argv[1]).with_suffix(".out.mp4"), tiny_base(),
        RenderConfig(segment_s=4.0, first_s=1.0), detector=DrawnDetector())
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the unit of memory differs")
def test_a_long_video_takes_as_much_memory_as_a_short_one(tmp_path, monkeypatch):
    monkeypatch.setenv("LIPSYNC_CREDENTIALS", str(tmp_path / "keys"))
    code = textwrap.dedent(GROWN).format(paths=[str(Path(__file__).parent), str(Path(__file__).parents[2])])
    peaks_kb, pictures = [], speaking(250)
    for seconds in (10, 60):
        video = write_video(tmp_path / f"{seconds}.mp4", pictures * (seconds // 10))
        command = [sys.executable, "-c", code, str(video), str(seconds)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        peaks_kb.append(int(done.stdout))
    assert peaks_kb[1] < 1.05 * peaks_kb[0]


def test_sound_in_parts_is_heard_as_a_whole(tmp_path):
    sound = noise_speech(9.0, 22050)
    write_wav(tmp_path / "a.wav", sound)
    whole, parts = hear(sound), HeardFile(SoundSupply(tmp_path / "a.wav"))
    part = parts.part(4.0, 6.0)
    first = round((part.start_s - whole.start_s) * 100)
    assert part.start_s <= 1.0 and len(part.log_mel) >= 700
    inner = slice(30, 600)
    assert np.abs(part.log_mel[inner] - whole.log_mel[first:][inner]).max() < 0.05
    assert not parts.is_silent
