"""What a guest is given beside its image, and the machine it is for."""

from __future__ import annotations

from pykvm.errors import ImageError
from pykvm.named import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pykvm.boot.e820 import Range


class Module(NamedTuple):
    """A file that is loaded beside the kernel: a Multiboot or PVH module, or (part of) an initrd.

    Attributes:
        name: what messages call it.
        data: its bytes.
        cmdline: the string that the kernel gets with it; Linux gets none.
    """

    name: str
    data: bytes
    cmdline: str = ""


class Request(NamedTuple):
    """Everything about a start but the image.

    Attributes:
        ram: bytes of RAM.
        entry: physical address to enter at instead of where the image says, or None.
        cmdline: the kernel's command line.
        modules: what is loaded beside the kernel.
        rsdp: physical address of the ACPI root pointer (RSDP); 0 for none.
        reserved: what firmware keeps.
    """

    ram: int
    entry: int | None = None
    cmdline: str = ""
    modules: tuple[Module, ...] = ()
    rsdp: int = 0
    reserved: tuple[Range, ...] = ()

    def initrd(self) -> bytes:
        """All modules as Linux wants them: one behind the other, each at a multiple of 4.

        Linux skips the zeros between two archives ("initramfs buffer format", in the kernel's
        Documentation/driver-api/early-userspace/buffer-format.rst).
        """
        if len(self.modules) == 1:
            return self.modules[0].data
        return b"".join(m.data + bytes(-len(m.data) % 4) for m in self.modules)

    def with_one_initrd(self) -> Request:
        """The same with all modules in one."""
        if len(self.modules) < 2:
            return self
        return self._replace(modules=(Module("the initrd", self.initrd()),))

    def refuse_extras(self, kind: str, why: str) -> None:
        """For images that cannot be told anything.

        Args:
            kind: what such an image is called.
            why: what it lacks.

        Raises:
            ImageError: there is a command line, or a module.
        """
        given = "a command line" if self.cmdline else "modules" if self.modules else ""
        if given:
            raise ImageError(f"{kind}: {why}: it cannot be given {given}")


def c_string(text: str, what: str) -> bytes:
    """`text` as kernels read it: its bytes as the user typed them, and a zero.

    Args:
        what: how errors call it.

    Raises:
        ImageError: it has a zero byte inside, or characters that have no bytes.
    """
    try:
        encoded = text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise ImageError(f"{what} has characters that are no text") from None
    if b"\0" in encoded:
        raise ImageError(f"{what} has a zero byte inside, which would end it")
    return encoded + b"\0"
