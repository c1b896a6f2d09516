"""Lab 8, part 1: how many exits to userspace does a guest take?

Write the function.  `python predict.py` holds it against this host.
"""

PAGE_SIZE = 4096


def exits(steps: list[tuple], host: dict) -> tuple[int, int]:
    """The least and the greatest number of exits to userspace for ports and memory.

    Args:
        steps: what the guest does, in order: README.md, section 3.
        host: "ram": bytes of RAM, from address 0 on; behind it there is none;
            "devices": ports whose device is in the kernel;
            "coalesced": (first port, how many) of the kernel's coalesced zones;
            "eventfds": (port, size) of the kernel's ioeventfds.

    Returns:
        two equal numbers, unless there is a REP OUTS in it.
    """
    raise NotImplementedError


if __name__ == "__main__":
    from pykvm.labs.lab08_exits.programs import show

    show(exits)
