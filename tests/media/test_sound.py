"""Sound: every sample at its time on the pictures' clock, through codecs, gaps, late starts and rates."""

from fractions import Fraction

import numpy as np
import pytest
from made_media import clicks, make_video, onsets_s

from lipsync.errors import MediaError
from lipsync.media import probe, read_frames, read_sound, write_wav
from lipsync.types import Sound

RATE = 44100
PLACES = (4410, 22050, 61740)  # 0.1, 0.5 and 1.4 s
TIMES_S = [place / RATE for place in PLACES]


@pytest.mark.parametrize(
    "name, codec, rate_hz",
    [
        ("aac.mp4", "aac", 44100),
        ("pcm.mov", "pcm_s16le", 44100),
        ("aac.mkv", "aac", 44100),
        ("opus.mkv", "libopus", 48000),
        ("pcm.avi", "pcm_s16le", 44100),
        ("aac.ts", "aac", 44100),
    ],
)
@pytest.mark.parametrize("wanted_hz", [16000, None])
def test_clicks_are_heard_when_they_were_made(tmp_path, name, codec, rate_hz, wanted_hz):
    """An encoder's priming, the container's clock and resampling are all taken off: within 1 ms of the pictures."""
    path = tmp_path / name
    places = [round(t * rate_hz) for t in TIMES_S]
    sound = clicks(2 * rate_hz, places, rate_hz)
    make_video(path, range(50), sound=sound, sound_codec=codec, sound_rate_hz=rate_hz)
    heard = read_sound(path, sample_rate_hz=wanted_hz)
    assert heard is not None
    assert heard.sample_rate_hz == (wanted_hz or rate_hz)
    assert heard.samples.dtype == np.float32
    assert heard.samples.ndim == 1
    assert heard.duration_s == pytest.approx(2.0, abs=0.06)
    first_picture_s = next(iter(read_frames(path))).time_s
    found = onsets_s(heard.samples, heard.sample_rate_hz, heard.start_s)
    assert [t - first_picture_s for t in found] == pytest.approx(TIMES_S, abs=0.001)


@pytest.mark.parametrize("first_s", [0.25, -0.05])
def test_late_and_early_sound_keeps_its_place(tmp_path, first_s):
    first = round(first_s * RATE)
    sound = clicks(RATE, [8820], RATE)
    make_video(tmp_path / "a.mkv", range(50), sound=sound, sound_codec="pcm_s16le", sound_pts=max(first, 0))
    heard = read_sound(tmp_path / "a.mkv")
    assert heard is not None
    assert heard.start_s == pytest.approx(max(first_s, 0), abs=0.001)
    assert onsets_s(heard.samples, 16000, heard.start_s) == pytest.approx([max(first_s, 0) + 0.2], abs=0.001)


def test_a_gap_is_silence_and_shifts_nothing_after_it(tmp_path):
    gap = (1024 * 20, RATE // 2)
    make_video(tmp_path / "a.mkv", range(80), sound=clicks(2 * RATE, PLACES, RATE), sound_codec="pcm_s16le", gap=gap)
    heard = read_sound(tmp_path / "a.mkv")
    assert heard is not None
    late = [place / RATE + (0.5 if place >= gap[0] else 0) for place in PLACES]
    assert onsets_s(heard.samples, 16000, heard.start_s) == pytest.approx(late, abs=0.001)
    hole = heard.samples[round(16000 * (gap[0] / RATE + 0.02)) : round(16000 * (gap[0] / RATE + 0.48))]
    assert np.abs(hole).max() == 0
    assert heard.duration_s == pytest.approx(2.5, abs=0.03)


def test_a_leap_of_hours_asks_for_no_memory(tmp_path):
    """A damaged or crafted time stamp: 30 hours of silence would be 7 GB."""
    gap = (1024 * 20, RATE * 3600 * 30)
    make_video(tmp_path / "a.mkv", range(5), sound=clicks(RATE, PLACES[:1], RATE), sound_codec="pcm_s16le", gap=gap)
    with pytest.raises(MediaError, match="leaps over 108000 s"):
        read_sound(tmp_path / "a.mkv")


def test_millisecond_clocks_do_not_tear_the_sound(tmp_path):
    """Matroska counts in milliseconds: 23.2 ms frames jitter, and a steady tone must stay steady."""
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(2 * RATE) / RATE).astype(np.float32)[:, None]
    make_video(tmp_path / "a.mkv", range(50), sound=tone, sound_codec="pcm_s16le")
    heard = read_sound(tmp_path / "a.mkv", sample_rate_hz=None)
    assert heard is not None
    assert len(heard.samples) == len(tone)
    assert np.abs(heard.samples - tone[:, 0]).max() < 1e-4


