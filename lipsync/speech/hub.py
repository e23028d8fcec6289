"""Models that are not shipped: which there are, where they lie, and what to do when one is missing.

A model is a folder MODELS/NAME as the hub has it. MODELS is the folder in the environment variable LIPSYNC_MODELS, else
~/.cache/lipsync/models. Nothing is fetched unless `fetch` is called (the command `lipsync models get NAME`); each file
is checked against the SHA-256 that the hub states, and appears when it is whole.
"""

import hashlib
import json
import os
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lipsync.errors import CheckpointError
from lipsync.media import WholeFile
from lipsync.progress import Progress, Silent

HUB = "https://huggingface.co"
TIMEOUT_S = 60
PIECE_BYTES = 1 << 20


@dataclass(frozen=True)
class ModelCard:
    """A model that can be fetched. `files` are endings of the files that are needed; size about, in MB."""

    name: str
    task: str
    repo: str
    size_mb: int
    licence: str
    files: tuple[str, ...] = (".json", ".bin", ".txt", ".model", ".safetensors", ".yaml")


WHISPER, TRANSLATOR, SEPARATOR, VOICE = "transcription", "translation", "separation", "voice"
_CARDS = (
    ModelCard("whisper-tiny", WHISPER, "Systran/faster-whisper-tiny", 78, "MIT"),
    ModelCard("whisper-small", WHISPER, "Systran/faster-whisper-small", 486, "MIT"),
    ModelCard("whisper-large-v3", WHISPER, "Systran/faster-whisper-large-v3", 3090, "MIT"),
    ModelCard("nllb-600m", TRANSLATOR, "facebook/nllb-200-distilled-600M", 2480, "CC-BY-NC-4.0"),
    ModelCard("m2m100-418m", TRANSLATOR, "facebook/m2m100_418M", 1940, "MIT"),
    ModelCard("kokoro-82m", VOICE, "hexgrad/Kokoro-82M", 360, "Apache-2.0", (".json", ".pth", ".pt")),
    ModelCard("htdemucs", SEPARATOR, "adefossez/HTDemucs", 170, "MIT"),
)
KNOWN: Mapping[str, ModelCard] = {card.name: card for card in _CARDS}
DEFAULTS = {WHISPER: "whisper-small", TRANSLATOR: "nllb-600m", SEPARATOR: "htdemucs"}


def models_folder() -> Path:
    """Where models are looked for."""
    named = os.environ.get("LIPSYNC_MODELS")
    return Path(named) if named else Path.home() / ".cache" / "lipsync" / "models"


def has_model(name: str) -> bool:
    """Whether the named model, or folder, is there."""
    return _folder(name).is_dir()


def model_folder(name: str, task: str) -> Path:
    """The folder of a model, by its name or path.

    Raises:
        CheckpointError: it is not there; says its name, size, licence and the command that gets it.
    """
    folder = _folder(name)
    if folder.is_dir():
        return folder
    card = KNOWN.get(name)
    if card is None:
        named = ", ".join(known.name for known in KNOWN.values() if known.task == task)
        raise CheckpointError(f"{name}: no such folder, and no known model for {task}; known: {named}")
    raise CheckpointError(
        f"the {task} model {card.name} is not here ({folder}): about {card.size_mb} MB, licence {card.licence}, from "
        f"{card.repo}. Get it with: lipsync models get {card.name}"
    )


def _folder(name: str) -> Path:
    return models_folder() / name if name in KNOWN else Path(name)


def hub_address() -> str:
    """The hub: HF_ENDPOINT, where it is set."""
    return os.environ.get("HF_ENDPOINT", HUB).rstrip("/")


def fetch(name: str, progress: Progress | None = None) -> Path:
    """Fetch a known model from the hub; files that are there and whole are kept.

    Raises:
        CheckpointError: unknown, the hub cannot be reached, or a file is not what the hub says it is.
    """
    card, progress = KNOWN.get(name), progress or Silent()
    if card is None:
        raise CheckpointError(f"no model is called {name!r}; there are: {', '.join(KNOWN)}")
    folder = models_folder() / name
    folder.mkdir(parents=True, exist_ok=True)
    files = [file for file in _listing(card) if file["rfilename"].endswith(card.files)]
    if any(file["rfilename"].endswith(".safetensors") for file in files):  # the same weights, pickled
        files = [file for file in files if not file["rfilename"].endswith("pytorch_model.bin")]
    progress.start(f"fetching {card.repo}", sum(file.get("size") or 0 for file in files), "bytes")
    for file in files:
        _fetch_file(card, file, folder, progress)
    progress.done()
    return folder


def _listing(card: ModelCard) -> list[dict[str, Any]]:
    address = f"{hub_address()}/api/models/{card.repo}?blobs=true"
    try:
        with urllib.request.urlopen(address, timeout=TIMEOUT_S) as answer:
            return json.load(answer)["siblings"]
    except (OSError, ValueError, KeyError) as error:
        raise CheckpointError(
            f"{card.name}: the hub does not answer at {hub_address()} ({error}); {_by_hand(card)}"
        ) from error


def _fetch_file(card: ModelCard, file: Mapping[str, Any], folder: Path, progress: Progress) -> None:
    name, wanted = str(file["rfilename"]), (file.get("lfs") or {}).get("sha256", "")
    target = folder / name
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise CheckpointError(f"{card.name}: the hub names a file outside its folder: {name!r}")
    if target.is_file() and target.stat().st_size == file.get("size") and (not wanted or _hash(target) == wanted):
        progress.advance(target.stat().st_size)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    whole, digest = WholeFile(target), hashlib.sha256()
    address = f"{hub_address()}/{card.repo}/resolve/main/{urllib.parse.quote(name)}"
    try:
        with urllib.request.urlopen(address, timeout=TIMEOUT_S) as answer, whole.part.open("wb") as out:
            while piece := answer.read(PIECE_BYTES):
                out.write(piece)
                digest.update(piece)
                progress.advance(len(piece))
        if wanted and digest.hexdigest() != wanted:
            raise CheckpointError(f"{card.name}: {name} is not what the hub says it is: fetch it again")
        whole.keep()
    except OSError as error:
        raise CheckpointError(f"{card.name}: {name} could not be fetched ({error}); {_by_hand(card)}") from error
    finally:
        whole.drop()


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _by_hand(card: ModelCard) -> str:
    return f"elsewhere: huggingface-cli download {card.repo} --local-dir {models_folder() / card.name}"
