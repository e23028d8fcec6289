"""Reading: identity, order, exact times, orientation, damaged and hostile files."""

from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
from made_media import BLUE, GREEN, QUARTER_TURNS, RED, corners, make_video, number_of, numbered, peak_memory_mb

from lipsync.errors import MediaError
from lipsync.media import probe, read_frames, read_sound

CONTAINERS = {
    "h264.mp4": {},
    "h264.mkv": {"codec": "libx264"},
    "vp9.webm": {"codec": "libvpx-vp9"},
    "mpeg4_b_frames.avi": {"codec": "mpeg4"},
    "h264_b_frames.avi": {"codec": "libx264"},
    "mpeg2.mpg": {"codec": "mpeg2video"},
    "h264.ts": {"codec": "libx264"},
    "prores_10_bit.mov": {"codec": "prores_ks", "pixel_format": "yuv422p10le"},
    "fragmented.mp4": {"options": {"movflags": "frag_keyframe+empty_moov"}, "b_frames": 0},
    "animated.gif": {"codec": "gif", "pixel_format": "rgb8"},
}


@pytest.mark.parametrize("name", CONTAINERS)
def test_every_picture_comes_once_in_order_at_its_time(tmp_path, name):
    path = tmp_path / name
    make_video(path, range(40), **CONTAINERS[name])
    info = probe(path)
    frames = list(read_frames(path))
    assert (info.width, info.height, info.frame_rate) == (160, 120, 25)
    assert info.frames == pytest.approx(40, abs=6)  # broadcast formats state no count: an estimate
    assert not info.is_still
    assert info.duration_s == pytest.approx(1.6, abs=0.25)
    assert [number_of(frame.image) for frame in frames] == list(range(40))
    assert [frame.index for frame in frames] == list(range(40))
    assert [frame.time_s for frame in frames] == pytest.approx([k / 25 for k in range(40)], abs=0.0006)
    assert all(frame.pts * info.time_base == pytest.approx(frame.time_s, abs=1e-9) for frame in frames)


def test_picture_is_right_side_up_and_contiguous_rgb(tmp_path):
    make_video(tmp_path / "a.mp4", range(3))
    image = next(iter(read_frames(tmp_path / "a.mp4"))).image
    assert image.dtype == np.uint8
    assert image.shape == (120, 160, 3)
    assert image.flags.c_contiguous
    assert corners(image) == [RED, GREEN, BLUE]


def test_variable_frame_rate_keeps_exact_ticks(tmp_path):
    pts = np.cumsum([0, 3000, 3100, 1000, 9000, 3003, 90000, 1]).tolist()
    make_video(tmp_path / "a.mp4", pts, time_base=Fraction(1, 90000), rate=30)
    frames = list(read_frames(tmp_path / "a.mp4"))
    assert [frame.pts for frame in frames] == pts
    assert [number_of(frame.image) for frame in frames] == list(range(len(pts)))


def test_ntsc_rate_does_not_drift(tmp_path):
    rate = Fraction(30000, 1001)
    make_video(tmp_path / "a.mp4", range(90), time_base=1 / rate, rate=rate)
    assert probe(tmp_path / "a.mp4").frame_rate == rate
    frames = list(read_frames(tmp_path / "a.mp4"))
    assert [frame.time_s for frame in frames] == pytest.approx([k * 1001 / 30000 for k in range(90)], abs=1e-9)


def test_late_start_is_kept(tmp_path):
    make_video(tmp_path / "a.mp4", range(20, 30))
    times = [frame.time_s for frame in read_frames(tmp_path / "a.mp4")]
    assert times == pytest.approx([k / 25 for k in range(20, 30)])


def test_edit_list_hides_what_it_cuts(tmp_path):
    """Pictures before time zero go behind an MP4 edit list: decoded, not shown, not counted."""
    make_video(tmp_path / "a.mp4", range(-5, 20), b_frames=0)
    frames = list(read_frames(tmp_path / "a.mp4"))
    assert [number_of(frame.image) for frame in frames] == list(range(5, 25))
    assert [frame.time_s for frame in frames] == pytest.approx([k / 25 for k in range(20)])
    assert [f.index for f in read_frames(tmp_path / "a.mp4", start_s=0.4)] == list(range(10, 20))


