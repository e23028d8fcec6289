"""A voice behind HTTP, against a real server on this machine: formats, cloning, failures that pass or stay."""

import base64
import io
import json
import threading
import time
from email import message_from_bytes
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import av
import numpy as np
import pytest

from lipsync.errors import SpeechError, VoiceError
from lipsync.media import write_wav
from lipsync.speech.voices import http, open_voice
from lipsync.speech.voices.espeak import EspeakVoice
from lipsync.types import Sound

CODECS = {"wav": ("wav", "pcm_s16le"), "mp3": ("mp3", "mp3"), "flac": ("flac", "flac"), "opus": ("ogg", "libopus")}


def coded(sound, kind):
    """The bytes of a sound as a server sends them."""
    pcm = np.rint(sound.samples * 32767).astype("<i2")
    if kind == "pcm":
        return pcm.tobytes()
    container, codec = CODECS[kind]
    out = io.BytesIO()
    with av.open(out, "w", format=container) as file:
        stream = file.add_stream(codec, rate=24000)
        stream.layout = "mono"
        frame = av.AudioFrame.from_ndarray(pcm[None], format="s16", layout="mono")
        frame.sample_rate = sound.sample_rate_hz
        resampler = av.AudioResampler(stream.format, "mono", 24000, frame_size=stream.frame_size or 1024)
        for piece in [*resampler.resample(frame), *resampler.resample(None)]:
            file.mux(stream.encode(piece))
        file.mux(stream.encode(None))
    return out.getvalue()


class Server:
    """Speaks with the embedded voice. `answers` are given first: (status, headers, body), or "drop", or "cut"."""

    def __init__(self):
        self.asked, self.answers = [], []
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                owner.asked.append((self.path, dict(self.headers), body))
                answer = owner.answers.pop(0) if owner.answers else None
                if answer == "drop":
                    self.connection.close()
                    return
                if answer == "wait":
                    time.sleep(1.0)
                    answer = (200, {}, b"")
                status, headers, content = answer if isinstance(answer, tuple) else self.speech(body)
                self.send_response(status)
                for key, value in headers.items():
                    self.send_header(key, value)
                self.send_header("Content-Length", str(len(content) + (100 if answer == "cut" else 0)))
                self.end_headers()
                self.wfile.write(content)

            def speech(self, body):
                form = "json" not in self.headers["Content-Type"]
                wanted = read_form(self.headers["Content-Type"], body)[0] if form else json.loads(body)
                voice = EspeakVoice(wanted.get("language", "en"))
                said = voice.speak(wanted["input"], speed=float(wanted.get("speed", 1)))
                sound = resampled(said.sound)
                return (
                    200,
                    {"Content-Type": f"audio/{wanted['response_format']}"},
                    coded(sound, wanted["response_format"]),
                )

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/v1"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    @property
    def fields(self):
        return json.loads(self.asked[-1][2])


def resampled(sound):
    count = round(len(sound.samples) * 24000 / sound.sample_rate_hz)
    at = np.arange(count) * sound.sample_rate_hz / 24000
    return Sound(np.interp(at, np.arange(len(sound.samples)), sound.samples).astype(np.float32), 24000)


def read_form(kind, body):
    message = message_from_bytes(f"Content-Type: {kind}\r\n\r\n".encode() + body)
    fields, files = {}, {}
    for part in message.get_payload():
        name = part.get_param("name", header="content-disposition")
        content = part.get_payload(decode=True)
        if part.get_filename():
            files[name] = content
        else:
            fields[name] = content.decode()
    return fields, files


@pytest.fixture
def server(monkeypatch):
    for key in ("LIPSYNC_VOICE_KEY", "OPENAI_API_KEY"):
        monkeypatch.delenv(key, raising=False)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")  # a proxy of the environment is not asked for this machine
    monkeypatch.setattr(http, "PAUSE_S", 0.01)
    found = Server()
    yield found
    found.http.shutdown()
    found.http.server_close()


@pytest.mark.parametrize("kind", ["wav", "mp3", "flac", "opus", "pcm"])
def test_every_format_arrives_with_word_times(server, kind):
    text = "Good morning, my dear friend."
    speech = open_voice(f"openai:{server.url}?format={kind}#anna").speak(text)
    true = EspeakVoice("en").speak(text)
    assert server.fields == {"model": "tts-1", "input": text, "response_format": kind, "voice": "anna"}
    assert server.asked[0][0] == "/v1/audio/speech"
    assert speech.sound.sample_rate_hz == (48000 if kind == "opus" else 24000) and speech.sound.samples.ndim == 1
    assert speech.sound.duration_s == pytest.approx(true.sound.duration_s, abs=0.08)
    assert [word.text for word in speech.words] == [word.text for word in true.words]
    errors = [found.start_s - word.start_s for found, word in zip(speech.words, true.words, strict=True)]
    assert np.abs(errors).max() < 0.06, errors
    assert (speech.text, speech.language) == (text, "en") and speech.phonemes


