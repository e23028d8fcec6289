import json
import socket
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import av
import numpy as np
import pytest
from planted_faces import PlantedDetector, talk

from data_prep.__main__ import main
from data_prep.download import download
from data_prep.labels import label_of, read_labels, sidecar_of
from data_prep.pipeline import prepare
from data_prep.speaker import EnergyJudge
from lipsync.errors import Cancelled, DatasetError, MediaError, UsageError
from lipsync.media import read_frames, read_sound
from lipsync.training.clipstore import read_manifest


class Handler(SimpleHTTPRequestHandler):
    """Serves a folder with ranges, and remembers what was asked for."""

    asked: list[tuple[str, str]] = []  # noqa: RUF012

    def do_GET(self):
        Handler.asked.append((self.path, self.headers.get("Range", "")))
        path = self.translate_path(self.path)
        wanted = self.headers.get("Range", "")
        if not wanted.startswith("bytes=") or not self.path.endswith(".mp4"):
            return super().do_GET()
        data = open(path, "rb").read()  # noqa: SIM115
        first = int(wanted[6:].split("-")[0])
        self.send_response(206)
        self.send_header("Content-Type", "video/mp4")
        self.send_header("Content-Range", f"bytes {first}-{len(data) - 1}/{len(data)}")
        self.send_header("Content-Length", str(len(data) - first))
        self.end_headers()
        self.wfile.write(data[first:])
        return None

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    talk(folder / "talk one.mp4", seconds=2.0, seed=1)
    (folder / "page.html").write_text("<html><title>nothing</title><p>no video here</p></html>")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield folder, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


class Recorder:
    def __init__(self, fail=False):
        self.stages, self.amount, self.fail = [], 0.0, fail

    def start(self, stage, total=None, unit=""):
        self.stages.append((stage, total, unit))

    def advance(self, amount=1.0, note=""):
        self.amount += amount
        if self.fail:
            raise Cancelled("stopped")

    def done(self, note=""):
        pass


def test_a_file_is_fetched_with_its_origin_and_can_be_prepared(site, tmp_path):
    folder, address = site
    progress = Recorder()
    (file,) = download(f"{address}/talk%20one.mp4", tmp_path / "f", rights="my own", progress=progress)
    whole = (folder / "talk one.mp4").read_bytes()
    assert file.path.read_bytes() == whole and file.path.parent == tmp_path / "f"
    assert json.loads(sidecar_of(file.path).read_text()) == {
        "source": f"{address}/talk%20one.mp4",
        "title": file.title,
        "uploader": "",
        "date": file.date,
        "licence": "",
        "rights": "my own",
        "part": "",
    }
    assert "talk one" in file.title and progress.amount == pytest.approx(len(whole) / 1e6, rel=1e-3)
    prepare([tmp_path / "f"], tmp_path / "d", detector=PlantedDetector(), judge=EnergyJudge())
    assert [(r.rights, r.origin) for r in read_manifest(tmp_path / "d")] == [("my own", file.source)]


def test_what_is_there_is_not_fetched_again(site, tmp_path):
    (first,) = download(f"{site[1]}/talk%20one.mp4", tmp_path)
    stamp = first.path.stat().st_mtime_ns
    (second,) = download(f"{site[1]}/talk%20one.mp4", tmp_path)
    assert first == second and first.path.stat().st_mtime_ns == stamp


def test_a_part_of_a_video_is_fetched_once(site, tmp_path):
    talk(site[0] / "long.mp4", seconds=14.0, seed=4)
    (file,) = download(f"{site[1]}/long.mp4", tmp_path, start_s=11.0, end_s=13.0)
    whole = [f.image for f in read_frames(site[0] / "long.mp4")]
    part = list(read_frames(file.path))
    assert [p for p in tmp_path.iterdir() if p.suffix == ".mp4"] == [file.path] and file.part == "11-13"
    assert np.array_equal(part[0].image, whole[250]), "from the last key picture before 11 s"
    assert part[0].time_s == 0.0 and len(part) == 75 and np.array_equal(part[-1].image, whole[324])
    sound, of_whole = read_sound(file.path), read_sound(site[0] / "long.mp4")
    shared = slice(int(0.5 * sound.sample_rate_hz), int(2.5 * sound.sample_rate_hz))
    offset = round((10.0 + sound.start_s - of_whole.start_s) * sound.sample_rate_hz)
    then = of_whole.samples[offset + shared.start : offset + shared.stop].ravel()
    assert np.corrcoef(sound.samples[shared].ravel(), then)[0, 1] > 0.99
    Handler.asked.clear()
    assert download(f"{site[1]}/long.mp4", tmp_path, start_s=11.0, end_s=13.0) == [file]
    assert not any(wanted == "bytes=0-" for _, wanted in Handler.asked) and len(list(tmp_path.glob("*.mp4"))) == 1
    with pytest.raises(UsageError, match="before the end"):
        download(f"{site[1]}/long.mp4", tmp_path, start_s=5.0, end_s=5.0)
    with pytest.raises(MediaError, match="nothing lies between"):
        download(f"{site[1]}/talk%20one.mp4", tmp_path, start_s=50.0, end_s=60.0)


def _as_hls(video, folder):
    """The video as an HLS playlist of segments of about a second, as a site would stream it."""
    options = {"hls_time": "1", "hls_list_size": "0"}
    with av.open(str(video)) as source, av.open(str(folder / "stream.m3u8"), "w", format="hls", options=options) as out:
        streams = {s.index: out.add_stream_from_template(s) for s in source.streams}
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream.index]
                out.mux(packet)


