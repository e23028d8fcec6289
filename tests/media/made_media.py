"""Media made for the tests: every picture carries its own number and the colours of its corners."""

import subprocess
import sys
from fractions import Fraction

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.video.frame import VideoFrame

BITS = 10
RED, GREEN, BLUE = (220, 30, 30), (30, 200, 30), (30, 30, 220)
QUARTER_TURNS = {  # clockwise turn → display matrix, as phones write it
    0: (65536, 0, 0, 0, 65536, 0, 0, 0, 1 << 30),
    90: (0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30),
    180: (-65536, 0, 0, 0, -65536, 0, 0, 0, 1 << 30),
    270: (0, -65536, 0, 65536, 0, 0, 0, 0, 1 << 30),
}


def numbered(number: int, width: int = 160, height: int = 120) -> np.ndarray:
    """A picture whose middle row of blocks spells `number` in bits; corners red, green (right), blue (bottom left)."""
    image = np.full((height, width, 3), 110, np.uint8)
    h, w = height // 4, width // 4
    image[:h, :w], image[:h, -w:], image[-h:, :w] = RED, GREEN, BLUE
    edges = np.linspace(0, width, BITS + 1).astype(int)
    for bit in range(BITS):
        value = 235 if number >> bit & 1 else 20
        image[2 * h - h // 2 : 2 * h + h // 2, edges[bit] : edges[bit + 1]] = value
    return image


def number_of(image: np.ndarray) -> int:
    """The number that `numbered` put in."""
    height, width = image.shape[:2]
    edges = np.linspace(0, width, BITS + 1)
    row = image[height // 2 - 1].mean(axis=1)
    return sum(int(row[int((edges[bit] + edges[bit + 1]) / 2)] > 128) << bit for bit in range(BITS))


def corners(image: np.ndarray) -> list[tuple[int, ...]]:
    """Mean colours of the top left, top right and bottom left corner, rounded to the nearest planted one."""
    spots = (image[4:12, 4:12], image[4:12, -12:-4], image[-12:-4, 4:12])
    planted = np.array([RED, GREEN, BLUE, (110, 110, 110)])
    found = [np.abs(planted - spot.mean(axis=(0, 1))).sum(axis=1).argmin() for spot in spots]
    return [tuple(planted[k].tolist()) for k in found]


def make_video(
    path,
    pts,
    *,
    time_base=Fraction(1, 25),
    rate=25,
    images=None,
    size=(160, 120),
    codec="libx264",
    pixel_format="yuv420p",
    container=None,
    options=None,
    b_frames=2,
    matrix=None,
    colour=None,
    pixel_aspect=None,
    sound=None,
    sound_codec="aac",
    sound_rate_hz=44100,
    sound_pts=0,
    gap=None,
):
    """Write pictures at `pts`, and `sound` (float32 (N, C)) from tick `sound_pts` of 1/rate on.

    `gap` = (sample, length): from that sample on, the sound comes `length` samples later.
    """
    images = [numbered(k, *size) for k in range(len(pts))] if images is None else images
    with av.open(str(path), "w", format=container, container_options=options or {}) as out:
        stream = out.add_stream(codec, rate=rate, time_base=time_base)
        stream.width, stream.height, stream.pix_fmt = images[0].shape[1], images[0].shape[0], pixel_format
        stream.codec_context.gop_size = 12
        if codec in ("libx264", "mpeg4", "mpeg2video"):
            stream.codec_context.max_b_frames = b_frames
        if codec == "libx264":
            stream.options = {"crf": "8", "preset": "veryfast"}
        elif codec != "gif":
            stream.codec_context.bit_rate = 4_000_000
        for name, value in (colour or {}).items():
            setattr(stream.codec_context, name, value)
        if pixel_aspect is not None:
            stream.codec_context.sample_aspect_ratio = pixel_aspect
        if matrix is not None:
            stream.set_display_matrix(matrix)
        track = None
        if sound is not None:
            layout = {1: "mono", 2: "stereo"}[sound.shape[1]]
            track = out.add_stream(sound_codec, rate=sound_rate_hz)
            track.codec_context.layout = layout
        for image, tick in zip(images, pts, strict=True):
            frame = VideoFrame.from_ndarray(image, format="rgb24") if image.ndim == 3 else image
            frame = frame.reformat(format=pixel_format, interpolation="BICUBIC")
            frame.pts, frame.time_base = int(tick), time_base
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
        if track is not None:
            for frame in _sound_frames(sound, track, sound_rate_hz, sound_pts, gap):
                out.mux(track.encode(frame))
            out.mux(track.encode(None))


def _sound_frames(sound, track, rate_hz, first, gap):
    form = track.codec_context.format.name
    size = 960 if track.codec_context.name in ("libopus", "opus") else 1024
    starts = list(range(0, len(sound), size))
    for at in starts:
        piece = sound[at : at + size]
        if form.startswith("s16"):
            piece = np.rint(piece * 32767).astype(np.int16)
        data = piece.T if form.endswith("p") else piece.reshape(1, -1)
        frame = AudioFrame.from_ndarray(np.ascontiguousarray(data), format=form, layout=track.codec_context.layout.name)
        frame.sample_rate = rate_hz
        frame.pts = first + at + (gap[1] if gap and at >= gap[0] else 0)
        frame.time_base = Fraction(1, rate_hz)
        yield frame


def clicks(length: int, places, rate_hz: int, channels: int = 1) -> np.ndarray:
    """float32 (length, C): a 2 kHz burst of 5 ms at each sample of `places`, silence elsewhere."""
    burst = 0.7 * np.sin(2 * np.pi * 2000 * np.arange(rate_hz // 200) / rate_hz)
    sound = np.zeros((length, channels), np.float32)
    for place in places:
        sound[place : place + len(burst)] += burst[:, None]
    return sound


def onsets_s(samples: np.ndarray, rate_hz: int, start_s: float) -> list[float]:
    """When bursts begin, on the clock whose time of sample 0 is `start_s`."""
    mono = np.abs(samples if samples.ndim == 1 else samples.mean(axis=1))
    loud = np.flatnonzero(mono > 0.2)
    first = loud[np.r_[True, np.diff(loud) > rate_hz // 50]] if len(loud) else loud
    return [start_s + int(k) / rate_hz for k in first]


def peak_memory_mb(code: str) -> float:
    """Run `code` in a process of its own; the most memory it held, in MB."""
    tail = "\nimport resource; print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)"
    done = subprocess.run([sys.executable, "-c", code + tail], capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])
