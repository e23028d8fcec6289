"""Draw a grid of points: which grid position each pixel shows.

A grid is drawn as a cloud of samples finer than the pixels. Samples are laid down in one fixed order, far before near
(for a head seen from the front: outer columns before inner ones, neck before chin), so that the last one written to a
pixel is the visible one and no depth test is needed. What is stored per pixel is the sample's grid position, moved by
the inverse Jacobian of grid → picture to the pixel's own centre; everything else (light, skin, texture) is then read
off grid-sized images with cv2.remap.
"""

from dataclasses import dataclass

import cv2
import numpy as np


@dataclass(frozen=True)
class Sampling:
    """The samples of one grid, in the order in which they are laid down: row and column, float32 (A, B) each."""

    rows: np.ndarray
    columns: np.ndarray


@dataclass(frozen=True)
class Drawn:
    """Per pixel of a window of the picture: grid row and column float32 (h, w), and where the grid covers, uint8."""

    left: int
    top: int
    row: np.ndarray
    column: np.ndarray
    mask: np.ndarray


def _spread(length: np.ndarray, spacing: float, start: int, stop: int) -> np.ndarray:
    """Positions between grid lines start..stop so that neighbours are at most `spacing` apart (length: per step)."""
    along = np.concatenate([[0.0], np.cumsum(length[start:stop] + 1e-4)])
    count = max(2, int(np.ceil(along[-1] / spacing)) + 1)
    return np.interp(np.linspace(0, along[-1], count), along, np.arange(start, stop + 1)).astype(np.float32)


def plan_samples(
    points: np.ndarray,
    spacing_cm: float,
    split: int | None = None,
    behind_row: float = np.inf,
) -> Sampling:
    """Choose samples of a grid (R, C, 3) no further apart than spacing_cm.

    None lies between rows split−1 and split. Rows beyond behind_row are laid down before all others.
    """
    row_step = np.linalg.norm(np.diff(points, axis=0), axis=-1)
    row_length = np.max(row_step, axis=1)
    step = np.diff(points, axis=1)
    column_length = np.max(np.hypot(step[..., 0], 0.6 * step[..., 2]) + 0.3 * np.abs(step[..., 1]), axis=0)
    columns = _spread(column_length, spacing_cm, 0, points.shape[1] - 1)
    if split is None:
        rows = _spread(row_length, spacing_cm, 0, points.shape[0] - 1)
    else:
        rows = np.concatenate(
            [
                _spread(row_length, spacing_cm, 0, split - 1),
                _spread(row_length, spacing_cm, split, points.shape[0] - 1),
            ]
        )
    middle = (points.shape[1] - 1) / 2
    grid_rows, grid_columns = np.meshgrid(rows, columns, indexing="ij")
    # Outside in; within a column from the bottom up, so that the nose covers the lip.
    inward = -np.abs(grid_columns.ravel() - middle)
    rank = np.lexsort((-grid_rows.ravel(), inward, grid_rows.ravel() <= behind_row))
    # Two dimensions only because cv2.remap asks for them.
    return Sampling(
        grid_rows.ravel()[rank].reshape(grid_rows.shape), grid_columns.ravel()[rank].reshape(grid_rows.shape)
    )


def draw(screen: np.ndarray, facing: np.ndarray, sampling: Sampling, size_px: tuple[int, int]) -> Drawn:
    """Find what grid position every pixel shows.

    Args:
        screen: float32 (R, C, 2): where each grid point falls, px (x, y).
        facing: float32 (R, C): > 0 where the surface faces the camera.
        sampling: from plan_samples of the same grid.
        size_px: width and height of the picture.

    Returns:
        Drawn, for the bounding box of the grid within the picture.
    """
    data = np.dstack([screen, facing]).astype(np.float32)
    sample = cv2.remap(data, sampling.columns, sampling.rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    left, top = (max(0, int(np.floor(v)) - 1) for v in screen.reshape(-1, 2).min(axis=0))
    right, bottom = (
        min(s, int(np.ceil(v)) + 2) for v, s in zip(screen.reshape(-1, 2).max(axis=0), size_px, strict=True)
    )
    width, height = max(1, right - left), max(1, bottom - top)
    flat = sample.reshape(-1, 3)
    x, y = flat[:, 0] - left, flat[:, 1] - top
    keep = (flat[:, 2] > 0.0) & (x >= 0) & (x < width) & (y >= 0) & (y < height)
    order = np.flatnonzero(keep).astype(np.int32)
    pixel = y[order].astype(np.int32) * width + x[order].astype(np.int32)
    owner = np.full(width * height, -1, np.int32)
    owner[pixel] = order
    owner = _fill_pinholes(owner.reshape(height, width))
    mask = (owner >= 0).astype(np.uint8)
    shown = np.maximum(owner, 0).ravel()
    row, column = sampling.rows.ravel()[shown], sampling.columns.ravel()[shown]
    row, column = _to_pixel_centres(row, column, x[shown], y[shown], screen, height, width)
    return Drawn(left, top, row, column, mask)


def _fill_pinholes(owner: np.ndarray) -> np.ndarray:
    """Give single uncovered pixels the sample of a neighbour, where the pixels on two opposite sides are covered."""
    covered = (owner >= 0).astype(np.uint8)
    closed = cv2.morphologyEx(covered, cv2.MORPH_CLOSE, np.ones((2, 2), np.uint8))
    holes = (closed > 0) & (covered == 0)
    if holes.any():
        around = cv2.dilate(owner.astype(np.float32), np.ones((3, 3), np.uint8))
        owner[holes] = around[holes].astype(np.int32)
    return owner


def _to_pixel_centres(
    row: np.ndarray,
    column: np.ndarray,
    x: np.ndarray,
    y: np.ndarray,
    screen: np.ndarray,
    height: int,
    width: int,
) -> tuple[np.ndarray, np.ndarray]:
    by_row = np.gradient(screen, axis=0)
    by_column = np.gradient(screen, axis=1)
    det = by_column[..., 0] * by_row[..., 1] - by_column[..., 1] * by_row[..., 0]
    det = np.where(np.abs(det) < 0.05, np.inf, det)
    inverse = np.dstack(
        [
            by_row[..., 1] / det,
            -by_row[..., 0] / det,
            -by_column[..., 1] / det,
            by_column[..., 0] / det,
        ]
    ).astype(np.float32)
    row, column = row.reshape(height, width), column.reshape(height, width)
    local = cv2.remap(inverse, column, row, cv2.INTER_NEAREST)
    miss_x = np.arange(width, dtype=np.float32)[None] + 0.5 - x.reshape(height, width)
    miss_y = np.arange(height, dtype=np.float32)[:, None] + 0.5 - y.reshape(height, width)
    np.clip(miss_x, -1, 1, out=miss_x)
    np.clip(miss_y, -1, 1, out=miss_y)
    shift_column = np.clip(local[..., 0] * miss_x + local[..., 1] * miss_y, -0.5, 0.5)
    shift_row = np.clip(local[..., 2] * miss_x + local[..., 3] * miss_y, -0.5, 0.5)
    return row + shift_row, column + shift_column
