/* What cffi's generated C file needs, and the constants that headers older than 6.1 lack. */
#include <asm/kvm.h>
#include <asm/processor-flags.h>
#include <errno.h>
#include <linux/kvm.h>
#include <stdint.h>
#include <sys/mman.h>

#include "details.h"
#include "shim.h"

#ifndef KVM_CAP_XSAVE2
#define KVM_CAP_XSAVE2 208
#endif
#ifndef KVM_GET_XSAVE2
#define KVM_GET_XSAVE2 _IOR(KVMIO, 0xcf, struct kvm_xsave)
#endif
#ifndef KVM_GUESTDBG_BLOCKIRQ
#define KVM_GUESTDBG_BLOCKIRQ 0x00100000
#endif
#ifndef KVM_CLOCK_REALTIME
#define KVM_CLOCK_REALTIME (1 << 2)
#endif
#ifndef KVM_CLOCK_HOST_TSC
#define KVM_CLOCK_HOST_TSC (1 << 3)
#endif
#ifndef KVM_VCPUEVENT_VALID_TRIPLE_FAULT
#define KVM_VCPUEVENT_VALID_TRIPLE_FAULT 0x00000020
#endif
