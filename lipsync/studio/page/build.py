"""Put the page together and serve it: on this computer only, nothing reported, nothing fetched from outside."""

import os
from collections.abc import Callable
from typing import Any

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # read when gradio is imported

import gradio as gr

from lipsync.errors import LipsyncError, UsageError
from lipsync.studio.page.dub_tab import add_dub_tab
from lipsync.studio.page.footage_tab import add_footage_tab
from lipsync.studio.page.frame import Frame
from lipsync.studio.page.learn_tab import add_learn_tab
from lipsync.studio.page.people_tab import add_people_tab
from lipsync.studio.page.speak_tab import add_speak_tab
from lipsync.studio.page.theme import CSS, theme
from lipsync.studio.studio import Studio

FIRST_PORT = 7860
TICK_S = 1.0
POLL_S = 0.02  # gradio looks for work 1,000 times a second otherwise: 5 % of a core while nobody is there
UPLOAD_LIFE_S = (3600, 6 * 3600)  # how often uploads are looked through, and how old they grow
HEAD = "<h1>lipsync</h1><p>Bring footage of a person who agreed. Type, and watch them say it, or dub their videos.</p>"
TABS = (
    ("1 Person", add_people_tab),
    ("2 Footage", add_footage_tab),
    ("3 Learn", add_learn_tab),
    ("4 Speak", add_speak_tab),
    ("5 Dub", add_dub_tab),
)


def build_app(studio: Studio | None = None) -> gr.Blocks:
    """The page, not yet served."""
    studio = studio or Studio()
    with gr.Blocks(title="lipsync", analytics_enabled=False, delete_cache=UPLOAD_LIFE_S, fill_width=True) as page:
        gr.HTML(HEAD, elem_id="head")
        last = gr.BrowserState("", storage_key="lipsync-person", secret="lipsync")
        with gr.Row():
            who = gr.Dropdown(label="Person", choices=[], scale=3, min_width=220)
            stop = gr.Button("Stop the job", elem_id="stop", scale=1, min_width=120, visible=False)
        frame = Frame(studio, who, gr.HTML(), gr.State(""))
        with gr.Tabs():
            for title, add in TABS:
                with gr.Tab(title):
                    add(frame)
        _connect(page, frame, last, stop)
    return page


def _connect(page: gr.Blocks, frame: Frame, last: gr.BrowserState, stop: gr.Button) -> None:
    """What happens by itself: the chosen person is remembered, the job watched, the tabs filled anew when it ends."""
    quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
    page.load(lambda name: _people(frame, name), last, frame.who, **quiet)
    frame.who.change(lambda name: name or "", frame.who, last, **quiet)
    gr.Timer(TICK_S).tick(lambda name: _tick(frame, name), frame.who, [frame.card, frame.ended, stop], **quiet)
    stop.click(lambda name: _stop(frame, name), frame.who, frame.card, **quiet)
    for show, outputs, inputs in frame.shown:
        gr.on([page.load, frame.who.change, frame.ended.change], show, [frame.who, *inputs], outputs, **quiet)


def _people(frame: Frame, last: str) -> Any:
    names = frame.studio.names()
    value = last if last in names else (names[0] if names else None)
    return gr.Dropdown(choices=names, value=value)


def _tick(frame: Frame, name: str | None) -> tuple[str, str, Any]:
    """The job's card; a text that changes when a job ends; whether there is something to stop."""
    try:
        job = frame.studio.job(name)
    except LipsyncError:  # the person was deleted meanwhile
        return "", "", gr.Button(visible=False)
    running = job is not None and not job.over
    return frame.card_of(name), f"{job.id} {job.over}" if job else "", gr.Button(visible=running)


def _stop(frame: Frame, name: str) -> str:
    frame.studio.stop(name)
    return frame.card_of(name)


def serve(
    host: str = "127.0.0.1", port: int = 0, open_browser: bool = True, ready: Callable[[str], None] | None = None
) -> None:
    """Serve the page until interrupted; `ready` is told its address. Raises UsageError when the port is taken."""
    studio = Studio()
    os.environ.setdefault("GRADIO_TEMP_DIR", str(studio.home / ".uploads"))
    page = build_app(studio)
    try:
        _, address, _ = page.launch(
            server_name=host,
            server_port=port or None,
            inbrowser=open_browser,
            prevent_thread_lock=True,
            share=False,
            theme=theme(),
            head=f"<style>{CSS}</style>",
            allowed_paths=[str(studio.home)],
            footer_links=[],
            enable_monitoring=False,
            ssr_mode=False,
            quiet=True,
        )
    except OSError as error:
        where = f"{host}:{port or FIRST_PORT}"
        raise UsageError(f"the app cannot be served at {where} ({error}); try another --port") from error
    page._queue.sleep_when_free = POLL_S
    if ready:
        ready(address)
    try:
        page.block_thread()
    finally:
        studio.jobs.close()
