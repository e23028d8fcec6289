"""Truth to the source: every frame rate, sound and rotation through a whole dub, checked by a probe of its own.

The probe demultiplexes with PyAV alone: nothing of the product's reader, so that a mistake they share would show.
"""

from fractions import Fraction
from itertools import product

import av
import numpy as np
import pytest
from av.audio.frame import AudioFrame
from av.video.frame import VideoFrame
from drawn_people import DrawnDetector, draw, head_at, tiny_base

from lipsync.config import RenderConfig
from lipsync.render.dub import dub
from lipsync.types import Sound

RATES = {
    "24": Fraction(24), "25": Fraction(25), "29.97": Fraction(30000, 1001), "30": Fraction(30), "50": Fraction(50),
    "59.94": Fraction(60000, 1001), "vfr": None,
}  # fmt: skip
SOUNDS = {"none": 0, "mono": 1, "stereo": 2, "5.1": 6}
MATRIX = (0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30)  # shown turned by 90 degrees
FRAMES = 12


@pytest.fixture(scope="module")
def base():
    return tiny_base()


def ticks(rate):
    """Time base and the pictures' times in it."""
    if rate is None:
        steps = np.random.default_rng(4).integers(2000, 6500, FRAMES)
        return Fraction(1, 90000), (np.cumsum(steps) - steps[0] + 450).tolist()
    return 1 / rate, list(range(FRAMES))


def make_source(
    path, rate, channels, rotated, b_frames=2, pixel_format="yuv420p", colour=None, codec="libx264", sub=""
):
    """H.264 with B-frames, and sound of its own."""
    time_base, pts = ticks(rate)
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=rate or Fraction(25), time_base=time_base)
        stream.pix_fmt, stream.codec_context.max_b_frames = pixel_format, b_frames
        stream.options = {"crf": "12", "preset": "veryfast"}
        for name, value in (colour or {}).items():
            setattr(stream.codec_context, name, value)
        pictures = [draw([head_at(k)]) for k in range(FRAMES)]
        pictures = [np.ascontiguousarray(np.rot90(p)) if rotated else p for p in pictures]
        stream.height, stream.width = pictures[0].shape[:2]
        if rotated:
            stream.set_display_matrix(MATRIX)
        track = out.add_stream("aac", rate=48000) if channels else None
        if track is not None:
            track.codec_context.layout = {1: "mono", 2: "stereo", 6: "5.1"}[channels]
        for picture, tick in zip(pictures, pts, strict=True):
            frame = VideoFrame.from_ndarray(picture, format="rgb24").reformat(format=pixel_format)
            frame.pts, frame.time_base = tick, time_base
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
        if track is not None:
            tone = 0.2 * np.sin(np.arange(24 * 1024) / 48000 * 2 * np.pi * 300)
            samples = (tone * np.linspace(1, 0.4, channels)[:, None]).astype(np.float32)
            for at in range(0, samples.shape[1], 1024):
                frame = AudioFrame.from_ndarray(
                    np.ascontiguousarray(samples[:, at : at + 1024]), "fltp", track.codec_context.layout.name
                )
                frame.sample_rate, frame.pts, frame.time_base = 48000, at, Fraction(1, 48000)
                out.mux(track.encode(frame))
            out.mux(track.encode(None))
    return path


def facts(path):
    """What a file is, by its packets and one decoded picture."""
    with av.open(str(path)) as file:
        video = file.streams.video[0]
        packets = [p for p in file.demux(video) if p.pts is not None and not p.is_discard]
        found = {
            "times": sorted(Fraction(p.pts) * p.time_base for p in packets),
            "size": (video.width, video.height),
            "format": video.format.name,
            "colour": tuple(
                int(getattr(video.codec_context, n))
                for n in ("colorspace", "color_range", "color_primaries", "color_trc")
            ),
        }
    with av.open(str(path)) as file:
        frame = next(file.decode(video=0))
        found["rotation"] = round(frame.rotation) % 360
        found["aspect"] = file.streams.video[0].sample_aspect_ratio or Fraction(1)
    with av.open(str(path)) as file:
        sound = next(iter(file.streams.audio), None)
        found["sound"] = (sound.rate, sound.channels) if sound is not None else None
        packets = [p for p in file.demux(sound) if p.pts is not None and p.size] if sound is not None else []
        found["sound_bytes"] = [bytes(p) for p in packets]
        found["sound_times"] = [Fraction(p.pts) * p.time_base for p in packets]
    return found


