"""What the app and the command line do: prepare, learn, render. Models are loaded once and kept.

Nothing heavy is imported before it is used, so that a page or a help text is there at once.
"""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lipsync.config import FinetuneConfig
from lipsync.consent import Consent
from lipsync.errors import CheckpointError, ConsentError, UsageError
from lipsync.progress import Progress
from lipsync.studio.people import RECORDINGS, Person, find_person

if TYPE_CHECKING:
    from lipsync.dubbing.order import DubResult
    from lipsync.model.base import Base
    from lipsync.render.result import RenderResult
    from lipsync.sync.metrics import Evaluation
    from lipsync.training.finetune import FinetuneResult
    from lipsync.training.readiness import Readiness
    from lipsync.types import Speech

SAMPLE_TEXT = "Papa may buy five blue balloons."  # lips closed, teeth on the lip, rounded and open
LANGUAGES = {  # the most spoken of the voices' languages
    "ar": "Arabic",
    "bn": "Bengali",
    "cmn": "Chinese",
    "cs": "Czech",
    "da": "Danish",
    "de": "German",
    "el": "Greek",
    "en": "English",
    "es": "Spanish",
    "fa": "Persian",
    "fi": "Finnish",
    "fr": "French",
    "he": "Hebrew",
    "hi": "Hindi",
    "id": "Indonesian",
    "it": "Italian",
    "ja": "Japanese",
    "ko": "Korean",
    "nl": "Dutch",
    "pl": "Polish",
    "pt": "Portuguese",
    "ru": "Russian",
    "sv": "Swedish",
    "ta": "Tamil",
    "tr": "Turkish",
    "uk": "Ukrainian",
    "ur": "Urdu",
    "vi": "Vietnamese",
}


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


class Models:
    """Loaded models by what they were loaded from; a file that changed is loaded again.

    A base is held once; the people on it share all that their adapters leave as it is, so that several are kept and
    switched between at no cost.
    """

    def __init__(self, most: int = 8) -> None:
        self._most = most
        self._bases: dict[tuple[str, str], Base] = {}
        self._loaded: dict[tuple[Any, ...], Base] = {}

    def open(self, base: str, adapter: Path | None, device: str) -> "Base":
        """The base, with the adapter applied. Raises CheckpointError, ConsentError."""
        from lipsync.model.base import load_base
        from lipsync.model.lora import apply_adapter, load_adapter

        stamp = (adapter.absolute(), adapter.stat().st_mtime_ns) if adapter and adapter.is_file() else adapter
        key = (base, stamp, device)
        if key in self._loaded:
            self._loaded[key] = self._loaded.pop(key)  # the one used last is forgotten last
            return self._loaded[key]
        change = None if adapter is None else load_adapter(adapter)
        if (base, device) not in self._bases:
            self._bases = {(base, device): load_base(base, device)}
        model = self._bases[(base, device)]
        if change is None:
            return model
        model = apply_adapter(model, change)
        while len(self._loaded) >= self._most:
            del self._loaded[next(iter(self._loaded))]
        self._loaded[key] = model
        return model


def render(order: Order, models: Models, progress: Progress) -> "RenderResult":
    """Make the video; `order.out` appears only when it is whole. Raises LipsyncError of many kinds."""
    from lipsync.config import RenderConfig
    from lipsync.render.avatar import say
    from lipsync.render.dub import dub

    config = dataclasses.replace(RenderConfig(), **order.settings)
    recorded = order.audio if order.dub and order.mouth is None else None  # read in parts and copied, not held
    speech = None if order.mouth is not None or recorded is not None else speak(order, progress)
    base = models.open(order.base, order.adapter, order.device)
    if order.dub:
        return dub(
            order.template,
            recorded or speech,
            order.out,
            base,
            config,
            progress,
            mouth_video=order.mouth,
            stream=order.stream,
        )
    if speech is None:
        raise UsageError("only a dub follows the mouth of another video")
    return say(speech, order.template, order.out, base, config, progress, stream=order.stream)


