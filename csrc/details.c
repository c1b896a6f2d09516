/*
 * struct kvm_run's anonymous unions, flattened for cffi, which cannot name them.
 *
 * What a kernel or its headers may lack is found by the constants that came with it, so that the
 * shim builds on headers from 5.10 on.
 */
#include <stddef.h>
#include <string.h>

#include "details.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

static uint32_t at_most(uint32_t value, size_t limit)
{
	return value < limit ? value : (uint32_t)limit;
}

static void internal_error(const struct kvm_run *run, struct shim_details *out)
{
	out->type = run->internal.suberror;
	out->ndata = at_most(run->internal.ndata, LENGTH(out->data));
	memcpy(out->data, run->internal.data, out->ndata * sizeof(out->data[0]));
#ifdef KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES
	/* flags, then insn_size and insn_bytes: three words of the data (KVM API, section 5) */
	if (out->type == KVM_INTERNAL_ERROR_EMULATION && out->ndata >= 3 &&
	    run->emulation_failure.flags & KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES) {
		out->insn_size = at_most(run->emulation_failure.insn_size, LENGTH(out->insn_bytes));
		memcpy(out->insn_bytes, run->emulation_failure.insn_bytes, out->insn_size);
	}
#endif
}

static void system_event(const struct kvm_run *run, struct shim_details *out)
{
	out->type = run->system_event.type;
#ifdef KVM_CAP_SYSTEM_EVENT_DATA
	out->ndata = at_most(run->system_event.ndata, LENGTH(out->data));
	memcpy(out->data, run->system_event.data, out->ndata * sizeof(out->data[0]));
#endif
}

static void hyperv(const struct kvm_run *run, struct shim_details *out)
{
	out->type = run->hyperv.type;
	switch (run->hyperv.type) {
	case KVM_EXIT_HYPERV_HCALL:
		out->number = run->hyperv.u.hcall.input;
		memcpy(out->args, run->hyperv.u.hcall.params, sizeof(run->hyperv.u.hcall.params));
		break;
	case KVM_EXIT_HYPERV_SYNIC:
		out->msr_index = run->hyperv.u.synic.msr;
		out->args[0] = run->hyperv.u.synic.control;
		out->args[1] = run->hyperv.u.synic.evt_page;
		out->args[2] = run->hyperv.u.synic.msg_page;
		break;
	case KVM_EXIT_HYPERV_SYNDBG:
		out->msr_index = run->hyperv.u.syndbg.msr;
		out->args[0] = run->hyperv.u.syndbg.control;
		out->args[1] = run->hyperv.u.syndbg.status;
		out->args[2] = run->hyperv.u.syndbg.send_page;
		out->args[3] = run->hyperv.u.syndbg.recv_page;
		out->args[4] = run->hyperv.u.syndbg.pending_page;
		break;
	}
}

static void xen(const struct kvm_run *run, struct shim_details *out)
{
#ifdef KVM_EXIT_XEN
	out->type = run->xen.type;
	if (run->xen.type != KVM_EXIT_XEN_HCALL)
		return;
	out->longmode = run->xen.u.hcall.longmode;
	out->cpl = run->xen.u.hcall.cpl;
	out->number = run->xen.u.hcall.input;
	memcpy(out->args, run->xen.u.hcall.params, sizeof(out->args));
#else
	(void)run, (void)out;
#endif
}

static void memory_fault(const struct kvm_run *run, struct shim_details *out)
{
#ifdef KVM_EXIT_MEMORY_FAULT
	out->flags = run->memory_fault.flags;
	out->gpa = run->memory_fault.gpa;
	out->gpa_size = run->memory_fault.size;
#else
	(void)run, (void)out;
#endif
}

static void port_access(const struct kvm_run *run, struct shim_details *out)
{
	out->address = run->io.port;
	out->data_offset = run->io.data_offset;
	out->size = run->io.size;
	out->count = run->io.count;
	out->is_write = run->io.direction == KVM_EXIT_IO_OUT;
}

static void memory_access(const struct kvm_run *run, struct shim_details *out)
{
	out->address = run->mmio.phys_addr;
	out->data_offset = offsetof(struct kvm_run, mmio.data);
	out->size = run->mmio.len;
	out->count = 1;
	out->is_write = run->mmio.is_write != 0;
}

