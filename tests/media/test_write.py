"""Writing: the source's times, size, rotation, colours and sound come back; nothing half-written is left."""

from fractions import Fraction

import av
import numpy as np
import pytest
from av.video.frame import VideoFrame
from made_media import (
    BLUE,
    GREEN,
    QUARTER_TURNS,
    RED,
    clicks,
    corners,
    make_video,
    number_of,
    numbered,
    onsets_s,
    peak_memory_mb,
)

from lipsync.errors import MediaError
from lipsync.media import VideoWriter, probe, read_frames, read_sound
from lipsync.media.colour import from_rgb, matrix_of, to_rgb
from lipsync.types import Sound

RATE = Fraction(25)


def copy(source, target, **more):
    """What a render does that changes nothing."""
    info = probe(source)
    size = {"width": info.width, "height": info.height, "frame_rate": info.frame_rate}
    with VideoWriter(target, like=info, **size, **more) as writer:
        for frame in read_frames(source):
            writer.write(frame.image, pts=frame.pts)


@pytest.mark.parametrize("size", [(160, 120), (161, 121)])
@pytest.mark.parametrize("turn", QUARTER_TURNS)
def test_a_copy_has_the_sources_count_times_size_and_rotation(tmp_path, turn, size):
    pts = (np.cumsum([0, 3000, 3100, 1000, 9000, 3003, 20000, 1]) + 900).tolist()
    coded = [np.ascontiguousarray(np.rot90(numbered(k, *size), turn // 90)) for k in range(len(pts))]
    make_video(
        tmp_path / "a.mp4",
        pts,
        time_base=Fraction(1, 90000),
        images=coded,
        matrix=QUARTER_TURNS[turn],
        pixel_format="yuv444p" if size[0] % 2 else "yuv420p",
        pixel_aspect=Fraction(16, 15),
    )
    copy(tmp_path / "a.mp4", tmp_path / "b.mp4")
    before, after = probe(tmp_path / "a.mp4"), probe(tmp_path / "b.mp4")
    for name in ("width", "height", "rotation", "time_base", "frames", "pixel_aspect", "colour"):
        assert getattr(after, name) == getattr(before, name), name
    frames = list(read_frames(tmp_path / "b.mp4"))
    assert [frame.pts for frame in frames] == pts
    assert [number_of(frame.image) for frame in frames] == list(range(len(pts)))
    assert corners(frames[0].image) == [RED, GREEN, BLUE]
    with av.open(str(tmp_path / "b.mp4")) as file:  # coded as the source is, not turned for good
        assert (file.streams.video[0].width, file.streams.video[0].height) == coded[0].shape[1::-1]


def test_the_last_picture_of_a_variable_rate_lasts(tmp_path):
    """The track's length is the last picture's time and one nominal duration: no player cuts it off."""
    pts = np.cumsum([0, 3000, 3100, 1000, 9000, 3003]).tolist()
    make_video(tmp_path / "a.mkv", pts, time_base=Fraction(1, 90000), rate=30)
    info = probe(tmp_path / "a.mkv")
    copy(tmp_path / "a.mkv", tmp_path / "b.mp4")
    last_s = list(read_frames(tmp_path / "a.mkv"))[-1].time_s
    assert probe(tmp_path / "b.mp4").duration_s == pytest.approx(last_s + float(1 / info.frame_rate), abs=0.002)


def test_times_without_a_source(tmp_path):
    rate = Fraction(30000, 1001)
    with VideoWriter(tmp_path / "a.mp4", width=160, height=120, frame_rate=rate) as writer:
        for k in range(60):
            writer.write(numbered(k))
    assert [f.time_s for f in read_frames(tmp_path / "a.mp4")] == pytest.approx([float(k / rate) for k in range(60)])
    assert probe(tmp_path / "a.mp4").frame_rate == rate
    times = [0.0, 0.011, 0.5, 0.51234]
    with VideoWriter(tmp_path / "a.mp4", width=160, height=120, frame_rate=rate) as writer:
        for k, time_s in enumerate(times):
            writer.write(numbered(k), time_s=time_s)
    assert [frame.time_s for frame in read_frames(tmp_path / "a.mp4")] == pytest.approx(times, abs=2e-5)


def test_a_start_before_zero_moves_pictures_and_sound_together(tmp_path):
    sound = Sound(clicks(16000, [8000], 16000)[:, 0], 16000, start_s=-0.2)
    with VideoWriter(tmp_path / "a.mp4", width=160, height=120, frame_rate=RATE, sound=sound) as writer:
        for k in range(10):
            writer.write(numbered(k), time_s=k / 25 - 0.4)
    frames = list(read_frames(tmp_path / "a.mp4"))
    heard = read_sound(tmp_path / "a.mp4")
    assert [number_of(frame.image) for frame in frames] == list(range(10))
    assert frames[0].time_s == 0
    assert heard is not None
    assert onsets_s(heard.samples, 16000, heard.start_s) == pytest.approx([0.7], abs=0.001)


@pytest.mark.parametrize("rate_hz, channels", [(16000, 1), (22050, 1), (44100, 2), (48000, 6)])
@pytest.mark.parametrize("start_s", [0.0, 0.3, -0.1])
def test_sound_is_heard_at_its_time_rate_and_channels(tmp_path, rate_hz, channels, start_s):
    sound = Sound(clicks(2 * rate_hz, [rate_hz // 2, rate_hz], rate_hz, channels), rate_hz, start_s)
    with VideoWriter(tmp_path / "a.mp4", width=160, height=120, frame_rate=RATE, sound=sound) as writer:
        for k in range(25):  # shorter than the sound
            writer.write(numbered(k))
    info = probe(tmp_path / "a.mp4")
    assert (info.sample_rate_hz, info.channels, info.frames) == (rate_hz, channels, 25)
    heard = read_sound(tmp_path / "a.mp4", sample_rate_hz=None, mono=False)
    assert heard is not None
    assert heard.samples.shape[1] == channels
    front = heard.samples[:, 0]
    assert onsets_s(front, rate_hz, heard.start_s) == pytest.approx([start_s + 0.5, start_s + 1.0], abs=0.002)
    assert heard.start_s + heard.duration_s == pytest.approx(start_s + 2, abs=0.08)


def test_a_rate_that_aac_does_not_know_is_resampled(tmp_path):
    sound = Sound(clicks(20000, [10000], 20000)[:, 0], 20000)
    with VideoWriter(tmp_path / "a.mp4", width=160, height=120, frame_rate=RATE, sound=sound) as writer:
        writer.write(numbered(0))
    heard = read_sound(tmp_path / "a.mp4")
    assert heard is not None
    assert probe(tmp_path / "a.mp4").sample_rate_hz == 48000
    assert onsets_s(heard.samples, 16000, heard.start_s) == pytest.approx([0.5], abs=0.002)


def test_sound_lies_between_the_pictures(tmp_path):
    """Interleaved in time, so that a player streams it: no sound packet far from the pictures of its time."""
    sound = Sound(np.zeros(4 * 16000, np.float32), 16000)
    with VideoWriter(tmp_path / "a.mp4", width=160, height=120, frame_rate=RATE, sound=sound) as writer:
        for k in range(100):
            writer.write(numbered(k))
    data = (tmp_path / "a.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    with av.open(str(tmp_path / "a.mp4")) as file:
        packets = [(p.pos, float(p.pts * p.time_base), p.stream.type) for p in file.demux() if p.pos]
    latest = {"video": 0.0, "audio": 0.0}
    for _, time_s, kind in sorted(packets):
        latest[kind] = time_s
        assert abs(latest["video"] - latest["audio"]) < 1.2


COLOURS = {
    "bt709 limited": {"colorspace": 1, "color_range": 1, "color_primaries": 1, "color_trc": 1},
    "bt601 limited": {"colorspace": 6, "color_range": 1, "color_primaries": 6, "color_trc": 6},
    "bt709 full": {"colorspace": 1, "color_range": 2, "color_primaries": 1, "color_trc": 1},
    "bt601 full": {"colorspace": 5, "color_range": 2, "color_primaries": 5, "color_trc": 6},
    "bt2020 hlg": {"colorspace": 9, "color_range": 1, "color_primaries": 9, "color_trc": 18},
    "not stated": {"colorspace": 2, "color_range": 0, "color_primaries": 2, "color_trc": 2},
}


@pytest.mark.parametrize("name", COLOURS)
def test_colours_survive_a_copy(tmp_path, name):
    """Planted YUV, computed here from the standard's own equation, is read right, and a copy shifts it by < 1 level."""
    colour = COLOURS[name]
    rng = np.random.default_rng(0)
    planted = rng.integers(30, 226, (6, 8, 3))
    image = planted.repeat(20, 0).repeat(20, 1).astype(np.uint8)
    frames = [_yuv(image, colour) for _ in range(3)]
    make_video(tmp_path / "a.mp4", range(3), images=[_Sized(f, image.shape) for f in frames], colour=colour)
    copy(tmp_path / "a.mp4", tmp_path / "b.mp4", crf=12)
    first = next(iter(read_frames(tmp_path / "a.mp4"))).image.astype(float)
    second = next(iter(read_frames(tmp_path / "b.mp4"))).image.astype(float)
    assert probe(tmp_path / "b.mp4").colour == probe(tmp_path / "a.mp4").colour == colour
    centres = np.s_[10::20, 10::20]
    assert np.abs((first - image)[centres].mean(axis=(0, 1))).max() < 1, "read wrong"
    assert np.abs((first - image)[centres]).max() < 6
    assert np.abs((second - first).mean(axis=(0, 1))).max() < 1, "shifted by the copy"


class _Sized:
    """A YUV frame in the place of an RGB array."""

    def __init__(self, frame, shape):
        self.frame, self.shape, self.ndim = frame, shape, 2

    def reformat(self, **_):
        return self.frame


def _yuv(image, colour):
    kr, kb = {1: (0.2126, 0.0722), 9: (0.2627, 0.0593)}.get(colour["colorspace"], (0.299, 0.114))
    red, green, blue = np.moveaxis(image.astype(float) / 255, -1, 0)
    luma = kr * red + (1 - kr - kb) * green + kb * blue
    chroma = (blue - luma) / (2 - 2 * kb), (red - luma) / (2 - 2 * kr)
    full = colour["color_range"] == 2
    planes = [luma * (255 if full else 219) + (0 if full else 16)]
    planes += [c[::2, ::2] * (255 if full else 224) + 128 for c in chroma]
    frame = VideoFrame(image.shape[1], image.shape[0], "yuv420p")
    for plane, values in zip(frame.planes, planes, strict=True):
        rows = np.zeros((plane.height, plane.line_size), np.uint8)
        rows[:, : plane.width] = np.rint(values)
        plane.update(rows.tobytes())
    return frame


def test_unstated_matrix_follows_the_size_and_an_unknown_one_is_refused():
    assert matrix_of(2, 1080) == matrix_of(1, 288)
    assert matrix_of(2, 288) == matrix_of(6, 1080)
    with pytest.raises(MediaError, match="matrix 15"):
        matrix_of(15, 1080)


@pytest.mark.parametrize("name", COLOURS)
def test_conversion_there_and_back_has_no_bias(name):
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (16, 16, 3), dtype=np.uint8).repeat(16, 0).repeat(16, 1)
    for pixel_format in ("yuv420p", "yuv444p"):
        yuv = from_rgb(image, pixel_format, COLOURS[name])
        yuv.colorspace, yuv.color_range = COLOURS[name]["colorspace"], max(1, COLOURS[name]["color_range"])
        difference = (to_rgb(yuv).astype(int) - image)[8::16, 8::16]
        assert np.abs(difference.mean(axis=(0, 1))).max() < 0.3
        assert np.abs(difference).max() <= 3


def test_chroma_stays_in_its_place(tmp_path):
    """A red bar on grey comes back centred where it was: chroma is neither shifted left nor right, up nor down."""
    image = np.full((96, 96, 3), 100, np.uint8)
    image[40:56, 40:56] = (160, 80, 80)
    with VideoWriter(tmp_path / "a.mp4", width=96, height=96, frame_rate=RATE, crf=1) as writer:
        writer.write(image)
        writer.write(image)
    red = next(iter(read_frames(tmp_path / "a.mp4"))).image.astype(float)
    redness = np.clip(red[..., 0] - red[..., 1] - 4, 0, None)
    centre = (redness.sum(1) @ np.arange(96) / redness.sum(), redness.sum(0) @ np.arange(96) / redness.sum())
    assert centre == pytest.approx((47.5, 47.5), abs=0.1)


def test_a_video_from_a_photo_has_video_colours(tmp_path):
    import cv2

    cv2.imencode(".jpg", numbered(5)[..., ::-1])[1].tofile(tmp_path / "a.jpg")
    info = probe(tmp_path / "a.jpg")
    (photo,) = read_frames(tmp_path / "a.jpg")
    with VideoWriter(tmp_path / "a.mp4", width=160, height=120, frame_rate=RATE, like=info) as writer:
        for _ in range(10):
            writer.write(photo.image)
    made = probe(tmp_path / "a.mp4")
    assert (made.frames, made.frame_rate, made.is_still) == (10, 25, False)
    assert made.colour == COLOURS["bt709 limited"]
    assert np.abs(next(iter(read_frames(tmp_path / "a.mp4"))).image.mean() - photo.image.mean()) < 1


def test_stamp_is_read_back(tmp_path):
    stamp = {"comment": "synthetic; made with lipsync", "title": "Ada, 'ü'"}
    with VideoWriter(tmp_path / "a.mp4", width=160, height=120, frame_rate=RATE, stamp=stamp) as writer:
        writer.write(numbered(0))
    with av.open(str(tmp_path / "a.mp4")) as file:
        assert {name: file.metadata[name] for name in stamp} == stamp
    with pytest.raises(MediaError, match="no tag"):
        VideoWriter(tmp_path / "a.mp4", width=160, height=120, frame_rate=RATE, stamp={"x-unknown": "1"})


@pytest.mark.parametrize("old", [None, b"what was there"])
def test_a_failure_leaves_what_was_there_and_nothing_else(tmp_path, old):
    target = tmp_path / "a.mp4"
    if old:
        target.write_bytes(old)
    with (
        pytest.raises(ZeroDivisionError),
        VideoWriter(target, width=160, height=120, frame_rate=RATE) as writer,
    ):
        for k in range(60):
            writer.write(numbered(k))
        assert not old or target.read_bytes() == old
        raise ZeroDivisionError
    with (
        pytest.raises(MediaError, match="no picture was given"),
        VideoWriter(target, width=160, height=120, frame_rate=RATE),
    ):
        pass
    assert [path.name for path in tmp_path.iterdir()] == (["a.mp4"] if old else [])
    assert not old or target.read_bytes() == old


def test_a_file_can_be_replaced_by_its_own_copy(tmp_path):
    make_video(tmp_path / "a.mp4", range(60))
    copy(tmp_path / "a.mp4", tmp_path / "a.mp4")
    assert [number_of(frame.image) for frame in read_frames(tmp_path / "a.mp4")] == list(range(60))


def test_a_name_is_only_a_name(tmp_path):
    """Neither a protocol (`x:`) nor a numbered sequence (`%02d`)."""
    with VideoWriter(tmp_path / "x:a %02d.mp4", width=160, height=120, frame_rate=RATE) as writer:
        writer.write(numbered(3))
    assert [path.name for path in tmp_path.iterdir()] == ["x:a %02d.mp4"]
    assert [number_of(frame.image) for frame in read_frames(tmp_path / "x:a %02d.mp4")] == [3]


def test_wrong_use_is_named(tmp_path):
    size = {"width": 160, "height": 120, "frame_rate": RATE}
    with pytest.raises(MediaError, match=r"only \.mp4"):
        VideoWriter(tmp_path / "a.webm", **size)
    with pytest.raises(MediaError, match="folder does not exist"):
        VideoWriter(tmp_path / "none" / "a.mp4", **size)
    with pytest.raises(MediaError, match="not open"):
        VideoWriter(tmp_path / "a.mp4", **size).write(numbered(0))
    with (
        pytest.raises(MediaError, match="0 samples"),
        VideoWriter(tmp_path / "a.mp4", sound=Sound(np.zeros(0, np.float32), 16000), **size),
    ):
        pass
    for image in (np.zeros((60, 80, 3), np.uint8), np.zeros((120, 160, 3), np.float32)):
        with pytest.raises(MediaError, match="picture 1 is"), VideoWriter(tmp_path / "a.mp4", **size) as writer:
            writer.write(numbered(0))
            writer.write(image)
    with pytest.raises(MediaError, match="not later"), VideoWriter(tmp_path / "a.mp4", **size) as writer:
        writer.write(numbered(0), time_s=1.0)
        writer.write(numbered(1), time_s=1.0)
    assert not list(tmp_path.iterdir())


def test_writing_holds_no_more_memory_for_a_longer_file(tmp_path):
    """640×360 pictures: 500 more of them would be 345 MB if kept."""
    code = f"""
from fractions import Fraction
import numpy as np
from lipsync.media import VideoWriter
images = np.random.default_rng(0).integers(0, 255, (4, 360, 640, 3), dtype=np.uint8) // 64 * 60
with VideoWriter(r'{tmp_path}/a.mp4', width=640, height=360, frame_rate=Fraction(25), preset='ultrafast') as writer:
    for k in range(COUNT):
        writer.write(images[k % 4])
"""
    short, long = (peak_memory_mb(code.replace("COUNT", str(count))) for count in (100, 600))
    assert long - short < 30, f"{short:.0f} MB for 100 pictures, {long:.0f} MB for 600"
