/* What Unicorn calls where a guest is debugged; no directives here, as in shim.cdef.h. */

/* Why the emulator was stopped. */
enum shim_trap {
	SHIM_NO_TRAP,
	SHIM_TRAP_STEP,       /* as many instructions have begun as there were to be */
	SHIM_TRAP_BREAKPOINT, /* the next instruction is at a breakpoint */
	SHIM_TRAP_ACCESS,     /* the last one may have accessed what is watched: see `seen` */
};

/* An access that touches watched places in some page. */
struct shim_seen {
	uint64_t address; /* guest-physical, of its first byte */
	uint32_t size;
	uint32_t is_write;
};

struct shim_traps {
	uint64_t left;         /* how many instructions may yet begin; ~0: any number */
	uint64_t *breakpoints; /* linear addresses, ascending */
	uint32_t breakpoint_count;
	uint32_t met;         /* enum shim_trap */
	uint64_t watched[64]; /* a bit for each byte of a page: is it watched, in whatever page? */
	struct shim_seen seen[128]; /* FXSAVE makes 55 */
	uint32_t seen_count;
	uint32_t is_followed; /* whether it matters that an instruction is begun again, undone */
	uint64_t begun; /* the linear address of the one that began last; ~0: none, or again */
	uint64_t count, stack;      /* RCX and RSP then */
	int32_t count_id, stack_id; /* Unicorn's numbers of these */
	void *read_register;        /* uc_reg_read */
	void *stop;                 /* uc_emu_stop */
};

void shim_trap_instruction(void *engine, uint64_t address, uint32_t size, void *traps);
void shim_trap_access(void *engine, int type, uint64_t address, int size, int64_t value,
                      void *traps);
