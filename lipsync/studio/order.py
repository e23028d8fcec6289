"""What is asked for: one video, from one template and one source of speech or of a mouth."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Order:
    """One video to be rendered onto `template`, from one of text, script, audio (a recording) and mouth.

    `dub`: every frame of the template is kept, at its time; else the video is as long as the speech. A recorded
    `voice` speaks as it is, so it needs no text. `settings` are fields of RenderConfig.
    """

    template: Path
    out: Path
    text: str = ""
    script: Path | None = None
    audio: Path | None = None
    mouth: Path | None = None
    dub: bool = False
    voice: str = ""
    reference: Path | None = None  # of the voice that is cloned
    speed: float = 1.0
    adapter: Path | None = None
    base: str = "base"
    device: str = "auto"
    settings: Mapping[str, Any] = field(default_factory=dict)
    stream: bool = False  # the output grows as a fragmented MP4; "-" is standard output
    pieces: Path | None = None  # a folder in which finished pieces stay for the next render
    report: Path | None = None  # a page about the render, written when it is done
    song: bool = False  # the recording is a song: the lips follow the singer