def dub_into(
    video: Path,
    out: Path,
    wanted: Mapping[str, Any],
    models: Mapping[str, Any],
    settings: Mapping[str, Any],
    progress: Progress,
    *,
    person: str | Person | None = None,
    loaded: Models | None = None,
) -> "DubResult":
    """A video into another language, sentence by sentence (lipsync/dubbing).

    Args:
        wanted: fields of DubOrder.
        models: voice, adapter, base, device; what is not given is the person's own, or the usual.
        settings: fields of RenderConfig.
        person: whose adapter and voice are used.
    """
    from lipsync.config import RenderConfig
    from lipsync.dubbing.order import DubOrder
    from lipsync.dubbing.pipeline import dub_into as run

    whose = find_person(person) if isinstance(person, str) else person
    order = (
        order_for(whose, out, template=video, dub=True, **models) if whose else Order(video, out, dub=True, **models)
    )
    render_config = dataclasses.replace(RenderConfig(), **settings)
    dub = DubOrder(video, out, voice=order.voice, render=render_config, **wanted)
    loaded = loaded or Models()
    return run(dub, lambda: loaded.open(order.base, order.adapter, order.device), progress)


def stretches(passed: Sequence[Mapping[str, Any]], most: int = 12) -> list[str]:
    """Frames that passed through, neighbours of one reason joined: "1.20–1.84 s: no face"."""
    joined: list[list[Mapping[str, Any]]] = []
    for frame in passed:
        last = joined[-1][-1] if joined else None
        if last and last["reason"] == frame["reason"] and last["frame"] + 1 == frame["frame"]:
            joined[-1].append(frame)
        else:
            joined.append([frame])
    texts = [f"{run[0]['time_s']:.2f}–{run[-1]['time_s']:.2f} s: {run[0]['reason']}" for run in joined]
    return texts[:most] + ([f"and {len(texts) - most} more"] if len(texts) > most else [])


def speak(order: Order, progress: Progress) -> "Speech":
    """The sound of an order. Raises SpeechError when nothing in it can be spoken, VoiceError."""
    from lipsync.speech.script import read_script
    from lipsync.speech.speaking import speak_script
    from lipsync.speech.voices import DEFAULT_VOICE
    from lipsync.studio.cloning import open_with_reference

    voice = open_with_reference(order.audio or order.voice or DEFAULT_VOICE, order.reference)
    if not voice.takes_text:
        return voice.speak(order.text)
    script = order.text if order.script is None else read_script(order.script)
    return speak_script(script, voice, speed=order.speed, progress=progress)


def order_for(person: Person, out: Path, **wanted: Any) -> Order:
    """An order with the person's template, adapter and voice where `wanted` names no other.

    Raises:
        ConsentError: their record does not cover video, or a cloned voice. PersonError: they have no footage.
    """
    person.consent.check("video")
    usual: dict[str, Any] = {}
    if person.voice in {path.name for path in person.recordings()}:
        usual["voice"] = str(person.folder / RECORDINGS / person.voice)
    elif person.voice and not Path(person.voice).exists():  # a record that was taken in names no other local file
        usual["voice"] = person.voice
    if person.adapter.is_file():
        usual["adapter"] = person.adapter
    chosen = usual | {name: value for name, value in wanted.items() if value is not None}
    if "template" not in chosen:
        chosen["template"] = person.template_path()
    if str(chosen.get("voice", "")).startswith("openai:"):
        from lipsync.studio.cloning import reference_for, wants_reference

        if wants_reference(chosen["voice"]):
            chosen["reference"] = reference_for(person)
    return Order(out=out, **chosen)


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


def measure(
    video: Path,
    progress: Progress,
    reference: Path | None = None,
    sound: Path | None = None,
    *,
    base: "Base | None" = None,
    face: str = "largest",
) -> "Evaluation":
    """Judge a video (lipsync/sync/metrics.py). Raises NoFaceError, MediaError."""
    from lipsync.sync.metrics import evaluate

    return evaluate(video, reference=reference, sound=sound, base=base, face=face, progress=progress)


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


def voices() -> list[tuple[str, str]]:
    """(label, name) of every voice that speaks text, the usual one first, then those with a written-out language."""
    from lipsync.speech.voices import DEFAULT_VOICE, voice_names

    labelled = [(LANGUAGES.get(name.partition(":")[2], ""), name) for name in voice_names()]
    labelled.sort(key=lambda row: (row[1] != DEFAULT_VOICE, not row[0], row[0], row[1]))
    return [(f"{language} ({name})" if language else name, name) for language, name in labelled]
