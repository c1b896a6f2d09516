/*
 * hello_elf64: print a greeting from 64-bit C.
 *
 * Teaches: what of a C program needs no operating system; inline assembly for what C cannot say.
 * Mode:    long (64-bit), an ELF executable at 1 MiB.
 * Prints:  a greeting, then PASS.
 * Ends:    HLT, status 0; debug-exit 1 (status 3) if it was loaded wrongly.
 */

#include "console.h"

static const char *const greeting = "Hello from 64-bit C.\n"; /* a pointer that the linker made */
volatile uint64_t initialised = 0x0123456789ABCDEF;           /* .data */
volatile uint64_t cleared[1024];                              /* .bss, more than one page */

_Noreturn void _start(void)
{
	print(greeting);
	if (sizeof(void *) != 8 || initialised != 0x0123456789ABCDEF)
		fail();
	for (unsigned int i = 0; i < sizeof(cleared) / sizeof(cleared[0]); i++)
		if (cleared[i] != 0)
			fail();
	pass();
}
