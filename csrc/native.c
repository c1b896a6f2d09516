/* Devices in C: what SHIM_NATIVE routes may call. */
#include <string.h>
#include <unistd.h>

#include "shim.h"

/* A register of 8 bytes that reads back what was written; `opaque` points to it. */
void shim_latch(void *opaque, struct shim_access *access)
{
	if (access->is_write)
		memcpy(opaque, access->data, access->size);
	else
		memcpy(access->data, opaque, access->size);
}

/* Counts accesses in the uint64_t at `opaque`; a read gives the count so far. */
void shim_counter(void *opaque, struct shim_access *access)
{
	uint64_t count = __atomic_add_fetch((uint64_t *)opaque, 1, __ATOMIC_RELAXED);

	if (!access->is_write)
		memcpy(access->data, &count, access->size);
}

/* Writes 1 to an eventfd, as a device that interrupts through KVM_IRQFD does. */
void shim_signal(void *opaque, struct shim_access *access)
{
	uint64_t one = 1;

	/* it fails only where the eventfd is full of interrupts that nobody has taken */
	if (access->is_write && write(*(const int *)opaque, &one, sizeof(one)) < 0)
		return;
}
