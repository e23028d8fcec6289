"""What the windows of a segment's spans tell, read back once, as training will see them.

    share of speech, sync curve, why they cannot be used, sharpness, light, a thumbnail

Done where the segment was followed, so that the work of one long file is spread as that of many files is; only what is
concluded from all of a file together waits for its last segment (source.py). Sound is levelled by the loudness of the
whole file, but only the segment's own is held: memory does not grow with the file.
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
from data_prep.voice_activity import voice_activity
from lipsync.errors import DatasetError
from lipsync.media import probe, read_frames, read_sound
from lipsync.speech.features import (
    MEL_RATE_HZ,
    SAMPLE_RATE_HZ,
    SILENCE_DB,
    frame_levels_db,
    gated_loudness_db,
    level,
)
from lipsync.types import Sound

_PART_S = 60.0
_EDGE_S = 3.0  # of sound before and after a segment: more than a judge looks beyond a span


@dataclass(frozen=True)
class Inspected:
    """One span. `curve`: score(k) of a judge that looks at pixels (speaker.py), and `speech_share`: part of its time in
    which something is said; None where there is no such judge.

    `reason`: why its windows cannot be used, '' when they can. `thumbnail`: a JPEG of the middle one.
    """

    curve: np.ndarray | None
    speech_share: float | None
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
    heard, active = (lips.heard(sound), voice_activity(sound)) if lips and len(sound.samples) else (None, None)
    reach, found = round(config.offset_reach_s * rate), []
    for cut in cuts:
        windows, span = read_windows(cut), cut.span
        curve, share = (np.full(2 * reach + 1, -1.0), 0.0) if lips else (None, None)
        if lips and heard is not None and active is not None:
            curve = lips.curve(span, windows, heard, sound.start_s, 1 / rate, reach)
            share = speech_share(active, sound, span.start_s, span.end_s + 1 / rate)
        reason = window_reason(windows, config, rate)
        if not reason and judge.learned:
            reason = hidden_reason(windows, config)
        middle = jpeg(windows[len(windows) // 2])
        found.append(Inspected(curve, share, reason, sharpness(windows), brightness(windows), middle))
    return found


def read_windows(cut: Cut) -> np.ndarray:
    """uint8 (F, S, S, 3), as training will see them. Raises DatasetError when frames are missing."""
    windows = [frame.image for frame in read_frames(cut.windows)]
    if len(windows) != cut.span.last - cut.span.first:
        raise DatasetError(f"{cut.windows}: found {len(windows)} frames; delete {cut.windows.parent}, prepare again")
    return np.stack(windows)


def _levelled(segment: Segment) -> Sound | None:
    """The segment's sound at the level of its file; None where the file has none, or is silent."""
    loudness = file_loudness_db(segment.path, segment.content)
    if loudness is None or loudness <= SILENCE_DB:
        return None
    start_s = segment.start_s - _EDGE_S if segment.number else None
    end_s = None if segment.end_s is None else segment.end_s + _EDGE_S
    part = read_sound(segment.path, start_s=start_s, end_s=end_s, tolerant=True)
    return Sound(np.zeros(0, np.float32), SAMPLE_RATE_HZ) if part is None else level(part, loudness)


@lru_cache(16)
def file_loudness_db(path: Path, content: str) -> float | None:
    """Of a whole file with this `content`, −inf for silence, None without sound; read in parts, and kept."""
    levels, end_s = [], probe(path).duration_s
    for part in range(1 + int(end_s // _PART_S)):
        first_s = part * _PART_S if part else None
        last_s = None if (part + 1) * _PART_S > end_s else (part + 1) * _PART_S
        sound = read_sound(path, start_s=first_s, end_s=last_s, tolerant=True)
        if sound is not None and len(sound.samples):
            levels.append(frame_levels_db(sound.samples))
    return gated_loudness_db(np.concatenate(levels)) if levels else None


def speech_share(active: np.ndarray, sound: Sound, start_s: float, end_s: float) -> float:
    """Share of the time from start_s to end_s in which something is said; `active` is of the whole sound."""
    first, last = (max(0, round((t - sound.start_s) * MEL_RATE_HZ)) for t in (start_s, end_s))
    wanted = max(1, round((end_s - start_s) * MEL_RATE_HZ))
    return float(active[first:last].sum() / wanted)
