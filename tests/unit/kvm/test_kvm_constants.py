"""Numbers written by hand against what the compiler finds in <linux/kvm.h>."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from pykvm.kvm.capabilities import Capability, name_of
from pykvm.kvm.chipstate import Chip
from pykvm.kvm.cpuid import CpuidFlag
from pykvm.kvm.decode import REASONS
from pykvm.kvm.memory_flags import MemoryFlag
from pykvm.kvm.state import DebugControl, EventFlag, MpState
from pykvm.kvm.sync_regs import SyncFlag

HEADER = "#include <linux/kvm.h>\n"

ENUMS = [
    ("KVM_MEM_", MemoryFlag),
    ("KVM_GUESTDBG_", DebugControl),
    ("KVM_MP_STATE_", MpState),
    ("KVM_SYNC_X86_", SyncFlag),
    ("KVM_VCPUEVENT_VALID_", EventFlag),
    ("KVM_IRQCHIP_", Chip),
]


@pytest.fixture(scope="module")
def macros() -> set[str]:
    """The names of all macros that <linux/kvm.h> defines."""
    dump = subprocess.run(
        ["gcc", "-E", "-dM", "-"], input=HEADER, capture_output=True, text=True, check=True
    ).stdout
    return set(re.findall(r"^#define (\w+) ", dump, re.MULTILINE))


def values(names: list[str], folder: Path) -> dict[str, int]:
    """What the compiler makes of each name."""
    lines = "".join(f'printf("%lld\\n", (long long)({name}));' for name in names)
    source = f"#include <stdio.h>\n{HEADER}int main(void) {{ {lines} return 0; }}"
    program = folder / "values"
    subprocess.run(["gcc", "-xc", "-", "-o", str(program)], input=source, text=True, check=True)
    out = subprocess.run([str(program)], capture_output=True, text=True, check=True).stdout
    return dict(zip(names, map(int, out.split()), strict=True))


def test_capabilities_are_the_header_s(macros: set[str], tmp_path: Path) -> None:
    names = sorted(name for name in macros if name.startswith("KVM_CAP_"))
    assert len(names) > 200
    ours = {cap.api_name: int(cap) for cap in Capability}
    theirs = values(names, tmp_path)
    assert {name: ours.get(name) for name in names} == theirs


def test_capabilities_go_beyond_the_oldest_header() -> None:
    assert len(Capability) >= 240
    assert int(Capability.GUEST_MEMFD) == 234
    assert len({int(cap) for cap in Capability}) == len(Capability.__members__)


def test_capability_names() -> None:
    assert name_of(Capability.SPLIT_IRQCHIP) == "KVM_CAP_SPLIT_IRQCHIP"
    assert name_of(99999) == "capability 99999"


@pytest.mark.parametrize(("prefix", "enum"), ENUMS, ids=str)
def test_flags_are_the_header_s(
    prefix: str, enum: type[MemoryFlag], macros: set[str], tmp_path: Path
) -> None:
    ours = {f"{prefix}{name}": int(value) for name, value in enum.__members__.items()}
    known = sorted(set(ours) & macros)
    assert known
    assert values(known, tmp_path) == {name: ours[name] for name in known}


def test_cpuid_flags_are_the_header_s(tmp_path: Path) -> None:
    """The header misspells the first one."""
    names = [
        "KVM_CPUID_FLAG_SIGNIFCANT_INDEX",
        "KVM_CPUID_FLAG_STATEFUL_FUNC",
        "KVM_CPUID_FLAG_STATE_READ_NEXT",
    ]
    assert list(values(names, tmp_path).values()) == [int(flag) for flag in CpuidFlag]


def test_exit_reasons_are_the_header_s(macros: set[str], tmp_path: Path) -> None:
    named = [f"KVM_EXIT_{reason}" for reason in REASONS]
    known = [name for name in named if name in macros]
    assert len(known) >= 38
    assert values(known, tmp_path) == {name: named.index(name) for name in known}
