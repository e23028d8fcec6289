"""Frames and sound with exact times, through PyAV (imported nowhere else)."""

from lipsync.media.read import probe, read_frames
from lipsync.media.sound import read_sound

__all__ = ["probe", "read_frames", "read_sound"]
