"""What the app and the command line do to make and judge videos. Models are loaded once and kept.

Nothing heavy is imported before it is used, so that a page or a help text is there at once.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lipsync.errors import MediaError, NoFaceError, UsageError
from lipsync.progress import Progress
from lipsync.studio.order import Order
from lipsync.studio.people import RECORDINGS, Person, find_person
from lipsync.studio.singing import render_song

if TYPE_CHECKING:
    from lipsync.config import RenderConfig
    from lipsync.dubbing.order import DubResult
    from lipsync.model.base import Base
    from lipsync.render.result import RenderResult
    from lipsync.sync.metrics import Evaluation
    from lipsync.types import Speech

SAMPLE_TEXT = "Papa may buy five blue balloons."  # lips closed, teeth on the lip, rounded and open


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

    _check_report(order.report)
    config = dataclasses.replace(RenderConfig(), **order.settings)
    if order.song:
        bare = dataclasses.replace(order, report=None)  # the page is about the video with the song
        result = render_song(bare, lambda spoken: render(spoken, models, progress), progress)
        return _reported(order, result, config, None, models, progress)
    recorded = order.audio if order.dub and order.mouth is None else None  # read in parts and copied, not held
    speech = None if order.mouth is not None or recorded is not None else speak(order, progress)
    base = models.open(order.base, order.adapter, order.device)
    if order.dub:
        result = dub(
            order.template,
            recorded or speech,
            order.out,
            base,
            config,
            progress,
            mouth_video=order.mouth,
            stream=order.stream,
            pieces=order.pieces,
        )
    elif speech is None:
        raise UsageError("only a dub follows the mouth of another video")
    else:
        result = say(
            speech, order.template, order.out, base, config, progress, stream=order.stream, pieces=order.pieces
        )
    return _reported(order, result, config, speech, models, progress)


def _check_report(path: Path | None) -> None:
    """Raise UsageError, before anything is rendered, where a report cannot be written."""
    if path is not None and not path.absolute().parent.is_dir():
        raise UsageError(f"{path}: there is no folder {path.absolute().parent} for the report; make it first")


def _reported(
    order: Order,
    result: "RenderResult",
    config: "RenderConfig",
    speech: "Speech | None",
    models: Models,
    progress: Progress,
) -> "RenderResult":
    """The result after its report, if one was ordered."""
    if order.report is None:
        return result
    base = models.open(order.base, order.adapter, order.device)
    words, phonemes = ([], []) if speech is None else (speech.words, speech.phonemes)
    source = order.template if order.dub else None
    warning = _report(
        order.report, result, config, base, words=words, phonemes=phonemes, source=source, progress=progress
    )
    return dataclasses.replace(result, warnings=[*result.warnings, *warning])


def _report(path: Path, *what: Any, **more: Any) -> list[str]:
    """Write a report (see `write_report`) of a video that is whole already; returns why not, where it cannot be."""
    from lipsync.render.report import write_report

    try:
        write_report(path, *what, **more)
    except (MediaError, NoFaceError, OSError) as error:
        return [f"{path}: the video is whole, its report was not written ({error})"]
    return []


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
    report: Path | None = None,
) -> "DubResult":
    """A video into another language, sentence by sentence (lipsync/dubbing).

    Args:
        wanted: fields of DubOrder.
        models: voice, adapter, base, device; what is not given is the person's own, or the usual.
        settings: fields of RenderConfig.
        person: whose adapter and voice are used.
        report: a page about the render, written when there is a video.
    """
    from lipsync.config import RenderConfig
    from lipsync.dubbing.order import DubOrder
    from lipsync.dubbing.pipeline import dub_into as run

    _check_report(report)
    whose = find_person(person) if isinstance(person, str) else person
    order = (
        order_for(whose, out, template=video, dub=True, **models) if whose else Order(video, out, dub=True, **models)
    )
    render_config = dataclasses.replace(RenderConfig(), **settings)
    voice = order.voice if models.get("voice") or not Path(order.voice).is_file() else ""  # a person's own recording
    dub = DubOrder(video, out, voice=voice, reference=order.reference, render=render_config, **wanted)
    loaded = loaded or Models()
    result = run(dub, lambda: loaded.open(order.base, order.adapter, order.device), progress)
    if report is not None and result.out:
        from lipsync.render.result import result_from
        from lipsync.types import Timed

        base = loaded.open(order.base, order.adapter, order.device)
        said = [Timed(row.text, row.start_s, row.end_s) for row in result.segments]
        rendered = dataclasses.replace(result_from(result.render), out=result.out)
        warning = _report(report, rendered, render_config, base, words=said, source=video, progress=progress)
        result = dataclasses.replace(result, warnings=[*result.warnings, *warning])
    return result


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
