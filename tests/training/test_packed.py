"""A packed dataset gives back what went in, within its stated steps."""

import numpy as np
import pytest

from lipsync.errors import DatasetError
from lipsync.faces.align import fit_projection, project
from lipsync.training.clipstore import load_clips
from lipsync.training.packed import MEL_TOP, load_any, pack, read_pack
from tests.training_helpers import write_drawn_dataset


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return write_drawn_dataset(tmp_path_factory.mktemp("drawn") / "data")


def test_round_trip(dataset, tmp_path):
    size = pack([dataset], tmp_path / "small.pack", crf=10)
    assert size == (tmp_path / "small.pack").stat().st_size
    pairs = list(zip(load_clips(dataset), read_pack(tmp_path / "small.pack"), strict=True))
    assert len(pairs) > 2
    for whole, packed in pairs:
        assert whole.record == packed.record
        assert np.array_equal(whole.times_s, packed.times_s)
        np.testing.assert_allclose(packed.mouth, whole.mouth, atol=0.00026)
        np.testing.assert_allclose(packed.log_mel, whole.log_mel.clip(-1, MEL_TOP), atol=0.006)
        np.testing.assert_allclose(packed.pose_deg, whole.pose_deg, atol=0.011)
        windows = packed.windows()
        assert windows.shape == whole.windows().shape
        assert np.abs(windows.astype(int) - whole.windows()).mean() < 6


def test_points_that_one_camera_sees_are_given_back_exactly(dataset, tmp_path):
    pack([dataset], tmp_path / "small.pack")
    for whole, packed in zip(load_clips(dataset), read_pack(tmp_path / "small.pack"), strict=True):
        affine = project(whole.mouth, fit_projection(whole.mouth, whole.points))
        np.testing.assert_allclose(packed.points, affine, atol=0.05)


def test_folders_and_packs_may_be_mixed(dataset, tmp_path):
    pack([dataset], tmp_path / "a.pack")
    count = len(list(load_clips(dataset)))
    assert len(list(load_any([tmp_path / "a.pack", dataset]))) == 2 * count


def test_a_clip_twice_and_files_that_are_no_packs(dataset, tmp_path):
    with pytest.raises(DatasetError, match="two clips are called"):
        pack([dataset, dataset], tmp_path / "twice.pack")
    assert not list(tmp_path.iterdir())
    pack([dataset], tmp_path / "a.pack")
    whole = (tmp_path / "a.pack").read_bytes()
    (tmp_path / "short.pack").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.pack").write_text("hello")
    for name in ("short.pack", "text.pack"):
        with pytest.raises(DatasetError, match=name):
            list(read_pack(tmp_path / name))
