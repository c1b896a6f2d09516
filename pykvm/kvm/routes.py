"""Which accesses the C run loop answers itself.

Everything is Python's until a route says otherwise: posted (log a write, deliver it later),
constant (answer a read, drop a write) or native (call a C function).
"""

from __future__ import annotations

from pykvm._shim import ffi, lib
from pykvm.named import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

_ROUTES_MAX = 256
_MMIO_MAX = 32


class Routes:
    """Which accesses the C loop answers itself; one object a machine, shared by its vCPUs.

    Everything is Python's until said otherwise.  Routes may change while vCPUs run, by one thread
    at a time (`find_route` in csrc/runloop.c says why that is safe).

    Args:
        posting: whether writes may be posted.  Each vCPU has a log of its own, so that the order
            between the writes of several would be lost: with more than one, say no.

    Attributes:
        posting: as given.
        ports, mmio: the two address spaces, each an `Accelerator` (see `pykvm.bus`).
    """

    def __init__(self, *, posting: bool = True) -> None:
        self.posting = posting
        self._c: Any = ffi.new("struct shim_routes *")
        self._used = 1
        self._kept_alive: list[Any] = []
        self.ports = PortRoutes(self)
        self.mmio = MmioRoutes(self)

    @property
    def cdata(self) -> Any:
        """The `struct shim_routes *`."""
        return self._c

    def allocate(self) -> int | None:
        """A free route's index, or None when all are taken (routes are hints: live without)."""
        if self._used == _ROUTES_MAX:
            return None
        self._used += 1
        return self._used - 1

    def keep_alive(self, cdata: Any) -> None:
        """Hold what the C side points to as long as this object lives."""
        self._kept_alive.append(cdata)


class _Space:
    """What ports and MMIO have in common: a route for each address and direction, on demand."""

    def __init__(self, routes: Routes) -> None:
        self._routes = routes
        self._indices: dict[tuple[int, bool], int | None] = {}

    def _bind(self, address: int, is_write: bool, index: int) -> bool:
        """Point the C tables at a route; False if there is no room for it."""
        raise NotImplementedError

    def _route(self, address: int, is_write: bool) -> Any:
        """The route of an address, made if need be; None where there is no room for more."""
        key = address, is_write
        if key not in self._indices:
            index = self._routes.allocate()
            if index is not None and not self._bind(address, is_write, index):
                index = None
            self._indices[key] = index
        index = self._indices[key]
        return None if index is None else self._routes.cdata.route[index]

    def post_writes(self, address: int, size: int, on: bool) -> None:
        """Log writes of `size` bytes at `address` and re-enter (off: hand them to Python)."""
        if not self._routes.posting:
            return
        self._set(address, True, lib.SHIM_POSTED if on else lib.SHIM_PYTHON, size, 0)

    def answer_reads(self, address: int, size: int, value: int | None) -> None:
        """Answer reads of `size` bytes at `address` with `value` (None: ask Python).

        `size` may be a sum of sizes, each of which reads the value's low bytes; all others go to
        Python.
        """
        if value is None:
            self._set(address, False, lib.SHIM_PYTHON, size, 0)
        else:
            self._set(address, False, lib.SHIM_CONSTANT, size, value)

    def drop_writes(self, address: int, size: int) -> None:
        """Swallow writes of `size` bytes at `address`."""
        self._set(address, True, lib.SHIM_CONSTANT, size, 0)

    def _set(self, address: int, is_write: bool, kind: int, size: int, value: int) -> None:
        route = self._route(address, is_write)
        if route is None:
            return
        route.kind = lib.SHIM_PYTHON  # harmless meanwhile: a vCPU may be looking
        route.value = value
        route.sizes = size
        route.kind = kind

    def native(self, address: int, function: str | Any, state: Any) -> bool:
        """Give reads and writes of 1 to 8 bytes at `address` to a C function.

        Args:
            address: a port or guest-physical address.
            function: a `shim_native *`, or the name of one of the shim's own ("shim_latch",
                "shim_counter").
            state: cdata that the function gets as `opaque`; kept alive with the routes.

        Returns:
            False when the route table is full; nothing has changed then.
        """
        if isinstance(function, str):
            function = ffi.addressof(lib, function)
        routes = [self._route(address, is_write) for is_write in (False, True)]
        if None in routes:
            return False
        self._routes.keep_alive((function, state))
        for route in routes:
            route.kind = lib.SHIM_PYTHON  # harmless meanwhile: a vCPU may be looking
            route.native = function
            route.opaque = state
            route.sizes = 1 | 2 | 4 | 8
            route.kind = lib.SHIM_NATIVE
        return True


class PortRoutes(_Space):
    """Routes of I/O ports."""

    def _bind(self, address: int, is_write: bool, index: int) -> bool:
        self._routes.cdata.pio[is_write][address] = index
        return True


class MmioRoutes(_Space):
    """Routes of guest-physical addresses: exact addresses, 32 of them at the most."""

    def _bind(self, address: int, is_write: bool, index: int) -> bool:
        table = self._routes.cdata
        for i in range(table.mmio_count):
            if table.mmio[i].address == address:
                table.mmio[i].route[is_write] = index
                return True
        if table.mmio_count == _MMIO_MAX:
            return False
        entry = table.mmio[table.mmio_count]
        entry.address = address
        entry.route[is_write] = index
        table.mmio_count += 1
        return True
