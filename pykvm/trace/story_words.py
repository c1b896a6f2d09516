"""Calls, exits and times in words."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pykvm._shim import lib
from pykvm.kvm.capabilities import name_of as capability_name
from pykvm.kvm.decode import REASONS, exit_name, reason_name
from pykvm.kvm.recorder import INTR
from pykvm.sizes import size_words
from pykvm.trace import words
from pykvm.x86 import Cr0, Efer, Rflags

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pykvm.debug.disasm import Instruction
    from pykvm.kvm.journal import Call
    from pykvm.kvm.recorder import Record
    from pykvm.trace.form import Devices

    Fields = Mapping[str, int | str]

IO: int = lib.KVM_EXIT_IO
MMIO: int = lib.KVM_EXIT_MMIO

NAMED = tuple(
    REASONS.index(name)
    for name in ("IO", "MMIO", "HLT", "X86_RDMSR", "X86_WRMSR", "INTERNAL_ERROR")
)
"""Exits whose instruction is looked for."""

PREFIXES = ("rep", "repe", "repne", "lock", "data16")

HANDLERS = ("Python", "the C loop", "the C loop", "a device in C")
"""Who answered, by `Record.handled`."""

_DESCRIPTORS = {"system": "kvm", "VM": "vm", "vCPU": "vcpu"}


def duration(ns: int) -> str:
    """A time of three digits: "812 ns", "8.12 us", "12.3 ms", "1.20 s"."""
    if ns < 1000:
        return f"{ns} ns"
    value = float(ns)
    for unit in ("us", "ms", "s"):
        value /= 1000
        if value < 999.5 or unit == "s":
            return f"{value:.{max(2 - len(str(int(value))) + 1, 0)}f} {unit}"
    raise AssertionError("a time has a unit")


def plural(count: int, what: str) -> str:
    """A number of things: "1 exit", "2 exits"."""
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def call_text(call: Call) -> str:
    """A call as it stands in a program: `ioctl(vm, KVM_CREATE_VCPU, 0)`."""
    if call.name == "open":
        return f'open("{call.fields.get("path", "")}", O_RDWR)'
    if call.name == "mmap":
        return f"mmap(vcpu, {size_words(int(call.fields.get('size', 0)))})"
    descriptor = _DESCRIPTORS.get(call.kind, "fd")
    value = call.fields.get("value")
    if call.name == "KVM_CHECK_EXTENSION" and isinstance(value, int):
        return f"ioctl({descriptor}, {call.name}, {capability_name(value)})"
    return f"ioctl({descriptor}, {call.name})"


def call_words(call: Call) -> str:
    """A call's arguments and result in words; empty where the call says it all."""
    if call.result < 0:
        return f"fails: {os.strerror(-call.result)}"
    maker = _WORDS.get(call.name)
    return maker(call.fields, call.result) if maker is not None else ""


def _region(f: Fields, _: int) -> str:
    start, length = int(f["guest_phys_addr"]), int(f["memory_size"])
    if not length:
        return f"slot {f['slot']} is taken away"
    return (
        f"slot {f['slot']}: {size_words(length)} from guest-physical {start:#x} on are this "
        f"process's memory at {int(f['userspace_addr']):#x}"
    )


def _sregs(f: Fields, _: int) -> str:
    cr0, efer = int(f["cr0"]), int(f["efer"])
    mode = "long mode" if efer & Efer.LMA else "protected mode" if cr0 & Cr0.PE else "real mode"
    code = 64 if f["cs.l"] and efer & Efer.LMA else 32 if f["cs.db"] else 16
    words = f"{mode}, {code}-bit code; CR0 {cr0:#x} [{' '.join(Cr0.names(cr0))}]"
    words += f", CS base {int(f['cs.base']):#x}"
    if cr0 & Cr0.PG:
        words += f", CR3 (page tables) {int(f['cr3']):#x}, EFER [{' '.join(Efer.names(efer))}]"
    return words


def _regs(f: Fields, _: int) -> str:
    flags = " ".join(Rflags.names(int(f["rflags"]) & ~Rflags.FIXED))
    return f"RIP {int(f['rip']):#x}, RSP {int(f['rsp']):#x}, RFLAGS [{flags or 'none set'}]"


_MP_STATES = ("runs", "waits for INIT", "has got INIT", "halts", "has got SIPI")

