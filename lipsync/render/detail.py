"""What a window cannot hold: pores, stubble, lip lines and grain, taken from where they are and moved to where they go.

    made    = (1 − k)·window + k·light·W₁(p + f₁(p)),      k = 1 at the lips where W₁'s mouth is nearly the wanted one
    low(p)  = z·low(made)(p) + (1 − z)·low(W₀)(p + f₀(p))
    fine(p) = w₀·(F₀ − low(W₀))(p + f₀(p)) + (1 − w₀)·(w₁·(F₁ − low(W₁))(p + f₁(p)) + (1 − w₁)·(made − low(made))(p))

F is a picture in its own pixels, W its window, low a Gaussian of _CUT_PX. Picture 0 is the frame itself: its skin and
lips, moved along with them; picture 1 is the close-up whose mouth is most like the wanted one: it knows teeth that the
frame does not show, and where the two mouths are near one another it stands in for the generated window. A field f
says where in its picture a place of the new mouth comes from: interpolated from the mouth's points by a smooth sheet
(sheet.py), then, at the lips, refined by dense flow (Kroeger et al. 2016, DIS). The zone z is 1 at the lips, old and
new, where the model decides. A weight w falls where the two do not agree at low frequency, where the field tears and,
for the frame, inside the mouth.

Outside the mouth's part (mouth_part), a box around the lips, z is 0 and the picture is F₀(p + f₀(p)): only there is
anything else computed.
"""

from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np

from lipsync.faces.align import INNER_LIP, JAW, OUTER_LIP, mouth_opening
from lipsync.render.lips import mean_of_channels, usual_lips
from lipsync.render.own import skin_colour
from lipsync.render.place import Box, carried, of
from lipsync.render.sheet import GRID, Sheet

_CUT_PX = 2.0  # finer than this (sigma, window px) comes from pictures, coarser from the model
_AGREE_LEVELS = 50.0  # low frequencies this far apart share little fine detail
_STILL_PX = 0.8  # a jaw seen to move by less than this stays: its outline is seen no better
_ZONE, _SOFT = 0.07, 0.028  # of the window's side: how far around the lips the model decides, and its edge (sigma)
_NEAR_PX, _FAR_PX = 3.0, 6.0  # mean distance of the lips' points: nearer a close-up's mouth is shown, farther not
_OPENING = 0.5  # what a difference in opening counts beside that: closed must be closed
_TURNS = 4  # frames in which one close-up takes over from another
_LIGHTS = (0.75, 1.35)
_BETTER = 1.25  # another close-up must be this much nearer to take over
_GHOST_LEVELS = 20.0  # beside the lips: a difference of this much at low frequency is no longer the person's skin
_TAIL = 3.0  # of a soft edge's sigma: beyond it nothing is left
_LEAST_PX = 48  # a side of the mouth's part: dense flow sees nothing in less
_SMOOTHINGS = 2  # of the dense flow, which is smoothed afterwards: with 5 the windows agree no better
_MOST_TEAR = 1.0  # a change of the field by this much a pixel takes most of the weight away


@dataclass(frozen=True)
class Detail:
    """Fine detail for a part (h, w) of a window: weight float32 (h, w) 0…1, field float32 px, and what lies under it.

    field: (h, w, 2); the frame's own is the whole window's, (S, S, 2).
    low: float32 (h, w, 3), the low frequencies of the window the detail is taken from, moved by the field.
    zone: float32 (h, w), 1 where the model decides: the lips, old and new, and around them.
    """

    weight: np.ndarray
    field: np.ndarray
    low: np.ndarray
    zone: np.ndarray


def low_pass(window: np.ndarray) -> np.ndarray:
    """What the model decides: float32, Gaussian of _CUT_PX."""
    return cv2.GaussianBlur(window.astype(np.float32), (0, 0), _CUT_PX)


class Closeups(Protocol):
    """References in finer pixels: fine uint8 (R, n·S, n·S, 3), windows uint8 (R, S, S, 3), points (R, 31, 2) px.

    tracks (R,): whose they are; another track may be another person.
    """

    @property
    def fine(self) -> np.ndarray:
        """The windows at n times their resolution."""
        ...

    @property
    def windows(self) -> np.ndarray:
        """The windows."""
        ...

    @property
    def points(self) -> np.ndarray:
        """Their mouths' points."""
        ...

    @property
    def tracks(self) -> np.ndarray:
        """Their tracks."""
        ...


