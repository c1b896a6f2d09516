"""One run of the emulated machine: QEMU, what comes out of it, and how it ends."""

from __future__ import annotations

import math
import os
import selectors
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import NamedTuple, Self

from tests.svm.failure import Failure, TimeUp
from tests.svm.parts import Parts

BOOT_SECONDS = 60

_CPU = ",-".join(
    (
        "EPYC",
        # TCG lacks these, and would complain each time
        *("fxsr-opt", "misalignsse", "3dnowprefetch", "osvw", "topoext", "nrip-save"),
        *("sha-ni", "rdseed", "xsavec"),
        # TCG has these, but their instructions, in each copy to a user, end a translated block
        *("smap", "smep"),
    )
)

_KERNEL_PARAMETERS = (
    "console=ttyS0",
    "panic=-1",  # a panic resets the machine, which ends QEMU (-no-reboot)
    "tsc=reliable no_timer_check nowatchdog",  # what is late here is no defect
    "rcupdate.rcu_expedited=1",  # a VM that comes or goes waits for RCU: one that hurries
)


class Limits(NamedTuple):
    """What a run may use.

    Attributes:
        seconds: how long it may take, boot included; 0: as long as it wants.
        memory: the machine's, in MiB.
        cpus: how many processors it has.  With more than one, KVM there is not to be trusted:
            a Linux of two vCPUs hangs under QEMU 7.2's, whoever is the hypervisor in it.
    """

    seconds: float
    memory: int
    cpus: int


def run(parts: Parts, command: str, limits: Limits, *, verbose: bool = False) -> int:
    """Boot the machine, run a shell's command there, and pass on what it writes.

    Args:
        parts: what the machine is made of.
        command: for /bin/sh, as root, with an empty standard input.
        limits: what it may use.
        verbose: pass on the kernel's messages, too.

    Returns:
        The command's exit status.

    Raises:
        TimeUp: the command ran out of time.
        Failure: the machine did not come up, or ended before the command did.
    """
    end = time.monotonic() + limits.seconds if limits.seconds else math.inf
    up_by = time.monotonic() + BOOT_SECONDS
    with ExitStack() as stack:
        output = stack.enter_context(_Output(verbose=verbose))
        _start(stack, _qemu(parts, limits, quiet=not verbose), parts.initrd_for(command), output)
        while output.is_open:
            if output.read(end if output.is_up else min(end, up_by)):
                continue
            if time.monotonic() >= end:
                raise TimeUp(f"stopped after {limits.seconds:g} seconds")
            raise Failure(f"no kernel is up after {BOOT_SECONDS} seconds; {output.last_words}")
    if output.command_status is None:
        raise Failure(f"the machine ended without the command's exit status; {output.last_words}")
    return output.command_status


class _Output:
    """The pipes from QEMU: passes on what is for the user, and keeps what is for us."""

    def __init__(self, *, verbose: bool) -> None:
        self._selector = selectors.DefaultSelector()
        self.writers: dict[str, int] = {}
        self._status = self._console = b""
        self._sinks: dict[str, Callable[[bytes], object]] = {
            "console": self._keep_console,
            "status": self._keep_status,
            "out": sys.stdout.buffer.write,
            "err": sys.stderr.buffer.write,
        }
        self._verbose = verbose
        for name in self._sinks:
            reader, self.writers[name] = os.pipe()
            self._selector.register(reader, selectors.EVENT_READ, name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for reader in [key.fd for key in self._selector.get_map().values()]:
            self._close(reader)
        self.close_writers()
        self._selector.close()

    def close_writers(self) -> None:
        """Leave the pipes' other ends to QEMU, so that they end when it does."""
        while self.writers:
            os.close(self.writers.popitem()[1])

    @property
    def is_open(self) -> bool:
        """Whether more may come."""
        return bool(self._selector.get_map())

    @property
    def is_up(self) -> bool:
        """Whether the machine has begun with the command."""
        return b"\n" in self._status

    @property
    def command_status(self) -> int | None:
        """The command's exit status; None before its end."""
        lines = self._status.decode().splitlines()
        return int(lines[1]) if len(lines) > 1 else None

    @property
    def last_words(self) -> str:
        """What kernel and QEMU said last, for a message."""
        lines = self._console.decode(errors="replace").split("\n")
        said = [line.strip() for line in lines if line.strip()]
        return f"it said last: {said[-1]}" if said else "it said nothing (--verbose shows more)"

    def read(self, until: float) -> bool:
        """Wait for some output and handle it; False if there is none up to that time."""
        left = until - time.monotonic()
        if left <= 0:  # whatever is ready: it may never cease to be
            return False
        ready = self._selector.select(None if left == math.inf else left)
        for key, _ in ready:
            data = os.read(key.fd, 1 << 16)
            if data:
                self._sinks[key.data](data)
            else:
                self._close(key.fd)
        sys.stdout.flush()
        sys.stderr.flush()
        return bool(ready)

    def _close(self, reader: int) -> None:
        self._selector.unregister(reader)
        os.close(reader)

    def _keep_status(self, data: bytes) -> None:
        self._status += data

    def _keep_console(self, data: bytes) -> None:
        self._console = (self._console + data)[-4096:]
        if self._verbose:
            sys.stderr.buffer.write(data)


def _start(stack: ExitStack, qemu: list[str], initrd: bytes, output: _Output) -> None:
    """Start QEMU; it ends with the stack, or with this process if that is killed."""
    memory = os.memfd_create("initrd")
    stack.callback(os.close, memory)
    with open(memory, "wb", closefd=False) as file:
        file.write(initrd)
    files = ["-initrd", f"/dev/fd/{memory}"]
    for name, writer in output.writers.items():
        files += ["-chardev", f"file,id={name},path=/dev/fd/{writer}"]
    process = subprocess.Popen(
        ["setpriv", "--pdeathsig", "KILL", "--", *qemu, *files],
        stdin=subprocess.DEVNULL,
        stdout=output.writers["console"],
        stderr=output.writers["console"],
        pass_fds=[memory, *output.writers.values()],
    )
    stack.callback(process.wait)
    stack.callback(process.kill)
    output.close_writers()


def _qemu(parts: Parts, limits: Limits, *, quiet: bool) -> list[str]:
    """QEMU's command line, but for the files that it inherits."""
    parameters = [*_KERNEL_PARAMETERS, "quiet"] if quiet else _KERNEL_PARAMETERS
    libraries = f"LD_LIBRARY_PATH={':'.join(map(str, parts.libraries))}"
    return [
        *(["env", libraries] if parts.libraries else []),
        str(parts.qemu),
        *("-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"),
        *("-machine", "q35", "-cpu", _CPU),
        # one thread for all processors: with one each, QEMU 7.2 runs into code that another one
        # has just patched, and hangs
        *("-accel", "tcg,thread=single", "-smp", str(limits.cpus), "-m", str(limits.memory)),
        *("-kernel", str(parts.kernel), "-append", " ".join(parameters)),
        *("-serial", "chardev:console"),
        # before the 9p device: its ports are those of the first virtio device, vport0p1 ff.
        *("-device", "virtio-serial-pci"),
        *("-device", "virtserialport,nr=1,chardev=status"),
        *("-device", "virtserialport,nr=2,chardev=out"),
        *("-device", "virtserialport,nr=3,chardev=err"),
        # multidevs: inode numbers of this machine's several file systems must not meet
        *("-fsdev", "local,id=host,path=/,security_model=none,readonly=on,multidevs=remap"),
        *("-device", "virtio-9p-pci,fsdev=host,mount_tag=host"),
    ]