static void hypercall(const struct kvm_run *run, struct shim_details *out)
{
	out->number = run->hypercall.nr;
	out->longmode = run->hypercall.longmode;
	memcpy(out->args, run->hypercall.args, sizeof(out->args));
}

static void debug(const struct kvm_run *run, struct shim_details *out)
{
	out->debug_exception = run->debug.arch.exception;
	out->pc = run->debug.arch.pc;
	out->dr6 = run->debug.arch.dr6;
	out->dr7 = run->debug.arch.dr7;
}

static void msr(const struct kvm_run *run, struct shim_details *out)
{
	out->msr_reason = run->msr.reason;
	out->msr_index = run->msr.index;
	out->msr_data = run->msr.data;
}

/*
 * Fills `out` for run->exit_reason.  Total: a reason that is not an x86 one, or that this was
 * built too early to know, sets `reason` alone; counts are cut to what their arrays hold.
 */
void shim_details(const struct kvm_run *run, struct shim_details *out)
{
	memset(out, 0, sizeof(*out));
	out->reason = run->exit_reason;
	switch (run->exit_reason) {
	case KVM_EXIT_UNKNOWN:
		out->hardware_reason = run->hw.hardware_exit_reason;
		break;
	case KVM_EXIT_FAIL_ENTRY:
		out->hardware_reason = run->fail_entry.hardware_entry_failure_reason;
		out->cpu = run->fail_entry.cpu;
		break;
	case KVM_EXIT_EXCEPTION:
		out->exception = run->ex.exception;
		out->error_code = run->ex.error_code;
		break;
	case KVM_EXIT_IO:
		port_access(run, out);
		break;
	case KVM_EXIT_MMIO:
		memory_access(run, out);
		break;
	case KVM_EXIT_HYPERCALL:
		hypercall(run, out);
		break;
	case KVM_EXIT_DEBUG:
		debug(run, out);
		break;
	case KVM_EXIT_TPR_ACCESS:
		out->pc = run->tpr_access.rip;
		out->is_write = run->tpr_access.is_write != 0;
		break;
	case KVM_EXIT_INTERNAL_ERROR:
		internal_error(run, out);
		break;
	case KVM_EXIT_SYSTEM_EVENT:
		system_event(run, out);
		break;
	case KVM_EXIT_IOAPIC_EOI:
		out->vector = run->eoi.vector;
		break;
	case KVM_EXIT_HYPERV:
		hyperv(run, out);
		break;
	case KVM_EXIT_X86_RDMSR:
	case KVM_EXIT_X86_WRMSR:
		msr(run, out);
		break;
	case 34: /* KVM_EXIT_XEN: headers before 5.12 lack the name, as the next ones theirs */
		xen(run, out);
		break;
#ifdef KVM_EXIT_NOTIFY
	case KVM_EXIT_NOTIFY:
		out->flags = run->notify.flags;
		break;
#endif
	case 39: /* KVM_EXIT_MEMORY_FAULT */
		memory_fault(run, out);
		break;
	}
}

/* Completes KVM_EXIT_X86_RDMSR with `data`, or (fault) either MSR exit with a #GP in the guest. */
void shim_reply_msr(struct kvm_run *run, uint64_t data, int fault)
{
	run->msr.data = data;
	run->msr.error = fault != 0;
}

/* Completes KVM_EXIT_HYPERCALL; KVM writes `value` to the guest's RAX. */
void shim_reply_hypercall(struct kvm_run *run, uint64_t value)
{
	run->hypercall.ret = value;
}

/* The registers that KVM shares in struct kvm_run (KVM API, 6.74). */
struct kvm_sync_regs *shim_sync_regs(struct kvm_run *run)
{
	return &run->s.regs;
}

/* The pending byte of the events' triple_fault, which 6.0 put where reserved bytes had begun. */
uint8_t *shim_triple_fault(struct kvm_vcpu_events *events)
{
	return (uint8_t *)events + offsetof(struct kvm_vcpu_events, smi) + sizeof(events->smi);
}
