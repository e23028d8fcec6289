"""Content credentials: what is signed reads back, one flipped byte is found, the key stays private."""

import json
import stat
import subprocess
import sys
import textwrap
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from lipsync.cli import main
from lipsync.errors import MediaError
from lipsync.media import VideoWriter
from lipsync.render.credentials import make_certificate, read_credentials, sign


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("LIPSYNC_CREDENTIALS", str(tmp_path / "keys"))
    return tmp_path / "keys"


@pytest.fixture
def video(tmp_path):
    path = tmp_path / "plain.mp4"
    rng = np.random.default_rng(0)
    with VideoWriter(path, width=64, height=48, frame_rate=Fraction(25)) as writer:
        for _ in range(5):
            writer.write(rng.integers(0, 255, (48, 64, 3), np.uint8))
    return path


def test_a_signed_file_says_what_it_is(video, tmp_path):
    sign(video, tmp_path / "out.mp4", {"base": "base", "base_hash": "abc"})
    found = read_credentials(tmp_path / "out.mp4")
    assert found.found and found.intact and found.synthetic and found.own and found.problems == []
    assert found.details["base_hash"] == "abc" and found.made_by.startswith("lipsync")
    assert (tmp_path / "out.mp4").stat().st_size - video.stat().st_size < 20_000
    assert "synthetic, intact" in str(found)


def test_one_flipped_byte_is_found(video, tmp_path):
    out = tmp_path / "out.mp4"
    sign(video, out)
    data = bytearray(out.read_bytes())
    at = data.index(b"mdat") + 200
    data[at] ^= 1
    out.write_bytes(data)
    found = read_credentials(out)
    assert found.found and not found.intact and found.problems and "CHANGED" in str(found)


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """A film of 36 MB, its pictures not compressed."""
    path = tmp_path_factory.mktemp("large") / "large.mov"
    picture = np.random.default_rng(0).integers(0, 255, (480, 640, 3), np.uint8)
    with av.open(str(path), "w", options={"movflags": "+faststart"}) as film:
        stream = film.add_stream("rawvideo", rate=25, width=640, height=480)
        stream.pix_fmt = "rgb24"
        for k in range(40):
            film.mux(stream.encode(av.VideoFrame.from_ndarray(np.roll(picture, k, 0), "rgb24")))
        film.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("where", ["index", 0.0, 0.3, 0.7, 1.0])
def test_one_flipped_byte_is_found_wherever_a_long_file_has_it(large, tmp_path, where):
    out = tmp_path / "out.mov"
    sign(large, out)
    assert read_credentials(out).intact
    data = bytearray(out.read_bytes())
    first, size = data.index(b"mdat") + 4, 40 * 640 * 480 * 3
    at = data.index(b"stsz") + 30 if where == "index" else first + int(where * (size - 1))
    data[at] ^= 1
    out.write_bytes(data)
    found = read_credentials(out)
    assert found.found and not found.intact and found.problems


def test_pictures_that_swapped_places_are_found(large, tmp_path):
    out = tmp_path / "out.mov"
    sign(large, out)
    data = bytearray(out.read_bytes())
    at, size = data.index(b"mdat") + 4, 640 * 480 * 3
    data[at : at + size], data[at + size : at + 2 * size] = data[at + size : at + 2 * size], data[at : at + size]
    out.write_bytes(data)
    assert not read_credentials(out).intact


SIGNED = """
    import resource, sys
    from pathlib import Path
    from lipsync.render.credentials import sign
    for k, name in enumerate(sys.argv[1:]):
        sign(Path(name), Path(name).with_name(f"signed{k}" + Path(name).suffix))
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the unit of memory differs")
def test_signing_a_long_file_takes_no_more_memory_than_a_short_one(video, large):
    command = [sys.executable, "-c", textwrap.dedent(SIGNED), str(video), str(large)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
    small_kb, large_kb = map(int, done.stdout.split())
    assert large_kb - small_kb < 0.2 * large.stat().st_size / 1024


def test_a_plain_file_says_nothing(video):
    found = read_credentials(video)
    assert not found.found and not found.intact and not found.synthetic


def test_the_certificate_is_made_once_and_its_key_is_the_owners_alone(video, tmp_path, folder):
    sign(video, tmp_path / "a.mp4")
    key = (folder / "key.pem").read_bytes()
    sign(video, tmp_path / "b.mp4")
    assert (folder / "key.pem").read_bytes() == key
    assert stat.S_IMODE((folder / "key.pem").stat().st_mode) == 0o600
    assert make_certificate()[1] != make_certificate()[1]


def test_another_users_file_is_intact_but_not_own(video, tmp_path, monkeypatch):
    sign(video, tmp_path / "a.mp4")
    monkeypatch.setenv("LIPSYNC_CREDENTIALS", str(tmp_path / "other"))
    found = read_credentials(tmp_path / "a.mp4")
    assert found.intact and not found.own


def test_what_is_no_media_is_refused_and_nothing_is_left(tmp_path):
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(MediaError, match="credentials"):
        sign(tmp_path / "text.mp4", tmp_path / "out.mp4")
    assert not (tmp_path / "out.mp4").exists()
    with pytest.raises(MediaError, match="no such file"):
        read_credentials(tmp_path / "none.mp4")


def test_the_command_says_by_its_exit_code_whether_all_is_well(video, tmp_path, capsys):
    sign(video, tmp_path / "out.mp4")
    assert main(["verify", str(tmp_path / "out.mp4"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["synthetic"] is True
    assert main(["verify", str(video), "--quiet"]) == 1
    assert "no content credentials" in capsys.readouterr().out
