"""Faces: detectors, tracks, head pose, windows."""
