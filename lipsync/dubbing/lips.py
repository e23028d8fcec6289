"""The lips' stage: the renderer hears the new voices alone, without music or noise, and leaves lips.mp4.

It is done again when voices, video, models (an adapter learned anew is one) or settings change; a new background or
loudness changes no picture. One that was stopped goes on with the piece in which it stopped, and after an edited
sentence only the pieces that it touches are rendered: they stay in lips/ (lipsync/render/pieces.py).
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lipsync.dubbing.folder import WorkFolder, content, write_json
from lipsync.dubbing.order import DubOrder
from lipsync.model.base import Base
from lipsync.progress import Progress
from lipsync.render.dub import dub
from lipsync.render.pieces import job_key

LIPS, ACCOUNT = "lips.mp4", "lips.json"


def render_lips(
    order: DubOrder, folder: WorkFolder, open_base: Callable[[], Base], video_id: list[Any], progress: Progress
) -> dict[str, Any]:
    """Render unless lips.mp4 is there for the same voices. Returns the renderer's account."""
    base = open_base()
    inputs = [video_id, content(folder["speech.wav"]), job_key(base, order.render, order.video)]

    def make() -> None:
        result = dub(
            order.video, folder["speech.wav"], folder[LIPS], base, order.render, progress, pieces=folder["lips"]
        )
        write_json(folder[ACCOUNT], result.as_dict())

    folder.stage("lips", inputs, [LIPS, ACCOUNT], make)
    return read_account(folder[ACCOUNT])


def read_account(path: Path) -> dict[str, Any]:
    """The renderer's account of lips.mp4."""
    return dict(json.loads(path.read_text(encoding="utf-8")))
