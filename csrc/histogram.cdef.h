/* Histograms and the exit meter, for the compiler and for cffi: no preprocessor directives here. */

/*
 * Numbers in buckets: below 32 one bucket each; from there on, 32 equal ones between a power of two
 * and the next, so that a bucket is at most 1/32 as wide as the numbers in it are large.  The same
 * layout as pykvm/bench/histogram.py has.
 */
struct shim_histogram {
	uint64_t count, minimum, maximum;
	uint64_t buckets[1920];
};

/*
 * What exits cost, in ticks of the TSC, until each is answered and the guest entered again.  The
 * first of them are also kept one by one, as exact as they are.
 */
struct shim_meter {
	uint64_t entered, left; /* KVM_RUN's last ones; left = 0: nothing to be counted */
	uint64_t spoilt;        /* the exit under way was interrupted: it is not counted */
	uint64_t interrupted;   /* how many were not */
	uint64_t *kept;         /* totals one by one */
	uint64_t kept_size;
	struct shim_histogram inside;  /* from KVM_RUN to its return: guest and kernel */
	struct shim_histogram outside; /* from there to the next KVM_RUN: userspace */
	struct shim_histogram total;   /* both */
};
