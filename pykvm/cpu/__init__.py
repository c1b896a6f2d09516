"""Processors: the `Cpu` protocol and those who play it."""
