"""Content credentials: what is signed reads back, one flipped byte is found, the key stays private."""

import json
import stat
from fractions import Fraction

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
