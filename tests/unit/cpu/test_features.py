"""The table of features against the manuals' bits and against what this machine's Linux shows."""

from __future__ import annotations

import platform
import shutil
import subprocess
from pathlib import Path

import pytest

from pykvm.cpu.features import NOT_CHOSEN, SYNTHETIC, TABLE, Bit, all_bits

READ_CPUID = """
#include <cpuid.h>
#include <stdio.h>

int main(void)
{
	unsigned function, index, max, eax, ebx, ecx, edx;

	while (scanf("%u %u", &function, &index) == 2) {
		eax = ebx = ecx = edx = 0;
		max = __get_cpuid_max(function & 0x80000000, 0);
		if (function <= max)
			__cpuid_count(function, index, eax, ebx, ecx, edx);
		printf("%u %u %u %u\\n", eax, ebx, ecx, edx);
	}
	return 0;
}
"""


@pytest.mark.parametrize(
    ("name", "bit"),
    [
        ("fpu", Bit(0x1, 0, "edx", 0)),
        ("sep", Bit(0x1, 0, "edx", 11)),
        ("clflush", Bit(0x1, 0, "edx", 19)),
        ("dts", Bit(0x1, 0, "edx", 21)),
        ("pbe", Bit(0x1, 0, "edx", 31)),
        ("pni", Bit(0x1, 0, "ecx", 0)),
        ("pcid", Bit(0x1, 0, "ecx", 17)),
        ("x2apic", Bit(0x1, 0, "ecx", 21)),
        ("tsc_deadline_timer", Bit(0x1, 0, "ecx", 24)),
        ("avx", Bit(0x1, 0, "ecx", 28)),
        ("hypervisor", Bit(0x1, 0, "ecx", 31)),
        ("arat", Bit(0x6, 0, "eax", 2)),
        ("hfi", Bit(0x6, 0, "eax", 19)),
        ("smep", Bit(0x7, 0, "ebx", 7)),
        ("avx512f", Bit(0x7, 0, "ebx", 16)),
        ("avx512vl", Bit(0x7, 0, "ebx", 31)),
        ("umip", Bit(0x7, 0, "ecx", 2)),
        ("la57", Bit(0x7, 0, "ecx", 16)),
        ("rdpid", Bit(0x7, 0, "ecx", 22)),
        ("sgx_lc", Bit(0x7, 0, "ecx", 30)),
        ("fsrm", Bit(0x7, 0, "edx", 4)),
        ("serialize", Bit(0x7, 0, "edx", 14)),
        ("amx_tile", Bit(0x7, 0, "edx", 24)),
        ("arch_capabilities", Bit(0x7, 0, "edx", 29)),
        ("avx_vnni", Bit(0x7, 1, "eax", 4)),
        ("fred", Bit(0x7, 1, "eax", 17)),
        ("lam", Bit(0x7, 1, "eax", 26)),
        ("xsaves", Bit(0xD, 1, "eax", 3)),
        ("syscall", Bit(0x80000001, 0, "edx", 11)),
        ("lm", Bit(0x80000001, 0, "edx", 29)),
        ("3dnow", Bit(0x80000001, 0, "edx", 31)),
        ("lahf_lm", Bit(0x80000001, 0, "ecx", 0)),
        ("topoext", Bit(0x80000001, 0, "ecx", 22)),
        ("mwaitx", Bit(0x80000001, 0, "ecx", 29)),
        ("smca", Bit(0x80000007, 0, "ebx", 3)),
        ("constant_tsc", Bit(0x80000007, 0, "edx", 8)),
        ("acc_power", Bit(0x80000007, 0, "edx", 12)),
        ("wbnoinvd", Bit(0x80000008, 0, "ebx", 9)),
        ("brs", Bit(0x80000008, 0, "ebx", 31)),
        ("vnmi", Bit(0x8000000A, 0, "edx", 25)),
        ("debug_swap", Bit(0x8000001F, 0, "eax", 14)),
    ],
)
def test_bits_of_the_manuals(name: str, bit: Bit) -> None:
    """The last name of each register, and some between."""
    assert all_bits()[name][0] == bit


def test_names_stand_once() -> None:
    rows = [names.split() for names in TABLE.values()]
    names = [name for row in rows for name in row if name != "."]
    assert len(set(names)) == len(names)
    assert not set(SYNTHETIC) & set(names)
    assert set(NOT_CHOSEN) <= set(names)
    assert max(map(len, rows)) == 32


def shown_flags() -> set[str]:
    """The flags of this machine's /proc/cpuinfo; empty for none."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="ascii").splitlines() if path.exists() else []
    return next((set(line.split()) for line in lines if line.startswith("flags\t")), set())


def test_flags_that_linux_shows_here_are_set_in_cpuid(tmp_path: Path) -> None:
    """One way only: Linux hides what it does not use, or what a mitigation turned off."""
    flags = shown_flags()
    if platform.machine() != "x86_64" or not flags:
        pytest.skip("there is no /proc/cpuinfo of an x86-64 Linux here")
    if shutil.which("gcc") is None:
        pytest.skip("there is no gcc here to make a program that runs CPUID")
    program = tmp_path / "read_cpuid"
    command = ["gcc", "-xc", "-", "-o", str(program)]
    subprocess.run(command, input=READ_CPUID, text=True, check=True)
    known = {name: bits for name, bits in all_bits().items() if name not in SYNTHETIC}
    leaves = sorted({bit[:2] for bits in known.values() for bit in bits})
    asked = "".join(f"{function} {index}\n" for function, index in leaves)
    told = subprocess.run([str(program)], input=asked, text=True, check=True, capture_output=True)
    registers = {
        key: dict(zip(("eax", "ebx", "ecx", "edx"), map(int, line.split()), strict=True))
        for key, line in zip(leaves, told.stdout.splitlines(), strict=True)
    }
    checked = flags & known.keys()
    assert len(checked) > 30
    wrong = [
        name
        for name in sorted(checked)
        if not any(registers[bit[:2]][bit.register] >> bit.number & 1 for bit in known[name])
    ]
    assert not wrong
