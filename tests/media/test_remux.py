"""Another sound for a video: pictures stay to the last bit and tick."""

from fractions import Fraction

import av
import numpy as np
import pytest
from test_assemble import with_extras

from lipsync.errors import MediaError
from lipsync.media import VideoWriter, probe, read_frames, read_sound
from lipsync.media.remux import write_with_sound
from lipsync.types import Sound


def video(path, times_s=None):
    rng = np.random.default_rng(0)
    with VideoWriter(
        path, width=64, height=48, frame_rate=Fraction(30000, 1001), stamp={"comment": "synthetic"}
    ) as writer:
        for k in range(20):
            image = rng.integers(0, 255, (48, 64, 3), dtype=np.uint8)
            writer.write(image, None if times_s is None else float(times_s[k]))
    return path


def packets(path):
    with av.open(str(path)) as container:
        return [(p.pts, bytes(p)) for p in container.demux(video=0) if p.size], dict(container.metadata)


@pytest.mark.parametrize(("channels", "rate"), [(1, 16000), (2, 48000), (6, 44100), (2, 47999)])
def test_pictures_are_copied_and_sound_is_new(tmp_path, channels, rate):
    times = np.cumsum(np.random.default_rng(1).uniform(0.02, 0.06, 20))
    source = video(tmp_path / "in.mp4", times)
    t = np.arange(rate) / rate
    samples = np.stack([0.3 * np.sin(2 * np.pi * 440 * t)] * channels, 1).astype(np.float32)
    write_with_sound(source, Sound(samples, rate), tmp_path / "out.mp4")
    before, tags = packets(source)
    after, new_tags = packets(tmp_path / "out.mp4")
    assert [data for _, data in before] == [data for _, data in after]
    assert new_tags["comment"] == tags["comment"] == "synthetic"
    assert [f.time_s for f in read_frames(source)] == [f.time_s for f in read_frames(tmp_path / "out.mp4")]
    assert probe(source).duration_s == pytest.approx(probe(tmp_path / "out.mp4").duration_s, abs=1e-3)
    heard = read_sound(tmp_path / "out.mp4", sample_rate_hz=None, mono=False)
    assert heard.samples.shape[1] == channels and heard.duration_s == pytest.approx(1.0, abs=0.03)
    front = heard.samples[2000:-4000, 0]  # the low channel of six is no measure: AAC takes the treble out of it
    assert np.sqrt((front**2).mean()) == pytest.approx(0.3 / np.sqrt(2), rel=0.05)


def test_subtitles_chapters_and_other_sound_tracks_stay(tmp_path):
    source = with_extras(tmp_path / "in.mp4", "mov_text")

    def extras(path):
        with av.open(str(path)) as file:
            kept = (file.streams.subtitles[0], file.streams.audio[1])
            packets = [(p.stream.type, p.pts, bytes(p)) for p in file.demux(*kept) if p.size > 2]
            titles = [(c["metadata"]["title"], c["start"] * c["time_base"]) for c in file.chapters()]
            return sorted(packets), titles, file.streams.subtitles[0].metadata["language"]

    write_with_sound(source, Sound(np.zeros((48000, 1), np.float32), 48000), tmp_path / "out.mp4")
    assert extras(tmp_path / "out.mp4") == extras(source)
    assert [title for title, _ in extras(source)[1]] == ["One", "Two"]


def test_bad_input(tmp_path):
    source = video(tmp_path / "in.mp4")
    with pytest.raises(MediaError, match="0 samples"):
        write_with_sound(source, Sound(np.zeros((0, 1), np.float32), 48000), tmp_path / "out.mp4")
    with pytest.raises(MediaError, match="no such file"):
        write_with_sound(tmp_path / "none.mp4", Sound(np.zeros(10, np.float32), 48000), tmp_path / "out.mp4")
    assert [path.name for path in tmp_path.iterdir()] == ["in.mp4"]