@pytest.mark.parametrize("start_s, end_s", [(0.0, 0.5), (0.4, None), (0.9, 1.1), (1.0, 1.0), (-3.0, 0.2), (9.0, None)])
def test_a_part_equals_that_part_of_the_whole(tmp_path, start_s, end_s):
    make_video(tmp_path / "a.mp4", range(50))
    wanted = [k for k in range(50) if k / 25 >= start_s and (end_s is None or k / 25 < end_s)]
    frames = list(read_frames(tmp_path / "a.mp4", start_s=start_s, end_s=end_s))
    assert [number_of(frame.image) for frame in frames] == wanted
    assert [frame.index for frame in frames] == wanted


@pytest.mark.parametrize("turn", QUARTER_TURNS)
def test_rotation_is_applied(tmp_path, turn):
    """The upright picture turned back by hand is the coded one: corners tell each turn from the others."""
    coded = [np.rot90(numbered(k), turn // 90) for k in range(4)]
    make_video(
        tmp_path / "a.mp4", range(4), images=[np.ascontiguousarray(c) for c in coded], matrix=QUARTER_TURNS[turn]
    )
    info = probe(tmp_path / "a.mp4")
    frames = list(read_frames(tmp_path / "a.mp4"))
    assert (info.width, info.height, info.rotation) == (160, 120, turn)
    assert [number_of(frame.image) for frame in frames] == [0, 1, 2, 3]
    assert corners(frames[0].image) == [RED, GREEN, BLUE]


def test_mirrored_phone_video_is_shown_mirrored(tmp_path):
    matrix = (-65536, 0, 0, 0, 65536, 0, 0, 0, 1 << 30)
    make_video(tmp_path / "a.mp4", range(2), matrix=matrix)
    assert corners(next(iter(read_frames(tmp_path / "a.mp4"))).image)[:2] == [GREEN, RED]


def test_odd_size_and_pixel_aspect_are_kept(tmp_path):
    make_video(tmp_path / "a.mkv", range(3), size=(161, 121), pixel_format="yuv444p", pixel_aspect=Fraction(16, 15))
    info = probe(tmp_path / "a.mkv")
    assert (info.width, info.height, info.pixel_aspect) == (161, 121, Fraction(16, 15))
    assert next(iter(read_frames(tmp_path / "a.mkv"))).image.shape == (121, 161, 3)


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "bmp", "tiff"])
def test_a_still_is_one_frame(tmp_path, suffix):
    path = tmp_path / f"photo_%02d.{suffix}"  # a name that ffmpeg would take for a numbered sequence
    cv2.imencode(f".{suffix}", numbered(5)[..., ::-1])[1].tofile(path)
    info = probe(path)
    (frame,) = read_frames(path)
    assert (info.is_still, info.frames, info.width, info.height, info.sample_rate_hz) == (True, 1, 160, 120, 0)
    assert (frame.index, frame.time_s, number_of(frame.image)) == (0, 0.0, 5)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_photo_orientation_matches_opencv(tmp_path, orientation):
    """EXIF in its smallest form, put by hand behind the JPEG's first marker; OpenCV applies it on its own."""
    data = cv2.imencode(".jpg", numbered(5)[..., ::-1])[1].tobytes()
    tiff = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01" + bytes([0, orientation]) + b"\0\0\0\0\0\0"
    exif = b"Exif\0\0" + tiff
    path = tmp_path / "a.jpg"
    path.write_bytes(data[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + data[2:])
    expected = cv2.imread(str(path))[..., ::-1]
    (frame,) = read_frames(path)
    info = probe(path)
    assert frame.image.shape == expected.shape == (info.height, info.width, 3)
    assert np.abs(frame.image.astype(int) - expected).mean() < 6


def test_size_change_is_refused_with_its_time(tmp_path):
    make_video(tmp_path / "a.264", range(10), size=(160, 120))
    make_video(tmp_path / "b.264", range(10), size=(192, 120))
    both = tmp_path / "both.264"
    both.write_bytes((tmp_path / "a.264").read_bytes() + (tmp_path / "b.264").read_bytes())
    with pytest.raises(MediaError, match=r"160×120 to 192×120 px at 0\.40"):
        list(read_frames(both))


@pytest.mark.parametrize("name", ["front.mp4", "fragmented.mp4", "a.mkv", "a.avi"])
def test_a_truncated_file_is_read_up_to_its_break(tmp_path, name):
    options = {"front.mp4": {"movflags": "+faststart"}, "fragmented.mp4": {"movflags": "frag_keyframe+empty_moov"}}
    make_video(tmp_path / name, range(100), options=options.get(name), b_frames=0)
    whole = (tmp_path / name).read_bytes()
    cut = tmp_path / f"cut_{name}"
    cut.write_bytes(whole[: len(whole) * 6 // 10])
    frames = []
    with pytest.raises(MediaError, match=r"breaks off at [12]\.\d+ s") as caught:
        for frame in read_frames(cut):
            frames.append(frame)
    assert 40 < len(frames) < 80
    assert [frame.pts for frame in read_frames(cut, tolerant=True)] == [frame.pts for frame in frames]
    assert [number_of(frame.image) for frame in frames] == list(range(len(frames)))
    assert float(str(caught.value).split("breaks off at ")[1].split()[0]) == pytest.approx(len(frames) / 25, abs=0.05)


def test_a_truncated_index_is_named(tmp_path):
    make_video(tmp_path / "a.mp4", range(100))
    whole = (tmp_path / "a.mp4").read_bytes()
    for part in (0.995, 0.5):
        (tmp_path / "cut.mp4").write_bytes(whole[: int(len(whole) * part)])
        with pytest.raises(MediaError, match="index"):
            probe(tmp_path / "cut.mp4")


def test_what_is_not_media_is_refused_with_a_sentence(tmp_path):
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "noise.mp4").write_bytes(np.random.default_rng(0).bytes(50_000))
    (tmp_path / "text.txt").write_text("dear all, " * 500)
    (tmp_path / "ansi.nfo").write_text("\x1b[31mred\x1b[0m\r\n" * 500)
    refused = {
        "empty.mp4": "empty",
        "noise.mp4": "not a video",
        "text.txt": "not",
        "ansi.nfo": "not",
        "": "folder",
        "absent.mp4": "no such file",
    }
    for name, reason in refused.items():
        for read in (probe, lambda path: list(read_frames(path))):
            with pytest.raises(MediaError, match=reason):
                read(tmp_path / name)
    with pytest.raises(MediaError, match="only local files"):
        probe("https://example.org/a.mp4")


def test_a_photo_made_of_tiles_is_refused_not_shown_as_one_tile(tmp_path):
    with av.open(str(tmp_path / "a.mp4"), "w") as out:
        for stream in [out.add_stream("libx264", rate=25, width=64, height=64) for _ in range(2)]:
            out.mux(stream.encode(av.VideoFrame(64, 64, "yuv420p")) + stream.encode(None))
    data = (tmp_path / "a.mp4").read_bytes()
    (tmp_path / "a.heic").write_bytes(data.replace(b"ftypisom", b"ftypheic", 1))
    assert probe(tmp_path / "a.mp4").width == 64
    with pytest.raises(MediaError, match="save it as JPEG or PNG"):
        probe(tmp_path / "a.heic")


def test_sound_without_pictures_is_refused(tmp_path):
    with av.open(str(tmp_path / "a.wav"), "w") as out:
        stream = out.add_stream("pcm_s16le", rate=16000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 3200), np.int16), format="s16", layout="stereo")
        frame.sample_rate = 16000
        out.mux(stream.encode(frame))
    with pytest.raises(MediaError, match="sound but no picture"):
        probe(tmp_path / "a.wav")