def test_an_hls_stream_becomes_one_file_that_can_be_prepared(site, tmp_path):
    (site[0] / "hls").mkdir()
    talk(site[0] / "hls" / "whole.mp4", seconds=3.0, seed=5)
    _as_hls(site[0] / "hls" / "whole.mp4", site[0] / "hls")
    (file,) = download(f"{site[1]}/hls/stream.m3u8", tmp_path / "f", rights="my own")
    assert len(list(read_frames(file.path))) == 75
    prepare([file.path], tmp_path / "d", detector=PlantedDetector(), judge=EnergyJudge())
    assert [(r.frames, r.rights) for r in read_manifest(tmp_path / "d")] == [(75, "my own")]


def test_several_videos_are_refused_unless_asked_for(site, tmp_path):
    for name in ("one", "two"):
        talk(site[0] / f"{name}.mp4", seconds=1.0, seed=len(name))
    items = "".join(
        f'<item><title>{name}</title><link>{site[1]}/{name}.mp4</link><enclosure url="{site[1]}/{name}.mp4"'
        ' type="video/mp4" length="1"/></item>'
        for name in ("one", "two")
    )
    feed = f'<?xml version="1.0"?><rss version="2.0"><channel><title>f</title>{items}</channel></rss>'
    (site[0] / "feed.xml").write_text(feed)
    with pytest.raises(UsageError, match="holds 2 videos"):
        download(f"{site[1]}/feed.xml", tmp_path)
    assert not list(tmp_path.glob("*.mp4"))
    assert len(download(f"{site[1]}/feed.xml", tmp_path, playlist=True)) == 2


def test_a_broken_download_goes_on_where_it_stopped(site, tmp_path):
    address = site[1]
    (done,) = download(f"{address}/talk%20one.mp4", tmp_path)
    whole = done.path.read_bytes()
    part = done.path.with_name(done.path.name + ".part")
    part.write_bytes(whole[:5000])
    done.path.unlink()
    Handler.asked.clear()
    download(f"{address}/talk%20one.mp4", tmp_path)
    assert done.path.read_bytes() == whole and any(wanted.startswith("bytes=5000-") for _, wanted in Handler.asked)


def test_a_download_can_be_stopped(site, tmp_path):
    with pytest.raises(Cancelled):
        download(f"{site[1]}/talk%20one.mp4", tmp_path, progress=Recorder(fail=True))
    assert not list(tmp_path.glob("*.mp4"))


def test_each_failure_says_what_it_is(site, tmp_path):
    with pytest.raises(MediaError, match="404"):
        download(f"{site[1]}/missing.mp4", tmp_path)
    with pytest.raises(MediaError, match=r"no video|Unsupported"):
        download(f"{site[1]}/page.html", tmp_path)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(MediaError, match="check the network"):
        download(f"http://127.0.0.1:{port}/a.mp4", tmp_path)
    for bad in ("/etc/passwd", "file:///etc/passwd", "talk.mp4", "rtmp://host/a", "http://"):
        with pytest.raises(UsageError, match="is no link"):
            download(bad, tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_commands(site, tmp_path, capsys):
    assert main(["download", f"{site[1]}/talk%20one.mp4", "--out", str(tmp_path / "f"), "--quiet"]) == 0
    path = capsys.readouterr().out.strip()
    assert path.endswith(".mp4")
    prepare([path], tmp_path / "d", detector=PlantedDetector(), judge=EnergyJudge())
    assert main(["validate", str(tmp_path / "d"), "--quiet"]) == 0
    next((tmp_path / "d" / "clips").glob("*.wav")).unlink()
    assert main(["validate", str(tmp_path / "d"), "--quiet"]) == 1
    assert ".wav:1: file: expected one for every clip, found none" in capsys.readouterr().out
    assert main(["validate", str(tmp_path), "--quiet"]) == 1
    assert main(["download", "nonsense", "--out", str(tmp_path)]) == 2
    assert "nonsense" in capsys.readouterr().err


def test_labels_of_files_and_folders(tmp_path):
    table = tmp_path / "labels.csv"
    table.write_text(
        "\ufefffile,person,language,rights,source,more\na.mp4,ann,en,,,x\nday2/a.mp4,bob,,,,\nday3,eve,,,,\n"
    )
    labels = read_labels(table)
    assert label_of(tmp_path / "a.mp4", labels) == {"person": "ann", "language": "en"}
    assert label_of(tmp_path / "day2" / "a.mp4", labels)["person"] == "bob"
    assert label_of(tmp_path / "day3" / "deep" / "c.mp4", labels)["person"] == "eve"
    assert label_of(tmp_path / "c.mp4", labels) == {}


@pytest.mark.parametrize(
    ("text", "found"), [("person\nann\n", "column 'file'"), ("file\na\na\n", ":3: a is named"), ("", "'file'")]
)
def test_a_bad_label_file_is_named_with_its_line(tmp_path, text, found):
    (tmp_path / "l.csv").write_text(text)
    with pytest.raises(DatasetError, match=found):
        read_labels(tmp_path / "l.csv")
    with pytest.raises(DatasetError, match="cannot be read"):
        read_labels(tmp_path / "none.csv")
