"""The average head: 68 landmarks in head units, and what depth a flat set of landmarks has if it is of such a head.

Head units: origin midway between the eyes, x to the picture's right, y down, z away from the viewer; the distance
between the eye centres (each the middle of its two corners) is 1.

Source: generalised Procrustes mean (Gower 1975) of 467 faces measured by this project, made symmetric.
"""

import numpy as np

HEAD = np.array(
    [
        (-1.094, -0.197, 0.670),
        (-1.100, 0.273, 0.917),
        (-1.086, 0.508, 0.930),
        (-0.980, 1.037, 0.814),
        (-0.879, 1.258, 0.662),
        (-0.765, 1.423, 0.493),
        (-0.497, 1.666, 0.252),
        (-0.205, 1.824, 0.071),
        (0.000, 1.846, 0.042),
        (0.205, 1.824, 0.071),
        (0.497, 1.666, 0.252),
        (0.765, 1.423, 0.493),
        (0.879, 1.258, 0.662),
        (0.980, 1.037, 0.814),
        (1.086, 0.508, 0.930),
        (1.100, 0.273, 0.917),
        (1.094, -0.197, 0.670),
        (-0.974, -0.311, 0.240),
        (-0.806, -0.338, -0.088),
        (-0.650, -0.383, -0.196),
        (-0.452, -0.372, -0.289),
        (-0.228, -0.343, -0.336),
        (0.228, -0.343, -0.336),
        (0.452, -0.372, -0.289),
        (0.650, -0.383, -0.196),
        (0.806, -0.338, -0.088),
        (0.974, -0.311, 0.240),
        (0.000, -0.067, -0.310),
        (0.000, 0.182, -0.451),
        (0.000, 0.409, -0.620),
        (0.000, 0.547, -0.654),
        (-0.196, 0.688, -0.307),
        (-0.113, 0.750, -0.338),
        (0.000, 0.750, -0.364),
        (0.113, 0.750, -0.338),
        (0.196, 0.688, -0.307),
        (-0.721, -0.011, 0.042),
        (-0.611, -0.065, -0.067),
        (-0.443, -0.074, -0.096),
        (-0.279, 0.011, -0.042),
        (-0.426, 0.053, -0.072),
        (-0.591, 0.050, -0.044),
        (0.279, 0.011, -0.042),
        (0.443, -0.074, -0.096),
        (0.611, -0.065, -0.067),
        (0.721, -0.011, 0.042),
        (0.591, 0.050, -0.044),
        (0.426, 0.053, -0.072),
        (-0.391, 1.129, -0.052),
        (-0.233, 1.014, -0.290),
        (-0.117, 0.982, -0.348),
        (0.000, 0.999, -0.363),
        (0.117, 0.982, -0.348),
        (0.233, 1.014, -0.290),
        (0.391, 1.129, -0.052),
        (0.227, 1.295, -0.209),
        (0.123, 1.336, -0.245),
        (0.000, 1.349, -0.252),
        (-0.123, 1.336, -0.245),
        (-0.227, 1.295, -0.209),
        (-0.333, 1.119, -0.082),
        (-0.087, 1.103, -0.258),
        (0.000, 1.106, -0.269),
        (0.087, 1.103, -0.258),
        (0.333, 1.119, -0.082),
        (0.097, 1.173, -0.237),
        (0.000, 1.177, -0.250),
        (-0.097, 1.173, -0.237),
    ],
    np.float64,
)
EYE_CORNERS = [36, 39, 42, 45]
# What neither jaw, lips, brows nor blinks move: temples, nose bridge, nose base, eye corners.
ANCHORS = [0, 16, 27, 28, 29, 30, 33, 36, 39, 42, 45]


def add_depth(flat: np.ndarray) -> np.ndarray:
    """Give 2-D landmarks the depth of the average head, turned as the landmarks say.

    A scaled orthographic camera sees x = s·R₂·X + t; R₂ is fitted to the anchors by least squares and made orthonormal.

    Args:
        flat: (68, 2) px.

    Returns:
        float32 (68, 3) px.

    Source: DeMenthon & Davis 1995, POS.
    """
    model = HEAD[ANCHORS] - HEAD[ANCHORS].mean(0)
    seen = flat[ANCHORS] - flat[ANCHORS].mean(0)
    camera = np.linalg.lstsq(model, seen, rcond=None)[0].T  # (2, 3)
    u, sizes, vt = np.linalg.svd(camera, full_matrices=False)
    rows = u @ vt
    third = np.cross(rows[0], rows[1])
    depth = sizes.mean() * (HEAD - HEAD[ANCHORS].mean(0)) @ third
    return np.concatenate([flat, depth[:, None]], axis=1).astype(np.float32)
