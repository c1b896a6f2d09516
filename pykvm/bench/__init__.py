"""Benchmarks: what a host's KVM costs, in figures that can be quoted (docs/benchmarks.md)."""
