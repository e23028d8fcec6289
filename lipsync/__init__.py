"""lipsync: footage of a consenting person in; that person saying anything out."""

__version__ = "0.1.0"
