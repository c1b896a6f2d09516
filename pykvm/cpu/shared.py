"""What all processors of a machine have in common."""

from __future__ import annotations

from pykvm.named import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from pykvm.bus import Bus
    from pykvm.cpu.msrs import MsrSpace
    from pykvm.cpu.stop import StopRequest
    from pykvm.isa_interrupts import IsaInterrupts
    from pykvm.kvm.routes import Routes
    from pykvm.memory import GuestMemory


class Shared(NamedTuple):
    """The rest of the machine, as its processors see it.

    Attributes:
        ports, mmio: where their accesses go.
        memory: guest RAM, to show code with.
        msrs: what the registers that KVM does not have hold.
        requests: where they look for stop requests, and leave their own.
        lock: held while devices are called; it serialises all processors and input threads.
        has_apics: whether each has a local APIC in the kernel.
        isa: interrupt controllers that are devices of this process, where there are.
        end_of_interrupt: called with the vector when a split irqchip's interrupt is ended.
        on_tick: called at each tick of the first processor that runs: devices look at the clock.
        on_sleep: called at each tick that finds a processor asleep for ever.
        routes: what the C loop answers itself, where there is one.
    """

    ports: Bus
    mmio: Bus
    memory: GuestMemory
    msrs: MsrSpace
    requests: StopRequest
    lock: threading.RLock
    has_apics: bool
    isa: IsaInterrupts | None
    end_of_interrupt: Callable[[int], None]
    on_tick: Callable[[], None]
    on_sleep: Callable[[], None]
    routes: Routes | None = None
