"""What the windows of a segment's spans tell, read back once, as training will see them.

    sync curve, why they cannot be used, sharpness, light, a thumbnail

Done where the segment was followed, so that the work of one long file is spread as that of many files is; only what is
concluded from all of a file together waits for its last segment (source.py). Sound is levelled by the loudness of the
whole file, but only the segment's own is held.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from data_prep.clips import jpeg
from data_prep.engine import Tools
from data_prep.quality import brightness, hidden_reason, sharpness, window_reason
from data_prep.segments import Cut, Segment, read_followed
from data_prep.speaker import LipJudge
from lipsync.errors import DatasetError
from lipsync.media import read_frames, read_sound
from lipsync.speech.features import SAMPLE_RATE_HZ, SILENCE_DB, level, loudness_db
from lipsync.types import Sound

_EDGE_S = 3.0  # of sound before and after a segment: more than a judge looks beyond a span


@dataclass(frozen=True)
class Inspected:
    """One span. `curve`: score(k) of a judge that looks at pixels (speaker.py), None where there is none such.

    `reason`: why its windows cannot be used, '' when they can. `thumbnail`: a JPEG of the middle one.
    """

    curve: np.ndarray | None
    reason: str
    sharpness: float
    brightness: float
    thumbnail: bytes


def inspect_segment(segment: Segment, work: Path, tools: Tools) -> list[Inspected]:
    """Inspect every span that `follow_segment` wrote, in order; nothing where the file is silent.

    Raises:
        DatasetError: what was written is damaged.
    """
    cuts = read_followed(work / segment.cut_id(tools.config), 0).cuts
    if not cuts:
        return []
    sound = _levelled(segment)
    if sound is None:
        return []
    config, judge, rate = tools.config, tools.judge, float(segment.frame_rate)
    lips = judge if isinstance(judge, LipJudge) else None
    heard = lips.heard(sound) if lips and len(sound.samples) else None
    reach, found = round(config.offset_reach_s * rate), []
    for cut in cuts:
        windows, curve = read_windows(cut), np.full(2 * reach + 1, -1.0) if lips else None
        if lips and heard is not None:
            curve = lips.curve(cut.span, windows, heard, sound.start_s, 1 / rate, reach)
        reason = window_reason(windows, config, rate)
        if not reason and judge.learned:
            reason = hidden_reason(windows, config)
        middle = jpeg(windows[len(windows) // 2])
        found.append(Inspected(curve, reason, sharpness(windows), brightness(windows), middle))
    return found


def read_windows(cut: Cut) -> np.ndarray:
    """uint8 (F, S, S, 3), as training will see them. Raises DatasetError when frames are missing."""
    windows = [frame.image for frame in read_frames(cut.windows)]
    if len(windows) != cut.span.last - cut.span.first:
        raise DatasetError(f"{cut.windows}: found {len(windows)} frames; delete {cut.windows.parent}, prepare again")
    return np.stack(windows)


def _levelled(segment: Segment) -> Sound | None:
    """The segment's sound at the level of its file; None where the file has none, or is silent."""
    if segment.count == 1:
        sound = read_sound(segment.path, tolerant=True)
        return None if sound is None or loudness_db(sound) <= SILENCE_DB else level(sound)
    loudness = _loudness(segment.path, segment.content)
    if loudness <= SILENCE_DB:
        return None
    start_s = segment.start_s - _EDGE_S if segment.number else None
    end_s = None if segment.end_s is None else segment.end_s + _EDGE_S
    part = read_sound(segment.path, start_s=start_s, end_s=end_s, tolerant=True)
    return Sound(np.zeros(0, np.float32), SAMPLE_RATE_HZ) if part is None else level(part, loudness)


@lru_cache(16)
def _loudness(path: Path, content: str) -> float:
    """Of a whole file, −inf where it has no sound; kept, as its segments ask for it one after the other."""
    sound = read_sound(path, tolerant=True)
    return float("-inf") if sound is None else loudness_db(sound)
