"""Lab 8, part 1: how many exits to userspace does a guest take?"""

PAGE_SIZE = 4096


def exits(steps: list[tuple], host: dict) -> tuple[int, int]:
    """The least and the greatest number of exits to userspace for ports and memory."""
    least = most = 0
    for kind, *rest in steps:
        low, high = step_exits(kind, rest, host)
        least, most = least + low, most + high
    return least, most


def step_exits(kind: str, rest: list, host: dict) -> tuple[int, int]:
    """The same of one step."""
    if kind == "loop":
        count, inside = rest
        low, high = exits(inside, host)
        return count * low, count * high
    if kind == "outs":
        port, size, count = rest
        stays = stays_in_kernel(host, port, size, is_write=True)
        return (0, 0) if stays or count == 0 else (1, count)
    n = 0
    if kind in ("in", "out"):
        port, size = rest
        n = int(not stays_in_kernel(host, port, size, is_write=kind == "out"))
    elif kind in ("load", "store"):
        n = memory_exits(host, *rest)
    elif kind == "add":
        n = 2 * memory_exits(host, *rest)
    elif kind == "poll":
        n = rest[1] + 1
    return n, n


def stays_in_kernel(host: dict, port: int, size: int, is_write: bool) -> bool:
    """Whether the kernel answers an access to a port itself."""
    if port in host["devices"]:
        return True
    if not is_write:
        return False
    zones = any(first <= port and port + size <= first + n for first, n in host["coalesced"])
    return zones or (port, size) in host["eventfds"]


def memory_exits(host: dict, address: int, size: int) -> int:
    """One for each page that an access touches, if it is not RAM."""
    pages = {byte // PAGE_SIZE for byte in range(address, address + size)}
    return sum(page * PAGE_SIZE >= host["ram"] for page in pages)


if __name__ == "__main__":
    from pykvm.labs.lab08_exits.programs import show

    show(exits)
