"""The KVM subsystem: what /dev/kvm itself answers."""

from __future__ import annotations

import os
from errno import E2BIG, EMFILE, ENFILE

from pykvm._shim import ffi, lib
from pykvm.errors import CapabilityMissing, KvmIoctlError, KvmUnavailable
from pykvm.kvm import ioctl
from pykvm.named import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

    from pykvm.kvm.cpuid import CpuidEntry

MSR_GUESS, CPUID_GUESS = 512, 128
"""How many entries the first try has room for."""

_CPUID_LIMIT = 4096


class System:
    """An open /dev/kvm.

    Args:
        path: the device node.

    Attributes:
        fd: the system descriptor; -1 once closed.
        path: as given.

    Raises:
        KvmUnavailable: it cannot be opened, or speaks another version of the API; the message
            says what to do.
    """

    def __init__(self, path: str = "/dev/kvm") -> None:
        self.path = path
        self.fd = -1
        self._vcpu_mmap_size = 0
        try:
            self.fd = ioctl.open_device(path)
        except OSError as error:
            raise _unavailable(error, path) from None
        try:
            self._check_version()
        except BaseException:
            self.close()
            raise

    def _check_version(self) -> None:
        try:
            version = self.api_version()
        except KvmIoctlError as error:
            raise KvmUnavailable("other", f"{self.path} is not a KVM device: {error}") from None
        if version != lib.KVM_API_VERSION:
            raise KvmUnavailable(
                "version",
                f"{self.path} speaks version {version} of the KVM API, pykvm needs version "
                f"{lib.KVM_API_VERSION}: use a kernel from 2.6.22 on",
            )

    def __enter__(self) -> System:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the descriptor; VMs made from it live on.  Closing again does nothing."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)

    def api_version(self) -> int:
        """The API's version, 12 on every kernel since 2.6.22 (KVM API 4.1)."""
        return ioctl.call(self.fd, "KVM_GET_API_VERSION")

    def check(self, capability: int) -> int:
        """What the host says of a `Capability`: 0 for absent, else 1 or a number it defines.

        It speaks of the API, not of the processor behind it: see `pykvm.kvm.probes`.  Some
        capabilities differ by VM; ask `Vm.check` for those (KVM API 4.4, KVM_CHECK_EXTENSION).
        """
        return ioctl.call(self.fd, "KVM_CHECK_EXTENSION", int(capability))

    def require(self, capability: int) -> int:
        """As `check`, for a capability that the caller cannot do without.

        Raises:
            CapabilityMissing: the host lacks it.
        """
        value = self.check(capability)
        if not value:
            raise missing(capability)
        return value

    def capabilities(self) -> dict[str, int]:
        """Every capability by name with what `check` says of it, absent ones (0) included."""
        from pykvm.kvm.capabilities import Capability

        return {capability.api_name: self.check(capability) for capability in Capability}

    def vcpu_mmap_size(self) -> int:
        """The size in bytes of a vCPU's run page and what follows it (KVM API 4.5)."""
        if not self._vcpu_mmap_size:
            self._vcpu_mmap_size = ioctl.call(self.fd, "KVM_GET_VCPU_MMAP_SIZE")
        return self._vcpu_mmap_size

    def msr_index_list(self) -> list[int]:
        """The MSRs that `Vcpu.get_msrs` and `set_msrs` handle on this host (KVM API 4.3)."""
        return self._msr_list("KVM_GET_MSR_INDEX_LIST")

    def msr_feature_index_list(self) -> list[int]:
        """The MSRs that describe features (KVM_CAP_GET_MSR_FEATURES, KVM API 4.3)."""
        return self._msr_list("KVM_GET_MSR_FEATURE_INDEX_LIST")

    def _msr_list(self, name: str) -> list[int]:
        count = MSR_GUESS
        while True:
            indices = ffi.new("struct kvm_msr_list *", {"nmsrs": count, "indices": count})
            try:
                ioctl.call(self.fd, name, indices)
            except KvmIoctlError as error:
                # E2BIG leaves the right count in nmsrs
                if error.errno != E2BIG or indices.nmsrs <= count:
                    raise
                count = indices.nmsrs
            else:
                return list(indices.indices[0 : indices.nmsrs])

    def supported_cpuid(self) -> list[CpuidEntry]:
        """The CPUID leaves that this host's KVM can give a guest (KVM_CAP_EXT_CPUID, 4.46)."""
        from pykvm.kvm.cpuid import to_entries

        return to_entries(self.supported_cpuid_raw())

    def supported_cpuid_raw(self) -> Any:
        """The same as a cffi `struct kvm_cpuid2 *`: `Vcpu.set_cpuid2` takes it as it is."""
        return read_cpuid(self.fd, "KVM_GET_SUPPORTED_CPUID")


def _unavailable(error: OSError, path: str) -> KvmUnavailable:
    if error.errno in (EMFILE, ENFILE):
        # then not even a module can be imported
        return KvmUnavailable("other", f"cannot open {path}: {error.strerror}")
    from pykvm.kvm.unavailable import explain

    return explain(error, path)


def read_cpuid(fd: int, name: str) -> Any:
    """Do an ioctl that fills a `struct kvm_cpuid2 *`, with as much room as it wants."""
    count = CPUID_GUESS
    while True:
        table = ffi.new("struct kvm_cpuid2 *", {"nent": count, "entries": count})
        try:
            ioctl.call(fd, name, table)
        except KvmIoctlError as error:
            if error.errno != E2BIG or count >= _CPUID_LIMIT:
                raise
            count *= 2
        else:
            # KVM_GET_CPUID2 may leave nent as it was (Linux 6.1 does); then zeros follow the leaves
            last = table.entries + table.nent - 1
            while table.nent > 1 and not any(ffi.buffer(last, ffi.sizeof(last[0]))[:]):
                table.nent -= 1
                last -= 1
            return table


def missing(capability: int) -> CapabilityMissing:
    """The error that says the host lacks `capability`, by its name."""
    from pykvm.kvm.capabilities import name_of

    return CapabilityMissing(name_of(capability))
