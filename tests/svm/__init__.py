"""A KVM that behaves like hardware, on any machine: `python -m tests.svm -- COMMAND...`

Hosted and nested machines have no KVM, or one that cannot do all that a processor does. QEMU can:
its TCG emulates an AMD processor with SVM and nested paging in software, Debian's own kernel runs
on it, and that kernel's kvm_amd offers a true /dev/kvm: slow, but right.

The emulated machine has no file system of its own. This machine's is shared read-only through 9p
and covered by an overlay in memory, so each program, Python and virtual environment is there as
it is, and nothing that the command does changes anything here. Output comes back through virtio
serial ports, one a stream, and so does the exit status.

    __main__.py   the command
    machine.py    one run: QEMU, its output, its end
    parts.py      what the machine is made of, and the cache where that lies
    debian.py     packages, by apt, without root
    init.sh       the machine's first process
    suite.py      `make test-svm`

docs/testing.md tells when to use it.
"""
