"""A voice behind HTTP: any server that speaks the OpenAI form POST {url}/audio/speech, local or far.

    openai:http://127.0.0.1:8880/v1?model=kokoro&format=mp3#af_heart        URL, settings, "#", the server's voice

`model`, `format` (wav, mp3, flac, opus, aac, pcm), `language`, `timeout` (seconds) and `clone` are read here; any other
setting goes to the server as it is (`exaggeration=0.7`). So engines that cannot share this environment are reached:
Kokoro-FastAPI, Chatterbox, XTTS, F5, vLLM. It is the one voice that uses the network, since its name says so.

A reference recording is handed over in one of the two ways that such servers know:
    clone=inline    JSON fields `ref_audio` (a data: URL with a WAV) and `ref_text`, `task_type` "Base"      (vLLM-Omni)
    clone=upload    multipart POST {url}/audio/speech/upload with the WAV as `voice_file`           (chatterbox-tts-api)

The key is taken from $LIPSYNC_VOICE_KEY ($OPENAI_API_KEY for api.openai.com alone) and never from a name, which is
kept in records. Word times are found by alignment (lipsync/speech/align.py).
"""

import base64
import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

import numpy as np

from lipsync.errors import VoiceError
from lipsync.speech.align import with_times
from lipsync.speech.voices.base import guess_language, require_speakable
from lipsync.speech.voices.http import Answer, post
from lipsync.types import Sound, Speech

FORMATS = ("wav", "mp3", "flac", "opus", "aac", "pcm")
CLONES = ("", "inline", "upload")
SPEED_RANGE = (0.25, 4.0)  # of the OpenAI form
PCM_RATE_HZ = 24_000  # of the OpenAI form's "pcm": 16 bits, mono
KEY, OPENAI_KEY, OPENAI_HOST = "LIPSYNC_VOICE_KEY", "OPENAI_API_KEY", "api.openai.com"
OWN = ("model", "format", "language", "timeout", "clone")


