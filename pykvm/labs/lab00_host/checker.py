"""What is to be found out of hosts, real ones and made-up ones: see README.md."""

from __future__ import annotations

import os
from pathlib import Path
from random import Random

from pykvm.labs.steps import Wrong, expect, step
from pykvm.labs.student import Student
from pykvm.labs.work import Work

FILE = "host.py"

_WHO = {
    "adds two registers": "guest",
    "stores to a page of RAM that the guest has used before": "guest",
    "walks the guest's page tables": "guest",
    "answers CPUID": "kernel",
    "makes a page of RAM that the guest touches for the first time": "kernel",
    "ticks the timer of the in-kernel PIT": "kernel",
    "answers OUT to a serial port that a program plays": "user",
    "writes what the guest prints to the terminal": "user",
}
_FLAGS = ("fpu", "vme", "de", "pse", "tsc", "msr", "pae", "mce", "cx8", "apic", "sep", "lm", "nx")
_LOOK_ALIKES = ("svm_lock", "avmx", "vmx_x", "nosvm")


def cpuinfo(random: Random, flag: str | None) -> str:
    """What a processor with that extension, or none, says in /proc/cpuinfo."""
    flags = random.sample(_FLAGS, 10) + random.sample(_LOOK_ALIKES, 2)
    if flag is not None:
        flags.insert(random.randrange(len(flags)), flag)
    model = random.choice(("Model 12 @ 2.4GHz", "svm and vmx: a processor", "Core(TM)"))
    core = [
        "processor\t: {}",
        f"model name\t: {model}",
        f"flags\t\t: {' '.join(flags)}",
        "vmx flags\t: vnmi preemption_timer invvpid" if flag == "vmx" else "bogomips\t: 4800.00",
        "bugs\t\t: spectre_v1 vmx_leak",
    ]
    return "".join("\n".join(core).format(i) + "\n\n" for i in range(2))


@step("says who does what: guest, kernel or user", look="README.md, section 1")
def knows_who(work: Work) -> None:
    answers = work.scenario(answers_of)
    for what, who in _WHO.items():
        answer = answers.get(what)
        if answer != who:
            raise Wrong(f"WHERE says of who {what!r}: {answer!r}.  That is not so.")


def answers_of(student: Student) -> dict[str, str]:
    """What the student answers."""
    return dict(student.get(FILE, "WHERE"))


@step("finds the extension among the flags", look="README.md, section 2")
def reads_flags(work: Work) -> None:
    for flag in work.random.sample(["vmx", "svm", None, None], 4):
        text = cpuinfo(work.random, flag)
        got = work.call(FILE, "extension", text)
        line = next(line for line in text.splitlines() if line.startswith("flags"))
        expect(got, flag, f"extension() of a processor with {line!r}")
    expect(work.call(FILE, "extension", ""), None, "extension() of an empty text")


@step("lists the modules that the kernel has", look="README.md, section 3")
def lists_modules(work: Work) -> None:
    for i in range(3):
        names = set(work.random.sample(["kvm", "kvm_intel", "kvm_amd"], i + 1))
        root = host(work, f"modules{i}", modules=names | {"ext4", "kvmgt"})
        expect(work.call(FILE, "loaded_modules", str(root)), names, "loaded_modules()")
    bare = work.scratch / "bare"
    bare.mkdir()
    expect(work.call(FILE, "loaded_modules", str(bare)), set(), "loaded_modules() without /sys")


