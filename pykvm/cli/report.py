"""What `pykvm run` tells at the end, for people and for programs."""

from __future__ import annotations

from pykvm.cli import failure
from pykvm.cli.streams import complain, say
from pykvm.cpu.stop import StopReason
from pykvm.named import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

    from pykvm.cli.run import Outcome
    from pykvm.debug.symbols import Symbols
    from pykvm.devices.sinks import BufferSink
    from pykvm.errors import GuestCrash
    from pykvm.stats import Stats

PORTS_SHOWN = 12


def tell(outcome: Outcome, *, stats: bool, as_json: bool) -> None:
    """Say how a run ended: in words on standard error, or as JSON on standard output.

    Args:
        outcome: how.
        stats: tell exits and times on standard error, too.
        as_json: print the object; of words only those on a failure of the host remain.
    """
    if as_json:
        print_object(as_object(outcome))
    words = sentence(outcome)
    if words and (outcome.error is not None or not as_json):
        complain(words)
    if outcome.core is not None and outcome.crash is not None and not as_json:
        complain(f"its memory and registers: gdb -c {outcome.core}")
    if stats and outcome.stats is not None:
        print_stats(outcome.stats, outcome.seconds, outcome.restarts)


def sentence(outcome: Outcome) -> str:
    """What the user should hear of the end; nothing of the guest's own verdict."""
    if outcome.error is not None:
        return failure.explain(outcome.error).words
    if outcome.crash is not None:
        from pykvm.debug.crash import describe_crash

        return describe_crash(outcome.crash, _symbols(outcome))
    stop = outcome.stop
    assert stop is not None
    match stop.reason:
        case StopReason.TIMEOUT:
            return f"stopped: the guest was still running after {outcome.seconds:.3g} s (--timeout)"
        case StopReason.INTERRUPTED | StopReason.TERMINATED:
            return f"stopped by {stop.detail}"
        case StopReason.NOT_BOOTED:
            return "the BIOS found nothing to boot from: no disk begins with a boot sector (55 AA)"
        case StopReason.RESET:
            return f"the guest asked for a reset through {stop.detail}: the end"
        case _:
            return ""


def _symbols(outcome: Outcome) -> Symbols | None:
    from pykvm.debug.symbols import read_symbols

    return None if outcome.image is None else read_symbols(outcome.image)


def print_object(members: dict[str, Any]) -> None:
    """Print the JSON object of `--json`; docs/json.md explains its members."""
    import json

    say(f"{json.dumps(members)}\n")


def print_failure(error: BaseException) -> None:
    """Print the JSON object of a run that never began."""
    what = failure.explain(error)
    members: dict[str, Any] = {"status": what.status, "reason": what.reason}
    if what.words:
        members["error"] = what.words
    print_object(members)


def as_object(outcome: Outcome) -> dict[str, Any]:
    """The JSON object of a run."""
    members: dict[str, Any] = {
        "status": outcome.status,
        "reason": _reason(outcome),
        "seconds": outcome.seconds,
        "restarts": outcome.restarts,
    }
    if outcome.stop is not None:
        if outcome.stop.detail:
            members["detail"] = outcome.stop.detail
        if outcome.stop.reason is StopReason.DEBUG_EXIT:
            members["value"] = outcome.stop.value
    if outcome.error is not None:
        members["error"] = failure.explain(outcome.error).words
    if outcome.core is not None:
        members["core"] = outcome.core
    if outcome.crash is not None:
        members["crash"] = _crash_members(outcome.crash, _symbols(outcome))
    if outcome.output is not None:
        members |= _output_members(outcome.output)
    if outcome.stats is not None:
        members |= _stats_members(outcome.stats)
    return members


def _stats_members(stats: Stats) -> dict[str, Any]:
    return {
        "exits": stats.exits,
        "ports": {f"{port:#x}": count for port, count in stats.ports.items()},
        "guest_seconds": stats.inside_ns / 1e9,
        "userspace_seconds": stats.outside_ns / 1e9,
        "unclaimed": [
            {
                "bus": u.bus,
                "address": f"{u.address:#x}",
                "access": "write" if u.is_write else "read",
                "count": u.count,
            }
            for u in stats.unclaimed
        ],
    }


def _reason(outcome: Outcome) -> str:
    if outcome.stop is not None:
        return outcome.stop.reason.value
    return "crash" if outcome.crash is not None else "error"


def _output_members(output: BufferSink) -> dict[str, Any]:
    """The output as text, and exactly where it is none."""
    data = output.data
    members: dict[str, Any] = {"output": data.decode("utf-8", "backslashreplace")}
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        from base64 import b64encode

        members["output_base64"] = b64encode(data).decode("ascii")
    if output.dropped:
        members["output_dropped"] = output.dropped
    return members


def _crash_members(crash: GuestCrash, symbols: Symbols | None) -> dict[str, Any]:
    members: dict[str, Any] = {"cause": crash.cause}
    if crash.processor is not None:
        members["processor"] = crash.processor
    if crash.cpu is None:
        return members
    from pykvm.debug.crash import next_instruction

    cpu = crash.cpu
    instruction = next_instruction(cpu)
    return members | {
        "exit": type(crash.exit).__name__,
        "mode": cpu.mode.value,
        "registers": {name: f"{value:#x}" for name, value in cpu.general.items()},
        "control": {name: f"{value:#x}" for name, value in cpu.control.items()},
        "instruction": instruction.text if instruction else None,
        "symbol": None if symbols is None else symbols.name(cpu.linear_rip),
    }


def print_stats(stats: Stats, seconds: float, restarts: int) -> None:
    """A table of exits, ports, times and unclaimed accesses, on standard error."""
    from rich.console import Console
    from rich.table import Table

    console = Console(stderr=True, highlight=False)
    table = Table(title=f"{stats.total_exits} exits", title_justify="left")
    table.add_column("exit")
    table.add_column("count", justify="right")
    for name, count in stats.exits.items():
        table.add_row(name, str(count))
    for port, count in list(stats.ports.items())[:PORTS_SHOWN]:
        table.add_row(f"  port {port:#x}", str(count))
    if len(stats.ports) > PORTS_SHOWN:
        rest = list(stats.ports.values())[PORTS_SHOWN:]
        table.add_row(f"  {len(rest)} more ports", str(sum(rest)))
    console.print(table)
    if restarts:
        console.print(f"the guest was started anew {restarts} times")
    console.print(
        f"{seconds * 1e3:.3f} ms: {stats.inside_ns / 1e6:.3f} ms in guest and kernel, "
        f"{stats.outside_ns / 1e6:.3f} ms in userspace"
    )
    for u in stats.unclaimed:
        verb = "written" if u.is_write else "read"
        console.print(f"no device at {u.bus} {u.address:#x}: {verb} {u.count} times")
