"""Tab 5: a video into another language: bring it, get or type the sentences, hear them, dub, mend one, download."""

from collections.abc import Callable
from typing import Any

import gradio as gr

from lipsync.studio.desk import DubDesk
from lipsync.studio.dubs import DubProject, Row, find_dub, format_time, list_dubs, parse_voices, read_rows
from lipsync.studio.languages import languages, voices
from lipsync.studio.page.frame import ERROR_S, Frame, told
from lipsync.studio.page.show import dub_account, empty
from lipsync.studio.page.speak_tab import add_other_speech
from lipsync.studio.studio import read_account

HEAD = ["From", "To", "Who", "Original", "Translation", "How it fits"]
WIDTHS: list[str | int] = ["84px", "84px", "80px", "250px", "340px", "170px"]
BACKGROUNDS = [
    ("kept, as well as it can be", "auto"),
    ("turned down while somebody speaks", "duck"),
    ("the room's own quiet tone", "replace"),
    ("none: the new voices alone", "none"),
]
NEW = ""
STEPS = (
    "<p class='faint'>A row without a translation keeps the original voice. Edit texts and times as you like; after a "
    "change, only what depends on it is made again.</p>"
)


def add_dub_tab(frame: Frame) -> None:
    """Build the tab."""
    desk = DubDesk(frame.studio)
    which = gr.Dropdown(label="Dub", choices=[("A new dub", NEW)], value=NEW, allow_custom_value=True)
    with gr.Row() as fresh:
        video = gr.File(label="The video", file_types=["video"], min_width=260, height=200)
        with gr.Column(min_width=260):
            link = gr.Textbox(label="Or its link (needs the network)", placeholder="https://…", max_length=2000)
            language = gr.Dropdown(languages(), label="Into which language", value=None, filterable=True)
            create = gr.Button("Start this dub", variant="primary")
    table = gr.Dataframe(headers=HEAD, datatype="str", type="array", interactive=True, wrap=True, label="Sentences",
                         static_columns=[3, 5], column_widths=WIDTHS, column_count=6, buttons=[],
                         show_row_numbers=True, render=False)  # fmt: skip
    with gr.Column(visible=False) as begun:
        with gr.Row():
            before = gr.Video(label="Before", interactive=False, buttons=[], height=300, min_width=260)
            after = gr.Video(label="After", interactive=False, buttons=["download"], height=300, min_width=260)
        add_words(frame, desk, which, table)
        table.render()
        gr.HTML(STEPS)
        sound, result = add_making(frame, desk, which, table)
    with gr.Accordion("Instead: a typed text or a recording for the whole video", open=False):
        add_other_speech(frame)
    create.click(told(lambda *values: _create(frame, desk, *values)), [frame.who, video, link, language],
                 [which, video, link, frame.card])  # fmt: skip
    frame.show(lambda name, key: _dubs(frame, name, key), [which], [which])
    table.input(told(lambda *values: desk.keep(*values)), [frame.who, which, table], None, show_progress="hidden")
    changes = [which.change, frame.ended.change]
    shown = [fresh, begun, before, after, table, sound, *result]
    gr.on(changes, told(lambda *values: _state(frame, *values)), [frame.who, which], shown, show_progress="hidden")


def add_words(frame: Frame, desk: DubDesk, which: gr.Dropdown, table: gr.Dataframe) -> None:
    """How the table is filled: subtitles, transcription, or by hand."""
    with gr.Row():
        file = gr.UploadButton("Bring subtitles (.srt, .vtt)", file_types=[".srt", ".vtt"])
        hear = gr.Button("Transcribe and translate")
        find = gr.Button("Only find the sentences")
    chosen = [frame.who, which]
    file.upload(told(lambda *values: _subtitles(frame, desk, *values)), [*chosen, file], table)
    hear.click(told(lambda name, key: _do(frame, name, desk.translate, key)), chosen, frame.card)
    find.click(told(lambda name, key: _do(frame, name, desk.find_sentences, key)), chosen, frame.card)


