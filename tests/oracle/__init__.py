"""The differential oracle: one program, two accelerators, the same outcome."""
