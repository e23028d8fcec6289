"""Frames and sound with exact times, through PyAV (imported nowhere else)."""

from lipsync.media.picture import Picture
from lipsync.media.read import probe, read_frames, read_pictures
from lipsync.media.sound import read_sound, write_wav
from lipsync.media.whole import WholeFile
from lipsync.media.write import VideoWriter

__all__ = ["Picture", "VideoWriter", "WholeFile", "probe", "read_frames", "read_pictures", "read_sound", "write_wav"]