def test_channels_are_kept_or_averaged(tmp_path):
    left = clicks(RATE, [4410], RATE)
    sound = np.concatenate([left, np.zeros_like(left)], axis=1)
    make_video(tmp_path / "a.mkv", range(25), sound=sound, sound_codec="pcm_s16le")
    both = read_sound(tmp_path / "a.mkv", sample_rate_hz=None, mono=False)
    one = read_sound(tmp_path / "a.mkv", sample_rate_hz=None)
    assert both is not None and one is not None
    assert both.samples.shape == (RATE, 2)
    assert np.abs(both.samples[:, 1]).max() == 0
    assert np.abs(one.samples - both.samples.mean(axis=1)).max() < 1e-6
    assert (probe(tmp_path / "a.mkv").channels, probe(tmp_path / "a.mkv").sample_rate_hz) == (2, RATE)


def test_no_sound_is_none_and_not_silence(tmp_path):
    make_video(tmp_path / "a.mp4", range(5))
    assert read_sound(tmp_path / "a.mp4") is None
    assert probe(tmp_path / "a.mp4").sample_rate_hz == 0


def test_truncated_sound_names_its_time(tmp_path):
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 0.1, (4 * RATE, 1)).astype(np.float32)
    make_video(tmp_path / "a.mkv", range(5), sound=noise, sound_codec="pcm_s16le")
    whole = (tmp_path / "a.mkv").read_bytes()
    (tmp_path / "cut.mkv").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(MediaError, match=r"sound breaks off at [12]\.\d+ s"):
        read_sound(tmp_path / "cut.mkv")
    rest = read_sound(tmp_path / "cut.mkv", tolerant=True)
    assert rest is not None
    assert 1.5 < rest.duration_s < 2.5


@pytest.mark.parametrize("channels", [1, 2])
def test_wav_round_trip(tmp_path, channels):
    rng = np.random.default_rng(0)
    samples = rng.uniform(-1, 1, (4000, channels)).astype(np.float32)
    write_wav(tmp_path / "a.wav", Sound(samples[:, 0] if channels == 1 else samples, 22050))
    back = read_sound(tmp_path / "a.wav", sample_rate_hz=None, mono=False)
    assert back is not None
    assert (back.sample_rate_hz, back.start_s, back.samples.shape) == (22050, 0.0, (4000, channels))
    assert np.abs(back.samples - samples).max() < 1 / 16000
    assert list(tmp_path.iterdir()) == [tmp_path / "a.wav"]


def test_wav_into_no_folder_is_refused(tmp_path):
    with pytest.raises(MediaError, match="folder does not exist"):
        write_wav(tmp_path / "none" / "a.wav", Sound(np.zeros(10, np.float32), 16000))


def test_resampling_keeps_pitch_and_level(tmp_path):
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE).astype(np.float32)
    write_wav(tmp_path / "a.wav", Sound(tone, RATE))
    heard = read_sound(tmp_path / "a.wav", sample_rate_hz=16000)
    assert heard is not None
    expected = 0.5 * np.sin(2 * np.pi * 440 * np.arange(len(heard.samples)) / 16000)
    assert len(heard.samples) == pytest.approx(16000, abs=2)
    assert np.abs(heard.samples - expected)[200:-200].max() < 2e-3


def test_sound_longer_and_shorter_than_the_pictures(tmp_path):
    for seconds in (0.4, 3.0):
        make_video(tmp_path / "a.mp4", range(25), sound=clicks(int(seconds * RATE), [4410], RATE))
        heard = read_sound(tmp_path / "a.mp4")
        assert heard is not None
        assert heard.duration_s == pytest.approx(seconds, abs=0.05)
        assert len(list(read_frames(tmp_path / "a.mp4"))) == 25
        assert probe(tmp_path / "a.mp4").duration_s == pytest.approx(1.0)
        assert probe(tmp_path / "a.mp4").frame_rate == Fraction(25)


@pytest.mark.parametrize("start_s, end_s", [(0.5, 1.0), (None, 0.3), (1.2, None), (1.6, 9.0)])
def test_a_part_equals_that_part_of_the_whole(tmp_path, start_s, end_s):
    at = np.arange(2 * RATE) / RATE
    chirp = (0.4 * np.sin(2 * np.pi * (200 + 400 * at) * at)).astype(np.float32)[:, None]
    make_video(tmp_path / "a.mp4", range(50), sound=chirp)
    whole = read_sound(tmp_path / "a.mp4", sample_rate_hz=None)
    part = read_sound(tmp_path / "a.mp4", sample_rate_hz=None, start_s=start_s, end_s=end_s)
    assert whole is not None and part is not None
    times = whole.start_s + np.arange(len(whole.samples)) / RATE
    wanted = whole.samples[(times >= (start_s or 0) - 1e-6) & (times < (end_s or 99) - 1e-6)]
    assert part.start_s == pytest.approx(start_s or 0, abs=1 / RATE)
    assert len(part.samples) == len(wanted)
    steady = int((1.85 - part.start_s) * RATE)  # where the tone stops, AAC makes up noise of its own
    assert np.abs(part.samples - wanted)[:steady].max() < 1e-3
    assert read_sound(tmp_path / "a.mp4", start_s=7.0) is None
