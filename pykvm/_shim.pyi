"""The cffi extension built by csrc/build.py: no type checker can see into it."""

from typing import Any

ffi: Any
lib: Any
