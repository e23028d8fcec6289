"""A small dataset of drawn mouths whose motion is known from their sound, written as `prepare` writes it."""

from pathlib import Path

import cv2
import numpy as np
from safetensors.numpy import save_file

from lipsync.faces.align import MOUTH
from lipsync.faces.template import HEAD
from lipsync.speech.features import MEL_SILENCE
from lipsync.training.clipstore import MEL_PAD_S, ClipRecord, write_manifest


def write_drawn_dataset(
    folder: Path, clips: int = 6, frames: int = 50, size: int = 32, late_frames: int = 0, person: str = "drawn"
) -> Path:
    """The mouth opens with the loudness of the low mel bands; the sound comes `late_frames` late."""
    (folder / "clips").mkdir(parents=True)
    records = []
    for i in range(clips):
        rng = np.random.default_rng(i)
        times = np.arange(frames) / 25
        mel_times = np.arange(round((times[-1] + 2 * MEL_PAD_S) * 100) + 1) / 100 - MEL_PAD_S
        phase, speed = rng.uniform(0, 6), rng.uniform(5, 9)

        def loud(t: np.ndarray, phase: float = phase, speed: float = speed) -> np.ndarray:
            return np.clip(np.sin(speed * t + phase) + 0.4 * np.sin(2.3 * speed * t), 0, None)

        mel = np.full((len(mel_times), 80), MEL_SILENCE, np.float32)
        mel[:, :30] += 1.2 * loud(mel_times - late_frames / 25)[:, None]
        mouth = np.repeat(HEAD[MOUTH][None], frames, 0)
        mouth[:, 28:31, 1] += 0.15 * loud(times)[:, None]
        mouth[:, 3:8, 1] += 0.1 * loud(times)[:, None]
        points = mouth[..., :2] * size / 2 + [size / 2, -0.36 * size / 2]
        name = f"{person}_{i:02d}"
        _draw(folder / "clips" / f"{name}.mp4", points, size, rng.integers(60, 200, 3))
        arrays = {"times_s": times, "mouth": mouth, "points": points, "pose_deg": np.zeros((frames, 3)), "log_mel": mel}
        save_file(
            {k: np.ascontiguousarray(v, np.float64 if k == "times_s" else np.float32) for k, v in arrays.items()},
            folder / "clips" / f"{name}.safetensors",
        )
        records.append(ClipRecord(name, f"{name}.mp4", person, 0.0, frames / 25, frames, 25.0, 60.0))
    write_manifest(folder, records)
    return folder


def _draw(path: Path, points: np.ndarray, size: int, skin: np.ndarray) -> None:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 25, (size, size))
    assert writer.isOpened()
    for p in points:
        image = np.full((size, size, 3), skin, np.uint8)
        cv2.fillPoly(image, [p[11:23].round().astype(np.int32)], (60, 60, 180))
        cv2.fillPoly(image, [p[23:31].round().astype(np.int32)], (20, 10, 10))
        writer.write(image)
    writer.release()
