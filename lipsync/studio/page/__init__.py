"""The app's page: person → footage → learn → speak, and dub. Holds no torch, NumPy or OpenCV."""

from lipsync.studio.page.build import build_app, serve

__all__ = ["build_app", "serve"]
