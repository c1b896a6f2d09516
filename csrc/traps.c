/*
 * Breakpoints, watchpoints and steps of an emulated guest.  Nothing of that is in the guest:
 * Unicorn calls these before each instruction, and at each access to memory.
 */
#include "shim.h"

#define PAGE_MASK    0xfffu
#define UC_MEM_WRITE 17 /* of enum uc_mem_type */
#define MOST_SEEN    (sizeof(((struct shim_traps *)0)->seen) / sizeof(struct shim_seen))

#define NOWHERE (~(uint64_t)0)

typedef int read_register(void *engine, int id, void *value);
typedef int stop(void *engine);

static int is_breakpoint(const struct shim_traps *traps, uint64_t address)
{
	uint32_t low = 0, high = traps->breakpoint_count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (traps->breakpoints[middle] == address)
			return 1;
		if (traps->breakpoints[middle] < address)
			low = middle + 1;
		else
			high = middle;
	}
	return 0;
}

static uint64_t value_of(void *engine, const struct shim_traps *traps, int32_t id)
{
	uint64_t value = 0;

	((read_register *)traps->read_register)(engine, id, &value);
	return value;
}

/*
 * Whether the instruction that began last begins again, with nothing done.  One that stores into
 * its own block of translated code does: Unicorn throws the block away and translates it alone.
 * What else comes back to its own address changes RCX or RSP (REP, LOOP, CALL), or nothing at all
 * (a jump), and can as well be done twice.
 */
static int begins_again(void *engine, struct shim_traps *traps, uint64_t address)
{
	uint64_t count = value_of(engine, traps, traps->count_id);
	uint64_t stack = value_of(engine, traps, traps->stack_id);

	if (address == traps->begun && count == traps->count && stack == traps->stack) {
		traps->begun = NOWHERE; /* once only */
		return 1;
	}
	traps->begun = address;
	traps->count = count;
	traps->stack = stack;
	return 0;
}

/* Unicorn calls it once more for each iteration of a repeated string instruction. */
void shim_trap_instruction(void *engine, uint64_t address, uint32_t size, void *opaque)
{
	struct shim_traps *traps = opaque;

	(void)size;
	if (traps->is_followed && begins_again(engine, traps, address)) {
		traps->seen_count = 0;
		return;
	}
	if (traps->seen_count)
		traps->met = SHIM_TRAP_ACCESS;
	else if (!traps->left)
		traps->met = SHIM_TRAP_STEP;
	else if (is_breakpoint(traps, address))
		traps->met = SHIM_TRAP_BREAKPOINT;
	else {
		if (~traps->left)
			traps->left--;
		return;
	}
	((stop *)traps->stop)(engine);
}

/*
 * The address is a physical one.  What is watched is linear, and may be mapped elsewhere at any
 * time: so only its place in a page is looked at here, and the rest is found out when the
 * instruction is done.  An access that goes on in another page is told with the address of its
 * beginning.
 */
void shim_trap_access(void *engine, int type, uint64_t address, int size, int64_t value,
                      void *opaque)
{
	struct shim_traps *traps = opaque;

	(void)engine;
	(void)value;
	for (int i = 0; i < size && traps->seen_count < MOST_SEEN; i++) {
		uint32_t place = (address + (uint64_t)i) & PAGE_MASK;

		if (traps->watched[place / 64] >> place % 64 & 1) {
			traps->seen[traps->seen_count++] = (struct shim_seen){
			        .address = address,
			        .size = (uint32_t)size,
			        .is_write = type == UC_MEM_WRITE,
			};
			return;
		}
	}
}
