"""A song: the lips follow the singer, and the song is heard as it is.

Where Demucs is present (extra `separate`, `lipsync models get htdemucs`) the voice is taken out of the music first, and
the lips are rendered to it alone. Without it they follow all that sounds, and the result says so.
"""

import dataclasses
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from lipsync.errors import UsageError
from lipsync.progress import Progress
from lipsync.studio.order import Order

if TYPE_CHECKING:
    from lipsync.render.result import RenderResult

UNSEPARATED = (
    "a song without a separator: the lips follow the instruments too; for the singer alone: "
    'pip install "lipsync[separate]" and lipsync models get htdemucs'
)


def render_song(order: Order, render: Callable[[Order], "RenderResult"], progress: Progress) -> "RenderResult":
    """Render `order`, whose recording is a song.

    Args:
        order: with `audio`, or a recorded file as its `voice`.
        render: makes the video of an order whose recording is speech.
        progress: told of the separation.

    Raises:
        UsageError: no recording, or the output is streamed. And what `render` raises.
    """
    from lipsync.media.remux import write_with_sound
    from lipsync.media.supply import SoundSupply
    from lipsync.render.credentials import read_credentials, seal
    from lipsync.speech.blocks import WavWriter
    from lipsync.speech.hub import DEFAULTS, SEPARATOR
    from lipsync.speech.separate import can_separate, separate

    song = order.audio or (Path(order.voice) if Path(order.voice).is_file() else None)
    if song is None or order.stream:
        raise UsageError("a song is a recorded file (--audio FILE, or --voice FILE with say), and is not streamed")
    spoken = dataclasses.replace(order, song=False, audio=song)
    if not can_separate(DEFAULTS[SEPARATOR]):
        result = render(spoken)
        return dataclasses.replace(result, warnings=[*result.warnings, UNSEPARATED])
    with tempfile.TemporaryDirectory(prefix="lipsync-") as folder:
        vocals, lips = Path(folder) / "vocals.wav", Path(folder) / "lips.mp4"
        supply = SoundSupply(song)
        with WavWriter(vocals, supply.rate, supply.channels) as out:
            for voice, _ in separate(supply, progress=progress):
                out.write(voice)
        result = render(dataclasses.replace(spoken, audio=vocals, out=lips))
        stated = read_credentials(lips).details
        write_with_sound(
            lips, song, order.out, lambda part: seal(part, order.out.name, stated), end_s=result.duration_s
        )
    return dataclasses.replace(result, out=str(order.out))
