/*
 * The hot loop: enter the guest, take the exit, answer it here if a route says so, enter again.
 *
 * It runs without the GIL and never calls into Python.  What it cannot answer it returns, flat, in
 * vcpu->exit.  One order is kept whatever happens: what the kernel coalesced and what was posted
 * here stands in the event log before the exit that followed it is returned.
 */
#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "histogram.h"
#include "recorder.h"

#define EXITS_COUNTED (sizeof(((struct shim_vcpu *)0)->exits) / sizeof(uint64_t))

/* The kernel's ring is one per VM: whichever vCPU comes first moves what is in it. */
static atomic_flag coalesced_lock = ATOMIC_FLAG_INIT;

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint32_t padded(uint32_t length)
{
	return (length + 7) & ~7u;
}

/* Where the last run of the log ends is not stored; a run is only ever extended at `last`. */
static int log_event(struct shim_vcpu *vcpu, struct shim_event **last, uint64_t address,
                     int is_mmio, uint32_t size, const uint8_t *data, uint32_t length)
{
	struct shim_event *event = *last;
	uint32_t start = vcpu->events_used, room = vcpu->events_size - start;

	if (event && event->address == address && event->size == size &&
	    event->is_mmio == is_mmio) {
		uint32_t grown = padded(event->length + length) - padded(event->length);

		if (grown > room)
			return 0;
		memcpy((uint8_t *)(event + 1) + event->length, data, length);
		event->length += length;
		vcpu->events_used += grown;
		return 1;
	}
	if (sizeof(*event) + padded(length) > room)
		return 0;
	event = (struct shim_event *)(vcpu->events + start);
	*event = (struct shim_event){
	        .address = address, .length = length, .size = size, .is_mmio = is_mmio};
	memcpy(event + 1, data, length);
	vcpu->events_used = start + sizeof(*event) + padded(length);
	*last = event;
	return 1;
}

/* Moves the kernel's ring into the log.  Returns 0 if the log is full before the ring is empty. */
static int drain_coalesced(struct shim_vcpu *vcpu, struct shim_event **last)
{
	struct kvm_coalesced_mmio_ring *ring = vcpu->coalesced;
	uint32_t entries = (getpagesize() - sizeof(*ring)) / sizeof(struct kvm_coalesced_mmio);
	int fits = 1;

	if (!ring || __atomic_load_n(&ring->last, __ATOMIC_ACQUIRE) ==
	                     __atomic_load_n(&ring->first, __ATOMIC_RELAXED))
		return 1;
	while (atomic_flag_test_and_set_explicit(&coalesced_lock, memory_order_acquire))
		;
	while (ring->first != __atomic_load_n(&ring->last, __ATOMIC_ACQUIRE)) {
		struct kvm_coalesced_mmio *entry = &ring->coalesced_mmio[ring->first];

		fits = log_event(vcpu, last, entry->phys_addr, !entry->pio, entry->len, entry->data,
		                 entry->len);
		if (!fits)
			break;
		__atomic_store_n(&ring->first, (ring->first + 1) % entries, __ATOMIC_RELEASE);
	}
	atomic_flag_clear_explicit(&coalesced_lock, memory_order_release);
	return fits;
}

/*
 * Python changes routes, one thread at a time under the machine's lock, while other vCPUs look for
 * theirs here without it.  What they find is always whole:
 * - an address' route is found only after it is filled, and never moves to another address;
 * - Python sets `kind` last and takes it away first, the kind is read first here, and x86 keeps
 *   the order of stores and of loads, as acquire makes the compiler do;
 * - a value that has changed since the kind was read is the newer answer of the same register.
 * A vCPU that just misses a change is as one whose access came just before; one that learns of the
 * change, through memory or an interrupt, has its cause before its own next load.
 */
static struct shim_route *find_route(struct shim_routes *routes, const struct shim_exit *exit)
{
	uint32_t mmio_count;

	if (exit->reason == KVM_EXIT_IO)
		return &routes->route[routes->pio[exit->is_write][exit->address]];
	mmio_count = __atomic_load_n(&routes->mmio_count, __ATOMIC_ACQUIRE);
	for (uint32_t i = 0; i < mmio_count; i++) {
		if (routes->mmio[i].address == exit->address)
			return &routes->route[routes->mmio[i].route[exit->is_write]];
	}
	return &routes->route[0];
}

/* The number that the first element of an access stands for. */
uint64_t shim_first_element(const struct shim_exit *exit)
{
	uint64_t value = 0;

	memcpy(&value, exit->data, exit->size < sizeof(value) ? exit->size : sizeof(value));
	return value;
}

/* Answers the access in vcpu->exit if its route can.  Returns how; SHIM_PYTHON: it has not. */
static int answer(struct shim_vcpu *vcpu, struct shim_event **last)
{
	struct shim_exit *exit = &vcpu->exit;
	struct shim_route *route = find_route(vcpu->routes, exit);
	uint8_t *data = exit->data, *end = data + exit->size * exit->count;
	uint8_t kind = __atomic_load_n(&route->kind, __ATOMIC_ACQUIRE);

	/* MMIO that crosses a page comes in pieces of any size: no route is for those */
	if (exit->size & (exit->size - 1) || !(route->sizes & exit->size))
		return SHIM_PYTHON;
	switch (kind) {
	case SHIM_POSTED:
		if (!exit->is_write ||
		    !log_event(vcpu, last, exit->address, exit->reason == KVM_EXIT_MMIO, exit->size,
		               data, end - data))
			return SHIM_PYTHON;
		return kind;
	case SHIM_CONSTANT:
		if (!exit->is_write) {
			uint64_t value = __atomic_load_n(&route->value, __ATOMIC_RELAXED);

			for (; data < end; data += exit->size)
				memcpy(data, &value, exit->size);
		}
		return kind;
	case SHIM_NATIVE:
		for (; data < end; data += exit->size) {
			struct shim_access access = {.address = exit->address,
			                             .data = data,
			                             .size = exit->size,
			                             .is_write = exit->is_write};

			route->native(route->opaque, &access);
		}
		return kind;
	default:
		return SHIM_PYTHON;
	}
}