class DetailMover:
    """Finds fields and weights frame after frame; `reset` where the next does not continue the last.

    Args:
        closeups: of the same person, by which a mouth gets what the frame does not show.
        smooth_frames: how slowly the frame's own corrections by dense flow follow.
    """

    def __init__(self, size_px: int, closeups: Closeups | None = None, smooth_frames: float = 1.5) -> None:
        self.size_px, self.closeups = size_px, closeups
        self.keep = float(np.exp(-1 / smooth_frames)) if smooth_frames > 0 else 0.0
        self.flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        self.flow.setVariationalRefinementIterations(_SMOOTHINGS)
        self.whole: Box = (0, 0, size_px, size_px)
        self.usual = np.zeros(0 if closeups is None else len(closeups.points), bool)
        if closeups is not None:
            for number in np.unique(closeups.tracks):
                own = closeups.tracks == number
                self.usual[own] = usual_lips(closeups.windows[own], closeups.points[own])
        self.track: int | None = None  # of the frames to come; None: the only one
        self.reset()

    def reset(self) -> None:
        """Forget the last fields."""
        self.correction: np.ndarray | None = None
        self.picked, self.distance_px = -1, np.inf
        self.shares: dict[int, float] = {}
        self.begun = False  # the first frame of a run shows its close-up at once, later ones come and go slowly
        self.shown = np.zeros((1, 1), np.float32)  # how much of a place is a close-up's
        self.sheet: Sheet | None = None
        self.lows: dict[int, np.ndarray] = {}
        self.skins: dict[int, np.ndarray] = {}

    def from_frame(self, made: np.ndarray, true: np.ndarray, mouths: np.ndarray, part: Box | None = None) -> Detail:
        """The frame's own detail, for its new mouth.

        Args:
            made: float32 (h, w, 3), 0…255, the part of the generated window, colours matched.
            true: uint8 (S, S, 3).
            mouths: (2, 31, 2) window px: as it was, as it is wanted.
            part: of the window in which the model decides (see mouth_part); None: all of it.
        """
        old, new = mouths[0].astype(np.float64), mouths[-1].astype(np.float64)
        size, part = self.size_px, part or self.whole
        there = true[of(part)]
        zone = soft_hulls(_both_lips(mouths), part, _ZONE * size, _SOFT * size)
        whole = self._between(new, old, self.whole)
        field = whole[of(part)] = self._refine(made, there, whole[of(part)], zone, part, own=True)
        low_there, low_made = carried(low_pass(there), field), low_pass(made)
        apart = self._apart(low_made, low_there)
        old_lips = carried(soft_hulls([old[OUTER_LIP]], part, size / 32, size / 64), field)
        # A hand, a shadow or a second lip that came out of a reference is not drawn on the cheek.
        trusted = np.maximum(self._lips(new, part), np.exp(-((apart / _GHOST_LEVELS) ** 2)))
        zone *= np.maximum(trusted, old_lips)
        inside = soft_hulls([new[INNER_LIP]], part, size / 64, size / 96)
        old_inside = carried(soft_hulls([old[INNER_LIP]], part, size / 128, size / 96), field)
        weight = _agreement(apart, field) * (1 - np.maximum(inside, old_inside)) * (1 - self.shown)
        return Detail(1 - zone * (1 - weight), whole, low_there, zone)

    def pick(self, wanted: np.ndarray) -> int:
        """The close-up whose mouth is most like the wanted one (31, 2); it stays while another is hardly better."""
        if self.closeups is None:
            raise ValueError("there are no close-ups to pick from")
        lips = slice(OUTER_LIP.start, None)
        apart = self.closeups.points[:, lips] - wanted[None, lips]
        apart = apart - apart.mean(1, keepdims=True)
        distance = np.linalg.norm(apart, axis=-1).mean(-1)
        distance += _OPENING * np.abs(mouth_opening(self.closeups.points) - mouth_opening(wanted))
        distance[~self.usual] += 2 * _FAR_PX  # a hand or a microphone is not to be shown again
        if self.track is not None:
            distance[self.closeups.tracks != self.track] += 4 * _FAR_PX  # nor another person's mouth
        best = int(distance.argmin())
        if self.picked < 0 or distance[self.picked] > _BETTER * distance[best] + 0.2:
            self.picked = best
        self.distance_px = float(distance[self.picked])
        return self.picked

    def _trust(self) -> float:
        """How far the picked close-up stands in for the generated window."""
        return float(np.clip((_FAR_PX - self.distance_px) / (_FAR_PX - _NEAR_PX), 0, 1))

    def with_seen(
        self, made: np.ndarray, true: np.ndarray, mouths: np.ndarray, finer: float = 1.0, part: Box | None = None
    ) -> np.ndarray:
        """The generated window with a real mouth in it, as far as a close-up has one like the wanted one.

        The close-up's mouth is brought to the wanted points and to the light of the frame; another one takes over
        within _TURNS frames.

        Args:
            made: float32 (h, w, 3), 0…255, the part of the generated window.
            true: uint8 (S, S, 3).
            mouths: (2, 31, 2) window px: as it was, as it is wanted.
            finer: how many of the frame's pixels lie side by side in one of the window's.
            part: of the window; None: all of it.
        """
        if self.closeups is None:
            return made
        wanted, size, part = mouths[-1].astype(np.float64), self.size_px, part or self.whole
        row = self.pick(wanted)
        trust = self._trust()
        for known in sorted({row, *self.shares}):
            goal, now = trust * (known == row), self.shares.get(known, 0.0 if self.begun else trust)
            self.shares[known] = now + float(np.clip(goal - now, -1 / _TURNS, 1 / _TURNS))
        self.shares = {known: share for known, share in self.shares.items() if share > 0}
        self.begun = True
        lips, here = self._lips(wanted, part), skin_colour(true, mouths[0])
        out, self.shown = made, np.zeros_like(lips)
        for known, share in self.shares.items():
            points = self.closeups.points[known].astype(np.float64)
            field = self._between(wanted, points, part)
            if known not in self.skins:
                self.skins[known] = skin_colour(self.closeups.windows[known], points)
            light = np.clip((here + 1) / (self.skins[known] + 1), *_LIGHTS).astype(np.float32)
            seen = carried(self.closeups.windows[known].astype(np.float32), field, part)
            weight = np.float32(share) * lips * _whole(field)
            out = out + each(weight) * (seen * light - made)
            self.shown += weight
        self.shown *= min(1.0, len(self.closeups.fine[row]) / (size * finer)) ** 2  # a coarse one leaves detail alone
        return out

    def from_closeup(self, made: np.ndarray, wanted: np.ndarray, row: int, part: Box | None = None) -> Detail:
        """A close-up's detail: lips and what is between them.

        Args:
            made: float32 (h, w, 3), 0…255, the part of the generated window.
            wanted: (31, 2) window px.
            row: of the close-ups.
            part: of the window; None: all of it.
        """
        if self.closeups is None:
            raise ValueError("there are no close-ups to take detail from")
        there, size, part = self.closeups.windows[row], self.size_px, part or self.whole
        points = self.closeups.points[row].astype(np.float64)
        zone = soft_hulls([wanted[OUTER_LIP]], part, size / 40, size / 48)
        field = self._between(wanted.astype(np.float64), points, part)
        missing = 1 - self._trust()
        if missing > 0:  # else the generated window has this very mouth already, at the same place
            field = self._refine(made, there[of(part)], field, np.float32(missing) * zone, part, own=False)
        if row not in self.lows:
            self.lows[row] = low_pass(there)
        low = carried(self.lows[row], field, part)
        return Detail(_agreement(self._apart(low_pass(made), low), field) * zone, field, low, zone)

    def _between(self, here: np.ndarray, there: np.ndarray, part: Box) -> np.ndarray:
        """Displacement here → there, (L, 2) points each, carried over the window: float32 (h, w, 2)."""
        moves = there - here
        moves[JAW] *= np.maximum(0, 1 - _STILL_PX / np.maximum(np.linalg.norm(moves[JAW], axis=1), 1e-9))[:, None]
        if self.sheet is None or not np.array_equal(self.sheet.points, here):
            self.sheet = Sheet(here, self.size_px)
        return self.sheet.carry(moves, part)

    def _lips(self, mouth: np.ndarray, part: Box) -> np.ndarray:
        """The lips and what is between them: float32 (h, w), softly 0…1."""
        return soft_hulls([mouth[OUTER_LIP]], part, self.size_px / 64, self.size_px / 64)

    def _apart(self, low_made: np.ndarray, low_there: np.ndarray) -> np.ndarray:
        """How far two windows are apart at low frequency: float32 (h, w), levels."""
        return cv2.GaussianBlur(mean_of_channels(cv2.absdiff(low_made, low_there)), (0, 0), self.size_px / 64)

    def _refine(
        self, made: np.ndarray, there: np.ndarray, field: np.ndarray, zone: np.ndarray, part: Box, *, own: bool
    ) -> np.ndarray:
        """The field corrected, in the zone, by what the two windows show in a part (h, w).

        The correction is smooth in place, and in time where it is the frame's `own`; close-ups come and go.
        """
        grey_made = cv2.cvtColor(cv2.convertScaleAbs(np.maximum(made, 0)), cv2.COLOR_RGB2GRAY)
        grey_there = cv2.cvtColor(np.ascontiguousarray(there), cv2.COLOR_RGB2GRAY)
        found = self.flow.calc(grey_made, grey_there, field.copy()) - field
        found = cv2.GaussianBlur(np.clip(found, -3, 3), (0, 0), self.size_px / 48)
        if own:
            last, now = self.correction, np.zeros((self.size_px, self.size_px, 2), np.float32)
            now[of(part)] = found
            self.correction = now if last is None else self.keep * last + (1 - self.keep) * now
            found = self.correction[of(part)]
        return field + cv2.merge([zone, zone]) * found


