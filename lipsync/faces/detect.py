"""Find faces and their landmarks in a picture; several detectors behind one protocol.

Every detector answers in the iBUG 68-point order with depth, whatever its network's own order: 0–16 jaw line, 17–26
brows, 27–35 nose, 36–47 eyes, 48–59 outer lips, 60–67 inner lips. x to the right, y down, z away from the viewer,
all in pixels.

Sources: Kartynnik et al. 2019 (face mesh of 468 points); Bulat & Tzimiropoulos 2017 (FAN); Sagonas et al. 2013 (68).
"""

import contextlib
import os
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, Protocol

import cv2
import numpy as np

from lipsync.errors import ConfigError, NoFaceError
from lipsync.faces.template import add_depth
from lipsync.types import Face

# Which vertex of the 468-point face mesh stands where each of the 68 points does.
MESH_TO_68 = np.array(
    [
        *(162, 234, 93, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 323, 454, 389),  # jaw line
        *(71, 63, 105, 66, 107, 336, 296, 334, 293, 301),  # brows
        *(168, 197, 5, 4, 75, 97, 2, 326, 305),  # nose
        *(33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380),  # eyes
        *(61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181),  # outer lips
        *(78, 82, 13, 312, 308, 317, 14, 87),  # inner lips
    ]
)
DETECTORS = ("mediapipe", "face-alignment")
LOOK_EVERY = 2  # pictures between two looks at whether a mouth is hidden
OTHERS_EVERY = 6  # pictures between two looks for more faces while one is there: a quarter of a second
BLANK = np.zeros((64, 64, 3), np.uint8)


class FaceDetector(Protocol):
    """Finds every face in a picture. May remember the last picture to be faster and steadier on video."""

    def detect(self, image: np.ndarray) -> list[Face]:
        """All faces in `image` (uint8 (H, W, 3), RGB), largest first; an empty list when there is none."""
        ...

    def reset(self) -> None:
        """Forget the last picture: call between shots and files, so that results do not depend on what came before."""
        ...


def open_detector(
    name: str = "mediapipe", device: str = "cpu", look: bool = False, others_every: int = OTHERS_EVERY
) -> FaceDetector:
    """The detector of that name.

    Args:
        look: it also sees whether a mouth is hidden.
        others_every: while one face is there, others are looked for every so many pictures (MediaPipe's alone).

    Raises:
        ConfigError: no detector is called so.
    """
    if name == "mediapipe":
        return MediapipeDetector(look=look, others_every=others_every)
    if name == "face-alignment":
        return FaceAlignmentDetector(device)
    raise ConfigError(f"no face detector is called {name!r}; there are: {', '.join(DETECTORS)}")


def _by_size(faces: list[Face]) -> list[Face]:
    return sorted(faces, key=lambda face: -(face.box_px[2] - face.box_px[0]) * (face.box_px[3] - face.box_px[1]))


def _box(landmarks: np.ndarray) -> tuple[float, float, float, float]:
    low, high = landmarks[:, :2].min(0), landmarks[:, :2].max(0)
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])


@contextlib.contextmanager
def quiet_native_log() -> Iterator[None]:
    """The face networks' native code greets on file descriptor 2 when it starts; keep that off the user's terminal."""
    saved = os.dup(2)
    null = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(null)


@cache
def _solutions() -> tuple[Any, Any]:
    """MediaPipe's modules for faces, imported in a thread of their own.

    Something in that import keeps its frames for good, and with them the callers': the first video's pictures.
    """

    def load() -> tuple[Any, Any]:
        from mediapipe.python.solutions import face_detection, face_mesh

        return face_detection, face_mesh

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(load).result()


