/*
 * A hello-world VMM in C, the least that runs the guests of these benchmarks: RAM, a vCPU, a loop
 * around KVM_RUN, and of a PC one byte of a UART.  What it takes, the host asks of every VMM.
 *
 *     hello_vmm IMAGE
 *
 * An image of 64 KiB is firmware and begins at the reset vector, any other is real-mode code for
 * 0x1000.  It ends with the guest's HLT, or what the guest writes to the debug-exit port.
 */
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
	RAM = 16 << 20,
	ROM = 64 << 10,
	LOAD = 0x1000,
	TSS = 0xfffbd000,
	COM1 = 0x3f8,
	COM1_STATUS = COM1 + 5,
	CAN_SEND = 0x60, /* THRE and TEMT */
	DEBUG_EXIT = 0xf4,
};

static void check(int ok, const char *what)
{
	if (ok)
		return;
	perror(what);
	exit(125);
}

static uint8_t *give_memory(int vm, uint32_t slot, uint64_t gpa, uint64_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct kvm_userspace_memory_region region = {.slot = slot,
	                                             .guest_phys_addr = gpa,
	                                             .memory_size = size,
	                                             .userspace_addr = (uint64_t)memory};

	check(memory != MAP_FAILED, "mmap");
	check(ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region) == 0, "KVM_SET_USER_MEMORY_REGION");
	return memory;
}

static void enter_at(int vcpu, uint64_t rip)
{
	struct kvm_regs regs = {.rip = rip, .rflags = 2};
	struct kvm_sregs sregs;

	check(ioctl(vcpu, KVM_GET_SREGS, &sregs) == 0, "KVM_GET_SREGS");
	sregs.cs.base = sregs.cs.selector = 0;
	check(ioctl(vcpu, KVM_SET_SREGS, &sregs) == 0, "KVM_SET_SREGS");
	check(ioctl(vcpu, KVM_SET_REGS, &regs) == 0, "KVM_SET_REGS");
}

static void do_io(uint16_t port, int is_write, uint8_t *data)
{
	if (!is_write)
		*data = port == COM1_STATUS ? CAN_SEND : 0xff;
	else if (port == COM1)
		check(write(STDOUT_FILENO, data, 1) == 1, "standard output");
	else if (port == DEBUG_EXIT)
		exit(*data << 1 | 1);
}

int main(int argc, char **argv)
{
	static uint8_t image[ROM];
	int file = argc == 2 ? open(argv[1], O_RDONLY) : -1;
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	int vm, vcpu;
	struct kvm_run *run;
	ssize_t length;
	uint8_t *ram;

	check(file >= 0 && (length = read(file, image, sizeof(image))) > 0, "hello_vmm IMAGE");
	check(kvm >= 0, "/dev/kvm");
	check((vm = ioctl(kvm, KVM_CREATE_VM, 0)) >= 0, "KVM_CREATE_VM");
	check(ioctl(vm, KVM_SET_TSS_ADDR, TSS) == 0, "KVM_SET_TSS_ADDR");
	ram = give_memory(vm, 0, 0, RAM);
	check((vcpu = ioctl(vm, KVM_CREATE_VCPU, 0)) >= 0, "KVM_CREATE_VCPU");
	if (length == ROM) {
		memcpy(give_memory(vm, 1, (1ull << 32) - ROM, ROM), image, ROM);
	} else {
		memcpy(ram + LOAD, image, length);
		enter_at(vcpu, LOAD);
	}
	run = mmap(NULL, ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0), PROT_READ | PROT_WRITE, MAP_SHARED,
	           vcpu, 0);
	check(run != MAP_FAILED, "the run page");
	for (;;) {
		check(ioctl(vcpu, KVM_RUN, 0) == 0, "KVM_RUN");
		switch (run->exit_reason) {
		case KVM_EXIT_IO:
			do_io(run->io.port, run->io.direction == KVM_EXIT_IO_OUT,
			      (uint8_t *)run + run->io.data_offset);
			break;
		case KVM_EXIT_HLT:
			return 0;
		default:
			fprintf(stderr, "hello_vmm: exit reason %u\n", run->exit_reason);
			return 126;
		}
	}
}
