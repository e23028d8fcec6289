"""From footage to an adapter, as the app and the command line do it: fetch, prepare, judge, learn.

Nothing heavy is imported before it is used, so that a page or a help text is there at once.
"""

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lipsync.config import FinetuneConfig
from lipsync.consent import Consent
from lipsync.errors import CheckpointError, ConsentError, UsageError
from lipsync.progress import Progress
from lipsync.studio.people import Person

if TYPE_CHECKING:
    from lipsync.training.finetune import FinetuneResult
    from lipsync.training.readiness import Readiness


def prepare_footage(
    footage: list[Path],
    dataset: Path,
    progress: Progress,
    *,
    labels: Path | None = None,
    person: Person | None = None,
    workers: int = 0,
    engine: str = "local",
    **settings: Any,
) -> dict[str, Any]:
    """Make a dataset, or add to one. `settings` are fields of PrepareConfig.

    Returns:
        The report (data_prep/report.py): minutes kept, minutes dropped by reason, warnings with advice, sources.

    Raises:
        MediaError, DatasetError: no footage, or nothing usable in it.
    """
    from data_prep.labels import read_labels
    from data_prep.pipeline import prepare
    from lipsync.config import PrepareConfig

    config = dataclasses.replace(PrepareConfig(), **settings)
    known = read_labels(labels) if labels else {}
    if person:
        known |= {path.name: {"person": person.name, "rights": "consent"} for path in footage}
    prepare(footage, dataset, config, known, progress, workers=workers, engine=engine)
    return read_report(dataset)


def fetch(url: str, folder: Path, progress: Progress, rights: str = "", **options: Any) -> list[Path]:
    """Fetch the video behind a link: the one thing that needs the network. `options`: of data_prep.download.

    Raises UsageError, MediaError.
    """
    from data_prep.download import download

    return [file.path for file in download(url.strip(), folder, rights=rights, progress=progress, **options)]


def check_link(text: str | None) -> str:
    """The link of a video as it was pasted, before anything is fetched. Raises UsageError when it is none."""
    link = (text or "").strip()
    if not link.lower().startswith(("http://", "https://")):
        found = f"{link[:60]!r} is no link" if link else "no link yet"
        raise UsageError(f"{found}: paste the address of a video, which begins with https://")
    return link


def read_report(dataset: Path) -> dict[str, Any]:
    """The report of a prepared dataset; {} where there is none."""
    path = dataset / "report.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def learn(
    dataset: Path,
    out: Path,
    consent: Consent,
    progress: Progress,
    *,
    base: str = "base",
    device: str = "auto",
    seed: int | None = None,
    resume: bool = False,
    **settings: Any,
) -> "FinetuneResult":
    """Learn a person; `settings` are fields of FinetuneConfig. Raises DatasetError, ConsentError, CheckpointError."""
    from lipsync.training.finetune import finetune

    config = dataclasses.replace(FinetuneConfig(), **settings)
    if seed is not None:
        config = dataclasses.replace(config, seed=seed)
    return finetune(
        dataset, out, base=base, config=config, consent=consent, resume=resume, device=device, progress=progress
    )


def check_learning(
    dataset: Path, progress: Progress, *, base: str = "base", device: str = "auto", **settings: Any
) -> "Readiness":
    """Judge the footage and measure how long learning takes here. Raises DatasetError, CheckpointError."""
    from lipsync.training.readiness import check_readiness

    config = dataclasses.replace(FinetuneConfig(), **settings)
    return check_readiness(dataset, base=base, config=config, device=device, progress=progress)


def learning_so_far(person: Person) -> tuple[Path | None, dict[str, list[tuple[int, float]]]]:
    """(newest sheet of samples, curves) of the person's last run of learning."""
    from lipsync.training.watch import latest_samples, read_curves

    run = person.adapter.with_name(person.adapter.name + ".run")
    return latest_samples(run)[0], read_curves(run)


def adapter_header(path: Path) -> dict[str, Any]:
    """What an adapter's header says: person, consent, card, footage; no weight is read.

    Raises:
        CheckpointError: not an adapter.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:
            return json.loads((file.metadata() or {}).get("notes", "{}"))
    except (SafetensorError, OSError, json.JSONDecodeError) as error:
        raise CheckpointError(f"{path}: not an adapter ({error}); make one with lipsync finetune") from error


def need_consent(consent: Consent | None) -> Consent:
    """The record, or a ConsentError that says how to make one."""
    if consent is None:
        raise ConsentError(
            "nobody is learned without their consent: give --person NAME (made with: lipsync people add NAME "
            "--recorded-by YOU), or --consent FILE with a record"
        )
    return consent


def default_minutes() -> float:
    """How long a person is learned unless said otherwise."""
    return FinetuneConfig().minutes
