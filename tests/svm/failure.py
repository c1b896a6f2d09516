"""What goes wrong with the emulated machine itself, as opposed to the command that runs there."""

from __future__ import annotations


class Failure(Exception):
    """The machine cannot run the command; the words are one line for whoever wanted it to."""

    status = 125


class TimeUp(Failure):
    """The command took longer than it was given."""

    status = 124