@step("reads permissions as the kernel does", look="README.md, section 4")
def reads_permissions(work: Work) -> None:
    uid, group, other = work.random.sample(range(1000, 9000), 3)
    fits = "the kernel looks at the first class that fits only: owner, else group, else others"
    for mode, owner, user, groups, right, why in (
        (0o660, 0, uid, {group}, True, "the group may"),
        (0o660, 0, uid, {other}, False, "neither owner nor in the group"),
        (0o666, 0, uid, {other}, True, "everybody may"),
        (0o066, uid, uid, {group}, False, fits),
        (0o606, 0, uid, {group}, False, fits),
        (0o600, uid, uid, {other}, True, "the owner may"),
        (0o640, 0, uid, {group}, False, "reading is not enough: ioctls want it open for both"),
        (0o000, uid, 0, {0}, True, "root may always (CAP_DAC_OVERRIDE)"),
    ):
        got = work.call(FILE, "may_open", mode, owner, group, user, groups)
        what = f"may_open({mode:#o}, {owner}, {group}, {user}, {groups})"
        expect(got, right, f"{what} ({why})")


def ask(student: Student, path: str) -> tuple[object, int]:
    """What the student's function says, and how many descriptors it left open."""
    function = student.get(FILE, "api_version")
    before = len(os.listdir("/proc/self/fd"))
    answer = function(path)
    return answer, len(os.listdir("/proc/self/fd")) - before


@step("asks KVM itself for its version", look="README.md, section 5")
def asks_kvm(work: Work) -> None:
    paths: dict[str, int | None] = {str(work.scratch / "nothing"): None, "/dev/null": None}
    if os.access("/dev/kvm", os.R_OK | os.W_OK):
        paths["/dev/kvm"] = 12
    for path, version in paths.items():
        answer, left = work.scenario(ask, path)
        expect(answer, version, f"api_version({path!r})")
        expect(left, 0, f"descriptors that api_version({path!r}) left open")


@step(
    "tells what stands between a user and a guest",
    look="README.md, section 6",
    after=(reads_flags, lists_modules, reads_permissions),
)
def diagnoses(work: Work) -> None:
    uid, gid = os.stat(work.scratch).st_uid, os.stat(work.scratch).st_gid
    stranger = uid + work.random.randrange(1, 1000)
    flag = work.random.choice(["vmx", "svm"])
    both = {"kvm", "kvm_intel"}
    for i, (root, user, right) in enumerate(
        (
            (host(work, "good", flag, both, 0o666), stranger, "ready"),
            (host(work, "shut", flag, both, 0o600), stranger, "no permission"),
            (host(work, "gone", flag, both, None), stranger, "no device"),
            (host(work, "bare", flag, set(), None), stranger, "no module"),
            (host(work, "none", None, set(), None), stranger, "no extension"),
            # a host inside another one may hide the flag and yet have KVM
            (host(work, "soft", None, {"kvm"}, 0o666), stranger, "ready"),
        )
    ):
        got = work.call(FILE, "diagnose", str(root), user, {gid + 5000 + i})
        what = f"diagnose() of a host with {described(root)}"
        expect(got, right, what)


def host(
    work: Work,
    name: str,
    flag: str | None = None,
    modules: set[str] | None = None,
    mode: int | None = None,
) -> Path:
    """A made-up host's /proc, /sys and /dev."""
    root = work.scratch / f"host-{name}"
    for module in modules or ():
        (root / "sys/module" / module).mkdir(parents=True)
    for folder in ("proc", "sys/module", "dev"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    (root / "proc/cpuinfo").write_text(cpuinfo(work.random, flag), encoding="ascii")
    if mode is not None:
        (root / "dev/kvm").touch()
        (root / "dev/kvm").chmod(mode)
    return root


def described(root: Path) -> str:
    """A made-up host in words."""
    modules = ", ".join(sorted(path.name for path in (root / "sys/module").iterdir()))
    node = root / "dev/kvm"
    device = f"/dev/kvm {node.stat().st_mode & 0o777:#o}" if node.exists() else "no /dev/kvm"
    text = (root / "proc/cpuinfo").read_text(encoding="ascii")
    line = next(line for line in text.splitlines() if line.startswith("flags")).split()
    flag = next((flag for flag in ("vmx", "svm") if flag in line), "neither vmx nor svm")
    return f"{flag}, modules: {modules or 'none'}, {device}"
