"""Random programs end alike under KVM and under emulation, whose disagreements that are known
(docs/differences.md) they avoid.

PYKVM_FUZZ_PROGRAMS says how many programs there are (`make fuzz` asks for many more, other ones
each time); PYKVM_FUZZ_SEED repeats a run.
"""

from __future__ import annotations

import os
import random
from collections import Counter

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings

from pykvm.x86 import Mode
from tests.oracle.program import Program, assemble, programs
from tests.oracle.subject import Subject

pytest.importorskip("unicorn", reason="unicorn, the emulator, is not installed")

pytestmark = pytest.mark.needs(
    *("real_mode", "protected_mode", "long_mode", "undefined_opcode", "page_fault"),
    *("mmio", "locked", "rep_ins", "rep_outs"),
)

PROGRAMS = int(os.environ.get("PYKVM_FUZZ_PROGRAMS", "0"))
SEED = int(os.environ.get("PYKVM_FUZZ_SEED", "0"))
IN_SUITE = 300


@pytest.mark.not_on_svm("slow, and its processor is QEMU's, which spoils RFLAGS at CMPXCHG8B")
def test_random_programs_end_alike() -> None:
    number = PROGRAMS or IN_SUITE
    # the suite has the same programs each time
    chosen = SEED or (random.SystemRandom().getrandbits(32) if PROGRAMS else 1)
    print(f"PYKVM_FUZZ_SEED={chosen} PYKVM_FUZZ_PROGRAMS={number}")
    ends: Counter[str] = Counter()
    with Subject("kvm") as kvm, Subject("emu") as emulated:
        lacking = kvm.lacks()
        print(f"left out, as this host's KVM does not run them right: {sorted(lacking)}")

        @seed(chosen)
        @settings(
            max_examples=number,
            deadline=None,
            database=None,
            phases=(Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck),
        )
        @given(programs(lacking))
        def end_alike(program: Program) -> None:
            assembled = assemble(program)
            result = kvm.run(program)
            ends[f"{program.mode.value}: {result.end}"] += 1
            differences = result.differences(emulated.run(program), assembled)
            assert not differences, "KVM and emulation\n" + "\n".join(differences)

        end_alike()
    print(dict(ends))
    if number >= IN_SUITE:  # else there would be little to compare
        for mode in Mode:
            assert ends[f"{mode.value}: halted"] > number // 50
            assert ends[f"{mode.value}: vector 0"]
            assert ends[f"{mode.value}: vector 6"]