_WORDS: dict[str, Callable[[Fields, int], str]] = {
    "open": lambda f, fd: f"gives the descriptor {fd}, kvm below",
    "mmap": lambda f, _: "the page that KVM and this process share, and two rings behind it",
    "KVM_GET_API_VERSION": lambda f, version: f"says {version}",
    "KVM_CREATE_VM": lambda f, fd: f"gives the descriptor {fd}, vm below",
    "KVM_CREATE_VCPU": lambda f, fd: f"number {f.get('value', 0)}: the descriptor {fd}, vcpu below",
    "KVM_CHECK_EXTENSION": lambda f, value: f"says {value}" if value else "says 0: no",
    "KVM_ENABLE_CAP": lambda f, _: capability_name(int(f["cap"])),
    "KVM_SET_TSS_ADDR": lambda f, _: f"guest-physical {int(f.get('value', 0)):#x}",
    "KVM_SET_IDENTITY_MAP_ADDR": lambda f, _: f"guest-physical {int(f.get('value', 0)):#x}",
    "KVM_SET_USER_MEMORY_REGION": _region,
    "KVM_SET_GSI_ROUTING": lambda f, _: plural(int(f["nr"]), "route"),
    "KVM_GET_SUPPORTED_CPUID": lambda f, _: plural(int(f["nent"]), "entry").replace("ys", "ies"),
    "KVM_SET_CPUID2": lambda f, _: plural(int(f["nent"]), "entry").replace("ys", "ies"),
    "KVM_GET_VCPU_MMAP_SIZE": lambda f, length: f"says {size_words(length)}",
    "KVM_GET_SREGS": _sregs,
    "KVM_SET_SREGS": _sregs,
    "KVM_GET_REGS": _regs,
    "KVM_SET_REGS": _regs,
    "KVM_GET_TSC_KHZ": lambda f, khz: f"says {khz / 1000:.0f} MHz",
    "KVM_IRQ_LINE": lambda f, _: f"line {f['irq']} {'up' if f['level'] else 'down'}",
    "KVM_GET_MP_STATE": lambda f, _: _mp_state(int(f["mp_state"])),
    "KVM_GET_STATS_FD": lambda f, fd: f"gives the descriptor {fd}",
}


def _mp_state(state: int) -> str:
    return f"it {_MP_STATES[state]}" if state < len(_MP_STATES) else f"state {state}"


def instruction_words(record: Record, instruction: Instruction | None) -> str:
    """The instruction with its linear address and bytes; or why none is named."""
    if instruction is not None:
        code = instruction.code.hex(" ")
        return f"{instruction.address:08x}  {code:<15}  {instruction.text}"
    if record.rip and record.reason not in NAMED:
        return f"RIP is {record.rip:#x}"
    if not record.code_width:
        return "which instruction is not known: this host does not share RIP"
    return f"near RIP {record.rip:#x}, but no instruction found there fits this exit"


def action_word(record: Record, instruction: Instruction | None) -> str:
    """An exit in one word: the instruction's mnemonic, if it is known."""
    if instruction is not None:
        words = instruction.text.split()
        return words[1] if words[0] in PREFIXES and len(words) > 1 else words[0]
    if record.reason == INTR:
        return "signal"
    return exit_name(record.reason).lower()


def place_words(record: Record, device: Devices) -> str:
    """Where an access went: "port 0x3f8 (serial port COM1)"."""
    kind = "guest-physical" if record.reason == MMIO else "port"
    return f"{kind} {record.address:#x} ({device(record) or 'no device'})"


def exit_words(record: Record, device: Devices) -> str:
    """What came out of KVM_RUN."""
    reason = reason_name(record.reason)
    if record.reason == INTR:
        return "a signal ends KVM_RUN (EINTR)"
    if record.reason in (IO, MMIO):
        return f"exit reason {reason}: {access_words(record)} {place_words(record, device)}"
    detail = {
        "KVM_EXIT_INTERNAL_ERROR": f": suberror {record.value}",
        "KVM_EXIT_FAIL_ENTRY": f": hardware reason {record.value:#x}",
        "KVM_EXIT_UNKNOWN": f": hardware reason {record.value:#x}",
        "KVM_EXIT_SYSTEM_EVENT": f": event {record.value}",
        "KVM_EXIT_IOAPIC_EOI": f": vector {record.value:#x}",
        "KVM_EXIT_X86_RDMSR": f": MSR {record.address:#x}",
        "KVM_EXIT_X86_WRMSR": f": MSR {record.address:#x}, value {record.value:#x}",
        "KVM_EXIT_DEBUG": f": at {record.address:#x}",
    }.get(reason, "")
    return f"exit reason {reason}{detail}"


