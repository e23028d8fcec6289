"""What all tests share: one torch thread (small models on busy machines), and the way to real footage."""

import os
from pathlib import Path

import pytest
import torch

torch.set_num_threads(1)
FOOTAGE = Path(os.environ.get("LIPSYNC_FOOTAGE", Path(__file__).parents[2] / "shared" / "footage"))


@pytest.fixture(scope="session", autouse=True)
def own_credentials(tmp_path_factory):
    """Renders in tests are signed with a certificate of their own, never with the user's."""
    os.environ["LIPSYNC_CREDENTIALS"] = str(tmp_path_factory.mktemp("credentials"))


@pytest.fixture
def footage() -> Path:
    """The folder of real footage; the test is skipped where there is none."""
    if not FOOTAGE.is_dir():
        pytest.skip("no real footage here; set LIPSYNC_FOOTAGE to its folder")
    return FOOTAGE
