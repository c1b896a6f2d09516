"""Runs a command in a world that lacks something: `python confine.py LACK... -- COMMAND...`

    no-kvm            there is no /dev/kvm
    null-kvm          /dev/kvm is another device
    forbidden-kvm     /dev/kvm belongs to somebody else
    unprivileged      files' permissions count, for root, too
    ioctl=N:ERRNO     the ioctl of request N fails
    syscall=N:ERRNO   the system call N fails
    files=N           only N descriptors may be open

Ends with status 77 and one line where this process may not do that.
"""

from __future__ import annotations

import ctypes
import os
import resource
import struct
import sys
import tempfile
from pathlib import Path

NOT_PERMITTED = 77

CLONE_NEWNS = 0x20000
MS_BIND, MS_REC, MS_PRIVATE = 0x1000, 0x4000, 0x40000
PR_SET_SECCOMP, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 22, 24, 38
CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH = 1, 2
SECCOMP_MODE_FILTER = 2
SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO = 0x7FFF0000, 0x00050000
BPF_LOAD, BPF_JUMP_EQUAL, BPF_RETURN = 0x20, 0x15, 0x06
NR_IOCTL = 16
SECCOMP_NR, SECCOMP_ARG1 = 0, 24  # offsets in struct seccomp_data; low half of the argument

libc = ctypes.CDLL(None, use_errno=True)


def check(result: int) -> None:
    """Raise what a libc function left in errno."""
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


def private_mounts() -> None:
    """From here on, mounts are this process's own."""
    check(libc.unshare(CLONE_NEWNS))
    check(libc.mount(None, b"/", None, MS_REC | MS_PRIVATE, None))


def cover_kvm(path: str) -> None:
    """Lay `path` over /dev/kvm."""
    private_mounts()
    check(libc.mount(path.encode(), b"/dev/kvm", None, MS_BIND, None))


def hide_dev() -> None:
    """Leave nothing but /dev/null in /dev."""
    private_mounts()
    check(libc.mount(b"none", b"/dev", b"tmpfs", 0, None))
    os.mknod("/dev/null", 0o020666, os.makedev(1, 3))


def forbid_kvm() -> None:
    """Make /dev/kvm somebody else's, and this process one that may not open it."""
    with tempfile.NamedTemporaryFile(delete=False) as file:
        os.fchmod(file.fileno(), 0o660)
        os.fchown(file.fileno(), 12345, 54321)
    cover_kvm(file.name)
    Path(file.name).unlink()
    drop_privileges()


def drop_privileges() -> None:
    """Be no exception from files' permissions."""
    if os.geteuid() == 0:
        for capability in (CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH):
            check(libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0))


def fail(tests: list[tuple[int, int]], error: int) -> None:
    """Let a system call fail where all words of its `seccomp_data` at an offset have a value."""
    code = []
    for number, (offset, value) in enumerate(tests):
        skipped = 2 * (len(tests) - number - 1) + 1
        code += [(BPF_LOAD, 0, 0, offset), (BPF_JUMP_EQUAL, 0, skipped, value)]
    code += [(BPF_RETURN, 0, 0, SECCOMP_RET_ERRNO | error), (BPF_RETURN, 0, 0, SECCOMP_RET_ALLOW)]
    text = b"".join(struct.pack("<HBBI", *instruction) for instruction in code)
    buffer = ctypes.create_string_buffer(text)
    program = struct.pack("<H6xQ", len(code), ctypes.addressof(buffer))
    check(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    check(libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, program, 0, 0))


def take_away(lack: str) -> None:
    """Do one of the things above."""
    kind, _, value = lack.partition("=")
    match kind:
        case "no-kvm":
            hide_dev()
        case "null-kvm":
            cover_kvm("/dev/null")
        case "forbidden-kvm":
            forbid_kvm()
        case "unprivileged":
            drop_privileges()
        case "files":
            resource.setrlimit(resource.RLIMIT_NOFILE, (int(value), int(value)))
        case "ioctl" | "syscall":
            number, _, error = value.partition(":")
            tests = [(SECCOMP_NR, NR_IOCTL), (SECCOMP_ARG1, int(number, 0))]
            fail(tests if kind == "ioctl" else [(SECCOMP_NR, int(number, 0))], int(error))
        case _:
            raise ValueError(lack)


def main() -> None:
    """Take away, and become the command."""
    end = sys.argv.index("--")
    for lack in sys.argv[1:end]:
        try:
            take_away(lack)
        except OSError as error:
            print(f"{lack}: {error.strerror}", file=sys.stderr)
            sys.exit(NOT_PERMITTED)
    os.execv(sys.argv[end + 1], sys.argv[end + 1 :])


if __name__ == "__main__":
    main()
