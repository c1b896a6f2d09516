"""What each step of a run is and why it is there, in one sentence, with its section of the KVM
API document."""

from __future__ import annotations

from typing import NamedTuple


class Lesson(NamedTuple):
    """What is taught about one step.

    Attributes:
        why: a sentence for who has never seen it.
        section: of the KVM API document, as "4.35"; "" where it has none.
    """

    why: str
    section: str = ""


CALLS = {
    "open": Lesson(
        "Everything begins with the device node: its descriptor stands for KVM as a whole, the "
        "part of the Linux kernel that owns the processor's virtualization.",
        "2",
    ),
    "KVM_GET_API_VERSION": Lesson(
        "The version has been 12 for as long as there is a stable API; a program refuses to go on "
        "with any other.",
        "4.1",
    ),
    "KVM_CREATE_VM": Lesson(
        "A new virtual machine, with no memory and no processor yet; its descriptor is what memory "
        "and devices are given to, and when the last one is closed the machine is gone.",
        "4.2",
    ),
    "KVM_CHECK_EXTENSION": Lesson(
        "KVM has grown by capabilities: a program asks for each before it relies on it.", "4.4"
    ),
    "KVM_ENABLE_CAP": Lesson("Some capabilities are off until they are asked for.", "4.37"),
    "KVM_SET_TSS_ADDR": Lesson(
        "Older Intel processors cannot run real mode as a guest, so KVM plays it in a virtual-8086 "
        "task and needs three pages of guest addresses for that, out of the guest's way.",
        "4.36",
    ),
    "KVM_SET_IDENTITY_MAP_ADDR": Lesson(
        "One page more for the same processors: page tables that map addresses to themselves, for "
        "code that believes paging to be off.",
        "4.40",
    ),
    "KVM_SET_USER_MEMORY_REGION": Lesson(
        "The guest's RAM is memory of this very process: KVM is told which guest-physical "
        "addresses stand for which of it, and the guest then uses it without asking anybody.",
        "4.35",
    ),
    "KVM_CREATE_IRQCHIP": Lesson(
        "Interrupt controllers are used so often that KVM has its own, in the kernel: two PICs, an "
        "IOAPIC, and a local APIC for each processor.",
        "4.24",
    ),
    "KVM_SET_GSI_ROUTING": Lesson(
        "Which input of which controller each interrupt line leads to.", "4.52"
    ),
    "KVM_CREATE_PIT2": Lesson(
        "The timer of a PC, an i8254, is in the kernel, too: a timer that had to wait for this "
        "process would tick late.",
        "4.71",
    ),
    "KVM_GET_SUPPORTED_CPUID": Lesson(
        "Which processor features KVM can give a guest on this host.", "4.46"
    ),
    "KVM_GET_VCPU_MMAP_SIZE": Lesson(
        "How large the page is that a virtual processor shares with this process.", "4.5"
    ),
    "KVM_CREATE_VCPU": Lesson(
        "A virtual processor: its registers live in the kernel while it does not run; it runs when "
        "a thread of this process asks for it.",
        "4.7",
    ),
    "mmap": Lesson(
        "The run page (struct kvm_run) is mapped into this process, so that KVM can tell why the "
        "guest left, and take the answer, without copying.",
        "5",
    ),
    "KVM_SET_CPUID2": Lesson(
        "What the guest finds out about its processor by the CPUID instruction is this process's "
        "to say.",
        "4.20",
    ),
    "KVM_GET_SREGS": Lesson(
        "The special registers (segments, control registers, descriptor tables) are read first, "
        "since a new processor's are as after reset and not all of them shall change.",
        "4.13",
    ),
    "KVM_SET_SREGS": Lesson(
        "They choose the mode in which the guest begins: real, protected or long.", "4.14"
    ),
    "KVM_SET_REGS": Lesson(
        "The general registers; RIP is where the guest's first instruction is fetched.", "4.12"
    ),
    "KVM_GET_REGS": Lesson("A stopped processor's general registers, to look at.", "4.11"),
    "KVM_GET_MP_STATE": Lesson(
        "Whether the processor runs, halts or waits to be started: with a local APIC in the "
        "kernel HLT does not come out, so pykvm looks at times.",
        "4.38",
    ),
    "KVM_SET_MP_STATE": Lesson("Starts or parks a virtual processor.", "4.39"),
    "KVM_GET_VCPU_EVENTS": Lesson(
        "Exceptions, interrupts and NMIs that wait to be delivered: with none, a halted processor "
        "sleeps for ever.",
        "4.31",
    ),
    "KVM_GET_LAPIC": Lesson(
        "The local APIC's registers: does anything in it still bring an interrupt?", "4.57"
    ),
    "KVM_SET_LAPIC": Lesson("The local APIC's registers are given to KVM.", "4.58"),
    "KVM_GET_IRQCHIP": Lesson("An interrupt controller's registers, to look at.", "4.26"),
    "KVM_SET_IRQCHIP": Lesson("An interrupt controller's registers are given to KVM.", "4.27"),
    "KVM_IRQ_LINE": Lesson(
        "A device raises or lowers its interrupt line; KVM's controllers do the rest, and the "
        "guest is interrupted when it is ready for that.",
        "4.25",
    ),
    "KVM_SIGNAL_MSI": Lesson(
        "An interrupt as a message straight to a local APIC, without a line.", "4.71"
    ),
    "KVM_GET_TSC_KHZ": Lesson(
        "How fast the time-stamp counter ticks: the times told here are read from it.", "4.56"
    ),
    "KVM_GET_STATS_FD": Lesson(
        "KVM keeps counts of what it does; they are read through a descriptor of their own, and "
        "are used at the end of this page.",
        "4.133",
    ),
    "KVM_TRANSLATE": Lesson("A linear address by the guest's own page tables.", "4.15"),
}

