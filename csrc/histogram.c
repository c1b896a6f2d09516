/*
 * The exit meter: how long each exit took, in histograms of fixed size, so that measuring neither
 * allocates nor slows down with the number of exits.
 *
 * Its own work falls between two stamps and is in no figure, but for the time that reading the TSC
 * takes: shim_meter_idle() tells that.
 */
#include "histogram.h"

#define LINEAR_BITS 5
#define LINEAR      (1u << LINEAR_BITS)

static unsigned int bucket_of(uint64_t value)
{
	unsigned int power;

	if (value < LINEAR)
		return (unsigned int)value;
	power = 63 - (unsigned int)__builtin_clzll(value) - LINEAR_BITS;
	return LINEAR * power + (unsigned int)(value >> power);
}

void shim_histogram_add(struct shim_histogram *histogram, uint64_t value)
{
	if (!histogram->count || value < histogram->minimum)
		histogram->minimum = value;
	if (value > histogram->maximum)
		histogram->maximum = value;
	histogram->count++;
	histogram->buckets[bucket_of(value)]++;
}

/* KVM_RUN is about to be called: what the exit before it took is known now. */
void shim_meter_enter(struct shim_meter *meter)
{
	uint64_t now = shim_tsc();

	if (meter->left) {
		shim_histogram_add(&meter->inside, meter->left - meter->entered);
		shim_histogram_add(&meter->outside, now - meter->left);
		if (meter->total.count < meter->kept_size)
			meter->kept[meter->total.count] = now - meter->entered;
		shim_histogram_add(&meter->total, now - meter->entered);
		meter->left = 0;
	}
	meter->entered = shim_tsc();
}

/*
 * KVM_RUN came back, with `error` or an exit.  What a signal interrupts goes on at the next
 * KVM_RUN, so that neither of the two is what an exit takes.
 */
void shim_meter_leave(struct shim_meter *meter, int error)
{
	uint64_t now = shim_tsc();

	if (error) {
		meter->interrupted += !meter->spoilt;
		meter->spoilt = 1;
	} else if (meter->spoilt) {
		meter->spoilt = 0;
	} else {
		meter->left = now;
	}
}

/* What the stamps themselves cost: `count` exits that take no time at all. */
void shim_meter_idle(struct shim_meter *meter, uint64_t count)
{
	shim_meter_enter(meter);
	while (count--) {
		shim_meter_leave(meter, 0);
		shim_meter_enter(meter);
	}
}