def test_settings_language_and_speed_are_passed_on(server):
    voice = open_voice(f"openai:{server.url}/?model=kokoro&exaggeration=0.7&stream=false&seed=x1#af_heart", "hi")
    assert open_voice(voice.name) == voice and "#af_heart" in voice.name
    speech = voice.speak("नमस्ते दुनिया", speed=1.5)
    wanted = {"model": "kokoro", "exaggeration": 0.7, "stream": False, "seed": "x1", "language": "hi", "speed": 1.5}
    assert wanted.items() <= server.fields.items()
    assert [word.text for word in speech.words] == ["नमस्ते", "दुनिया"]


def test_what_passes_is_tried_again(server):
    busy = (503, {}, b"busy")
    server.answers = [busy, "drop"]
    assert open_voice(f"openai:{server.url}").speak("Hello there").words
    assert len(server.asked) == 3
    server.answers = [busy, "cut", (429, {"Retry-After": "0"}, b"{}")]
    with pytest.raises(VoiceError, match=r"no answer in 3 tries \(429 Too Many Requests"):
        open_voice(f"openai:{server.url}").speak("Hello there")


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (
            (400, {}, b'{"error": {"message": "no voice called bob"}}'),
            r"refused \(400 Bad Request: no voice called bob",
        ),
        ((401, {}, b'{"detail": {"error": "bad key"}}'), "401 Unauthorized: bad key"),
        ((302, {"Location": "http://127.0.0.1:9/"}, b""), "302 Found"),
        ((200, {"Content-Type": "text/html"}, b"<html>hello</html>"), "expected sound, found text/html: '<html>hello"),
        ((200, {"Content-Type": "audio/wav"}, b""), "answered with nothing"),
        ((200, {"Content-Type": "audio/wav"}, b"RIFF\x00\x00\x00\x00WAVEjunk"), "expected sound, found"),
    ],
)
def test_what_stays_is_told_in_the_servers_words(server, answer, message):
    server.answers = [answer]
    with pytest.raises(VoiceError, match=message):
        open_voice(f"openai:{server.url}").speak("Hello")
    assert len(server.asked) == 1


def test_silence_is_refused(server):
    server.answers = [(200, {}, coded(Sound(np.zeros(2400, np.float32), 24000), "wav"))]
    with pytest.raises(VoiceError, match="samples of silence"):
        open_voice(f"openai:{server.url}").speak("Hello")


def test_a_server_that_hangs_or_is_not_there(server):
    server.answers = ["wait"] * 3
    with pytest.raises(VoiceError, match=r"no answer in 3 tries .*timed out"):
        open_voice(f"openai:{server.url}?timeout=0.2").speak("Hello")
    with pytest.raises(VoiceError, match="check that the server runs"):
        open_voice("openai:http://127.0.0.1:9/v1").speak("Hello")


def test_the_key_goes_where_it_belongs(server, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "not-for-others")
    open_voice(f"openai:{server.url}").speak("Hi")
    assert "Authorization" not in server.asked[-1][1]
    monkeypatch.setenv("LIPSYNC_VOICE_KEY", "sesame")
    voice = open_voice(f"openai:{server.url}")
    voice.speak("Hi")
    assert server.asked[-1][1]["Authorization"] == "Bearer sesame" and "sesame" not in voice.name


@pytest.mark.parametrize("way", ["inline", "upload"])
def test_a_reference_is_handed_over(server, tmp_path, way):
    path = tmp_path / "anna.wav"
    write_wav(path, EspeakVoice("en+f3").speak("This is me.").sound)
    voice = open_voice(f"openai:{server.url}?clone={way}").cloning(path, "This is me.")
    assert voice.speak("Somebody else's words.").words
    address, headers, body = server.asked[-1]
    if way == "inline":
        fields = json.loads(body)
        head, _, sound = fields["ref_audio"].partition(",")
        assert head == "data:audio/wav;base64" and base64.b64decode(sound) == path.read_bytes()
        assert (fields["ref_text"], fields["task_type"], address) == ("This is me.", "Base", "/v1/audio/speech")
    else:
        fields, files = read_form(headers["Content-Type"], body)
        assert files["voice_file"] == path.read_bytes() and address == "/v1/audio/speech/upload"
        assert fields["input"] == "Somebody else's words."


def test_a_server_that_does_not_say_how_it_clones(tmp_path):
    with pytest.raises(VoiceError, match="add clone=inline"):
        open_voice("openai:http://127.0.0.1:9/v1").cloning(tmp_path / "a.wav")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("openai:af_heart", "expected an address"),
        ("openai:file:///etc/passwd", "expected an address"),
        ("openai:http://me:secret@host/v1", "put the key into"),
        ("openai:http://host/v1?format=midi", "format 'midi'; known: wav, mp3"),
        ("openai:http://host/v1?clone=yes", "clone 'yes'; known: inline, upload"),
        ("openai:http://host/v1?timeout=soon", "number of seconds"),
    ],
)
def test_names_that_are_none(name, message):
    with pytest.raises(VoiceError, match=message) as caught:
        open_voice(name)
    assert "secret" not in str(caught.value)


def test_nothing_is_sent_that_cannot_be_said(server):
    voice = open_voice(f"openai:{server.url}")
    with pytest.raises(SpeechError):
        voice.speak("🙂…")
    with pytest.raises(VoiceError, match="outside"):
        voice.speak("Hello", speed=5)
    assert server.asked == []
