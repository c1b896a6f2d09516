"""Packets at random: noise, and packets of the protocol that were damaged, cut or mixed."""

from __future__ import annotations

import os
import random

from tests.support.rsp import checksum, framed

PACKETS = int(os.environ.get("PYKVM_FUZZ_PACKETS", "2000"))
"""How many; `make fuzz` asks for 100,000."""

HARMLESS = (
    *(b"?", b"g", b"p0", b"p1f", b"m1000,10", b"mffff,ffffffff", b"Hg1", b"Hc-1", b"T1", b"!"),
    *(b"qSupported:swbreak+;xmlRegisters=i386", b"qfThreadInfo", b"qsThreadInfo", b"qC", b"vCont?"),
    *(b"qXfer:features:read:target.xml:0,fff", b"qXfer:threads:read::0,fff", b"qAttached"),
    *(b"qXfer:memory-map:read::0,fff", b"qThreadExtraInfo,1", b"qSymbol::", b"z0,1000,1"),
    *(b"qRcmd,68656c70", b"qRcmd,676474", b"qRcmd,696474", b"qRcmd,7472616e736c617465203078"),
)
CHANGING = (
    *(b"G00", b"P0=00000000", b"M1000,2:0000", b"X1000,4:abcd", b"Z0,1000,1", b"Z2,1003,b"),
    *(b"vCont;c", b"vCont;s:1;c", b"s", b"c", b"C05;1000", b"D", b"vKill;1", b"k"),
)
_LETTERS = b"?gGpPmMXZzHTcCsSDkqQv"


def random_content(dice: random.Random, known: tuple[bytes, ...]) -> bytes:
    """What a packet says: one of the protocol's, often no longer quite."""
    content = bytearray(dice.choice(known))
    for _ in range(dice.choice((0, 0, 1, 1, 2, 5))):
        at = dice.randrange(len(content) + 1)
        match dice.randrange(5):
            case 0:
                del content[at:]
            case 1:
                content[at:at] = dice.randbytes(dice.randrange(5))
            case 2:
                content[at : at + 1] = bytes((dice.choice(b"0123456789abcdef,;:=-$#}*+"),))
            case 3:
                content += dice.choice(known)[dice.randrange(4) :]
            case _:
                content[at : at + 1] = b"%x" % dice.getrandbits(dice.choice((8, 32, 64, 200)))
    return bytes(content)


def on_the_wire(dice: random.Random, content: bytes) -> bytes:
    """A packet as it arrives: mostly whole, sometimes cut, damaged, or with noise around it."""
    packet = framed(content)
    match dice.randrange(10):
        case 0:
            return packet[: dice.randrange(len(packet))]
        case 1:
            return packet[:-2] + checksum(dice.randbytes(1))
        case 2:
            return b"$" + content + b"#" + checksum(content)
        case 3:
            return dice.randbytes(dice.randrange(20)) + packet
        case 4:
            return dice.choice((b"+", b"-", b"\x03", b"+-+", b"$", b"#", b"$#00")) + packet
        case _:
            return packet


def noise(dice: random.Random) -> bytes:
    """A letter of the protocol and anything."""
    return bytes((dice.choice(_LETTERS),)) + dice.randbytes(dice.randrange(30))
