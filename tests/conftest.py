"""What all tests share: one torch thread (small models on busy machines), the way to real footage, a chat server."""

import json
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch

torch.set_num_threads(1)
FOOTAGE = Path(os.environ.get("LIPSYNC_FOOTAGE", Path(__file__).parents[2] / "shared" / "footage"))


@pytest.fixture(scope="session", autouse=True)
def own_credentials(tmp_path_factory):
    """Renders in tests are signed with a certificate of their own, never with the user's."""
    os.environ["LIPSYNC_CREDENTIALS"] = str(tmp_path_factory.mktemp("credentials"))


@pytest.fixture
def footage() -> Path:
    """The folder of real footage; the test is skipped where there is none."""
    if not FOOTAGE.is_dir():
        pytest.skip("no real footage here; set LIPSYNC_FOOTAGE to its folder")
    return FOOTAGE


@pytest.fixture
def chat():
    """A server in the OpenAI chat form: answers in turn with `replies`, and keeps what it was asked."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            server.asked.append((self.path, self.headers["Authorization"], body))
            reply = server.replies[min(len(server.asked), len(server.replies)) - 1]
            status, data = (200, {"choices": [{"message": {"content": reply}}]}) if isinstance(reply, str) else reply
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(data).encode())

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.asked, server.replies = [], []
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    server.address_text = f"http://127.0.0.1:{server.server_address[1]}/v1"
    yield server
    server.shutdown()
    thread.join()
    server.server_close()