@dataclass(frozen=True)
class ServerVoice:
    """One voice of one server. `url` ends before /audio/speech; `extra` goes along with every request.

    reference: a WAV of the person whose voice is cloned; reference_text: what is said in it, "" when unknown.
    """

    url: str
    voice: str = ""
    model: str = "tts-1"
    format: str = "wav"
    language: str = ""
    timeout_s: float = 120.0
    clone: str = ""
    extra: Mapping[str, str | float | bool] = field(default_factory=dict)
    reference: Path | None = None
    reference_text: str = ""
    takes_text: bool = True

    @property
    def name(self) -> str:
        """What `open_voice` takes."""
        usual = ServerVoice(self.url)
        own = {"model": self.model, "format": self.format, "language": self.language, "clone": self.clone}
        kept = {key: value for key, value in own.items() if value != getattr(usual, key)}
        if self.timeout_s != usual.timeout_s:
            kept["timeout"] = f"{self.timeout_s:g}"
        query = urlencode(kept | {key: json.dumps(v).strip('"') for key, v in self.extra.items()})
        return f"openai:{self.url}{'?' + query if query else ''}{'#' + quote(self.voice) if self.voice else ''}"

    def speak(self, text: str, *, speed: float = 1.0) -> Speech:
        """Have `text` spoken; float32 mono at the server's rate, with word times by alignment.

        Raises:
            SpeechError: no speakable character.
            VoiceError: the speed is out of range, the server is not there, refuses, or answers with something else.
        """
        spoken = require_speakable(text)
        if not SPEED_RANGE[0] <= speed <= SPEED_RANGE[1]:
            raise VoiceError(f"speed {speed:g} is outside {SPEED_RANGE[0]:g}–{SPEED_RANGE[1]:g}")
        language = self.language or guess_language(spoken)
        fields: dict[str, object] = {
            "model": self.model,
            "input": spoken,
            "response_format": self.format,
            **({"voice": self.voice} if self.voice else {}),
            **({"speed": speed} if speed != 1 else {}),
            **({"language": self.language} if self.language else {}),
            **self.extra,
        }
        answer = self._ask(fields)
        sound = self._sound(answer)
        return with_times(Speech(sound, text=text, language=language))

    def in_language(self, language: str) -> "ServerVoice":
        """The same voice told to speak `language`; whether it does is the server's matter."""
        return replace(self, language=language)

    def cloning(self, reference: Path, text: str = "") -> "ServerVoice":
        """The voice of a recording. Raises VoiceError where the voice's name does not say how the server clones."""
        if not self.clone:
            raise VoiceError(
                f"{self.name}: how this server takes a reference is not said; add clone=inline (vLLM) or clone=upload "
                '(Chatterbox), such as "openai:http://127.0.0.1:4123/v1?clone=upload"'
            )
        return replace(self, reference=reference, reference_text=text)

    def _ask(self, fields: dict[str, object]) -> Answer:
        headers = {"Accept": "audio/*", **self._key()}
        address = f"{self.url}/audio/speech"
        if self.reference is None and self.clone:
            raise VoiceError(
                f"{self.name}: clones a person's voice; say whose, with --person or person=NAME in the cast"
            )
        if self.reference is None:
            return post(address, json.dumps(fields).encode(), headers | _JSON, self.timeout_s)
        sound = self.reference.read_bytes()
        if self.clone == "inline":
            encoded = "data:audio/wav;base64," + base64.b64encode(sound).decode()
            fields |= {"ref_audio": encoded, "task_type": "Base"}
            fields |= {"ref_text": self.reference_text} if self.reference_text else {"x_vector_only_mode": True}
            return post(address, json.dumps(fields).encode(), headers | _JSON, self.timeout_s)
        body, kind = _multipart(fields, "voice_file", "reference.wav", sound)
        return post(f"{address}/upload", body, headers | {"Content-Type": kind}, self.timeout_s)

    def _key(self) -> dict[str, str]:
        is_openai = urlsplit(self.url).hostname == OPENAI_HOST
        key = os.environ.get(KEY) or (os.environ.get(OPENAI_KEY) if is_openai else "")
        return {"Authorization": f"Bearer {key}"} if key else {}

    def _sound(self, answer: Answer) -> Sound:
        """The sound of an answer, mono. Raises VoiceError when it is none, shows how it begins instead."""
        if self.format == "pcm" and not answer.kind.startswith(("application/json", "text/")):
            whole = answer.body[: len(answer.body) // 2 * 2]
            samples = np.frombuffer(whole, "<i2").astype(np.float32) / 32768
            rate_hz = answer.parameters.get("rate", "")
            sound = Sound(samples, int(rate_hz) if rate_hz.isdigit() else PCM_RATE_HZ)
        else:
            sound = answer.sound()
        if not len(sound.samples) or not np.abs(sound.samples).max() > 0:
            raise VoiceError(f"{self.url}: the server answered with {len(sound.samples)} samples of silence")
        return sound


_JSON = {"Content-Type": "application/json"}


def _multipart(fields: Mapping[str, object], name: str, file: str, content: bytes) -> tuple[bytes, str]:
    """A multipart/form-data body with one WAV file, and its content type."""
    edge = secrets.token_hex(16)
    parts = [
        f'--{edge}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'.encode()
        for key, value in fields.items()
    ]
    head = f'--{edge}\r\nContent-Disposition: form-data; name="{name}"; filename="{file}"\r\n'
    parts += [head.encode() + b"Content-Type: audio/wav\r\n\r\n", content, f"\r\n--{edge}--\r\n".encode()]
    return b"".join(parts), f"multipart/form-data; boundary={edge}"


def open_server(text: str) -> ServerVoice:
    """The voice that "URL?settings#voice" names, without "openai:". Raises VoiceError that says what is wrong in it."""
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise VoiceError(f"openai:{text}: expected an address, such as openai:http://127.0.0.1:8880/v1#af_heart")
    if parts.username or parts.password:
        raise VoiceError(f"openai:{parts.hostname}: put the key into ${KEY}, not into the address")
    settings = dict(parse_qsl(parts.query, keep_blank_values=True))
    own = {key: settings.pop(key) for key in OWN if key in settings}
    for key, known in (("format", FORMATS), ("clone", CLONES)):
        if own.get(key, known[0]) not in known:
            raise VoiceError(f"openai:{text}: {key} {own[key]!r}; known: {', '.join(filter(None, known))}")
    try:
        timeout_s = float(own.pop("timeout", ServerVoice.timeout_s))
    except ValueError as error:
        raise VoiceError(f"openai:{text}: timeout is a number of seconds") from error
    url = f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/') or '/v1'}".removesuffix("/audio/speech")
    extra = {key: _plain(value) for key, value in settings.items()}
    texts: Any = own  # the checker does not see that these are the text fields
    return ServerVoice(url, unquote(parts.fragment), timeout_s=timeout_s, extra=extra, **texts)


def _plain(value: str) -> str | float | bool:
    """A setting as JSON has it: a number or a truth value where it reads as one."""
    try:
        found = json.loads(value)
    except json.JSONDecodeError:
        return value
    return found if isinstance(found, bool | int | float) else value
