"""Two videos of the same speech side by side, with the sound of the first: evidence of what learning gained."""

from fractions import Fraction
from pathlib import Path

import numpy as np

from lipsync.errors import MediaError
from lipsync.media import VideoWriter, probe, read_frames, read_sound
from lipsync.render.credentials import seal


def side_by_side(left: Path, right: Path, out: Path) -> int:
    """Write both videos next to each other; returns the number of frames. One picture of each is held at a time.

    Raises:
        MediaError: they differ in height, or one is no video.
    """
    a, b = probe(left), probe(right)
    if a.height != b.height:
        raise MediaError(f"{left} is {a.height} px high and {right} {b.height}: only videos of one height are compared")
    sound = read_sound(left, sample_rate_hz=None, mono=False)
    rate = Fraction(a.frame_rate)
    count = 0

    def _seal(part: Path) -> None:
        seal(part, out.name, {"made_from": [left.name, right.name]})

    with VideoWriter(out, width=a.width + b.width, height=a.height, frame_rate=rate, sound=sound, seal=_seal) as writer:
        for one, other in zip(read_frames(left), read_frames(right), strict=False):
            writer.write(np.concatenate([one.image, other.image], axis=1))
            count += 1
    return count