WHILE_RUNNING = {
    "KVM_GET_SREGS": Lesson("A stopped processor's special registers, to look at.", "4.13"),
}
"""What a call is for that has another sense while the machine is made."""

OTHER_CALL = Lesson("One more setting of this machine.")

ENTER = Lesson(
    "The thread goes into the kernel, which loads the guest's registers and has the processor "
    "enter guest mode (by VMLAUNCH or VMRESUME on Intel, VMRUN on AMD): now this thread is the "
    "guest's processor.",
    "4.10",
)
GUEST = Lesson(
    "In guest mode the processor executes the guest's own instructions until one of them needs "
    "somebody's help; this is the one that did."
)
AGAIN = Lesson(
    "With the answer in the run page KVM_RUN is called again, and the guest goes on behind the "
    "instruction as if a device had been there: this is the loop that all hypervisors turn.",
    "4.10",
)

EXITS = {
    ("IO", False): Lesson(
        "IN reads a port, where a device would be: KVM has none there, saves the guest's state and "
        "returns from KVM_RUN with this reason.",
        "5",
    ),
    ("IO", True): Lesson(
        "OUT writes a port: the value lies in the run page, behind its fixed part.", "5"
    ),
    ("MMIO", False): Lesson(
        "A load from an address that no memory region covers: KVM decodes the instruction and "
        "asks this process for the value.",
        "5",
    ),
    ("MMIO", True): Lesson(
        "A store to an address that no memory region covers: devices that are mapped into memory "
        "are found like this.",
        "5",
    ),
    ("HLT", False): Lesson(
        "HLT waits for an interrupt; with no interrupt controller in the kernel, waiting is this "
        "process's affair.",
        "5",
    ),
    ("INTR", False): Lesson(
        "No doing of the guest's: a signal came for this thread, so KVM_RUN ended with EINTR; "
        "pykvm's own timer sends one now and then, so that it can look at its deadlines and at "
        "whether the guest has fallen asleep.",
        "4.10",
    ),
    ("SHUTDOWN", False): Lesson(
        "An exception could not be delivered, nor the one about that, nor the next: a triple "
        "fault, upon which a processor shuts down and a PC resets it.",
        "5",
    ),
    ("INTERNAL_ERROR", False): Lesson(
        "KVM itself could not go on, most often for an instruction that it had to emulate and "
        "does not know.",
        "5",
    ),
    ("FAIL_ENTRY", False): Lesson(
        "The processor refused to enter guest mode: the registers make no sense together.", "5"
    ),
    ("SYSTEM_EVENT", False): Lesson("The guest asks KVM to switch it off or to reset it.", "5"),
    ("X86_RDMSR", False): Lesson(
        "The guest reads a model-specific register that KVM does not have, and pykvm has asked to "
        "be told of those.",
        "5",
    ),
    ("X86_WRMSR", True): Lesson(
        "The guest writes a model-specific register that KVM does not have.", "5"
    ),
    ("IOAPIC_EOI", False): Lesson(
        "The guest has ended a level-triggered interrupt, and the IOAPIC, which is in this "
        "process, must know.",
        "5",
    ),
    ("HYPERCALL", False): Lesson("The guest calls its hypervisor on purpose.", "5"),
}

OTHER_EXIT = Lesson("KVM came out for this process to see to it.", "5")

HANDLERS = {
    0: Lesson(
        "Python sees to it: the bus looks for the device at this address and calls its method, "
        "which is the slow and readable way."
    ),
    1: Lesson(
        "The device has said beforehand that nothing depends on when it hears of this write, so "
        "the C loop appends it to a list and Python gets many at once later."
    ),
    2: Lesson(
        "The device has said beforehand what a read gives just now, so the C loop answers from a "
        "table, and no Python runs."
    ),
    3: Lesson("A device written in C answers within the C loop."),
}
"""By `Record.handled`."""

LOADING = (
    "Loading the image takes no call: it is copied into this process's own memory, which is the "
    "guest's RAM."
)
MODES = {
    "user": "pykvm, a process like any other",
    "kernel": "Linux, with KVM in it",
    "guest": "the guest's own code, on the same processor",
}
ONE_LANE = (
    "Time in the kernel and in the guest cannot be told apart from userspace: KVM_RUN begins in "
    "the kernel and ends there, and the guest runs in between. So they are one number."
)

HIDDEN = Lesson(
    "Most exits from guest mode never come out of KVM_RUN: KVM handles in the kernel what it can "
    "(page faults of its own tables, its interrupt controllers and timer, the host's interrupts), "
    "and enters the guest again. They cost time, are part of 'kernel + guest', and are only "
    "counted.",
    "4.133",
)


def call_lesson(name: str, *, running: bool = False) -> Lesson:
    """What an ioctl is for, by its name: while the machine is made, or while it runs."""
    return (WHILE_RUNNING.get(name) if running else None) or CALLS.get(name, OTHER_CALL)


def exit_lesson(reason: str, *, is_write: bool) -> Lesson:
    """What an exit reason means, by its name without KVM_EXIT_."""
    return EXITS.get((reason, is_write)) or EXITS.get((reason, False), OTHER_EXIT)


def handler_lesson(handled: int) -> Lesson:
    """Who answers an access, by `Record.handled`."""
    return HANDLERS.get(handled, HANDLERS[0])
