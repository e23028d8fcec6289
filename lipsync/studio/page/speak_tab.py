"""Tab 4: type and watch; and, for tab 5, one text or recording for a whole video."""

from pathlib import Path
from typing import Any

import gradio as gr

from lipsync.config import RenderConfig
from lipsync.studio.languages import voices
from lipsync.studio.page.frame import Frame, told
from lipsync.studio.page.show import empty, render_account
from lipsync.studio.studio import Spoken, read_account, renders

FACES = [("there is one", ""), ("the largest", "largest"), ("the left one", "left"), ("the right one", "right")]
SPOKEN = ["audio", "video"]
LAYOUTS = [("one after another", "cut"), ("side by side", "grid")]
HINT = (
    "Type here. [pause 0.5] makes a pause. A line that begins with ANNA: is said by Anna, if she is one of your people."
)


def add_speak_tab(frame: Frame) -> None:
    """Build the tab in which a text is typed."""
    with gr.Row():
        with gr.Column(min_width=300):
            text = gr.Textbox(label="What shall be said", lines=4, placeholder=HINT)
            template = gr.Dropdown(label="Head and body from", choices=[], allow_custom_value=True)
            voice, recording, settings = _how()
            layout = gr.Dropdown(LAYOUTS, value="cut", label="Several speakers are seen")
            speak = gr.Button("Speak", variant="primary")
        with gr.Column(min_width=300):
            add_watch(frame)
    values = [frame.who, text, template, layout, voice, recording, *settings]
    speak.click(told(lambda *given: _speak(frame, *given)), values, frame.card)
    frame.show(lambda name: _templates(frame, name), [template])


def add_other_speech(frame: Frame) -> None:
    """Build what gives a whole video other speech: one text, or one recording."""
    video = gr.File(label="A video of the chosen person", file_types=["video"], height=150)
    text = gr.Textbox(label="What shall be said instead", lines=2)
    voice, recording, settings = _how()
    gr.HTML("<p class='faint'>The finished video is in tab 4, under “Finished videos”.</p>")
    dub = gr.Button("Give it this speech")
    values = [frame.who, video, text, voice, recording, *settings]
    dub.click(told(lambda *given: _dub(frame, *given)), values, frame.card)


def add_watch(frame: Frame) -> None:
    """The finished videos: choose, watch, download, and what each says of itself."""
    which = gr.Dropdown(label="Finished videos", choices=[], allow_custom_value=True)  # the last person's, for once
    video = gr.Video(label="Watch", interactive=False, buttons=["download"])
    account = gr.HTML()
    measure = gr.Button("Measure", visible=False)
    shown = [video, account, measure]
    gr.on(
        [which.change, frame.ended.change], told(lambda path: _watch(frame, path)), which, shown, show_progress="hidden"
    )
    measure.click(told(lambda name, path: _measure(frame, name, path)), [frame.who, which], frame.card)
    frame.show(lambda name: _finished(frame, name), [which])


def _how() -> tuple[gr.Dropdown, gr.File, list[Any]]:
    """Voice, recording, and the settings that few need."""
    usual = RenderConfig()
    voice = gr.Dropdown(label="Voice", choices=voices(), value=voices()[0][1], filterable=True)
    recording = gr.File(label="Or a recording, instead of text and voice", file_types=SPOKEN, height=150)
    spoken = gr.Audio(label="Or speak it here", sources=["microphone"], type="filepath", format=None, buttons=[])
    spoken.change(lambda path: path, spoken, recording, show_progress="hidden")
    with gr.Accordion("More", open=False):
        speed = gr.Slider(0.5, 2.0, value=1.0, step=0.05, label="Speed of the speech")
        seed = gr.Number(value=usual.seed, precision=0, minimum=0, label="Seed: the same gives the same video")
        steps = gr.Slider(1, 16, value=usual.steps, step=1, label="Sampler steps: more is finer and slower")
        guidance = gr.Slider(1.0, 4.0, value=usual.guidance, step=0.1, label="Guidance: 1 is none")
        face = gr.Dropdown(FACES, value=usual.face, label="Whose mouth, where several faces are seen")
    return voice, recording, [speed, seed, steps, guidance, face]


def _spoken(text: str, voice: str, recording: str | None, speed: float, *settings: Any, template: str = "",
            layout: str = "cut") -> Spoken:  # fmt: skip
    seed, steps, guidance, face = settings
    rendering = (("seed", int(seed or 0)), ("steps", int(steps)), ("guidance", float(guidance)), ("face", face))
    return Spoken(text, voice, recording, template, rendering, 1.0 if recording else speed, layout)


def _speak(frame: Frame, name: str, text: str, template: str, layout: str, *how: Any) -> str:
    frame.studio.speak(name, _spoken(text, *how, template=template or "", layout=layout))
    return frame.card_of(name)


def _dub(frame: Frame, name: str, video: str, text: str, *how: Any) -> str:
    frame.studio.dub(name, video, _spoken(text, *how))
    return frame.card_of(name)


def _templates(frame: Frame, name: str | None) -> Any:
    names = [path.name for path in frame.studio.person(name).footage()] if name else []
    return gr.Dropdown(choices=names, value=names[0] if names else None)


def _finished(frame: Frame, name: str | None) -> Any:
    videos = renders(frame.studio.person(name)) if name else []
    return gr.Dropdown([(path.stem, str(path)) for path in videos], value=str(videos[0]) if videos else None)


def _watch(frame: Frame, path: str | None) -> tuple[Any, str, Any]:
    if not path or not Path(path).resolve().is_relative_to(frame.studio.home.resolve()):
        return (
            gr.Video(None, visible=False),
            empty("Nothing made yet: your video appears here."),
            gr.Button(visible=False),
        )
    account = render_account(read_account(Path(path)))
    return gr.Video(path, visible=True), account, gr.Button(visible=bool(account))


def _measure(frame: Frame, name: str, path: str) -> str:
    frame.studio.measure(name, Path(path))
    return frame.card_of(name)