@pytest.mark.parametrize("rate, sound, rotated", list(product(RATES, SOUNDS, [False, True])))
def test_every_combination_comes_out_as_it_went_in(base, tmp_path, rate, sound, rotated):
    source = make_source(tmp_path / "in.mp4", RATES[rate], SOUNDS[sound], rotated)
    speech = source if SOUNDS[sound] else Sound(np.full(8000, 0.01, np.float32), 16000)
    config = RenderConfig(segment_s=10)
    result = dub(source, speech, tmp_path / "out.mp4", base, config, detector=DrawnDetector())
    before, after = facts(source), facts(tmp_path / "out.mp4")
    assert result.rendered == FRAMES and result.warnings == [w for w in result.warnings if "longer" in w]
    for name in ("size", "format", "colour", "rotation", "aspect", "times"):
        assert after[name] == before[name], name
    if SOUNDS[sound]:
        assert after["sound"] == before["sound"] == (48000, SOUNDS[sound])
        kept = len(after["sound_bytes"])
        assert kept >= FRAMES / 60 * 40 and after["sound_bytes"] == before["sound_bytes"][:kept]  # bit for bit
        assert after["sound_times"] == before["sound_times"][:kept]
    else:
        assert after["sound"] == (16000, 1)


HDR = {"colorspace": 9, "color_range": 1, "color_primaries": 9, "color_trc": 18}


def test_ten_bit_hdr_stays_ten_bit_hdr_and_untouched_where_nothing_was_done(base, tmp_path):
    source = make_source(tmp_path / "in.mp4", Fraction(25), 1, False, pixel_format="yuv420p10le", colour=HDR)
    config = RenderConfig(crf=1)
    result = dub(source, source, tmp_path / "out.mp4", base, config, detector=DrawnDetector())
    before, after = facts(source), facts(tmp_path / "out.mp4")
    assert before["format"] == after["format"] == "yuv420p10le" and before["colour"] == after["colour"] == (9, 1, 9, 18)
    assert result.rendered == FRAMES
    with av.open(str(source)) as a, av.open(str(tmp_path / "out.mp4")) as b:
        for x, y in zip(a.decode(video=0), b.decode(video=0), strict=True):
            high = [np.frombuffer(f.planes[0], np.uint16).reshape(f.height, -1)[:40] for f in (x, y)]
            assert np.abs(high[0].astype(int) - high[1]).max() <= 4  # of 1023, after coding


def test_other_formats_are_kept_or_named(base, tmp_path):
    source = make_source(tmp_path / "a.mkv", Fraction(25), 0, False, pixel_format="yuv422p")
    speech = Sound(np.full(6400, 0.01, np.float32), 16000)
    result = dub(source, speech, tmp_path / "out.mp4", base, detector=DrawnDetector())
    assert facts(tmp_path / "out.mp4")["format"] == "yuv422p" and result.warnings == []
    source = make_source(tmp_path / "b.mkv", Fraction(25), 0, False, pixel_format="bgra", codec="ffv1", b_frames=0)
    result = dub(source, speech, tmp_path / "out.mp4", base, detector=DrawnDetector())
    assert facts(tmp_path / "out.mp4")["format"] == "yuv420p" and "bgra" in result.warnings[0]


def test_drift_over_two_hours_is_none(tmp_path):
    """By times: the ticks of a piece that begins two hours in, put together, are those of the source."""
    from lipsync.media import VideoWriter, probe
    from lipsync.media.assemble import Assembler

    rate = Fraction(30000, 1001)
    with VideoWriter(tmp_path / "like.mp4", width=64, height=48, frame_rate=rate) as writer:
        writer.write(np.zeros((48, 64, 3), np.uint8))
        writer.write(np.zeros((48, 64, 3), np.uint8))
    info = probe(tmp_path / "like.mp4")
    step = round(1 / (rate * info.time_base))
    starts = [0, 7200 * 30 * step // 2, 7200 * 30 * step]
    for k in range(3):
        with VideoWriter(tmp_path / f"{k}.mp4", width=64, height=48, frame_rate=rate, like=info) as writer:
            for n in range(4):
                writer.write(np.zeros((48, 64, 3), np.uint8), pts=n * step)
    with Assembler(tmp_path / "out.mp4", info, time_base=info.time_base, first_pts=0) as assembler:
        for k, first in enumerate(starts):
            assembler.add(tmp_path / f"{k}.mp4", first)
        assembler.finish(8000.0)
    times = facts(tmp_path / "out.mp4")["times"]
    assert times == [(first + n * step) * info.time_base for first in starts for n in range(4)]