def _whole(field: np.ndarray) -> np.ndarray:
    """1 where a field (h, w, 2) moves things as a whole, less where it tears them: float32 (h, w)."""
    across, down = (cv2.Sobel(field, cv2.CV_32F, *by, ksize=1, scale=0.5) for by in ((1, 0), (0, 1)))
    tear = 2 * mean_of_channels(across * across + down * down)
    return np.exp(-tear / np.float32(_MOST_TEAR**2))


def _agreement(apart: np.ndarray, field: np.ndarray) -> np.ndarray:
    """How much fine detail is shared by windows (h, w) that lie `apart` levels apart, brought together by a field."""
    return np.exp(-((apart / _AGREE_LEVELS) ** 2)) * _whole(field)


def soft_hulls(outlines: list[np.ndarray], part: Box, grow_px: float, soft_px: float) -> np.ndarray:
    """Convex hulls of outlines (P, 2) px, grown and softened, in a part of the window: float32 (h, w), 0…1."""
    left, top, right, bottom = part
    filled = np.zeros((bottom - top, right - left), np.uint8)
    for outline in outlines:
        cv2.fillConvexPoly(filled, cv2.convexHull(np.rint(outline).astype(np.int32)) - [left, top], 1)
    reach = 2 * max(1, round(grow_px)) + 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach))
    return cv2.GaussianBlur(cv2.dilate(filled, disc).astype(np.float32), (0, 0), soft_px)


def mouth_part(mouths: np.ndarray, size_px: int) -> Box:
    """The part of a window in which the model decides anything, old lips and new: left, top, right, bottom.

    At multiples of GRID; mouths (n, 31, 2) window px.
    """
    lips = _both_lips(mouths)[0]
    low, high = lips.min(0), lips.max(0)
    least = min(_LEAST_PX, size_px)
    room = np.maximum((_ZONE + _TAIL * _SOFT) * size_px, (least - (high - low)) / 2)
    low = np.clip(np.floor((low - room) / GRID) * GRID, 0, size_px - least)
    high = np.clip(np.ceil((high + room) / GRID) * GRID, low + least, size_px)
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])


def each(weight: np.ndarray) -> np.ndarray:
    """A weight (h, w) for each channel: (h, w, 3)."""
    return cv2.merge([weight] * 3)


def _both_lips(mouths: np.ndarray) -> list[np.ndarray]:
    """The outer lines of old lips and new as one outline."""
    return [np.concatenate([mouths[0, OUTER_LIP], mouths[-1, OUTER_LIP]])]
