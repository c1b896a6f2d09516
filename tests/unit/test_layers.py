"""The house's order: imports point down, the pure rooms need no extension, files stay short."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "pykvm"

LAYERS = (
    ("named",),
    ("errors", "files", "layout", "sizes", "x86"),
    ("_shim", "kvm"),
    ("bus", "hostfacts", "irq", "memory"),
    ("devices",),
    ("isa_interrupts",),
    ("boot",),
    ("bios",),
    ("cpu", "emu"),
    (
        *("accelerators", "board", "controllers", "firmware_socket", "loading", "parts", "stats"),
        *("machine", "manifest"),
    ),
    ("pool",),
    ("debug",),
    ("trace", "gdb"),
    ("bench",),
    ("labs",),
    ("cli",),
    ("__init__", "__main__"),
)
"""The rooms (the first part of a module's name below `pykvm`), lowest first."""

PURE = (
    "named",
    "errors",
    "files",
    "layout",
    "sizes",
    "x86",
    "bus",
    "irq",
    "memory",
    "devices",
    "boot",
    "bios",
    "isa_interrupts",
)
"""Rooms that know neither the extension nor the KVM API."""

UPWARD_TYPES = {("errors", "cpu.snapshot")}
"""Annotations that name a type of a higher room: an error that carries a value says its type."""

LONGEST = 320
TABLES = ("guests/manifest.toml",)
"""Nobody reads these from one end to the other."""
TEXT = {".py", ".pyi", ".c", ".h", ".s", ".S", ".inc", ".ld", ".toml", ".sh", ".md", ""}


class Import(NamedTuple):
    """One import of a module of pykvm by another."""

    importer: str
    imported: str
    for_types: bool
    on_import: bool
    line: int


def name_of(path: Path) -> str:
    """A module's name below `pykvm`."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    if len(parts) > 1 and parts[-1] == "__init__":
        parts = parts[:-1]
    return ".".join(parts)


MODULES = {name_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def room(module: str) -> str:
    return module.split(".", maxsplit=1)[0]


def rank(module: str) -> int:
    """The layer of a module; a room that nobody placed is an error."""
    for place, rooms in enumerate(LAYERS):
        if room(module) in rooms:
            return place
    raise AssertionError(f"pykvm.{room(module)} has no place in LAYERS")


def is_type_checking(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.If)
        and isinstance(node.test, ast.Name)
        and node.test.id == "TYPE_CHECKING"
    )


def imported_names(node: ast.Import | ast.ImportFrom) -> list[str]:
    """The modules below `pykvm` that one statement imports."""
    if isinstance(node, ast.Import):
        full = [alias.name for alias in node.names]
    else:
        assert node.level == 0, "imports are absolute"
        module = node.module or ""
        # `from pykvm.kvm import exits` imports a module, `from pykvm.bus import Bus` a name
        full = [f"{module}.{alias.name}" for alias in node.names]
    found = []
    for name in full:
        if name == "pykvm" or not name.startswith("pykvm."):
            continue
        below = name.removeprefix("pykvm.")
        while below not in MODULES and below != "_shim" and "." in below:
            below = below.rpartition(".")[0]
        found.append(below)
    return found


def imports_of(module: str) -> list[Import]:
    """All imports of a module, wherever in it: at the top, within functions, for types."""
    tree = ast.parse(MODULES[module].read_text(encoding="utf-8"))
    for_types = {
        id(inner) for node in ast.walk(tree) if is_type_checking(node) for inner in ast.walk(node)
    }
    return [
        Import(module, imported, id(node) in for_types, node in tree.body, node.lineno)
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for imported in imported_names(node)
    ]


IMPORTS = [found for module in MODULES for found in imports_of(module)]


def test_the_parser_sees_imports_of_every_kind() -> None:
    """Else the tests below would pass for an empty list."""
    assert len(MODULES) > 40
    assert len(IMPORTS) > 100
    assert any(i.for_types for i in IMPORTS)
    assert ("cpu.causes", "kvm.exits") in {(i.importer, i.imported) for i in IMPORTS}
    assert ("errors", "cpu.snapshot") in {(i.importer, i.imported) for i in IMPORTS}
    assert ("cpu.kvm_parts", "kvm.decode") in {(i.importer, i.imported) for i in IMPORTS}


def test_imports_point_down() -> None:
    """Those for type checkers included: a name that a room must know is knowledge, too."""
    wrong = [
        f"{MODULES[i.importer].relative_to(ROOT)}:{i.line} imports pykvm.{i.imported}"
        for i in IMPORTS
        if rank(i.imported) > rank(i.importer)
        and not (i.for_types and (i.importer, i.imported) in UPWARD_TYPES)
    ]
    assert not wrong, "\n".join(wrong)


def test_no_module_needs_itself() -> None:
    """Within a layer, too, there is an order: no cycle among the imports that importing runs."""
    graph = {
        module: sorted(
            {i.imported for i in IMPORTS if i.importer == module and i.on_import}
            - {module, "_shim"}
        )
        for module in MODULES
    }
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " imports ".join((*path[path.index(module) :], module))
        if module not in done:
            for imported in graph[module]:
                visit(imported, (*path, module))
            done.add(module)

    for module in graph:
        visit(module, ())


def test_pure_rooms_name_neither_the_extension_nor_kvm() -> None:
    wrong = [
        f"pykvm.{i.importer}:{i.line} imports pykvm.{i.imported}"
        for i in IMPORTS
        if room(i.importer) in PURE and room(i.imported) in ("kvm", "_shim")
    ]
    assert not wrong, "\n".join(wrong)


def test_pure_rooms_are_imported_without_the_extension() -> None:
    pure = [module for module in MODULES if room(module) in PURE]
    program = (
        "import sys\n"
        "sys.modules['pykvm._shim'] = None\n"  # importing it raises ImportError
        + "".join(f"import pykvm.{module}\n" for module in pure)
        + "assert not [m for m in sys.modules if m.startswith('pykvm.kvm')], 'pykvm.kvm came too'\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT)


ON_THE_WAY_TO_A_RUN = (
    *("cli.run", "cli.start", "cli.serial", "cli.signals", "cli.chassis", "cli.parser"),
    *("machine", "accelerators.kvm", "kvm.irqchip", "kvm.interrupts"),
    *("boot.acpi", "boot.mptable", "boot.kernel", "boot.linux"),
)
NOT_FOR_A_RUN = {
    *("rich", "capstone", "psutil", "hypothesis", "unicorn"),
    *("dataclasses", "datetime", "inspect", "json", "locale", "pathlib", "random", "shutil"),
    *("subprocess", "tempfile", "tomllib", "traceback", "typing", "urllib", "weakref"),
    *(
        "pykvm.bios",
        "pykvm.cli.core",
        "pykvm.debug",
        "pykvm.emu",
        "pykvm.gdb",
        "pykvm.trace",
        "pykvm.kvm.exits",
    ),
}
"""What would be felt in a guest's start, and can be imported where it is used, if at all."""


def test_running_a_guest_imports_nothing_heavy() -> None:
    """A process that only runs a guest pays for no table, disassembler, process list or types.

    `typing`: see `pykvm.named`; `locale`: argparse has it for its translations.
    """
    pytest.importorskip("pykvm._shim")
    program = (
        "import sys\n"
        "before = set(sys.modules)\n"  # what the environment brings
        + "".join(f"import pykvm.{module}\n" for module in ON_THE_WAY_TO_A_RUN)
        + "parser = pykvm.cli.parser.make_parser('pykvm', '')\n"
        "pykvm.cli.run.add_arguments(parser)\n"
        "parser.parse_args(['-m', '256M', 'IMAGE'])\n"
        f"print(sorted({NOT_FOR_A_RUN!r} & (set(sys.modules) - before)))\n"
    )
    command = [sys.executable, "-c", program]
    told = subprocess.run(command, check=True, cwd=ROOT, capture_output=True, text=True)
    assert told.stdout == "[]\n"


def test_running_a_guest_defines_cheap_named_tuples() -> None:
    """Those of `pykvm.named`: the ones of `typing` remember their base."""
    pytest.importorskip("pykvm._shim")
    program = (
        "import sys\n"
        "import pykvm.cli.run, pykvm.cli.start, pykvm.cli.serial, pykvm.machine\n"
        "import pykvm.boot.acpi, pykvm.boot.linux, pykvm.kvm.interrupts\n"
        "for name, module in list(sys.modules.items()):\n"
        "    for what, value in vars(module).items() if name.startswith('pykvm') else ():\n"
        "        if isinstance(value, type) and value.__module__ == name\\\n"
        "                and issubclass(value, tuple) and hasattr(value, '__orig_bases__'):\n"
        "            print(name, what)\n"
    )
    command = [sys.executable, "-c", program]
    told = subprocess.run(command, check=True, cwd=ROOT, capture_output=True, text=True)
    assert told.stdout == ""


def test_no_file_is_longer_than_one_sitting() -> None:
    long = {}
    for folder in ("pykvm", "csrc", "tests", "guests", "benchmarks"):
        for path in (ROOT / folder).rglob("*"):
            hidden = any(part.startswith((".", "__pycache__")) for part in path.parts)
            # cffi's output has no reader
            if hidden or path.suffix not in TEXT or path.name == "_shim.c" or not path.is_file():
                continue
            lines = len(path.read_bytes().splitlines())
            name = str(path.relative_to(ROOT))
            if lines > LONGEST and name not in TABLES:
                long[name] = lines
    assert not long
