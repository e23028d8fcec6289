"""Plan a video block by block while it is read: neither memory nor the wait for a first frame grows with length.

A block is some frames and what lies around them: REACH frames on both sides, because places are smoothed over time,
and RUN_IN frames before it, which are generated again so that the model has frames to go on from. The detector starts
afresh with each block. A block's plan is therefore a function of its own pictures and of what is carried over: the
window's size and the resting mouth of the face that goes on, and the pool of reference windows. The same block gives
the same frames whether or not the blocks before it were rendered by the same process.

The first blocks are short, each twice the last, so that rendering begins soon and the stages overlap from then on; they
end where the first full block would. One that sees several faces goes on to there at once, unless a place or a box says
which is meant: a choice among faces is made by all that a full block shows. What a short block knows of the resting
mouth is mended by those after it, slowly: within MEND frames.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from lipsync.config import RenderConfig
from lipsync.errors import NoFaceError
from lipsync.faces.align import crop_window, fit_pose, mouth_opening, window_transforms
from lipsync.faces.choose import choose_tracks
from lipsync.faces.detect import FaceDetector
from lipsync.faces.follow import place_tracks
from lipsync.faces.track import ShotWatch, Tracker
from lipsync.media import Picture, read_pictures
from lipsync.model.shape import find_neutral
from lipsync.render.carry import Carry, Start, each_its_own, empty_carry
from lipsync.render.overlap import Ahead
from lipsync.render.place import enlarged, shifted, window_surroundings
from lipsync.render.plan import (
    FINE,
    LEAST_OWN_FRAMES,
    POOL,
    Plan,
    References,
    close_mouth,
    judge_frames,
    spread_over_openings,
)
from lipsync.types import Face, VideoInfo

RUN_IN, REACH = 8, 6
DETECT_PX = 1920  # a larger picture is scaled down to find faces in it
_READ_AHEAD = 8  # pictures
HELD = 48  # pictures of a block of which the face is kept as candidates for references
_SAME_PLACE = 0.5  # a face this near (inter-ocular distances) to where one was a frame before is the same
_STEADY = 0.12  # a change of the face's size by less (natural logarithm) leaves the window's size as it was
_MOUTHS = 300  # mouths remembered for the resting mouth of all
_KNOWN_FRAMES = 500  # a resting mouth seen in so many usable frames is no longer mended
MEND = 25


@dataclass(frozen=True)
class Block:
    """Frames first ≤ i < last of a video, planned. The plan's row 0 is frame `lead` ≤ first.

    following: where the next block begins. carry: what it takes over.
    """

    start: Start
    lead: int
    last: int
    plan: Plan
    references: References | None
    following: Start
    carry: Carry


@dataclass(frozen=True)
class _Seen:
    """What was seen in one picture; `close`: the faces' surroundings in their own pixels, for some pictures."""

    time_s: float
    pts: int
    faces: list[Face]
    cut: bool
    close: list[tuple[tuple[int, int, int, int], np.ndarray]]


