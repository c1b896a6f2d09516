/*
 * The exits that the run loop does not answer, flat.  Both the compiler and cffi read this file,
 * so there are no preprocessor directives in it, and every struct is complete.
 */

/* What stands in struct kvm_run's union for `reason`; all other fields are 0. */
struct shim_details {
	uint32_t reason; /* KVM_EXIT_* */

	/* KVM_EXIT_UNKNOWN, KVM_EXIT_FAIL_ENTRY */
	uint64_t hardware_reason;
	uint32_t cpu;

	/* KVM_EXIT_EXCEPTION */
	uint32_t exception;
	uint32_t error_code;

	/* KVM_EXIT_IO, KVM_EXIT_MMIO: size * count bytes at data_offset from the run page's start
	 */
	uint64_t address;
	uint64_t data_offset;
	uint32_t size;
	uint32_t count;

	/* KVM_EXIT_IO, KVM_EXIT_MMIO, KVM_EXIT_TPR_ACCESS */
	uint32_t is_write;

	/* KVM_EXIT_HYPERCALL, KVM_EXIT_XEN, KVM_EXIT_HYPERV, KVM_EXIT_TDX (number only) */
	uint64_t number;
	uint64_t args[6];
	uint32_t longmode;
	uint32_t cpl;

	/* KVM_EXIT_DEBUG; pc also for KVM_EXIT_TPR_ACCESS */
	uint32_t debug_exception;
	uint64_t pc;
	uint64_t dr6;
	uint64_t dr7;

	/* KVM_EXIT_INTERNAL_ERROR: its suberror; KVM_EXIT_SYSTEM_EVENT, _HYPERV, _XEN: their type
	 */
	uint32_t type;
	uint32_t ndata; /* of data, never more than 16 */
	uint64_t data[16];
	uint32_t insn_size; /* never more than 15 */
	uint8_t insn_bytes[15];

	/* KVM_EXIT_IOAPIC_EOI */
	uint32_t vector;

	/* KVM_EXIT_X86_RDMSR, KVM_EXIT_X86_WRMSR; msr_index also for KVM_EXIT_HYPERV */
	uint32_t msr_reason;
	uint32_t msr_index;
	uint64_t msr_data;

	/* KVM_EXIT_NOTIFY, KVM_EXIT_MEMORY_FAULT, KVM_EXIT_TDX */
	uint64_t flags;

	/* KVM_EXIT_MEMORY_FAULT */
	uint64_t gpa;
	uint64_t gpa_size;
};

void shim_details(const struct kvm_run *run, struct shim_details *out);

/* Answers to the exit that is pending, and registers that struct kvm_run shares. */
void shim_reply_msr(struct kvm_run *run, uint64_t data, int fault);
void shim_reply_hypercall(struct kvm_run *run, uint64_t value);
struct kvm_sync_regs *shim_sync_regs(struct kvm_run *run);

/* A field that headers before 6.0 do not name. */
uint8_t *shim_triple_fault(struct kvm_vcpu_events *events);
