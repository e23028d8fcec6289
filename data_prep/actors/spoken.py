"""What an actor's mouth does while a text is spoken, without drawing it: exact, in milliseconds a frame.

For learning speech → mouth shape from many voices, languages and mouths; only the skin around the mouth is moved.
"""

from dataclasses import dataclass

import numpy as np

from data_prep.actors.actor import Actor
from data_prep.actors.expression import Expression, LandmarkMap, MouthShape
from data_prep.actors.eyes import lid_points
from data_prep.actors.geometry import build_head
from data_prep.actors.visemes import mouth_motion
from lipsync.faces.align import MOUTH, fit_pose, to_head
from lipsync.types import LIPS_LEAD_S, Speech


@dataclass(frozen=True)
class SpokenMouth:
    """mouth float32 (F, 31, 3) in head units at times_s (F,) from the start of the speech."""

    times_s: np.ndarray
    mouth: np.ndarray


class Mouthing:
    """One actor's head, prepared once."""

    def __init__(self, actor: Actor) -> None:
        self.actor = actor
        self._head = build_head(actor.shape)
        self._expression, self._map = Expression(self._head), LandmarkMap(self._head)
        self._lids = lid_points(actor.shape, 1.0)

    def speak(self, speech: Speech, frame_rate: float = 25.0) -> SpokenMouth:
        """The mouth over the whole speech, head still and facing the camera."""
        times_s = np.arange(max(1, round(speech.sound.duration_s * frame_rate))) / frame_rate
        motion = mouth_motion(speech.phonemes, times_s + LIPS_LEAD_S, self.actor.style)
        names = MouthShape.__dataclass_fields__
        points = np.stack(
            [
                self._landmarks(MouthShape(**{name: float(getattr(motion, name)[i]) for name in names}))
                for i in range(len(times_s))
            ]
        )
        return SpokenMouth(times_s, to_head(points, fit_pose(points))[:, MOUTH].astype(np.float32))

    def _landmarks(self, shape: MouthShape) -> np.ndarray:
        """float32 (68, 3) cm in iBUG order: x right, y down, z away from the viewer; eyes open."""
        riding = self._map.skin_points(self._expression.deform(shape))
        brows, eyes = self._map.free_points(self._map.brows), self._map.free_points(self._lids)
        return np.concatenate([riding[:17], brows, riding[17:26], eyes, riding[26:]]) * np.float32([1, -1, -1])
