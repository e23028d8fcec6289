"""Subtitles: what is written comes back, what can be repaired is, and what cannot names its line."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lipsync.errors import SpeechError
from lipsync.speech.subtitles import (
    Cue,
    clean,
    format_srt,
    format_vtt,
    parse_subtitles,
    read_subtitles,
    spoken,
    write_subtitles,
)

PLAIN = "1\n00:00:01,000 --> 00:00:02,500\nHello\nthere\n\n2\n00:00:03,000 --> 00:00:04,000\nBye\n"
HELLO = (Cue(1.0, 2.5, "Hello\nthere"), Cue(3.0, 4.0, "Bye"))


def test_plain():
    found = parse_subtitles(PLAIN)
    assert found.cues == HELLO and found.notes == ()


@pytest.mark.parametrize(
    "text",
    [
        "\ufeff" + PLAIN,
        PLAIN.replace("\n", "\r\n"),
        PLAIN.replace("\n", "\r"),
        "\n\n" + PLAIN + "\n\n\n",
        PLAIN.replace(" --> ", "-->"),
        PLAIN.replace(",", "."),
        PLAIN.replace(" --> ", " -> "),
        PLAIN.replace("02,500", "02,5").replace("04,000", "04"),
        PLAIN.replace("Hello", "<i>{\\an8}Hello</i>").replace("Bye", '<font color="#ff0000">Bye</font>'),
        PLAIN.replace("2,500", "2,500 X1:0 X2:9"),
        PLAIN.replace("\n\n2", "\n2"),  # the empty line is missing
    ],
)
def test_forms_that_mean_the_same(text):
    found = parse_subtitles(text)
    assert found.cues == HELLO and found.notes == ()


def test_an_empty_line_inside_a_text_does_not_end_it():
    assert parse_subtitles(PLAIN.replace("Hello\nthere", "Hello\n\nthere")).cues == HELLO


@pytest.mark.parametrize(
    ("text", "note"),
    [
        (PLAIN.replace("2\n00:00:03", "7\n00:00:03"), "cue 2 is numbered '7'"),
        (PLAIN.replace("\n2\n00:00:03", "\n00:00:03"), "cue 2 is numbered ''"),
        (PLAIN.replace("Bye", ""), "has no text"),
        (PLAIN.replace("00:00:03,000", "00:00:02,000"), "overlap at 2.000 s, by 0.500 s"),
        (PLAIN.replace("00:00:01,000 --> 00:00:02,500", "00:00:05,000 --> 00:00:06,000"), "sorted"),
    ],
)
def test_repairs_are_noted(text, note):
    assert any(note in found for found in parse_subtitles(text).notes)


@pytest.mark.parametrize(
    ("text", "line", "found"),
    [
        (PLAIN.replace("00:00:03,000 -->", "00:xx:03,000 -->"), "line 7", "00:xx:03,000"),
        (PLAIN.replace("00:00:04,000", "00:00:02,000"), "line 7", "ends at 2.000 s"),
        (PLAIN.replace("00:00:04,000", "00:00:03,000"), "line 7", "ends at 3.000 s"),
        (PLAIN.replace("00:00:03", "00:61:03"), "line 7", "59 minutes"),
        ("Some words\n\n" + PLAIN, "line 1", "Some words"),
        ("", "no subtitle", "00:00:01,000 -->"),
        ("just text", "line 1", "just text"),
    ],
)
def test_what_cannot_be_repaired_names_its_line(text, line, found):
    with pytest.raises(SpeechError, match=line) as caught:
        parse_subtitles(text)
    assert found in str(caught.value)


def test_vtt_with_all_that_belongs_to_it():
    text = (
        "WEBVTT - title\nKind: captions\n\nSTYLE\n::cue { color: red }\n\nNOTE\n00 not a cue\n\n"
        "intro\n00:01.000 --> 00:02.500 align:start position:0%\n"
        "<v.loud Ann &amp; Bo>Hello <00:01.500><c>there</c></v>\n\n"
        "01:00:03.000 --> 01:00:04.000\na &lt; b &amp; c\n"
    )
    found = parse_subtitles(text)
    assert found.cues == (Cue(1.0, 2.5, "Hello there", "Ann & Bo"), Cue(3603.0, 3604.0, "a < b & c"))


def test_names_in_capitals_speak_and_others_do_not():
    text = PLAIN.replace("Hello\nthere", "ANNA: Hello").replace("Bye", "Note: bye")
    assert parse_subtitles(text).cues == (Cue(1.0, 2.5, "Hello", "ANNA"), Cue(3.0, 4.0, "Note: bye"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[music] Hello\n♪ la ♪", "Hello la"),
        ("- Hello\n- Bye", "Hello Bye"),
        ("(laughs)", ""),
        ("Well (really) fine", "Well (really) fine"),
        ("\u202bשלום עולם\u202c", "שלום עולם"),
        ("[door slams]", ""),
    ],
)
def test_what_is_spoken(text, said):
    assert spoken(text) == said


def test_files(tmp_path):
    for name in ("a.srt", "a.vtt"):
        write_subtitles(tmp_path / name, [Cue(0, 1, "नमस्ते 🎉")])
        assert "नमस्ते 🎉".encode() in (tmp_path / name).read_bytes()  # UTF-8, as players expect
        write_subtitles(tmp_path / name, HELLO)
        assert read_subtitles(tmp_path / name).cues == HELLO
    (tmp_path / "w.srt").write_bytes(PLAIN.encode("utf-16"))
    assert read_subtitles(tmp_path / "w.srt").cues == HELLO
    (tmp_path / "l.srt").write_bytes(PLAIN.replace("Bye", "Adiós").encode("latin-1"))
    with pytest.raises(SpeechError, match=r"l\.srt.*UTF-8"):
        read_subtitles(tmp_path / "l.srt")
    with pytest.raises(SpeechError, match=r"none\.srt"):
        read_subtitles(tmp_path / "none.srt")
    with pytest.raises(SpeechError, match=r"\.srt or \.vtt"):
        write_subtitles(tmp_path / "a.txt", HELLO)


SCRIPTS = "->aZ9.,!?'éñßøЖяשלםعربيहिन्दी中文かなกิ한글🎉👩‍👩‍👧 \n\u200f\u202b"
TEXTS = st.text(st.sampled_from(SCRIPTS), min_size=1, max_size=40).map(clean).filter(bool)


@st.composite
def cue_lists(draw):
    """Cues in order; they may touch and overlap."""
    starts = sorted(draw(st.lists(st.integers(0, 10_000_000), min_size=1, max_size=6, unique=True)))
    return [Cue(s / 1000, (s + draw(st.integers(1, 90_000))) / 1000, draw(TEXTS)) for s in starts]


@settings(max_examples=60, deadline=None)
@given(cue_lists(), st.sampled_from(["\n", "\r\n", "\r"]), st.booleans())
def test_what_is_written_comes_back(cues, newline, bom):
    for form in (format_srt, format_vtt):
        text = ("\ufeff" if bom else "") + form(cues).replace("\n", newline)
        found = parse_subtitles(text).cues
        assert [(c.start_s, c.end_s, c.text) for c in found] == [(c.start_s, c.end_s, c.text) for c in cues]


def test_a_text_cannot_pass_for_a_time_line():
    said = "00:00:05,000 --> 00:00:06,000"
    for form in (format_srt, format_vtt):
        found = parse_subtitles(form([Cue(1, 2, f"a\n{said}\nb"), HELLO[1]])).cues
        assert [cue.text for cue in found] == [f"a\n{said.replace('-->', '⇒')}\nb", "Bye"]


@settings(max_examples=80, deadline=None)
@given(st.text(st.sampled_from("0123456789:,.-> \nWEBVTaé🎉<>&{}\\\r"), max_size=120))
def test_any_text_is_parsed_or_refused_in_words(text):
    try:
        found = parse_subtitles(text)
    except SpeechError as error:
        assert str(error)
    else:
        assert all(0 <= cue.start_s < cue.end_s and cue.text for cue in found.cues)
