/*
 * primes: find the prime numbers below 1000, in C.
 *
 * Teaches: a freestanding C program: no library, its own _start; variables that begin as zero
 *          (.bss) and with a value (.data) rely on the loader.
 * Mode:    protected (32-bit), an ELF executable at 1 MiB.
 * Prints:  how many there are and the largest one, then PASS.
 * Ends:    HLT, status 0; debug-exit 1 (status 3) if the count is wrong.
 */

#include "console.h"

enum {
	LIMIT = 1000,
	PRIMES_BELOW_LIMIT = 168
};

static uint8_t composite[LIMIT];    /* .bss: the file holds no byte of it */
volatile unsigned int smallest = 2; /* .data; volatile, so that it really is read from there */

_Noreturn void _start(void)
{
	unsigned int count = 0, largest = 0;

	for (unsigned int i = smallest; i < LIMIT; i++) {
		if (composite[i])
			continue;
		count++;
		largest = i;
		for (unsigned int multiple = i * i; multiple < LIMIT; multiple += i)
			composite[multiple] = 1;
	}
	print_number(count);
	print(" primes, the largest one is ");
	print_number(largest);
	print(".\n");
	if (count != PRIMES_BELOW_LIMIT)
		fail();
	pass();
}
