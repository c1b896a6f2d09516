"""The emulator: Unicorn, and a processor's registers as it keeps them.

Nobody imports this room, and with it Unicorn, unless a machine is to be emulated.
"""
