"""One POST that answers with sound: tries again what may pass, tells what will not, follows no redirects.

Tried again up to TRIES times, after PAUSE_S · 2ⁿ or what Retry-After asks: no connection, a broken answer, a time-out,
and the answers 408, 425, 429, 500, 502, 503, 504. Proxies of the environment are not asked for this very machine.
"""

import http.client
import json
import tempfile
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from email.message import Message
from ipaddress import ip_address
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from lipsync.errors import MediaError, VoiceError
from lipsync.media import read_sound
from lipsync.types import Sound

TRIES = 3
PAUSE_S, LONGEST_PAUSE_S = 0.5, 20.0
MAY_PASS = frozenset({408, 425, 429, 500, 502, 503, 504})
MOST_BYTES = 256 << 20
SHOWN_CHARACTERS = 200


@dataclass(frozen=True)
class Answer:
    """What a server sent: `kind` is its content type in small letters, `parameters` what stands behind it."""

    address: str
    body: bytes
    kind: str
    parameters: dict[str, str]

    def sound(self) -> Sound:
        """The body as sound, mono, at its own rate, from time 0. Raises VoiceError that shows what it is instead."""
        if not self.body:
            raise VoiceError(f"{self.address}: the server answered with nothing")
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "answer")
            path.write_bytes(self.body)
            try:  # tolerant: servers that stream do not know the length that they state
                found = read_sound(path, sample_rate_hz=None, mono=True, tolerant=True)
            except MediaError as error:
                raise VoiceError(f"{self.address}: expected sound, found {self.kind}: {_shown(self.body)}") from error
        if found is None:
            raise VoiceError(f"{self.address}: expected sound, found none in the {self.kind} that was sent")
        return Sound(found.samples, found.sample_rate_hz)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect is an answer like any other, so that no key is carried elsewhere."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> None:
        """None: do not follow."""


def post(address: str, body: bytes, headers: dict[str, str], timeout_s: float) -> Answer:
    """Send `body`, wait for the answer.

    Args:
        timeout_s: for the connection, and for each part of the answer.

    Raises:
        VoiceError: no answer after TRIES tries, or a refusal, in the server's own words.
    """
    handlers: list[urllib.request.BaseHandler] = [_NoRedirect()]
    if _is_here(urlsplit(address).hostname or ""):
        handlers.append(urllib.request.ProxyHandler({}))
    opener = urllib.request.build_opener(*handlers)
    why = ""
    for attempt in range(TRIES):
        request = urllib.request.Request(address, body, headers, method="POST")
        pause_s = PAUSE_S * 2**attempt
        try:
            with opener.open(request, timeout=timeout_s) as reply:
                return _read(address, reply)
        except urllib.error.HTTPError as error:
            with error:
                why = f"{error.code} {error.reason}: {_message(error.read(1 << 16))}"
                asked = error.headers.get("Retry-After", "")
            if error.code not in MAY_PASS:
                raise VoiceError(f"{address}: the server refused ({why})") from error
            pause_s = float(asked) if asked.isdigit() else pause_s
        except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
            why = str(getattr(error, "reason", "") or error) or type(error).__name__
        if attempt + 1 < TRIES:
            time.sleep(min(pause_s, LONGEST_PAUSE_S))
    raise VoiceError(f"{address}: no answer in {TRIES} tries ({why}); check that the server runs, and its address")


def _read(address: str, reply: http.client.HTTPResponse) -> Answer:
    body = reply.read(MOST_BYTES + 1)
    if len(body) > MOST_BYTES:
        raise VoiceError(f"{address}: the answer is larger than {MOST_BYTES >> 20} MB")
    expected = reply.headers.get("Content-Length", "")
    if expected.isdigit() and len(body) < int(expected):
        raise http.client.IncompleteRead(body, int(expected) - len(body))
    parameters = {key.lower(): value for key, value in reply.headers.get_params([])[1:]}
    return Answer(address, body, reply.headers.get_content_type(), parameters)


def _is_here(host: str) -> bool:
    """Whether a host is this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _message(body: bytes) -> str:
    """The sentence in a server's error: {"error": {"message": …}}, {"detail": …}, {"message": …}, or its text."""
    try:
        found = json.loads(body)
    except ValueError:
        return _shown(body)
    for _ in range(3):
        if isinstance(found, dict):
            found = next((found[key] for key in ("error", "detail", "message") if key in found), str(found))
    return str(found)[:SHOWN_CHARACTERS]


def _shown(body: bytes) -> str:
    text = body[: 2 * SHOWN_CHARACTERS].decode("utf-8", errors="replace").strip()
    return repr(text[:SHOWN_CHARACTERS])