def add_making(frame: Frame, desk: DubDesk, which: gr.Dropdown, table: gr.Dataframe) -> tuple[gr.Audio, list[Any]]:
    """Voices, the two buttons, one sentence again, and what came of it."""
    with gr.Row():
        voice = gr.Dropdown([("chosen by the speaker's pitch", ""), *voices()], value="", label="Voice", scale=2,
                            min_width=260, allow_custom_value=True)  # fmt: skip
        background = gr.Dropdown(BACKGROUNDS, value="auto", label="Music and noises under the speech", scale=2,
                                 min_width=260)  # fmt: skip
    with gr.Accordion("More: a voice for each speaker, translation by a server", open=False):
        each = gr.Textbox(label="One line for each speaker", placeholder="ANNA = espeak:hi+f2", lines=2)
        server = gr.Textbox(label="Translation server", placeholder="http://HOST/v1#MODEL")
    server.blur(told(lambda name, key, text: desk.change(name, key, translator=text.strip())),
                [frame.who, which, server], None, show_progress="hidden")  # fmt: skip
    with gr.Row():
        listen = gr.Button("Hear it first")
        dub = gr.Button("Dub", variant="primary")
    sound = gr.Audio(label="What will be heard", interactive=False, buttons=["download"], visible=False)
    values = [frame.who, which, table, voice, background, each, server]
    listen.click(told(lambda *given: _make(frame, desk.voice, *given)), values, frame.card)
    dub.click(told(lambda *given: _make(frame, desk.dub, *given)), values, frame.card)
    with gr.Accordion("Say one sentence again", open=False), gr.Row():
        number = gr.Number(1, precision=0, minimum=1, label="Row of the table", min_width=120)
        own = gr.Audio(label="A recording; empty: its voice, anew", type="filepath", min_width=260,
                       buttons=[])  # fmt: skip
        again = gr.Button("Say it again")
    again.click(told(lambda name, *given: (_do(frame, name, desk.retake, *given), None)), [*values[:3], number, own],
                [frame.card, own])  # fmt: skip
    files = gr.File(label="Download: the video and its subtitles", interactive=False, file_count="multiple")
    account = gr.HTML()
    return sound, [files, account, voice, background, each, server]


def _do(frame: Frame, name: str, step: Callable[..., Any], *values: Any) -> str:
    step(name, *values)
    return frame.card_of(name)


def _make(frame: Frame, step: Callable[..., Any], name: str, key: str, table: Any, *how: str) -> str:
    voice, background, each, server = how
    step(name, key, table, voice=voice or "", background=background, voices=parse_voices(each or ""),
         translator=(server or "").strip())  # fmt: skip
    return frame.card_of(name)


def _create(frame: Frame, desk: DubDesk, name: str, video: str | None, link: str, language: str) -> tuple[Any, ...]:
    key = desk.create(name, video, link or "", language or "")
    if key:
        gr.Info("The video is there. Next: the sentences.")
    return _dubs(frame, name, key), None, "", frame.card_of(name)


def _subtitles(frame: Frame, desk: DubDesk, name: str, key: str, path: str) -> Any:
    notes = desk.subtitles(name, key, path)
    if notes:
        gr.Warning("\n".join(notes[:8]), duration=ERROR_S)
    dub = find_dub(frame.studio.person(name), key)
    return _table(dub.language_name, read_rows(dub))


def _dubs(frame: Frame, name: str | None, key: str | None = None) -> Any:
    found = list_dubs(frame.studio.person(name)) if name else []
    choices = [(f"{dub.source.stem} in {dub.language_name}, {dub.folder.name[:16]}", dub.folder.name) for dub in found]
    known = [value for _, value in choices]
    value = key if key in known else (known[0] if known else NEW)
    return gr.Dropdown([*choices, ("A new dub", NEW)], value=value)


def _state(frame: Frame, name: str | None, key: str | None) -> tuple[Any, ...]:
    if not name or not key:
        return gr.Row(visible=True), gr.Column(visible=False), *[gr.skip()] * 10
    dub = find_dub(frame.studio.person(name), key)
    heard = dub.work / "mix.wav"
    sound = gr.Audio(str(heard) if heard.is_file() else None, visible=heard.is_file())
    each = "\n".join(f"{speaker} = {voice}" for speaker, voice in dub.voices.items())
    wanted = dub.voice, dub.background, each, dub.translator
    table = _table(dub.language_name, read_rows(dub))
    before, after, files, account = _result(dub)
    return gr.Row(visible=False), gr.Column(visible=True), before, after, table, sound, files, account, *wanted


def _result(dub: DubProject) -> tuple[Any, ...]:
    done = dub.result.is_file()
    files = [str(p) for p in (dub.result, *map(dub.result.with_suffix, (".srt", ".vtt"))) if p.is_file()]
    account = dub_account(read_account(dub.result)) if done else empty("Not dubbed yet.")
    after = gr.Video(str(dub.result) if done else None, visible=done)
    return gr.Video(str(dub.source)), after, gr.File(files or None, visible=done), account


def _table(language: str, rows: list[Row]) -> Any:
    cells = [[format_time(r.start_s), format_time(r.end_s), r.speaker, r.original, r.text, r.fit] for r in rows]
    head = [*HEAD[:4], f"In {language}", HEAD[5]]
    return gr.Dataframe(value={"headers": head, "data": cells or [["0:00.00", "0:02.00", "", "", "", ""]]})
