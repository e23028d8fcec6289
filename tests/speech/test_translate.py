"""Translation: engines' own loading code on tiny models made here, a chat server, glossary, and length."""

import pytest
from tiny_models import convert, tiny_m2m, tiny_nllb

from lipsync.errors import CheckpointError, SpeechError
from lipsync.speech.segments import Segment, Transcript
from lipsync.speech.translate import Wish, read_glossary, translate
from lipsync.speech.translators import ChatTranslator, ModelTranslator, open_translator

ENGLISH = Transcript((Segment(0, 1, "Good morning."), Segment(2, 4, "How are you?", "ANNA")), "en")
NLLB_SAYS = {"spa_Latn": "Buenos días amigo", "hin_Deva": "नमस्ते दोस्त"}
NLLB_FILES = ["tokenizer.json", "tokenizer_config.json"]


@pytest.fixture(scope="module")
def nllb(tmp_path_factory):
    return tiny_nllb(tmp_path_factory.mktemp("models") / "nllb", NLLB_SAYS)


@pytest.mark.parametrize("form", ["safetensors", "converted"])
def test_nllb_from_a_folder(nllb, tmp_path, form):
    folder = nllb if form == "safetensors" else convert(nllb, tmp_path / "ct2", NLLB_FILES)
    engine = open_translator(str(folder))
    for language, code in (("es", "spa_Latn"), ("hi", "hin_Deva")):
        found, warnings = translate(ENGLISH, language, engine)
        assert [s.text for s in found.segments] == [NLLB_SAYS[code]] * 2 and warnings == []
        assert found.language == language
        assert [(s.start_s, s.end_s, s.speaker) for s in found.segments] == [(0, 1, ""), (2, 4, "ANNA")]
    assert all(len(versions) == 4 for versions in engine.translate([Wish("Hi", 1.0)], "en", "es"))
    with pytest.raises(SpeechError, match="does not know the language 'sw'"):
        translate(ENGLISH, "sw", engine)


def test_m2m_from_a_folder(tmp_path):
    folder = tiny_m2m(tmp_path / "m2m", {"es": "Buenos días"})
    found, _ = translate(ENGLISH, "es", open_translator(str(folder)))
    assert [s.text for s in found.segments] == ["Buenos días"] * 2


def test_what_is_no_model_is_named(tmp_path, nllb, monkeypatch):
    monkeypatch.setenv("LIPSYNC_MODELS", str(tmp_path))
    with pytest.raises(CheckpointError, match=r"nllb-600m.*CC-BY-NC.*lipsync models get nllb-600m"):
        open_translator()
    with pytest.raises(CheckpointError, match="no tokenizer"):
        open_translator(str(tmp_path)).translate([Wish("Hi", 1.0)], "en", "es")
    for name in NLLB_FILES:
        (tmp_path / name).write_bytes((nllb / name).read_bytes())
    (tmp_path / "config.json").write_bytes((nllb / "config.json").read_bytes())
    (tmp_path / "pytorch_model.bin").write_bytes(b"a pickle, never opened")
    with pytest.raises(CheckpointError, match="ct2-transformers-converter"):
        open_translator(str(tmp_path)).translate([Wish("Hi", 1.0)], "en", "es")


class Engine:
    """Gives the versions it is told, and shortens on request."""

    name = "told"

    def __init__(self, versions, shorter=None):
        self.versions, self.shorter = versions, shorter

    def translate(self, wishes, source, target):
        return [self.versions for _ in wishes]

    def shorten(self, wish, version, spoken_s, source, target):
        return [self.shorter] if self.shorter else []


def first_text(engine, **more):
    found, warnings = translate(ENGLISH, "es", engine, **more)
    return found.segments[0].text, warnings


def test_the_likeliest_version_that_fits_is_taken():
    engine = Engine(["a very long version", "shorter one", "short"])
    assert first_text(engine, spoken_s=lambda text: len(text) / 10)[0] == "shorter one"
    assert first_text(engine)[0] == "a very long version"
    assert first_text(engine, spoken_s=lambda text: len(text))[0] == "short"


def test_an_engine_that_can_rephrase_is_asked_to():
    assert first_text(Engine(["far too long"], "tiny"), spoken_s=len)[0] == "tiny"
    assert first_text(Engine(["far too long"], "longer than it was"), spoken_s=len)[0] == "far too long"


def test_the_glossary_decides_and_is_watched(tmp_path):
    (tmp_path / "g.txt").write_text("# names\nGood = Bueno\n\nmorning = mañana\n", encoding="utf-8")
    glossary = read_glossary(tmp_path / "g.txt")
    text, warnings = first_text(Engine(["Hola", "Bueno, mañana"]), glossary=glossary)
    assert text == "Bueno, mañana" and warnings == []
    _, warnings = first_text(Engine(["Hola"]), glossary=glossary)
    assert warnings == [
        f"segment 1: the glossary's {term} is not in the translation" for term in ("morning → mañana", "Good → Bueno")
    ]
    (tmp_path / "g.txt").write_text("no sign\n")
    with pytest.raises(SpeechError, match="line 1"):
        read_glossary(tmp_path / "g.txt")


def test_without_a_language_nothing_is_translated():
    with pytest.raises(SpeechError, match="--from"):
        translate(Transcript(ENGLISH.segments), "es", Engine(["x"]))
    with pytest.raises(SpeechError, match="no translation came back"):
        translate(ENGLISH, "es", Engine([" "]))


def test_a_chat_server_translates_and_shortens(chat, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    chat.replies = ['"Muy buenos días a todos"', "¿Cómo estás?", "Buenos días"]
    engine = open_translator(f"{chat.address_text}#some-model")
    found, warnings = translate(ENGLISH, "es", engine, spoken_s=lambda text: len(text) / 10, glossary={"Good": "Buen"})
    assert [s.text for s in found.segments] == ["Buenos días", "¿Cómo estás?"] and warnings == []
    path, key, body = chat.asked[0]
    assert (path, key, body["model"]) == ("/v1/chat/completions", "Bearer secret", "some-model")
    asked = body["messages"][0]["content"]
    assert "from en to es" in asked and "about 1.0 seconds" in asked and "'Good' as 'Buen'" in asked
    assert "Good morning." in chat.asked[1][2]["messages"][0]["content"]  # the line before, for context
    assert "Muy buenos días a todos" in chat.asked[2][2]["messages"][0]["content"]


def test_a_chat_server_that_fails_is_quoted(chat):
    for reply, words in (((503, {"error": "overloaded"}), "503.*overloaded"), ((200, {"x": 1}), "OpenAI chat form")):
        chat.replies = [reply]
        with pytest.raises(SpeechError, match=words):
            ChatTranslator(chat.address_text, "m").translate([Wish("Hi", 1.0)], "en", "es")
    with pytest.raises(SpeechError, match="does not answer"):
        ChatTranslator("http://127.0.0.1:9/v1", "m").translate([Wish("Hi", 1.0)], "en", "es")


def test_model_names_are_the_folders(tmp_path):
    assert ModelTranslator(tmp_path / "nllb").name == "nllb"
