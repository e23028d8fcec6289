"""`lipsync doctor`: does each part work here, and what to do where it does not. Exit 1 when an essential one fails."""

import argparse
import importlib.metadata
import platform
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path

from lipsync.cli.run import DONE, FAILED, Outcome
from lipsync.errors import LipsyncError
from lipsync.progress import Progress
from lipsync.studio import service
from lipsync.studio.people import home_folder, list_people

LEAST_FREE_GB = 5.0
PACKAGES = ("torch", "av", "mediapipe", "opencv-python-headless", "peft", "gradio")
AGAIN = "run: make setup"


@dataclass(frozen=True)
class Finding:
    """One line of the report. `todo` says what to do when it is not ok."""

    name: str
    ok: bool
    found: str
    todo: str = ""
    essential: bool = True


def doctor(args: argparse.Namespace, progress: Progress) -> Outcome:
    """Run every check, in order."""
    checks: list[tuple[str, Callable[[], str], str, bool]] = [
        ("versions", _versions, AGAIN, True),
        ("device", lambda: _device(args.device), "use --device cpu, or mend the GPU's driver", True),
        ("base model", lambda: _base(args.device), "get checkpoints/ as the repository has it", True),
        ("faces", _faces, AGAIN, True),
        ("voice", _voice, AGAIN + "; recorded files work without it", False),
        ("media", _media, AGAIN, True),
        ("disk", _disk, f"free some: {LEAST_FREE_GB:g} GB are enough to begin with", False),
        ("people", _people, "mend or delete the folders named", False),
    ]
    progress.start("checking", len(checks), "checks")
    findings = []
    for name, check, todo, essential in checks:
        findings.append(_finding(name, check, todo, essential))
        progress.advance(1, name)
    progress.done()
    lines = [f"{'ok    ' if f.ok else 'NOT OK'}  {f.name}: {f.found}{'' if f.ok else '. ' + f.todo}" for f in findings]
    broken = [f.name for f in findings if f.essential and not f.ok]
    values = {"ok": not broken, "broken": broken, "findings": [asdict(f) for f in findings]}
    return Outcome(values, "\n".join(lines), FAILED if broken else DONE)


def _finding(name: str, check: Callable[[], str], todo: str, essential: bool) -> Finding:
    try:
        return Finding(name, True, check(), "", essential)
    except (LipsyncError, ImportError, OSError, RuntimeError, ValueError) as error:
        return Finding(name, False, f"{type(error).__name__}: {error}", todo, essential)


def _versions() -> str:
    found = [f"{package} {importlib.metadata.version(package)}" for package in PACKAGES]
    return ", ".join([f"Python {platform.python_version()} on {platform.system()} {platform.machine()}", *found])


def _device(name: str) -> str:
    import torch

    from lipsync.model.base import pick_device

    if pick_device(name) == "cuda":
        return f"cuda, {torch.cuda.get_device_name()}, {torch.cuda.mem_get_info()[1] / 2**30:.0f} GB"
    return f"cpu, {torch.get_num_threads()} threads (no GPU is needed, one makes it faster)"


def _base(device: str) -> str:
    base = service.Models().open("base", None, device)
    return f"{base.name} {base.hash[:12]} loads"


def _faces() -> str:
    import numpy as np

    from lipsync.faces.detect import open_detector

    grey = np.full((180, 240, 3), 128, np.uint8)
    found = len(open_detector().detect(grey))
    if found:
        raise RuntimeError(f"{found} face(s) seen in an empty picture")
    return "the detector runs, and sees nobody in an empty picture"


def _voice() -> str:
    from lipsync.speech.voices import open_voice, voice_names

    speech = open_voice().speak("All is well.")
    return f"{len(voice_names())} languages; three words in {speech.sound.duration_s:.1f} s"


def _media() -> str:
    import numpy as np

    from lipsync.media import VideoWriter, read_frames

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "check.mp4"
        with VideoWriter(path, width=64, height=64, frame_rate=Fraction(25)) as writer:
            for index in range(3):
                writer.write(np.full((64, 64, 3), 80 * index, np.uint8), index / 25)
        frames = sum(1 for _ in read_frames(path))
    if frames != 3:
        raise RuntimeError(f"wrote 3 frames, read {frames}")
    return "H.264 is written and read back"


def _disk() -> str:
    folder = home_folder()
    while not folder.exists():
        folder = folder.parent
    free_gb = shutil.disk_usage(folder).free / 2**30
    if free_gb < LEAST_FREE_GB:
        raise OSError(f"{free_gb:.1f} GB free at {folder}")
    return f"{free_gb:.0f} GB free at {folder}"


def _people() -> str:
    roster = list_people()
    if roster.broken:
        raise ValueError("; ".join(roster.broken))
    return f"{len(roster.people)} in {home_folder()}"
