/*
 * The exit recorder: what KVM_RUN came back with, how long it took, and who answered.
 *
 * Times are the TSC's, which costs a fraction of a clock's system call, or of the vDSO's.  What the
 * kernel handles makes no exit and is not seen.
 */
#include <string.h>

#include "details.h"
#include "recorder.h"

#define EFER_LMA (1u << 10) /* SDM vol. 4, table 2-2, IA32_EFER */

uint64_t shim_tsc(void)
{
	return __builtin_ia32_rdtsc();
}

/* Whether one more record would overwrite one that nobody has seen, which was forbidden. */
int shim_must_wait(const struct shim_recorder *recorder)
{
	return recorder->waits && recorder->written - recorder->taken >= recorder->size;
}

/* What `address` and `value` are for exits that are no access to a device. */
static void describe(const struct kvm_run *run, struct shim_record *record)
{
	struct shim_details details;

	switch (run->exit_reason) {
	case KVM_EXIT_HLT:
	case KVM_EXIT_INTR:
		return;
	}
	shim_details(run, &details);
	switch (run->exit_reason) {
	case KVM_EXIT_X86_RDMSR:
	case KVM_EXIT_X86_WRMSR:
		record->address = details.msr_index;
		record->value = details.msr_data;
		record->size = sizeof(details.msr_data);
		record->is_write = run->exit_reason == KVM_EXIT_X86_WRMSR;
		break;
	case KVM_EXIT_DEBUG:
		record->address = details.pc;
		record->value = details.dr6;
		break;
	case KVM_EXIT_IOAPIC_EOI:
		record->value = details.vector;
		break;
	case KVM_EXIT_HYPERCALL:
		record->value = details.number;
		break;
	case KVM_EXIT_UNKNOWN:
	case KVM_EXIT_FAIL_ENTRY:
		record->value = details.hardware_reason;
		break;
	case KVM_EXIT_INTERNAL_ERROR:
	case KVM_EXIT_SYSTEM_EVENT:
		record->value = details.type;
		break;
	case 39: /* KVM_EXIT_MEMORY_FAULT */
		record->address = details.gpa;
		record->value = details.gpa_size;
		break;
	}
}

static void locate(const struct kvm_run *run, const struct shim_recorder *recorder,
                   struct shim_record *record)
{
	const struct kvm_sregs *sregs = &run->s.regs.sregs;

	if (recorder->has_rip)
		record->rip = run->s.regs.regs.rip;
	if (!recorder->has_segments)
		return;
	if (sregs->efer & EFER_LMA && sregs->cs.l) {
		record->code_width = 64;
		return;
	}
	record->code_width = sregs->cs.db ? 32 : 16;
	record->cs_base = (uint32_t)sregs->cs.base;
}

static struct shim_record *append(struct shim_vcpu *vcpu, uint32_t reason)
{
	struct shim_recorder *recorder = vcpu->recorder;
	struct shim_record *record = &recorder->records[recorder->next];

	*record = (struct shim_record){.entered = recorder->entered,
	                               .left = recorder->left,
	                               .paused = recorder->paused,
	                               .reason = reason < UINT16_MAX ? reason : UINT16_MAX,
	                               .vcpu = (uint16_t)recorder->vcpu};
	recorder->paused = 0;
	recorder->next = recorder->next + 1 < recorder->size ? recorder->next + 1 : 0;
	recorder->written++;
	return record;
}

/* Records the exit in the run page, flattened in vcpu->exit if it is an access. */
void shim_record(struct shim_vcpu *vcpu, int handled)
{
	const struct shim_exit *exit = &vcpu->exit;
	struct shim_record *record = append(vcpu, exit->reason);

	record->handled = (uint8_t)handled;
	locate(vcpu->run, vcpu->recorder, record);
	if (exit->reason == KVM_EXIT_IO || exit->reason == KVM_EXIT_MMIO) {
		record->address = exit->address;
		record->count = exit->count;
		record->size = exit->size;
		record->is_write = exit->is_write;
		if (exit->is_write || handled != SHIM_PYTHON)
			record->value = shim_first_element(exit);
		else
			vcpu->recorder->unanswered = record;
		return;
	}
	describe(vcpu->run, record);
	if (exit->reason == KVM_EXIT_X86_RDMSR)
		vcpu->recorder->unanswered = record;
}

/*
 * Records a KVM_RUN that came back without an exit: the registers are shared then, too, while what
 * else the run page says may be an earlier exit's.
 */
void shim_record_interruption(struct shim_vcpu *vcpu)
{
	locate(vcpu->run, vcpu->recorder, append(vcpu, KVM_EXIT_INTR));
}

/* Completes the record of a read with what Python has answered meanwhile. */
void shim_settle_record(struct shim_vcpu *vcpu)
{
	struct shim_recorder *recorder = vcpu->recorder;
	struct shim_record *record = recorder->unanswered;

	if (!record)
		return;
	recorder->unanswered = NULL;
	record->value = record->reason == KVM_EXIT_X86_RDMSR ? vcpu->run->msr.data
	                                                     : shim_first_element(&vcpu->exit);
}