def access_words(record: Record) -> str:
    """What the guest does: "write 0x48 'H', 1 byte, to"."""
    many = f"{record.count} times " if record.count > 1 else ""
    if not record.is_write:
        return f"read {many}{plural(record.size, 'byte')} from"
    first = "first " if record.count > 1 else ""
    return f"write {many}{plural(record.size, 'byte')}, {first}{value_words(record)}, to"


def value_words(record: Record) -> str:
    """A value, with its character if it is sent through a port and may be one: "0x48 'H'"."""
    return f"{record.value:#x}{words.character(record) if record.reason == IO else ''}"


def handler_words(record: Record, device: Devices) -> str:
    """Who answered an access, and what."""
    who = HANDLERS[record.handled] if record.handled < len(HANDLERS) else "the C loop"
    name = device(record)
    if record.is_write:
        if record.handled == 1:
            return f"{who} notes it for the device, {name or 'which is none'}"
        if not name:
            return f"{who} finds no device there and drops it"
        return f"{who} gives it to the device, {name}"
    first = "first " if record.count > 1 else ""
    alone = "" if name or record.handled else ", all ones, since no device is there"
    return f"{who} answers {first}{value_words(record)}{alone}"


def kind_words(record: Record, device: Devices) -> str:
    """A record for a summary of many."""
    if record.reason in (IO, MMIO):
        verb = "write to" if record.is_write else "read from"
        who = HANDLERS[record.handled] if record.handled < len(HANDLERS) else "the C loop"
        return f"{verb} {place_words(record, device)}, by {who}"
    return "a signal ends KVM_RUN" if record.reason == INTR else reason_name(record.reason)


def hidden_words(counts: Mapping[str, int], exits: int, interruptions: int) -> tuple[str, ...]:
    """What KVM's counts say of the exits that it handled itself (see `story.tell_hidden`)."""
    if "exits" not in counts:
        return ("This host's KVM offers no counts of them (KVM_CAP_BINARY_STATS_FD).",)
    total = counts["exits"]
    words = [f"KVM counted {plural(total, 'exit')} from guest mode during this run."]
    if total > exits:
        signals = ""
        if interruptions:
            signals = (
                f", but for those at which a signal ended KVM_RUN ({interruptions} at the most)"
            )
        words.append(
            f"{exits} of them came out with a reason, as told above; the other "
            f"{total - exits if total - exits > 1 else 'one'} KVM handled itself{signals}."
        )
    elif total == exits:
        words.append("All of them came out with a reason, as told above.")
    else:
        words.append(
            f"That is fewer than the {exits} that came out with a reason, so on this host the two "
            "do not count the same and their difference says nothing."
        )
    known = [f"{name} {counts[key]}" for key, name in _COUNTS.items() if counts.get(key)]
    if known:
        words.append(f"Of what it did it counted: {', '.join(known)}.")
    if counts.get("halt_wait_ns"):
        words.append(
            f"For {duration(counts['halt_wait_ns'])} it let the guest's processor wait in HLT, "
            "which is part of 'kernel + guest', too."
        )
    emulated = counts.get("insn_emulation", 0)
    if emulated > max(exits, 1) * 2:
        words.append(
            f"It emulated {emulated} instructions of this guest instead of having the processor "
            "execute them in guest mode: this host is of that kind, and slower than one that need "
            "not."
        )
    return tuple(words)


_COUNTS = {
    "halt_exits": "HLT",
    "irq_exits": "interrupts of the host",
    "irq_window_exits": "waits for a moment to interrupt the guest",
    "nmi_window_exits": "waits for a moment to send an NMI",
    "pf_taken": "page faults",
    "pf_fixed": "page faults mended",
    "mmio_exits": "MMIO",
    "io_exits": "port I/O",
    "signal_exits": "signals",
    "irq_injections": "interrupts injected",
    "insn_emulation": "instructions emulated",
}
"""Statistics of a vCPU that a reader can make sense of (arch/x86/kvm/x86.c)."""
