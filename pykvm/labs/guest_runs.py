"""Running a guest image for a checker, and what is told of the run."""

from __future__ import annotations

from typing import Any, NamedTuple

from pykvm.labs.student import Student

OUTPUT_TOLD = 1 << 16


class Run(NamedTuple):
    """What became of a guest.

    Attributes:
        reason: "halted", "debug-exit", "power-off", "reset", "timeout", ... (`StopReason`), or
            "crash".
        value: what was written to the debug-exit device; else 0.
        crash: what happened, one sentence; empty unless it crashed.
        serial, debug: what was sent to COM1 and to port 0xE9, up to 64 KiB.
        exits: how many of each kind: {"KVM_EXIT_IO": 3}.
        ports: I/O exits by port.
        unclaimed: what nobody answered: (bus, address, is_write, count).
        registers: of the first processor at the end: "rax" to "r15", "rip", "rflags", "cr0",
            "cr3", "cr4", "efer"; and "cs", "ds", "ss" as dictionaries of their hidden parts.
        memory: what `want` asked for, in its order.
    """

    reason: str
    value: int
    crash: str
    serial: bytes
    debug: bytes
    exits: dict[str, int]
    ports: dict[int, int]
    unclaimed: list[tuple[str, int, bool, int]]
    registers: dict[str, Any]
    memory: list[bytes]

    def told(self) -> str:
        """How it ended, in words for a message."""
        if self.reason == "crash":
            return f"crashed: {self.crash}"
        if self.reason == "timeout":
            return "did not end in time"
        if self.reason == "debug-exit":
            return f"wrote {self.value} to the debug-exit port"
        return self.reason


def run_image(_: Student, image: bytes, mode: str, options: dict[str, Any]) -> dict[str, Any]:
    """The scenario of `Work.run`.

    Args:
        image: flat.
        mode: how to enter it.
        options: `seconds`; `memory` (bytes of RAM, default 16 MiB); `serial` (bytes that come in
            on COM1); `ram` ({address: bytes} to put there before); `want` (a list of (address,
            length) to read afterwards); `smp`; `load_address`; `max_exits`.

    Returns:
        the fields of a `Run`.
    """
    from pykvm.errors import GuestCrash
    from pykvm.machine import Machine
    from pykvm.memory import Gpa
    from pykvm.x86 import Mode

    with Machine(options.get("memory", 16 << 20), smp=options.get("smp", 1), stats=True) as machine:
        machine.load(
            image,
            mode=Mode(mode),
            load_address=options.get("load_address", 0x1000),
            bios=False,
        )
        for address, content in options.get("ram", {}).items():
            machine.memory.write(Gpa(address), content)
        machine.send(options.get("serial", b""))
        reason, value, crash = "crash", 0, ""
        try:
            stop = machine.run(timeout=options["seconds"], max_exits=options.get("max_exits"))
            reason, value = stop.reason.value, stop.value
        except GuestCrash as error:
            crash = error.cause
        stats = machine.stats()
        return {
            "reason": reason,
            "value": value,
            "crash": crash,
            "serial": machine.output[:OUTPUT_TOLD],
            "debug": machine.debug_output[:OUTPUT_TOLD],
            "exits": stats.exits,
            "ports": stats.ports,
            "unclaimed": [(u.bus, u.address, u.is_write, u.count) for u in stats.unclaimed],
            "registers": registers_of(machine.cpus[0].vcpu),
            "memory": [
                machine.memory.read(Gpa(address), length)
                for address, length in options.get("want", ())
            ],
        }


def registers_of(vcpu: Any) -> dict[str, Any]:
    """A `Vcpu`'s registers as plain values, as `Run.registers` has them."""
    from dataclasses import asdict

    sregs = vcpu.get_sregs()
    return {
        **asdict(vcpu.get_regs()),
        **{name: int(getattr(sregs, name)) for name in ("cr0", "cr2", "cr3", "cr4", "efer")},
        **{name: dict(getattr(sregs, name)._asdict()) for name in ("cs", "ds", "ss")},
    }
