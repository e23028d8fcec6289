"""Cuts are told by small pictures: other pictures are, moving patterns are not."""

import numpy as np
import pytest

from lipsync.faces.track import is_cut, thumbnail


@pytest.mark.parametrize("size", [(720, 1280), (1080, 1920), (270, 481)])
def test_moving_stripes_are_no_cut_and_another_picture_is(size):
    v, u = np.mgrid[: size[0], : size[1]]
    for period in (4, 6, 8):
        for along in (u, v):
            shown = [np.repeat(255 * ((along + k) % period < period // 2)[..., None], 3, 2) for k in range(period)]
            seen = [thumbnail(picture.astype(np.uint8)) for picture in shown]
            assert not any(is_cut(seen[0], other) for other in seen[1:])
    grey, dark = (thumbnail(np.full((*size, 3), level, np.uint8)) for level in (140, 90))
    assert is_cut(grey, dark) and not is_cut(grey, grey)
