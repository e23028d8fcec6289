"""Models are fetched only when asked for, checked against the hub's hashes, and kept when they are whole."""

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from lipsync.cli import main
from lipsync.errors import CheckpointError
from lipsync.speech.hub import fetch, has_model

FILES = {"config.json": b"{}", "model.bin": b"weights" * 1000, "README.md": b"words", "vocabulary.json": b"[]"}


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A hub on this machine that has whisper-tiny."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            server.asked.append(self.path)
            name = self.path.rpartition("/")[2]
            if self.path.startswith("/api/models/Systran/faster-whisper-tiny"):
                body = json.dumps({"siblings": [self.row(n, d) for n, d in server.files.items()]}).encode()
            elif self.path.startswith("/Systran/faster-whisper-tiny/resolve/main/") and name in FILES:
                body = FILES[name]
            else:
                self.send_error(404)
                return
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        @staticmethod
        def row(name, data):
            lfs = {"lfs": {"sha256": hashlib.sha256(data).hexdigest()}} if name.endswith(".bin") else {}
            return {"rfilename": name, "size": len(data), **lfs}

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.asked, server.files = [], dict(FILES)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_address[1]}")
    monkeypatch.setenv("LIPSYNC_MODELS", str(tmp_path / "models"))
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_model_is_fetched_once_and_whole(hub, capsys):
    assert not has_model("whisper-tiny")
    assert main(["models", "get", "whisper-tiny", "--json", "--quiet"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["bytes"] == sum(len(FILES[n]) for n in FILES if n != "README.md")
    folder = fetch("whisper-tiny")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
        n: d for n, d in FILES.items() if n != "README.md"
    }
    assert sum("resolve" in path for path in hub.asked) == 3  # not fetched again


def test_a_file_that_is_not_what_the_hub_says_is_refused(hub):
    hub.files["model.bin"] = b"other" * 1000
    with pytest.raises(CheckpointError, match=r"model\.bin is not what the hub says"):
        fetch("whisper-tiny")
    hub.files["model.bin"] = FILES["model.bin"]
    assert (fetch("whisper-tiny") / "model.bin").read_bytes() == FILES["model.bin"]


def test_a_file_outside_the_folder_is_refused(hub):
    hub.files["../evil.json"] = b"{}"
    with pytest.raises(CheckpointError, match="outside its folder"):
        fetch("whisper-tiny")


def test_without_a_hub_or_a_name(hub, monkeypatch, capsys):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(CheckpointError, match=r"does not answer.*huggingface-cli download Systran"):
        fetch("whisper-tiny")
    assert main(["models", "get", "nothing"]) == 1
    assert main(["models"]) == 0
    listed = capsys.readouterr().out
    assert "whisper-small" in listed and "CC-BY-NC-4.0" in listed and "lipsync models get htdemucs" in listed
