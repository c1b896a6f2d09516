"""The emulator, which needs no KVM."""
