"""Booting: from an image to a `BootState`, by pure functions that touch no machine."""

from pykvm.boot.image import boot_image, read_image
from pykvm.boot.request import Module
from pykvm.boot.state import BootState, Piece

__all__ = ["BootState", "Module", "Piece", "boot_image", "read_image"]
