/*
 * The C shim's interface, once: shim.h includes it for the compiler and build.py hands it to
 * cffi, so that the two cannot drift apart.  Hence no preprocessor directives in this file.
 */

/* How an access that left the guest is handled. */
enum shim_class {
	SHIM_PYTHON,   /* return to Python */
	SHIM_POSTED,   /* write: append it to the event log and re-enter */
	SHIM_CONSTANT, /* read: answer `value`; write: drop it; re-enter */
	SHIM_NATIVE,   /* call `native`, re-enter */
};

/* What shim_run() returns besides KVM's own exit reasons (>= 0) and errors (-errno). */
enum shim_stop {
	SHIM_INTERRUPTED = 0x10000, /* a signal, a kick or the timer: look at your flags */
	SHIM_BUDGET,                /* as many exits were taken as `budget` allowed */
	SHIM_EVENTS,                /* the event log is full: empty it, drain, go on */
	SHIM_RECORDS,               /* the recorder is full: take what is in it, go on */
};

/* One element of an access, as a native device sees it: `data` is `size` bytes to read or fill. */
struct shim_access {
	uint64_t address; /* port number or guest-physical address */
	uint8_t *data;
	uint32_t size;
	uint32_t is_write;
};

/*
 * A device in C.  It runs without the GIL, on the vCPU's thread, and must not block.  Several vCPUs
 * may be in it at once.
 */
typedef void shim_native(void *opaque, struct shim_access *access);

/* How one kind of access is handled. */
struct shim_route {
	uint8_t kind;  /* enum shim_class */
	uint8_t sizes; /* the access sizes it is for, as a sum of 1, 2, 4, 8; others go to Python */
	uint64_t value;
	shim_native *native;
	void *opaque;
};

/* A guest-physical address with its two routes, by is_write; 0 stands for "Python". */
struct shim_mmio_routes {
	uint64_t address;
	uint8_t route[2];
};

/* The routes of one machine, shared by its vCPUs. */
struct shim_routes {
	uint8_t pio[2][65536]; /* a route's index, by is_write and port; 0: Python */
	struct shim_mmio_routes mmio[32];
	uint32_t mmio_count;
	struct shim_route route[256];
};

/*
 * A run of posted writes to one address: `length` bytes of `size`-byte elements follow it in the
 * log, padded to 8 bytes.
 */
struct shim_event {
	uint64_t address;
	uint32_t length;
	uint8_t size;
	uint8_t is_mmio;
	uint8_t pad[2];
};

/*
 * An I/O or MMIO exit, flat; for other reasons only `reason` and `logged` are set (see
 * shim_details). Python takes all of it at once (pykvm/kvm/runloop.py).
 */
struct shim_exit {
	uint32_t reason; /* KVM_EXIT_* */
	uint8_t is_write;
	uint8_t size;     /* bytes of one element */
	uint16_t offset;  /* of `data` in the run page */
	uint32_t count;   /* elements */
	uint32_t logged;  /* bytes in the event log when shim_run() returned */
	uint64_t address; /* port number or guest-physical address */
	uint64_t value;   /* the first element of a write that goes to Python */
	uint8_t *data;    /* size * count bytes in the run page */
};

/* One vCPU as the run loop sees it. */
struct shim_vcpu {
	int fd;
	struct kvm_run *run;
	struct kvm_coalesced_mmio_ring *coalesced; /* NULL: the host has none */
	struct shim_routes *routes;                /* NULL: everything goes to Python */
	uint64_t *budget; /* exits left for all vCPUs that share it; ~0: any number; 0: stop */
	uint8_t *events;  /* the event log */
	uint32_t events_size, events_used;
	uint64_t *port_exits;           /* NULL, or 65536 counters, by port */
	uint64_t exits[64];             /* by reason; the last one also counts all higher reasons */
	uint32_t timed;                 /* whether inside_ns is kept */
	uint64_t inside_ns;             /* time in KVM_RUN: guest and kernel */
	struct shim_recorder *recorder; /* NULL: exits are not recorded */
	struct shim_meter *meter;       /* NULL: exits are not measured */
	struct shim_exit exit;
	uint32_t thread;       /* kernel thread id while in shim_run(), else 0 */
	uint32_t kicked;       /* shim_kick() came since the last SHIM_INTERRUPTED */
	uint32_t timer_thread; /* the thread that `timer` signals; 0: there is no timer */
	void *timer;
};

int shim_ioctl(int fd, unsigned long request, void *argument);
int shim_ioctl_value(int fd, unsigned long request, unsigned long value);

int shim_init(void);
int shim_run(struct shim_vcpu *vcpu);
int shim_run_bare(int fd, struct kvm_run *run, uint64_t exits, struct shim_meter *meter);
int shim_drain(struct shim_vcpu *vcpu);
void shim_kick(struct shim_vcpu *vcpu);
int shim_set_timer(struct shim_vcpu *vcpu, uint64_t first, uint64_t interval);
int shim_kick_signal(void);

uint64_t shim_tsc(void);
void shim_settle_record(struct shim_vcpu *vcpu); /* only where there is a recorder */

void shim_histogram_add(struct shim_histogram *histogram, uint64_t value);
void shim_meter_enter(struct shim_meter *meter);
void shim_meter_idle(struct shim_meter *meter, uint64_t count);

/* Native devices to measure and to test with: a register that reads back; a count of accesses. */
void shim_latch(void *opaque, struct shim_access *access);
void shim_counter(void *opaque, struct shim_access *access);
/* Interrupts through an eventfd: `opaque` points to its descriptor, an int. */
void shim_signal(void *opaque, struct shim_access *access);
