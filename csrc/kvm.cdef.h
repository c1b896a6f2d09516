/*
 * The part of <linux/kvm.h> that pykvm uses, for cffi alone: "..." leaves layout, padding and
 * values to the compiler, so that a name or type which is wrong here fails the build.
 */

/* --- struct kvm_run: the members outside its unions; details.c flattens those --- */

struct kvm_run {
	uint8_t request_interrupt_window;
	uint8_t immediate_exit;
	uint32_t exit_reason;
	uint8_t ready_for_interrupt_injection;
	uint8_t if_flag;
	uint16_t flags;
	uint64_t cr8;
	uint64_t apic_base;
	uint64_t kvm_valid_regs;
	uint64_t kvm_dirty_regs;
	...;
};

struct kvm_coalesced_mmio {
	uint64_t phys_addr;
	uint32_t len;
	uint32_t pio;
	uint8_t data[8];
	...;
};

struct kvm_coalesced_mmio_ring {
	uint32_t first;
	uint32_t last;
	struct kvm_coalesced_mmio coalesced_mmio[];
	...;
};

/* --- registers --- */

struct kvm_regs {
	uint64_t rax, rbx, rcx, rdx, rsi, rdi, rsp, rbp;
	uint64_t r8, r9, r10, r11, r12, r13, r14, r15;
	uint64_t rip, rflags;
	...;
};

struct kvm_segment {
	uint64_t base;
	uint32_t limit;
	uint16_t selector;
	uint8_t type, present, dpl, db, s, l, g, avl, unusable;
	...;
};

struct kvm_dtable {
	uint64_t base;
	uint16_t limit;
	...;
};

struct kvm_sregs {
	struct kvm_segment cs, ds, es, fs, gs, ss, tr, ldt;
	struct kvm_dtable gdt, idt;
	uint64_t cr0, cr2, cr3, cr4, cr8, efer, apic_base;
	unsigned long long interrupt_bitmap[4];
	...;
};

struct kvm_fpu {
	uint8_t fpr[8][16];
	uint16_t fcw, fsw;
	uint8_t ftwx;
	uint16_t last_opcode;
	uint64_t last_ip, last_dp;
	uint8_t xmm[16][16];
	uint32_t mxcsr;
	...;
};

struct kvm_xsave {
	uint32_t region[1024];
	...;
};

struct kvm_xcr {
	uint32_t xcr;
	uint64_t value;
	...;
};

struct kvm_xcrs {
	uint32_t nr_xcrs, flags;
	struct kvm_xcr xcrs[16];
	...;
};

struct kvm_debugregs {
	unsigned long long db[4];
	uint64_t dr6, dr7, flags;
	...;
};

struct kvm_vcpu_events {
	struct {
		uint8_t injected, nr, has_error_code, pending;
		uint32_t error_code;
	} exception;
	struct {
		uint8_t injected, nr, soft, shadow;
	} interrupt;
	struct {
		uint8_t injected, pending, masked, pad;
	} nmi;
	uint32_t sipi_vector, flags;
	struct {
		uint8_t smm, pending, smm_inside_nmi, latched_init;
	} smi;
	uint8_t exception_has_payload;
	uint64_t exception_payload;
	...;
};

struct kvm_sync_regs {
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	struct kvm_vcpu_events events;
	...;
};

struct kvm_lapic_state {
	char regs[1024];
	...;
};

struct kvm_mp_state {
	uint32_t mp_state;
	...;
};

struct kvm_guest_debug_arch {
	unsigned long long debugreg[8];
	...;
};

struct kvm_guest_debug {
	uint32_t control;
	struct kvm_guest_debug_arch arch;
	...;
};

struct kvm_signal_mask {
	uint32_t len;
	uint8_t sigset[];
	...;
};

struct kvm_interrupt {
	uint32_t irq;
	...;
};

struct kvm_translation {
	uint64_t linear_address, physical_address;
	uint8_t valid, writeable, usermode;
	...;
};

/* --- model-specific registers and CPUID --- */

struct kvm_msr_list {
	uint32_t nmsrs;
	uint32_t indices[];
	...;
};

struct kvm_msr_entry {
	uint32_t index;
	uint64_t data;
	...;
};

struct kvm_msrs {
	uint32_t nmsrs;
	struct kvm_msr_entry entries[];
	...;
};

struct kvm_cpuid_entry2 {
	uint32_t function, index, flags, eax, ebx, ecx, edx;
	...;
};

struct kvm_cpuid2 {
	uint32_t nent;
	struct kvm_cpuid_entry2 entries[];
	...;
};

/* --- virtual machine --- */

struct kvm_userspace_memory_region {
	uint32_t slot, flags;
	uint64_t guest_phys_addr, memory_size, userspace_addr;
	...;
};

struct kvm_dirty_log {
	uint32_t slot;
	void *dirty_bitmap;
	...;
};

struct kvm_clear_dirty_log {
	uint32_t slot, num_pages;
	uint64_t first_page;
	void *dirty_bitmap;
	...;
};

struct kvm_enable_cap {
	uint32_t cap, flags;
	unsigned long long args[4];
	...;
};

struct kvm_clock_data {
	uint64_t clock;
	uint32_t flags;
	...;
};

struct kvm_coalesced_mmio_zone {
	uint64_t addr;
	uint32_t size, pio;
	...;
};

/* --- the run page's mapping --- */

void *mmap(void *address, size_t length, int protection, int flags, int fd, long offset);
int munmap(void *address, size_t length);
#define PROT_READ  ...
#define PROT_WRITE ...
#define MAP_SHARED ...
