"""The same dataset from a Ray cluster of two workers, one of which dies. A minute or more: Ray has to start."""

import os
import signal
from pathlib import Path

import pytest
from planted_faces import PlantedDetector, talk
from test_prepare import content

from data_prep.pipeline import prepare
from data_prep.speaker import EnergyJudge

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.filterwarnings("ignore"),  # Ray's own
]


class Dying(PlantedDetector):
    """Its worker dies, as by kill −9, at the fifth picture that any of its copies sees; after that none does."""

    def __init__(self, mark):
        super().__init__()
        self.mark = mark

    def detect(self, image):
        found = super().detect(image)
        if self.frames == 5 and not self.mark.exists():
            self.mark.write_text(str(os.getpid()))
            os.kill(os.getpid(), signal.SIGKILL)
        return found


def test_a_worker_dies_and_the_dataset_is_the_same(tmp_path, monkeypatch):
    ray = pytest.importorskip("ray")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))  # where workers find the detector below
    for seed in (1, 2, 3):
        talk(tmp_path / "in" / f"{seed}.mp4", seconds=2.0, seed=seed)
    mark = tmp_path / "died"
    results = prepare(
        [tmp_path / "in"], tmp_path / "ray", detector=Dying(mark), judge=EnergyJudge(), workers=2, engine="ray"
    )
    assert mark.exists() and int(mark.read_text()) != os.getpid(), "no worker died"
    assert not ray.is_initialized()
    alone = prepare([tmp_path / "in"], tmp_path / "alone", detector=PlantedDetector(), judge=EnergyJudge(), workers=1)
    assert results == alone and content(tmp_path / "ray") == content(tmp_path / "alone")
