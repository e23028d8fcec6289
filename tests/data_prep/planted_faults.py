"""Faults of footage, planted on a good take: for test_planted_faults.py on actors, for tests/bench/faults.py on people.

FAULTS holds, by name, what makes the faulty pictures and sound of two takes, and FOUND how each must show in what
`prepare` says: ("dropped", reason), ("flag", flag), ("note", words of a warning) or ("cut", "").
"""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from scipy import signal

from lipsync.media import VideoWriter
from lipsync.types import Sound

HZ = 16_000


@dataclass(frozen=True)
class Take:
    """F pictures uint8 (H, W, 3), the landmarks (68, 2 or 3) of the face in each in px, mono sound at 16 kHz."""

    pictures: list[np.ndarray]
    landmarks: list[np.ndarray]
    sound: np.ndarray
    rate: Fraction

    def __len__(self) -> int:
        return len(self.pictures)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height, px."""
        return self.pictures[0].shape[1], self.pictures[0].shape[0]


def write(path: Path, pictures, sound, rate: Fraction) -> Path:
    height, width = (side // 2 * 2 for side in pictures[0].shape[:2])
    kept = Sound(np.asarray(sound, np.float32), HZ)
    with VideoWriter(path, width=width, height=height, frame_rate=rate, sound=kept, crf=14) as writer:
        for picture in pictures:
            writer.write(np.ascontiguousarray(picture[:height, :width]))
    return path


def with_hand(picture, landmarks):
    """A palm and four fingers over the lips, in the colour of the cheek."""
    x, y = landmarks[48:68, :2].mean(0).astype(int).tolist()
    unit = float(np.linalg.norm(landmarks[36, :2] - landmarks[45, :2]))
    cheek = landmarks[31, :2] * 0.4 + landmarks[3, :2] * 0.6
    skin = tuple(float(v) * 0.92 for v in picture[int(cheek[1]), int(cheek[0])])
    out = picture.copy()
    cv2.ellipse(out, (x, int(y + 0.25 * unit)), (int(0.42 * unit), int(0.34 * unit)), 0, 0, 360, skin, -1, cv2.LINE_AA)
    for finger in (-0.3, -0.1, 0.1, 0.3):
        a, b = (int(x + finger * unit), y), (int(x + 1.2 * finger * unit), int(y - 0.5 * unit))
        cv2.line(out, a, b, skin, max(1, int(0.17 * unit)), cv2.LINE_AA)
        edge = int(0.09 * unit)
        cv2.line(out, (a[0] + edge, a[1]), (b[0] + edge, b[1]), tuple(v * 0.6 for v in skin), 1, cv2.LINE_AA)
    return out


def with_caption(picture, landmarks):
    """A line of white letters with black edges over the lips."""
    x, y = landmarks[48:68, :2].mean(0).astype(int).tolist()
    unit = float(np.linalg.norm(landmarks[36, :2] - landmarks[45, :2]))
    out, scale, place = picture.copy(), unit / 60, (int(x - 2.3 * unit), int(y + 0.15 * unit))
    for colour, thick in (((0, 0, 0), 0.09), ((255, 255, 255), 0.035)):
        thick = max(1, round(thick * unit))
        cv2.putText(out, "and this is what they", place, cv2.FONT_HERSHEY_DUPLEX, scale, colour, thick, cv2.LINE_AA)
    return out


def chords(count):
    """Notes of a piano-like sound that hold, (count,)."""
    times, out = np.arange(count) / HZ, np.zeros(count)
    for beat in range(1 + int(2 * times[-1])):
        since = np.clip(times - 0.5 * beat, 0, None)
        on = (times >= 0.5 * beat) & (times < 0.5 * beat + 0.6)
        root = (220, 262, 196, 247)[beat % 4]
        out += sum(on * np.sin(2 * np.pi * root * part * times) for part in (1, 1.26, 1.5, 2, 3)) * np.exp(-2 * since)
    return out


def as_loud(other, sound, gain=1.0):
    """`other`, repeated to the length of `sound`, `gain` times as loud."""
    other = np.resize(other, len(sound))
    return other * gain * np.sqrt((sound**2).mean() / max(float((other**2).mean()), 1e-9))


def fitted(other: Take, take: Take) -> list[np.ndarray]:
    """The other take's pictures, as many and as large as the take's."""
    pictures = [cv2.resize(p, take.size, interpolation=cv2.INTER_AREA) for p in other.pictures]
    return [pictures[i % len(pictures)] for i in range(len(take))]


def _part(take, change):
    """The second half of the pictures changed."""
    half = 3 * len(take) // 8
    return [p if i < half else change(p, x) for i, (p, x) in enumerate(zip(take.pictures, take.landmarks, strict=True))]


def _late(take, frames=6):
    late = round(frames / float(take.rate) * HZ)
    return np.concatenate([np.zeros(late), take.sound])[: len(take.sound)]


def _telephone(sound):
    return signal.sosfiltfilt(signal.butter(4, (300, 3400), "band", fs=HZ, output="sos"), sound)


def _clipped(sound):
    loud = sound / np.abs(sound).max() * 4
    return np.clip(loud, -1, 1)


def _bars(take):
    bar = take.size[1] // 6
    return [np.pad(p, ((bar, bar), (0, 0), (0, 0))) for p in take.pictures]


def _two(take, other):
    return [np.concatenate(pair, 1) for pair in zip(take.pictures, fitted(other, take)[::-1], strict=True)]


def _cut(take, other):
    half = len(take) // 2
    return take.pictures[:half] + fitted(other, take)[:-half]


FAULTS: dict[str, Callable] = {
    "good": lambda a, b: (a.pictures, a.sound),
    "late": lambda a, b: (a.pictures, _late(a)),
    "hand": lambda a, b: (_part(a, with_hand), a.sound),
    "caption": lambda a, b: (_part(a, with_caption), a.sound),
    "doubled": lambda a, b: ([a.pictures[i // 2 * 2] for i in range(len(a))], a.sound),
    "still": lambda a, b: ([a.pictures[len(a) // 4]] * len(a), a.sound),
    "upside_down": lambda a, b: ([p[::-1, ::-1] for p in a.pictures], a.sound),
    "mirrored": lambda a, b: ([p[:, ::-1] for p in a.pictures], a.sound),
    "letterboxed": lambda a, b: (_bars(a), a.sound),
    "cut": lambda a, b: (_cut(a, b), a.sound),
    "two": lambda a, b: (_two(a, b), a.sound),
    "other_sound": lambda a, b: (a.pictures, np.resize(b.sound, len(a.sound))),
    "music": lambda a, b: (a.pictures, a.sound + as_loud(chords(len(a.sound)), a.sound, 0.4)),
    "second_voice": lambda a, b: (a.pictures, a.sound + as_loud(b.sound, a.sound)),
    "telephone": lambda a, b: (a.pictures, _telephone(a.sound)),
    "clipped": lambda a, b: (a.pictures, _clipped(a.sound)),
    "broken": lambda a, b: (a.pictures, a.sound),  # and then the file is cut, see plant
}
FOUND = {
    "late": ("note", "late; corrected"),
    "hand": ("dropped", "mouth covered"),
    "caption": ("dropped", "text over the mouth"),
    "doubled": ("dropped", "repeated frames"),
    "still": ("dropped", "still picture"),
    "upside_down": ("dropped", "upside down"),
    "letterboxed": ("note", "letterboxed"),
    "cut": ("cut", ""),
    "two": ("dropped", "not speaking"),
    "other_sound": ("dropped", "out of sync"),
    "music": ("flag", "music"),
    "second_voice": ("flag", "second voice"),
    "telephone": ("flag", "telephone sound"),
    "clipped": ("flag", "clipped sound"),
    "broken": ("dropped", "the file breaks off"),
}


def plant(path: Path, fault: str, take: Take, other: Take) -> Path:
    """Write the take with that fault."""
    pictures, sound = FAULTS[fault](take, other)
    write(path, pictures, sound, take.rate)
    if fault == "broken":
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) * 6 // 10])
    return path


def is_found(result, fault: str, middle_s: float = 0.0) -> bool:
    """Whether what `prepare` says of a file names the fault. `middle_s`: where its cut is."""
    kind, text = FOUND[fault]
    if kind == "dropped":
        return text in {d.reason for d in result.dropped}
    if kind == "flag":
        return any(text in clip.flags for clip in result.clips)
    if kind == "note":
        return any(text in note for note in result.warnings)
    crossing = [c for c in result.clips if c.start_s < middle_s - 0.06 and c.start_s + c.duration_s > middle_s + 0.06]
    return any(abs(cut - middle_s) < 0.1 for cut in result.cuts_s) and not crossing
