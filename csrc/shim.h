/* What the C files of the shim share. */
#ifndef PYKVM_SHIM_H
#define PYKVM_SHIM_H

#include <linux/kvm.h>
#include <stdint.h>

#include "histogram.cdef.h"
#include "recorder.cdef.h"
#include "shim.cdef.h"
#include "traps.cdef.h"
#include "watch.cdef.h"

/* Between these two the calling thread runs the vCPU and can be kicked out of it. */
int shim_enter_thread(struct shim_vcpu *vcpu);
void shim_leave_thread(struct shim_vcpu *vcpu);

uint64_t shim_first_element(const struct shim_exit *exit);

#endif
