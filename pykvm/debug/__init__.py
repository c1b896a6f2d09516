"""Looking inside: the debugger, page tables, descriptor tables, disassembly, crash reports."""
