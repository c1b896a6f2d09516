/* What Unicorn calls before each instruction; no directives here, as in shim.cdef.h. */

/* What is known of the instruction that runs, or ran last. */
struct shim_watch {
	uint64_t address;    /* linear */
	uint64_t count;      /* how many have begun */
	uint32_t size;       /* bytes */
	uint32_t wanted;     /* stop before the next instruction */
	uint32_t awaits_if;  /* stop before an instruction that could be interrupted */
	uint32_t shadowed;   /* ... but not before this one: its predecessor holds interrupts off */
	int32_t flags_id;    /* Unicorn's number of RFLAGS */
	void *read_register; /* uc_reg_read */
	void *stop;          /* uc_emu_stop */
};

void shim_watch_instruction(void *engine, uint64_t address, uint32_t size, void *watch);
