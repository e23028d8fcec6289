"""Putting pieces together: sound copied bit for bit; subtitles, tracks, chapters and tags come along; offsets hold."""

from fractions import Fraction

import av
import numpy as np
import pytest
from av.packet import Packet
from made_media import clicks, make_video, number_of, numbered, onsets_s

from lipsync.errors import MediaError
from lipsync.media import VideoWriter, probe, read_frames, read_sound, write_wav
from lipsync.media.assemble import _PLAIN_STYLE, Assembler
from lipsync.media.supply import SoundSupply
from lipsync.types import Sound

RATE = Fraction(25)


def pieces(tmp_path, counts=(12, 13), like=None):
    """Videos of numbered pictures, and the ticks at which each begins."""
    out, number = [], 0
    for k, count in enumerate(counts):
        path = tmp_path / f"piece{k}.mp4"
        with VideoWriter(path, width=160, height=120, frame_rate=RATE, like=like) as writer:
            step = round(1 / (RATE * writer.time_base))
            for n in range(count):
                writer.write(numbered(number + n), pts=n * step)
        out.append((path, number * step))
        number += count
    return out


def assemble(tmp_path, source, sound=None, copied=None, first_pts=0, **more):
    info = probe(source)
    parts = pieces(tmp_path, like=info)
    with Assembler(
        tmp_path / "out.mp4", info, time_base=info.time_base, first_pts=first_pts, sound=sound, copied=copied, **more
    ) as assembler:
        for path, first in parts:
            assembler.add(path, first + first_pts)
        assembler.finish(float(first_pts * info.time_base) + 1.0)
    return assembler


def packets_of(path, kind):
    with av.open(str(path)) as file:
        stream = getattr(file.streams, kind)[0]
        return [(Fraction(p.pts) * p.time_base, bytes(p)) for p in file.demux(stream) if p.pts is not None and p.size]


def test_pieces_become_one_video(tmp_path):
    make_video(tmp_path / "in.mp4", range(25))
    assemble(tmp_path, tmp_path / "in.mp4")
    frames = list(read_frames(tmp_path / "out.mp4"))
    assert [number_of(f.image) for f in frames] == list(range(25))
    assert [f.time_s for f in frames] == pytest.approx([k / 25 for k in range(25)], abs=1e-9)


