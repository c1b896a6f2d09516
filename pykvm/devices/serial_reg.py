"""The 16550's registers and bits under the names of linux/serial_reg.h, less their UART_ prefix.

Plain integers, since the UART computes with them on every access.  A test compares each name
with the header as the compiler sees it.
"""

from __future__ import annotations

# Register offsets.  DLL and DLM replace RX/TX and IER while LCR_DLAB is set.
RX = TX = DLL = 0
IER = DLM = 1
IIR = FCR = 2
LCR = 3
MCR = 4
LSR = 5
MSR = 6
SCR = 7

# Interrupt enable register.
IER_RDI = 0x01
IER_THRI = 0x02
IER_RLSI = 0x04
IER_MSI = 0x08

# Interrupt identification register.
IIR_NO_INT = 0x01
IIR_MSI = 0x00
IIR_THRI = 0x02
IIR_RDI = 0x04
IIR_RLSI = 0x06
IIR_RX_TIMEOUT = 0x0C

# FIFO control register.
FCR_ENABLE_FIFO = 0x01
FCR_CLEAR_RCVR = 0x02
FCR_CLEAR_XMIT = 0x04
FCR_DMA_SELECT = 0x08
FCR_TRIGGER_MASK = 0xC0
FCR_TRIGGER_1 = 0x00
FCR_TRIGGER_4 = 0x40
FCR_TRIGGER_8 = 0x80
FCR_TRIGGER_14 = 0xC0

# Line control register; its low two bits are the word length less 5.
LCR_WLEN5 = 0x00
LCR_WLEN8 = 0x03
LCR_STOP = 0x04
LCR_PARITY = 0x08
LCR_EPAR = 0x10
LCR_SPAR = 0x20
LCR_SBC = 0x40
LCR_DLAB = 0x80

# Modem control register.
MCR_DTR = 0x01
MCR_RTS = 0x02
MCR_OUT1 = 0x04
MCR_OUT2 = 0x08
MCR_LOOP = 0x10

# Line status register.
LSR_DR = 0x01
LSR_OE = 0x02
LSR_PE = 0x04
LSR_FE = 0x08
LSR_BI = 0x10
LSR_THRE = 0x20
LSR_TEMT = 0x40
LSR_FIFOE = 0x80

# Modem status register.
MSR_DCTS = 0x01
MSR_DDSR = 0x02
MSR_TERI = 0x04
MSR_DDCD = 0x08
MSR_CTS = 0x10
MSR_DSR = 0x20
MSR_RI = 0x40
MSR_DCD = 0x80
