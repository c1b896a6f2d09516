/*
 * The bare limit: a VM, a vCPU and a loop around KVM_RUN, nothing else.  What an exit costs here is
 * what the host asks for it; whatever pykvm's loop costs more is pykvm's.
 */
#include <fcntl.h>
#include <linux/kvm.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define RAM  0x10000
#define LOAD 0x1000

static int vcpu = -1;
static struct kvm_run *run;

/* Makes the machine and puts `code` into it, in real mode.  Returns 0, or -1 where KVM fails. */
int bare_setup(const uint8_t *code, size_t length)
{
	struct kvm_userspace_memory_region region = {.memory_size = RAM};
	struct kvm_regs regs = {.rip = LOAD, .rflags = 2};
	struct kvm_sregs sregs;
	int kvm, vm, size;
	uint8_t *ram;

	kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	vm = ioctl(kvm, KVM_CREATE_VM, 0);
	ram = mmap(NULL, RAM, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (vm < 0 || ram == MAP_FAILED || length > RAM - LOAD)
		return -1;
	memcpy(ram + LOAD, code, length);
	region.userspace_addr = (uint64_t)ram;
	if (ioctl(vm, KVM_SET_TSS_ADDR, 0xfffbd000) < 0 ||
	    ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region) < 0)
		return -1;
	vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
	size = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (vcpu < 0 || size < 0)
		return -1;
	run = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
	if (run == MAP_FAILED || ioctl(vcpu, KVM_GET_SREGS, &sregs) < 0)
		return -1;
	sregs.cs.base = sregs.cs.selector = 0;
	if (ioctl(vcpu, KVM_SET_SREGS, &sregs) < 0 || ioctl(vcpu, KVM_SET_REGS, &regs) < 0)
		return -1;
	return 0;
}

/* Takes `exits` I/O exits.  Returns the ns they took, or -1 when anything else happened. */
int64_t bare_run(uint64_t exits)
{
	struct timespec start, end;

	clock_gettime(CLOCK_MONOTONIC, &start);
	while (exits--) {
		if (ioctl(vcpu, KVM_RUN, 0) < 0 || run->exit_reason != KVM_EXIT_IO)
			return -1;
	}
	clock_gettime(CLOCK_MONOTONIC, &end);
	return (end.tv_sec - start.tv_sec) * 1000000000 + (end.tv_nsec - start.tv_nsec);
}
