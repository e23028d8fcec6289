"""Rendering keeps together what belongs on one device: run on a stand-in (tests/other_device.py)."""

from drawn_people import DrawnDetector, noise_speech, speaking, tiny_base, write_video

from lipsync.config import RenderConfig
from lipsync.render.dub import dub
from tests.other_device import other_device


def test_a_dub_on_another_device(tmp_path, monkeypatch):
    video = write_video(tmp_path / "in.mp4", speaking(12))
    base = tiny_base()
    with other_device(monkeypatch) as device:
        base.shape.to(device)
        base.pixel.to(device)
        config = RenderConfig(steps=2, guidance=1.5)
        result = dub(video, noise_speech(1.0), tmp_path / "out.mp4", base, config, detector=DrawnDetector())
    assert result.rendered == 12
