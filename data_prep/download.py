"""Footage from a link, through yt-dlp: one file a video, and beside it where it came from.

For a face 480 to 1080 lines are wanted: fewer show no teeth, more only take longer. A download that was broken off
goes on where it stopped. Where only a part is wanted, the rest is cut off after fetching. FILE.source.json keeps
source, title, uploader, date, licence and the rights that the user states; `prepare` takes a clip's rights and origin
from it.
"""

import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yt_dlp
from yt_dlp.networking.exceptions import HTTPError, TransportError
from yt_dlp.utils import DownloadError, YoutubeDLError

from data_prep.labels import sidecar_of
from lipsync.errors import MediaError, UsageError
from lipsync.media.trim import copy_part
from lipsync.progress import Progress, Silent

_FIT, _MOST = "[height<=1080][height>=480]", "[height<=1080]"
_PIECES = (f"bv*{_FIT}+ba", f"b{_FIT}", f"bv*{_MOST}+ba", f"b{_MOST}", "b")
_PLAYLISTS = ("playlist", "multi_video")


@dataclass(frozen=True)
class Downloaded:
    """A file that was fetched and where it came from. `date` as YYYYMMDD; what the site does not say is ''."""

    path: Path
    source: str
    title: str = ""
    uploader: str = ""
    date: str = ""
    licence: str = ""
    rights: str = ""
    part: str = ""  # of the video, in seconds: "90-120"; "" all of it


class _Quiet:
    """yt-dlp's messages, unheard: errors come as exceptions, progress through the hook."""

    def debug(self, message: str) -> None:
        """Ignore."""

    info = warning = error = debug


class _Hook:
    """Turns yt-dlp's reports into ours, in megabytes."""

    def __init__(self, progress: Progress) -> None:
        self.progress, self.done_mb, self.file = progress, 0.0, ""

    def __call__(self, report: Mapping[str, Any]) -> None:
        """One report of a running download; raises what the progress raises, which stops the download."""
        if self.file != report.get("filename"):
            total = report.get("total_bytes") or report.get("total_bytes_estimate")
            self.file, self.done_mb = str(report.get("filename")), 0.0
            self.progress.start("downloading", total and total / 1e6, "MB")
        now_mb = (report.get("downloaded_bytes") or 0) / 1e6
        self.progress.advance(max(0.0, now_mb - self.done_mb), Path(self.file).name)
        self.done_mb = now_mb
        if report.get("status") == "finished":
            self.progress.done()


def download(
    url: str,
    folder: Path,
    *,
    playlist: bool = False,
    rights: str = "",
    start_s: float = 0.0,
    end_s: float | None = None,
    progress: Progress | None = None,
) -> list[Downloaded]:
    """Fetch the video behind a link into a folder.

    Args:
        url: http or https; a page that yt-dlp knows, or a media file.
        folder: made when missing.
        playlist: fetch every video of a link that holds several, instead of refusing it.
        rights: by what right the footage is used, as the user states it.
        start_s, end_s: the part that is wanted; it begins at the last key picture before start_s. None: to the end.

    Returns:
        What was fetched, or was there already.

    Raises:
        UsageError: not an http link, several videos without `playlist`, or a part that ends before it begins.
        MediaError: no network, no video behind the link, or the site refuses; says which.
    """
    if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).netloc:
        raise UsageError(f"{url!r} is no link; give one that begins with http:// or https://, or a file's path")
    if start_s < 0 or (end_s is not None and end_s <= start_s):
        raise UsageError(f"the part from {start_s:g} s to {end_s} s is none; give a start before the end")
    folder = Path(folder)
    part = f"{start_s:g}-{'' if end_s is None else f'{end_s:g}'}" if start_s or end_s is not None else ""
    folder.mkdir(parents=True, exist_ok=True)
    options: Any = _options(folder, progress or Silent())
    with yt_dlp.YoutubeDL(options) as fetcher:
        try:
            found: Any = fetcher.extract_info(url, download=False)
            if found.get("_type") in _PLAYLISTS and not playlist:
                count = found.get("playlist_count") or len(list(found.get("entries") or []))
                raise UsageError(f"{url} holds {count} videos; give the link of one, or ask for the whole playlist")
            if part and (known := _fetched_part(fetcher, found, part)):
                return [known]
            found = fetcher.extract_info(url, download=True)
        except YoutubeDLError as error:
            raise MediaError(_why(url, error)) from error
    files = [_downloaded(entry, url, rights) for entry in _entries(found) if entry.get("requested_downloads")]
    if not files:
        raise MediaError(f"{url}: no video was found behind this link; give the link of the video itself")
    if part:
        files = [_cut(file, part, start_s, end_s) for file in files]
    for file in files:
        _write_sidecar(file)
    return files


