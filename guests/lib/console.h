/* The serial port and the machine's end, for guests in C: the counterpart of console.inc. */

#ifndef CONSOLE_H
#define CONSOLE_H

#include <stdint.h>

enum {
	COM1_DATA = 0x3F8,   /* write: the character to send */
	COM1_STATUS = 0x3FD, /* the line status register */
	CAN_SEND = 1 << 5,   /* in COM1_STATUS */
	DEBUG_EXIT = 0xF4,   /* writing v ends with status (v << 1) | 1 */
};

static inline void out(uint16_t port, uint8_t value)
{
	__asm__ volatile("out %1, %0" : : "a"(value), "Nd"(port));
}

static inline void out16(uint16_t port, uint16_t value)
{
	__asm__ volatile("out %1, %0" : : "a"(value), "Nd"(port));
}

static inline uint8_t in(uint16_t port)
{
	uint8_t value;

	__asm__ volatile("in %0, %1" : "=a"(value) : "Nd"(port));
	return value;
}

static inline void put(char character)
{
	while (!(in(COM1_STATUS) & CAN_SEND))
		;
	out(COM1_DATA, (uint8_t)character);
}

static inline void print(const char *text)
{
	while (*text)
		put(*text++);
}

static inline void print_number(unsigned long value)
{
	if (value >= 10)
		print_number(value / 10);
	put((char)('0' + value % 10));
}

/* HLT with interrupts off is for ever; the loop is for the compiler, which does not know that. */
static inline _Noreturn void halt(void)
{
	for (;;)
		__asm__ volatile("hlt");
}

static inline _Noreturn void pass(void)
{
	print("PASS\n");
	halt();
}

static inline _Noreturn void fail(void)
{
	print("FAIL\n");
	out(DEBUG_EXIT, 1);
	halt();
}

#endif