class MediapipeDetector:
    """MediaPipe's face mesh, with its full-range detector for faces that are small in the picture.

    Its models travel inside the mediapipe wheel: nothing is fetched.

    The mesh for several faces runs its face finder on every picture, which is two fifths of its time. With
    `others_every` above 1 a lone face is followed by a mesh for one, which finds the same points; every so many
    pictures the finder looks whether it is still alone, and once others were away for as many it is again.
    """

    def __init__(self, most_faces: int = 4, look: bool = False, others_every: int = OTHERS_EVERY) -> None:
        self.look, self.pictures, self.others_every = look, 0, others_every
        os.environ.setdefault("GLOG_minloglevel", "2")
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        with quiet_native_log():
            face_detection, face_mesh = _solutions()
            # The refined mesh closes closed lips: 0.002 inter-ocular distances at rest, where the plain one has 0.02.
            self._video = face_mesh.FaceMesh(max_num_faces=most_faces, refine_landmarks=True)
            self._still = face_mesh.FaceMesh(True, 1, refine_landmarks=True, min_detection_confidence=0.3)
            self._far = face_detection.FaceDetection(model_selection=1, min_detection_confidence=0.5)
            models = [self._video, self._still, self._far]
            if others_every > 1:
                self._one = face_mesh.FaceMesh(max_num_faces=1, refine_landmarks=True)
                self._near = face_detection.FaceDetection(model_selection=0, min_detection_confidence=0.5)
                models += [self._one, self._near]
            for model in models:
                model.process(BLANK)
        weakref.finalize(self, _close, models)
        self._met_face, self._alone, self._since = False, others_every > 1, 0

    def reset(self) -> None:
        """Forget the faces of the last picture."""
        with quiet_native_log():
            for model in [self._video] if self.others_every == 1 else [self._video, self._one]:
                model.reset()
                model.process(BLANK)
        self._met_face, self.pictures = False, 0
        self._alone, self._since = self.others_every > 1, 0

    def detect(self, image: np.ndarray) -> list[Face]:
        """All faces, largest first."""
        height, width = image.shape[:2]
        with contextlib.nullcontext() if self._met_face else quiet_native_log():  # it speaks again at the first face
            found = self._meshes(image)
        self._met_face = self._met_face or bool(found)
        faces = [_mesh_face(mesh, width, height) for mesh in found]
        faces = _by_size(faces or self._detect_far(image))
        self.pictures += 1
        if not self.look or self.pictures % LOOK_EVERY != 1:
            return faces
        from lipsync.faces.occlusion import look_at_mouth

        return [look_at_mouth(face, image) for face in faces[:2]] + faces[2:]

    def _meshes(self, image: np.ndarray) -> list:
        """Faces that are large in the picture, by the mesh for one face or the one for several; see the class."""
        if self._alone and self._since % self.others_every == 0:
            self._alone = len(self._near.process(image).detections or []) <= 1
            if not self._alone:
                self._since = 0
                self._video.process(BLANK)  # what it remembers is out of date
        found = (self._one if self._alone else self._video).process(image).multi_face_landmarks or []
        self._since = 0 if not self._alone and len(found) > 1 else self._since + 1
        if self.others_every > 1 and not self._alone and self._since >= self.others_every:
            self._alone, self._since = True, 0
            self._one.process(BLANK)
        return found

    def _detect_far(self, image: np.ndarray) -> list[Face]:
        """Small faces: find the box first, then run the mesh on an enlarged square around it."""
        height, width = image.shape[:2]
        faces = []
        for found in self._far.process(image).detections or []:
            box = found.location_data.relative_bounding_box
            side = 2.0 * max(box.width * width, box.height * height)
            left = (box.xmin + box.width / 2) * width - side / 2
            top = (box.ymin + box.height / 2) * height - side / 2
            scale = 256 / max(side, 1.0)
            to_crop = np.array([[scale, 0, -left * scale], [0, scale, -top * scale]], np.float64)
            crop = cv2.warpAffine(image, to_crop, (256, 256), flags=cv2.INTER_LINEAR)
            for mesh in self._still.process(crop).multi_face_landmarks or []:
                face = _mesh_face(mesh, 256, 256)
                landmarks = (face.landmarks / scale + [left, top, 0]).astype(np.float32)
                faces.append(Face(_box(landmarks), landmarks, float(found.score[0])))
        return faces


def _close(models: list) -> None:
    """End the models' threads. Their callbacks hold them, so they are never collected: 100 MB and 6 threads a video."""
    for model in models:
        model.close()


def _mesh_face(mesh: object, width: int, height: int) -> Face:
    points = np.array([(p.x * width, p.y * height, p.z * width) for p in mesh.landmark], np.float32)  # type: ignore[attr-defined]
    return Face(_box(points), points[MESH_TO_68])


class FaceAlignmentDetector:
    """The face-alignment package (S3FD + FAN). Its weights are fetched by the package at first use (about 190 MB).

    Args:
        device: torch device name.
        face_detector_kwargs: passed on, for example {"path_to_detector": FILE} for weights that are already here.
    """

    def __init__(self, device: str = "cpu", face_detector_kwargs: dict[str, str] | None = None) -> None:
        import face_alignment

        try:
            self._net = face_alignment.FaceAlignment(
                face_alignment.LandmarksType.TWO_D,
                device=device,
                compile=False,
                face_detector="sfd",
                face_detector_kwargs=face_detector_kwargs,
            )
        except OSError as error:  # URLError is one
            raise NoFaceError(
                "the face-alignment detector fetches its weights (about 190 MB) at first use and could not reach them "
                f"({error}). Connect once, or use the default detector, mediapipe, which needs no download."
            ) from error

    def reset(self) -> None:
        """Nothing is remembered between pictures."""

    def detect(self, image: np.ndarray) -> list[Face]:
        """All faces, largest first; depth is filled in from the average head."""
        found = self._net.get_landmarks_from_image(image, return_bboxes=True)
        if found is None:
            return []
        points, _, boxes = found
        faces = []
        for flat, box in zip(points or [], boxes or [], strict=True):
            landmarks = add_depth(np.asarray(flat, np.float32)[:, :2])
            faces.append(Face(_box(landmarks), landmarks, float(box[4]) if len(box) > 4 else 1.0))
        return _by_size(faces)
