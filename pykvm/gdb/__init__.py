"""A server for gdb and lldb: their Remote Serial Protocol over a `Debugger`.

Section names in this room are those of the GDB manual's appendix "GDB Remote Serial Protocol".
"""
