"""The scene that the tests of dubbing share: its subtitles, and orders to dub it."""

import shutil

from lipsync.dubbing.order import DubOrder
from lipsync.speech.subtitles import Cue

CUES = [Cue(0.3, 1.1, "Buenos días."), Cue(1.4, 2.6, "¿Cómo está usted?")]
SECONDS = 3.0


def order(scene, tmp_path, **more):
    wanted = {"language": "es", "subtitles": scene / "es.srt", "work": tmp_path / "work", **more}
    return DubOrder(scene / "in.mp4", tmp_path / "out.mp4", **wanted)


def copy_of(done, tmp_path):
    shutil.copytree(done[0], tmp_path / "copy")
    return tmp_path / "copy"