PLAYLISTS = {
    "ffconcat": "ffconcat version 1.0\nfile 'secret.mp4'\n",
    "m3u8": "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:10\n#EXTINF:2.0,\nsecret.mp4\n#EXT-X-ENDLIST\n",
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n",
}


@pytest.mark.parametrize("suffix", ["own", "mp4"])
@pytest.mark.parametrize("kind", PLAYLISTS)
def test_a_playlist_reaches_no_other_file(tmp_path, kind, suffix):
    make_video(tmp_path / "secret.mp4", range(10))
    path = tmp_path / f"upload.{kind if suffix == 'own' else suffix}"
    path.write_text(PLAYLISTS[kind])
    for read in (probe, lambda path: list(read_frames(path))):
        with pytest.raises(MediaError, match="playlist or description of other files"):
            read(path)
    if kind == "ffconcat":  # the attack is real: opened by name, ffmpeg follows it
        with av.open(str(path)) as followed:
            assert len(list(followed.decode(video=0))) == 10


def test_protocols_stay_shut_for_whatever_a_file_refers_to(tmp_path, monkeypatch):
    """Even a playlist that no list of names knew could open nothing: no protocol is allowed."""
    from lipsync.media import source

    assert source._NO_PROTOCOL == {"protocol_whitelist": "none"}
    make_video(tmp_path / "secret.mp4", range(10))
    (tmp_path / "a.ffconcat").write_text(f"ffconcat version 1.0\nfile '{tmp_path / 'secret.mp4'}'\n")
    shut = {**source._NO_PROTOCOL, "safe": "0"}
    with (tmp_path / "a.ffconcat").open("rb") as file, pytest.raises(av.FFmpegError):
        av.open(file, format="concat", options=shut)
    with (
        (tmp_path / "a.ffconcat").open("rb") as file,
        av.open(file, format="concat", options={"safe": "0"}) as followed,
    ):
        assert followed.streams.video


