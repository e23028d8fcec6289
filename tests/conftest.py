"""What all tests share: one torch thread (small models on busy machines), and the way to real footage."""

import os
from pathlib import Path

import pytest
import torch

torch.set_num_threads(1)
FOOTAGE = Path(os.environ.get("LIPSYNC_FOOTAGE", Path(__file__).parents[2] / "shared" / "footage"))


@pytest.fixture
def footage() -> Path:
    """The folder of real footage; the test is skipped where there is none."""
    if not FOOTAGE.is_dir():
        pytest.skip("no real footage here; set LIPSYNC_FOOTAGE to its folder")
    return FOOTAGE