class BlockPlanner:
    """Reads a video once and yields its blocks.

    Args:
        frames: of a block, at most.
        start, carry: where to begin and with what; the first block's unless resumed.
        first_frames: of the first block; None: as all.
    """

    def __init__(
        self,
        info: VideoInfo,
        config: RenderConfig,
        size_px: int,
        detector: FaceDetector,
        frames: int,
        start: Start | None = None,
        carry: Carry | None = None,
        first_frames: int | None = None,
    ) -> None:
        self.info, self.config, self.detector, self.frames = info, config, detector, max(frames, RUN_IN + 2 * REACH)
        self.first_frames = max(first_frames or frames, RUN_IN + 2 * REACH)
        self.size_px, self.window = size_px, replace(config.window, size_px=size_px)
        self.start, self.carry = start or Start(), carry or empty_carry(size_px)

    def __iter__(self) -> Iterator[Block]:
        """Plan block after block. Raises NoFaceError when faces of the first `frames` need a choice; MediaError."""
        start = self.start
        pictures = Ahead(read_pictures(self.info.path, start_s=start.read_from_s, count=False), _READ_AHEAD)
        recent: deque[Picture] = deque(maxlen=RUN_IN + 2 * REACH)
        self._begin()
        try:
            for picture in pictures:
                recent.append(picture)
                self._see(picture)
                last = self._last(start.first)
                if len(self._rows) == last - start.read_from + REACH:
                    block = self._plan(start, last)
                    yield block
                    start, self.carry = block.following, block.carry
                    self._begin()
                    for again in recent:
                        self._see(again)
            total = start.read_from + len(self._rows)
            if total > start.first:
                yield self._plan(start, total)
        finally:
            pictures.close()

    def _last(self, first: int) -> int:
        """One past the last frame of the block that begins at `first`, as far as the pictures so far tell."""
        if first >= self.frames:
            return first + self.frames
        last = 2 * first + self.first_frames
        return self.frames if self._several or self.frames - last < self.first_frames else last

    def _begin(self) -> None:
        self.detector.reset()
        self._rows: list[_Seen] = []
        self._watch = ShotWatch(self.detector)
        self._stride = 1
        self._several = False  # whether there are faces to choose from

    def _see(self, picture: Picture) -> None:
        image = picture.small(DETECT_PX)
        found, cut = self._watch.see(image)
        scale = picture.size[0] / image.shape[1]
        faces = [_enlarged(face, scale) for face in found]
        self._several |= len(faces) > 1 and "," not in self.config.face
        row = len(self._rows)
        close = self._close(picture, faces) if faces and row % self._stride == 0 else []
        self._rows.append(_Seen(picture.time_s, picture.pts, faces, cut, close))
        held = [i for i, seen in enumerate(self._rows) if seen.close]
        if len(held) > HELD:
            self._stride *= 2
            for i in held:
                if i % self._stride:
                    self._rows[i] = replace(self._rows[i], close=[])

    def _close(self, picture: Picture, faces: list[Face]) -> list[tuple[tuple[int, int, int, int], np.ndarray]]:
        """Where the windows of the two largest faces will lie, with room for smoothing."""
        out = []
        for face in faces[:2]:
            pose = fit_pose(face.landmarks[None].astype(np.float64))
            box = window_surroundings(window_transforms(pose, self.window)[0], self.size_px, picture.size, 0.16)
            if box is not None:
                out.append((box, picture.patch(box)))
        return out

    def _plan(self, start: Start, last: int) -> Block:
        carry, rows = self.carry, self._rows
        tracker = Tracker(self.detector)
        for seen in rows:
            tracker.take(seen.faces, seen.time_s, seen.cut)
        times_s, pts = np.array(tracker.times_s), np.array([seen.pts for seen in rows])
        tracks, why = tracker.finish(), ""
        try:
            tracks = choose_tracks(tracks, self.config.face, Path(self.info.path)) if tracks else []
        except NoFaceError:
            if start.first < self.frames:
                raise
            tracks, why = [], "several faces, and no choice"
        known = place_tracks(self.info, times_s, pts, frozenset(tracker.cuts), tracks, self.window)
        reasons = judge_frames(known, self.config)
        if why:
            reasons = [why] * len(reasons)
        plan = Plan(**vars(known), reasons=reasons, neutral=np.zeros((len(known), 31, 3)))
        plan, carry = self._continued(plan, start, last)
        plan, carry = self._with_neutrals(plan, carry, start, last)
        carry = self._with_pool(plan, carry, start)
        lead = max(start.read_from, start.first - RUN_IN)
        own = slice(lead - start.read_from, last - start.read_from)
        following_from = last - RUN_IN - REACH
        following = Start(
            start.number + 1, last, following_from, float(times_s[max(0, following_from - start.read_from)])
        )
        part = plan.part(own)
        return Block(start, lead, last, part, pool_of(carry, part, lead), following, carry)

    def _continued(self, plan: Plan, start: Start, last: int) -> tuple[Plan, Carry]:
        """Give tracks lasting numbers, and the window of the face that goes on the size that it had."""
        carry, numbers, ends = self.carry, plan.track.copy(), start.first - 1 - start.read_from
        transforms, points = plan.transforms.copy(), plan.points.copy()
        so_far, scales = carry.tracks_so_far, {}
        for k in np.unique(plan.track[plan.track >= 0]):
            rows = np.flatnonzero(plan.track == k)
            own = float(np.nanmedian(plan.pose.scale[rows]))
            goes_on = carry.track >= 0 and ends >= 0 and plan.track[ends] == k and start.first not in plan.cuts
            if goes_on:
                apart = np.linalg.norm(plan.pose.translation[ends, :2] - carry.place_px[:2])
                goes_on = bool(apart < _SAME_PLACE * carry.scale_px)
            if goes_on:
                number, kept = carry.track, carry.scale_px
                change = np.log(own / kept) if abs(np.log(own / kept)) > _STEADY else 0.0
                along = np.clip((rows - ends) / max(1, rows[-1] - ends), 0, 1)
                scale = kept * np.exp(change * along)
                ratio = own / scale
                half = self.size_px / 2
                transforms[rows] *= ratio[:, None, None]
                transforms[rows, :, 2] += (1 - ratio[:, None]) * half
                points[rows] = points[rows] * ratio[:, None, None] + (1 - ratio[:, None, None]) * half
                own = float(scale[-1])
            else:
                number, so_far = so_far, so_far + 1
            numbers[rows] = number
            scales[number] = own
        row = last - 1 - start.read_from
        number = int(numbers[row]) if np.isfinite(plan.pose.scale[row]) else -1
        place = plan.pose.translation[row] if number >= 0 else np.zeros(3)
        plan = replace(plan, track=numbers, transforms=transforms, points=points)
        goes_on = number == carry.track and number >= 0
        kept = (carry.neutral, carry.neutral_frames) if goes_on else (np.zeros((31, 3)), 0)
        return plan, replace(
            carry, track=number, tracks_so_far=so_far, scale_px=scales.get(number, 0.0), place_px=place,
            neutral=kept[0], neutral_frames=kept[1],
        )  # fmt: skip

    def _with_neutrals(self, plan: Plan, carry: Carry, start: Start, last: int) -> tuple[Plan, Carry]:
        """The resting mouth of each frame: its track's as carried over, or as the block shows it, or that of all."""
        able, before = plan.able, self.carry
        seen = plan.mouth[able]
        every = np.concatenate([before.mouths, seen[:: max(1, len(seen) // _MOUTHS)]])
        every = every[np.linspace(0, len(every) - 1, min(len(every), _MOUTHS)).round().astype(int)]
        neutral = np.zeros((len(plan), 31, 3))
        if len(every):
            neutral[:] = close_mouth(find_neutral(every))
        frames, new = {}, np.arange(len(plan)) - (start.first - start.read_from)
        for number in np.unique(plan.track[plan.track >= 0]):
            rows = plan.track == number
            known = before.neutral_frames if number == before.track else 0
            own = rows & able & (new >= 0) if known else rows & able
            frames[number] = known
            if known:
                neutral[rows] = before.neutral
            if own.sum() >= LEAST_OWN_FRAMES and known < _KNOWN_FRAMES:
                frames[number] += int(own.sum())
                aside = close_mouth(find_neutral(plan.mouth[own])) - neutral[rows]
                share = np.clip(new[rows] / MEND, 0, 1)[:, None, None] if known else 1.0
                neutral[rows] += share * aside * (frames[number] - known) / frames[number]
        if carry.track >= 0:
            row = last - 1 - start.read_from  # not later: the next block goes on from there
            carry = replace(carry, neutral=neutral[row], neutral_frames=frames.get(carry.track, 0))
        return replace(plan, neutral=neutral), replace(carry, mouths=every)

    def _with_pool(self, plan: Plan, carry: Carry, start: Start) -> Carry:
        """The pool with this block's candidates, thinned to POOL by opening."""
        found = []
        for row, seen in enumerate(self._rows):
            if not plan.able[row] or start.read_from + row < start.first:
                continue
            needed = window_surroundings(plan.transforms[row], self.size_px, (self.info.width, self.info.height), 0.0)
            fitting = [held for held in seen.close if needed is not None and _holds(held[0], needed)]
            for box, patch in fitting[:1]:
                found.append((row, patch, shifted(plan.transforms[row], box)))
        if not found:
            return carry
        rows, before = np.array([row for row, _, _ in found]), len(self.carry.frames)
        fresh = {
            "points": plan.points[rows],
            "frames": rows + start.read_from,
            "opening": mouth_opening(plan.mouth[rows]),
            "pose_deg": np.stack([plan.pose.yaw_deg, plan.pose.pitch_deg, plan.pose.roll_deg], 1)[rows],
            "tracks": plan.track[rows],
        }
        merged = {name: np.concatenate([getattr(self.carry, name), value]) for name, value in fresh.items()}
        chosen = spread_over_openings(merged["opening"], np.abs(merged["pose_deg"][:, :2]).sum(1), POOL)

        def window(k: int, held: np.ndarray, times: int) -> np.ndarray:
            if k < before:
                return held[k]
            _, patch, transform = found[k - before]
            return crop_window(patch, enlarged(transform, times), times * self.size_px)

        kept = {name: value[chosen] for name, value in merged.items()}
        kept["windows"] = np.stack([window(k, self.carry.windows, 1) for k in chosen])
        kept["fine"] = each_its_own([window(k, self.carry.fine, FINE) for k in chosen])  # large: of no others
        return replace(carry, **kept)


def pool_of(carry: Carry, plan: Plan, lead: int) -> References | None:
    """The pool as references of a plan whose row 0 is frame `lead`; None while nothing can be rendered."""
    if not len(carry.frames):
        return None
    pose_deg = np.stack([plan.pose.yaw_deg, plan.pose.pitch_deg, plan.pose.roll_deg], 1)
    before = carry.frames - lead
    return References(
        carry.windows, carry.points, before, carry.opening, carry.pose_deg, pose_deg, carry.tracks, carry.fine
    )


def _holds(box: tuple[int, int, int, int], window: tuple[int, int, int, int], slack_px: int = 3) -> bool:
    """Whether a window, as far as it lies in the picture, lies in a box."""
    low = all(b - slack_px <= w for b, w in zip(box[:2], window[:2], strict=True))
    return low and all(b + slack_px >= w for b, w in zip(box[2:], window[2:], strict=True))


def _enlarged(face: Face, scale: float) -> Face:
    if scale == 1:
        return face
    left, top, right, bottom = (value * scale for value in face.box_px)
    return replace(face, box_px=(left, top, right, bottom), landmarks=(face.landmarks * scale).astype(np.float32))