def test_reading_holds_no_more_memory_for_a_longer_file(tmp_path):
    """640×360 pictures: 500 more of them would be 345 MB if kept."""
    for count in (100, 600):
        images = [numbered(k % 8, 640, 360) for k in range(8)]
        make_video(tmp_path / f"{count}.mp4", range(count), images=[images[k % 8] for k in range(count)])
    code = "from lipsync.media import read_frames\nassert sum(1 for _ in read_frames(r'{}')) == {}"
    short, long = (peak_memory_mb(code.format(tmp_path / f"{count}.mp4", count)) for count in (100, 600))
    assert long - short < 25, f"{short:.0f} MB for 100 pictures, {long:.0f} MB for 600"


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.avi", "a.ts"])
def test_damage_anywhere_raises_media_errors_only(tmp_path, name):
    """Random bytes over a file, a third of them in its head: read, or refused; never another exception."""
    sound = np.zeros((8820, 1), np.float32)
    make_video(tmp_path / name, range(10), sound=sound)
    whole, rng, outcomes = (tmp_path / name).read_bytes(), np.random.default_rng(0), set()
    for trial in range(30):
        data = bytearray(whole)
        for place in rng.integers(0, len(data) if trial % 3 else min(len(data), 1500), rng.integers(1, 30)):
            data[place] = rng.integers(256)
        (tmp_path / "damaged").write_bytes(data)
        for read in (probe, lambda path: list(read_frames(path)), read_sound):
            try:
                read(tmp_path / "damaged")
                outcomes.add("read")
            except MediaError as error:
                outcomes.add("refused")
                assert "damaged" in str(error)
    assert outcomes == {"read", "refused"}


def test_an_unknown_codec_is_named(tmp_path):
    make_video(tmp_path / "a.mkv", range(5), sound=np.zeros((8820, 1), np.float32))
    data = (tmp_path / "a.mkv").read_bytes()
    (tmp_path / "video.mkv").write_bytes(data.replace(b"V_MPEG4/ISO/AVC", b"V_XXXX4/ISO/AVC"))
    (tmp_path / "audio.mkv").write_bytes(data.replace(b"A_AAC", b"A_XXC"))
    with pytest.raises(MediaError, match="pictures are in a codec that is not known"):
        probe(tmp_path / "video.mkv")
    with pytest.raises(MediaError, match="sound is in a codec that is not known"):
        read_sound(tmp_path / "audio.mkv")
    assert len(list(read_frames(tmp_path / "audio.mkv"))) == 5