def _part_of(path: Path, part: str) -> Path:
    return path.with_name(f"{path.stem}_{part}s{path.suffix}")


def _fetched_part(fetcher: Any, found: Mapping[str, Any], part: str) -> Downloaded | None:
    """The part of one video, where an earlier run has cut it already."""
    if found.get("_type") in _PLAYLISTS:
        return None
    path = _part_of(Path(fetcher.prepare_filename(found)), part)
    if not (path.is_file() and sidecar_of(path).is_file()):
        return None
    return Downloaded(path, **json.loads(sidecar_of(path).read_text(encoding="utf-8")))


def _cut(file: Downloaded, part: str, start_s: float, end_s: float | None) -> Downloaded:
    """The part of a file in place of the whole."""
    path = _part_of(file.path, part)
    copy_part(file.path, path, start_s, end_s)
    file.path.unlink()
    return replace(file, path=path, part=part)


def _options(folder: Path, progress: Progress) -> dict[str, Any]:
    """yt-dlp's options. Streams of picture and sound apart are joined only where an ffmpeg program is there."""
    merging = shutil.which("ffmpeg") is not None
    return {
        "format": "/".join(piece for piece in _PIECES if merging or "+" not in piece),
        "paths": {"home": str(folder)},
        "outtmpl": "%(title).80B_%(id).40B.%(ext)s",
        "restrictfilenames": True,
        "noplaylist": True,
        "continuedl": True,
        "overwrites": False,
        "retries": 3,
        "socket_timeout": 20,
        "cachedir": False,
        "noprogress": True,
        "quiet": True,
        "logger": _Quiet(),
        "progress_hooks": [_Hook(progress)],
    }


def _entries(found: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    if found.get("_type") in _PLAYLISTS:
        for entry in found.get("entries") or []:
            if entry:
                yield from _entries(entry)
    else:
        yield found


def _downloaded(entry: Mapping[str, Any], url: str, rights: str) -> Downloaded:
    def text(*names: str) -> str:
        return next((str(entry[name]) for name in names if entry.get(name)), "")

    return Downloaded(
        Path(entry["requested_downloads"][0]["filepath"]),
        text("webpage_url", "original_url") or url,
        text("title"),
        text("uploader", "channel"),
        text("upload_date", "release_date"),
        text("license"),
        rights,
    )


def _write_sidecar(file: Downloaded) -> None:
    values = {key: value for key, value in asdict(file).items() if key != "path"}
    target = sidecar_of(file.path)
    part = target.with_name(target.name + ".part")
    part.write_text(json.dumps(values, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    part.replace(target)


def _why(url: str, error: BaseException) -> str:
    """What a creator should know of yt-dlp's error."""
    cause = _root(error)
    if isinstance(cause, HTTPError):
        return f"{url}: the site answers {cause.status} ({cause.reason}); check the link, or that the video is public"
    if isinstance(cause, TransportError):
        return (
            f"{url}: {urlsplit(url).hostname} cannot be reached ({cause}); check the network connection, "
            "or download the file on another machine and give its path"
        )
    return f"{url}: no video could be fetched ({_plain(str(error))}); check the link, or download the file yourself"


def _root(error: BaseException) -> BaseException | None:
    """The network error within, if there is one."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, HTTPError | TransportError):
            return seen
        inner = seen.exc_info[1] if isinstance(seen, DownloadError) and seen.exc_info else None
        seen = inner or getattr(seen, "cause", None) or seen.__cause__
    return None


def _plain(text: str) -> str:
    return text.removeprefix("ERROR: ").split("; please report")[0].strip().rstrip(".")
