"""Looking inside: disassembly and reports of crashes."""