/* Flattens the two exits that devices are made of.  Returns 0 for all others. */
static int flatten(struct shim_vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	struct shim_exit *exit = &vcpu->exit;

	exit->reason = run->exit_reason;
	switch (run->exit_reason) {
	case KVM_EXIT_IO:
		exit->is_write = run->io.direction == KVM_EXIT_IO_OUT;
		exit->size = run->io.size;
		exit->count = run->io.count;
		exit->address = run->io.port;
		exit->data = (uint8_t *)run + run->io.data_offset;
		return 1;
	case KVM_EXIT_MMIO:
		exit->is_write = run->mmio.is_write != 0;
		exit->size = run->mmio.len;
		exit->count = 1;
		exit->address = run->mmio.phys_addr;
		exit->data = run->mmio.data;
		return 1;
	default:
		return 0;
	}
}

/* What only Python wants to know of an access. */
static void complete(struct shim_vcpu *vcpu)
{
	struct shim_exit *exit = &vcpu->exit;

	exit->offset = (uint16_t)(exit->data - (uint8_t *)vcpu->run);
	if (exit->is_write)
		exit->value = shim_first_element(exit);
}

static void count(struct shim_vcpu *vcpu)
{
	uint32_t reason = vcpu->run->exit_reason;

	vcpu->exits[reason < EXITS_COUNTED ? reason : EXITS_COUNTED - 1]++;
	if (reason == KVM_EXIT_IO && vcpu->port_exits)
		vcpu->port_exits[vcpu->run->io.port]++;
}

/* An exit that several vCPUs take at once may be one more than was left. */
static void spend(uint64_t *budget)
{
	uint64_t left = __atomic_load_n(budget, __ATOMIC_RELAXED);

	while (left && ~left &&
	       !__atomic_compare_exchange_n(budget, &left, left - 1, 1, __ATOMIC_RELAXED,
	                                    __ATOMIC_RELAXED))
		;
}

/* KVM_RUN once.  Returns 0 or -errno. */
static int enter(struct shim_vcpu *vcpu)
{
	struct shim_recorder *recorder = vcpu->recorder;
	struct shim_meter *meter = vcpu->meter;
	uint64_t start = vcpu->timed ? now() : 0;
	int error;

	if (recorder)
		recorder->entered = shim_tsc();
	if (meter)
		shim_meter_enter(meter);
	error = ioctl(vcpu->fd, KVM_RUN, 0) < 0 ? -errno : 0;
	if (meter)
		shim_meter_leave(meter, error);
	if (recorder)
		recorder->left = shim_tsc();
	if (vcpu->timed)
		vcpu->inside_ns += now() - start;
	return error;
}

static int run(struct shim_vcpu *vcpu)
{
	struct shim_recorder *recorder = vcpu->recorder;
	struct shim_event *last = NULL;

	if (recorder)
		shim_settle_record(vcpu);
	for (;;) {
		int error, is_access, handled = SHIM_PYTHON;

		if (!__atomic_load_n(vcpu->budget, __ATOMIC_RELAXED))
			return SHIM_BUDGET;
		if (recorder && shim_must_wait(recorder))
			return SHIM_RECORDS;
		error = enter(vcpu);
		if (recorder && (error == -EAGAIN || error == -EINTR))
			shim_record_interruption(vcpu);
		/* a vCPU that waited for INIT was woken, and is to be entered to see by what */
		if (error == -EAGAIN)
			continue;
		if (error == -EINTR) {
			/*
			 * Cleared before Python looks at its flags: a kick that comes later sets
			 * them anew, one that came earlier has set its flag before.
			 */
			__atomic_store_n(&vcpu->kicked, 0, __ATOMIC_SEQ_CST);
			__atomic_store_n(&vcpu->run->immediate_exit, 0, __ATOMIC_SEQ_CST);
			return drain_coalesced(vcpu, &last) ? SHIM_INTERRUPTED : SHIM_EVENTS;
		}
		if (error)
			return error;
		spend(vcpu->budget);
		count(vcpu);
		is_access = flatten(vcpu);
		/*
		 * What does not fit into the log stays in the kernel's ring; then this exit goes to
		 * Python, which empties the log and drains again before it handles the exit.
		 */
		if (drain_coalesced(vcpu, &last) && is_access && vcpu->routes)
			handled = answer(vcpu, &last);
		if (recorder)
			shim_record(vcpu, handled);
		if (handled == SHIM_PYTHON) {
			if (is_access)
				complete(vcpu);
			return vcpu->run->exit_reason;
		}
	}
}

/*
 * Runs the vCPU until something is Python's to handle.  Returns an exit reason, a value of enum
 * shim_stop, -errno of KVM_RUN, or -EBUSY where another thread is in here.  The log may hold
 * events whatever is returned; the caller delivers them first and sets events_used to 0.
 */
int shim_run(struct shim_vcpu *vcpu)
{
	int result = shim_enter_thread(vcpu);

	if (result)
		return result;
	result = run(vcpu);
	vcpu->exit.logged = vcpu->events_used;
	shim_leave_thread(vcpu);
	return result;
}

/* Moves what is left in the kernel's ring into the log.  Returns 1 when that ring is empty. */
int shim_drain(struct shim_vcpu *vcpu)
{
	struct shim_event *last = NULL;

	return drain_coalesced(vcpu, &last);
}
