/* The exit recorder's interface, for the compiler and for cffi: no preprocessor directives here. */

/* One KVM_RUN.  64 bytes: a record is one line of the host's cache. */
struct shim_record {
	uint64_t entered, left; /* the TSC just before KVM_RUN, and just behind it */
	uint64_t paused;        /* of the ticks before `entered`, the recorder's user's own */
	uint64_t address;       /* see describe() in recorder.c */
	uint64_t value;
	uint64_t rip;       /* 0 where the host does not share it */
	uint32_t cs_base;   /* 0 unless segments are recorded; 64-bit code has none */
	uint32_t count;     /* elements of an I/O or MMIO access */
	uint16_t reason;    /* KVM_EXIT_*; KVM_EXIT_INTR also where KVM_RUN gave EINTR or EAGAIN */
	uint16_t vcpu;      /* the vCPU's number */
	uint8_t size;       /* bytes of one element */
	uint8_t is_write;   /* the guest gave `value`; else it gets it */
	uint8_t handled;    /* enum shim_class: who answered, and how */
	uint8_t code_width; /* 16, 32 or 64; 0 unless segments are recorded */
};

/* A vCPU's ring.  Only the thread that runs the vCPU writes; who reads is that thread as well. */
struct shim_recorder {
	struct shim_record *records;
	uint64_t size;    /* of `records` */
	uint64_t next;    /* where the next one goes */
	uint64_t written; /* in all */
	uint64_t taken;   /* in all */
	uint32_t waits; /* when full: 1, shim_run() returns SHIM_RECORDS; 0, the oldest are lost */
	uint32_t vcpu;
	uint32_t has_rip, has_segments; /* what the run page is told to share */
	uint64_t entered, left, paused;
	struct shim_record *unanswered; /* a read whose value Python is still to give */
};
