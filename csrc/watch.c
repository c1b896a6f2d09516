/*
 * What Unicorn calls before each instruction, and the one place where it is told to stop in the
 * middle of the guest.  Told from elsewhere, it looks at the end of a block only, and may leave RIP
 * at the block's last instruction, which is done already: a CALL would push twice.
 */
#include "shim.h"

#define RFLAGS_IF (1u << 9)

typedef int read_register(void *engine, int id, void *value);
typedef int stop(void *engine);

static int must_stop(void *engine, struct shim_watch *watch)
{
	uint64_t flags = 0;

	if (__builtin_expect(__atomic_load_n(&watch->wanted, __ATOMIC_RELAXED), 0))
		return 1;
	if (__builtin_expect(!watch->awaits_if, 1))
		return 0;
	if (watch->shadowed) {
		watch->shadowed = 0;
		return 0;
	}
	((read_register *)watch->read_register)(engine, watch->flags_id, &flags);
	return (flags & RFLAGS_IF) != 0;
}

void shim_watch_instruction(void *engine, uint64_t address, uint32_t size, void *opaque)
{
	struct shim_watch *watch = opaque;

	if (must_stop(engine, watch)) {
		((stop *)watch->stop)(engine);
		return;
	}
	watch->address = address;
	watch->size = size;
	watch->count++;
}
