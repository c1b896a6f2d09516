"""Helping with a mistyped name."""

from __future__ import annotations

from difflib import get_close_matches

from pykvm.manifest import guests_folder, load_manifest


def unknown_guest(name: str) -> str:
    """What to say of an image that is neither a file nor a bundled guest.

    Raises:
        ImageError: the manifest of the bundled guests is damaged.
    """
    folder = guests_folder()
    names = [] if folder is None else list(load_manifest(folder))
    if not names:
        return f"{name}: there is no such file (and no bundled guests are installed)"
    close = get_close_matches(name, names, n=1)
    hint = f"did you mean {close[0]}?" if close else f"those are {', '.join(names)}"
    return f"{name}: there is no such file, and no bundled guest of that name: {hint}"
