/*
 * The bare limit: a loop around KVM_RUN and nothing else, but the stamps of whoever measures it.
 * What an exit costs here is what the host asks for it; whatever run() in runloop.c costs more is
 * its own.
 */
#include <errno.h>
#include <sys/ioctl.h>

#include "histogram.h"

/* Takes `exits` I/O exits, or less where signals come.  Returns 0, -errno, or -EPROTO where
 * anything else happened. */
int shim_run_bare(int fd, struct kvm_run *run, uint64_t exits, struct shim_meter *meter)
{
	while (exits--) {
		int error;

		shim_meter_enter(meter);
		error = ioctl(fd, KVM_RUN, 0) < 0 ? -errno : 0;
		shim_meter_leave(meter, error);
		/* a kick of run()'s timer that came too late for it */
		if (error == -EINTR) {
			run->immediate_exit = 0;
			continue;
		}
		if (error)
			return error;
		if (run->exit_reason != KVM_EXIT_IO)
			return -EPROTO;
	}
	return 0;
}
