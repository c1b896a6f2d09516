"""A guest that counts, its RAM with a dirty log, and a wire: complete, to be used by migrate.py."""

import ctypes
import mmap
import pickle
from contextlib import ExitStack
from dataclasses import replace

from pykvm.kvm import MemoryFlag, System, Vcpu, Vm
from pykvm.kvm.exits import Intr, Io

PAGE_SIZE = 4096
PAGES = 256
RAM_SIZE = PAGES * PAGE_SIZE  # 1 MiB, at guest-physical address 0
SLOT = 0
SLICE = 50  # how many rounds of the guest `run_slice` is

COUNTER = 0x3000  # the guest counts in RAM here, and in EDI
CLOCK = 0x7000  # the device counts here, from userspace
FIRST = 0x20000  # the working set: this page and those behind it
SAYS, TICKS = 0x80, 0x81  # ports

CODE = bytes.fromhex(
    "66 47"  # 1000: inc edi
    "43"  # inc bx
    "39 cb"  # cmp bx, cx
    "72 02"  # jb 1009
    "31 db"  # xor bx, bx
    "89 d8"  # 1009: mov ax, bx
    "c1 e0 08"  # shl ax, 8
    "01 f0"  # add ax, si
    "8e d8"  # mov ds, ax
    "66 01 3e 00 00"  # add [0], edi
    "8e da"  # mov ds, dx
    "66 ff 06 00 30"  # inc dword [COUNTER]
    "e6 81"  # out TICKS, al
    "66 a1 00 30"  # mov eax, [COUNTER]
    "66 c1 e0 10"  # shl eax, 16
    "89 f8"  # mov ax, di
    "66 e7 80"  # out SAYS, eax
    "eb d1"  # jmp 1000
)


class Guest:
    """A processor, 1 MiB of RAM in one slot that logs dirty pages.  Use it with `with`.

    The guest goes round in a loop: it adds to a page of its working set, the next one each time,
    counts, has the clock device tick, and says how far it is.

    Args:
        working_set: how many pages it goes through.

    Attributes:
        vm: for `vm.get_dirty_log(SLOT, RAM_SIZE)`.
        ram: a memoryview of its RAM, to read and to write.
        said: what it said so far: each number is the counter in RAM * 65536 + the one in EDI.
    """

    def __init__(self, working_set: int = 3) -> None:
        self._stack = ExitStack()
        memory = mmap.mmap(-1, RAM_SIZE)
        self.ram = memoryview(memory)
        self.ram[0x1000 : 0x1000 + len(CODE)] = CODE
        host_address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        self.vm = self._stack.enter_context(Vm(self._stack.enter_context(System())))
        self.vm.set_memory_slot(SLOT, 0, RAM_SIZE, host_address, MemoryFlag.LOG_DIRTY_PAGES)
        self._vcpu = self._stack.enter_context(Vcpu(self.vm, 0))
        sregs = self._vcpu.get_sregs()
        sregs.cs = sregs.cs._replace(base=0, selector=0)
        self._vcpu.set_sregs(sregs)
        regs = self._vcpu.get_regs()
        self._vcpu.set_regs(replace(regs, rip=0x1000, rcx=working_set, rsi=FIRST >> 4, rdx=0))
        self.said: list[int] = []
        self._host_writes: set[int] = set()

    def run_slice(self) -> None:
        """Let the guest go round SLICE times."""
        goal = len(self.said) + SLICE
        while len(self.said) < goal:
            match self._vcpu.run():
                case Io(port=0x81, is_write=True):
                    self._tick()
                case Io(port=0x80, is_write=True, data=data):
                    self.said.append(int.from_bytes(data, "little"))
                case Intr():
                    pass
                case other:
                    raise RuntimeError(f"the guest ended with {other}")

    def _tick(self) -> None:
        """The device: it writes into the guest's RAM, as one with DMA does."""
        ticks = int.from_bytes(self.ram[CLOCK : CLOCK + 4], "little") + 1
        self.ram[CLOCK : CLOCK + 4] = ticks.to_bytes(4, "little")
        self._host_writes.add(CLOCK // PAGE_SIZE)

    def take_host_writes(self) -> set[int]:
        """The pages that devices, here in userspace, wrote since the last call."""
        taken, self._host_writes = self._host_writes, set()
        return taken

    def get_state(self) -> bytes:
        """All but RAM: the processor's registers."""
        # the OUT that it exited with is not completed before KVM is entered again (KVM API, 5)
        self._vcpu.page.immediate_exit = True
        self._vcpu.run()
        self._vcpu.page.immediate_exit = False
        return pickle.dumps((self._vcpu.get_regs(), self._vcpu.get_sregs()))

    def set_state(self, state: bytes) -> None:
        """Set what `get_state` gave, in this program: a pickle of a stranger's is his program."""
        regs, sregs = pickle.loads(state)
        self._vcpu.set_sregs(sregs)
        self._vcpu.set_regs(regs)

    def __enter__(self) -> "Guest":
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()


class Wire:
    """Messages over a connected socket: what one end sends the other one receives, whole."""

    def __init__(self, socket) -> None:
        self._socket = socket
        self._file = socket.makefile("rb")

    def send(self, message: bytes) -> None:
        """Send `message`: 0 or more bytes."""
        self._socket.sendall(len(message).to_bytes(4, "little") + message)

    def receive(self) -> bytes:
        """The next message; EOFError if there comes none any more."""
        size = self._file.read(4)
        if len(size) < 4:
            raise EOFError("the other end hung up")
        return self._file.read(int.from_bytes(size, "little"))