@pytest.mark.parametrize("codec", ["aac", "ac3", "flac", "libopus"])
def test_unchanged_sound_is_copied_bit_for_bit(tmp_path, codec):
    rate = 48000
    sound = clicks(2 * rate, [rate // 2, rate // 2 + 9600], rate, 2)
    make_video(tmp_path / "in.mp4", range(25), sound=sound, sound_codec=codec, sound_rate_hz=rate)
    supply = SoundSupply(tmp_path / "in.mp4")
    assemble(tmp_path, tmp_path / "in.mp4", supply, tmp_path / "in.mp4")
    before, after = packets_of(tmp_path / "in.mp4", "audio"), packets_of(tmp_path / "out.mp4", "audio")
    assert len(after) > 10 and after == before[: len(after)]  # data and times
    heard = read_sound(tmp_path / "out.mp4", sample_rate_hz=None)
    assert onsets_s(heard.samples, rate, heard.start_s) == pytest.approx([0.5, 0.7], abs=0.003)
    assert heard.start_s + heard.duration_s < 1.08  # what lies beyond the pictures is left out


def test_sound_that_mp4_players_do_not_know_is_coded(tmp_path):
    sound = Sound(clicks(44100, [22050], 44100, 6), 44100)
    write_wav(tmp_path / "a.wav", sound)
    make_video(tmp_path / "in.mp4", range(25))
    assemble(tmp_path, tmp_path / "in.mp4", SoundSupply(tmp_path / "a.wav"), tmp_path / "a.wav")
    heard = read_sound(tmp_path / "out.mp4", sample_rate_hz=None, mono=False)
    assert (heard.sample_rate_hz, heard.samples.shape[1]) == (44100, 6)
    assert onsets_s(heard.samples[:, 0], 44100, heard.start_s) == pytest.approx([0.5], abs=0.002)


def test_a_start_before_zero_moves_everything_together(tmp_path):
    rate = 48000
    make_video(tmp_path / "in.mp4", range(25), sound=clicks(rate, [24000], rate, 1), sound_rate_hz=rate)
    base = probe(tmp_path / "in.mp4").time_base
    early = -round(Fraction(1, 5) / base)
    assemble(tmp_path, tmp_path / "in.mp4", SoundSupply(tmp_path / "in.mp4"), tmp_path / "in.mp4", first_pts=early)
    heard = read_sound(tmp_path / "out.mp4", sample_rate_hz=None)
    assert next(read_frames(tmp_path / "out.mp4")).time_s == 0
    assert onsets_s(heard.samples, rate, heard.start_s) == pytest.approx([0.7], abs=0.003)


def with_extras(path, name, second_sound=True):
    """A video with text subtitles of a kind, a second sound track, chapters and tags."""
    text = [(0.1, 0.4, "Good morning, Ada."), (0.5, 0.9, "Zwölf Äpfel")]
    with av.open(str(path), "w") as out:
        video = out.add_stream("libx264", rate=25)
        video.width, video.height, video.pix_fmt = 160, 120, "yuv420p"
        subtitles = out.add_stream(name)
        subtitles.metadata["language"] = "deu"
        subtitles.codec_context.subtitle_header = _PLAIN_STYLE
        tracks = [out.add_stream("aac", rate=48000) for _ in range(2 if second_sound else 1)]
        tracks[-1].metadata["language"] = "fra"
        out.metadata.update({"title": "A talk", "artist": "Ada", "comment": "of the source"})
        out.set_chapters(
            [
                {
                    "id": k,
                    "start": k * 500,
                    "end": (k + 1) * 500,
                    "time_base": Fraction(1, 1000),
                    "metadata": {"title": t},
                }
                for k, t in enumerate(("One", "Two"))
            ]
        )
        for k in range(25):
            frame = av.VideoFrame.from_ndarray(numbered(k), format="rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = k, Fraction(1, 25)
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
        for row, (start, end, line) in enumerate(text):
            data = f"{row},0,Default,,0,0,0,,{line}".encode() if name == "ass" else line.encode()
            packet = Packet(data)
            packet.pts = packet.dts = round(start * 1000)
            packet.duration, packet.time_base, packet.stream = round((end - start) * 1000), Fraction(1, 1000), subtitles
            out.mux(packet)
        for n, track in enumerate(tracks):
            for at in range(0, 48000, 1024):
                tone = 0.2 * np.sin(np.arange(at, at + 1024) / 48000 * 2 * np.pi * (300 + 200 * n))
                frame = av.AudioFrame.from_ndarray(tone[None].astype(np.float32).repeat(2, 0), "fltp", "stereo")
                frame.sample_rate, frame.pts, frame.time_base = 48000, at, Fraction(1, 48000)
                out.mux(track.encode(frame))
            out.mux(track.encode(None))
    return path


def test_subtitles_tracks_chapters_and_tags_come_along(tmp_path):
    source = with_extras(tmp_path / "in.mkv", "ass")
    new = Sound(clicks(48000, [24000], 48000, 1), 48000)
    done = assemble(tmp_path, source, SoundSupply(new), stamp={"comment": "synthetic"})
    assert done.warnings == []
    with av.open(str(tmp_path / "out.mp4")) as file:
        assert [s.type for s in file.streams if s.type != "data"] == ["video", "audio", "subtitle", "audio"]
        assert file.metadata["title"] == "A talk" and file.metadata["comment"] == "synthetic"
        assert [c["metadata"]["title"] for c in file.chapters()] == ["One", "Two"]
        assert file.streams.subtitles[0].metadata["language"] == "deu"
        assert file.streams.audio[1].metadata["language"] == "fra"
        shown = [
            (float(p.pts * p.time_base), float(p.duration * p.time_base), bytes(p)[2:].decode())
            for p in file.demux(file.streams.subtitles[0]) if p.size > 2
        ]  # fmt: skip
    assert shown == [
        (pytest.approx(0.1), pytest.approx(0.3), "Good morning, Ada."),
        (pytest.approx(0.5), pytest.approx(0.4), "Zwölf Äpfel"),
    ]
    with av.open(str(source)) as a, av.open(str(tmp_path / "out.mp4")) as b:
        kept = [[bytes(p) for p in f.demux(f.streams.audio[1]) if p.size] for f in (a, b)]
    assert kept[1] == kept[0][: len(kept[1])] and len(kept[1]) > 40


def test_nothing_is_left_after_a_failure(tmp_path):
    make_video(tmp_path / "in.mp4", range(5))
    info = probe(tmp_path / "in.mp4")
    with (
        pytest.raises(MediaError),
        Assembler(tmp_path / "out.mp4", info, time_base=info.time_base, first_pts=0) as assembler,
    ):
        (tmp_path / "piece.mp4").write_bytes(b"no video")
        assembler.add(tmp_path / "piece.mp4", 0)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.mp4", "piece.mp4"]


def test_a_supply_gives_the_same_parts_from_memory_and_from_a_file(tmp_path):
    rng = np.random.default_rng(0)
    sound = Sound((0.3 * rng.standard_normal((44100 * 3, 2))).clip(-0.99, 0.99).astype(np.float32), 44100)
    write_wav(tmp_path / "a.wav", sound)
    memory, file = SoundSupply(sound, 0.5), SoundSupply(tmp_path / "a.wav", 0.5)
    assert (file.rate, file.channels, file.start_s) == (44100, 2, 0.5)
    assert file.end_s == pytest.approx(memory.end_s, abs=1e-6)
    for start, end in ((-0.2, 0.7), (0.5, 1.0), (1.0, 1.023), (3.2, 4.0), (9.0, 9.5)):
        a, b = memory.part(start, end), file.part(start, end)
        assert a.shape == b.shape == (round((end - start) * 44100), 2)
        assert np.abs(a - b).max() < 1e-4
    with pytest.raises(MediaError, match="0 samples"):
        SoundSupply(Sound(np.zeros(0, np.float32), 16000))
