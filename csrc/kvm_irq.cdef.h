/*
 * The structs of the KVM API for interrupt controllers, routes and eventfds, for cffi, which wants
 * the members of unions complete.
 */

struct kvm_pic_state {
	uint8_t last_irr, irr, imr, isr, priority_add, irq_base, read_reg_select, poll;
	uint8_t special_mask, init_state, auto_eoi, rotate_on_auto_eoi;
	uint8_t special_fully_nested_mode, init4, elcr, elcr_mask;
};

struct kvm_ioapic_state {
	uint64_t base_address;
	uint32_t ioregsel, id, irr, pad;
	union {
		unsigned long long bits;
	} redirtbl[24];
};

struct kvm_irqchip {
	uint32_t chip_id;
	union {
		char dummy[512];
		struct kvm_pic_state pic;
		struct kvm_ioapic_state ioapic;
	} chip;
	...;
};

struct kvm_pit_config {
	uint32_t flags;
	...;
};

struct kvm_pit_channel_state {
	uint32_t count;
	uint16_t latched_count;
	uint8_t count_latched, status_latched, status, read_state, write_state, write_latch;
	uint8_t rw_mode, mode, bcd, gate;
	int64_t count_load_time;
	...;
};

struct kvm_pit_state2 {
	struct kvm_pit_channel_state channels[3];
	uint32_t flags;
	...;
};

struct kvm_irq_level {
	uint32_t irq;
	uint32_t level;
	...;
};

struct kvm_irq_routing_irqchip {
	uint32_t irqchip, pin;
};

struct kvm_irq_routing_msi {
	uint32_t address_lo, address_hi, data, pad;
};

struct kvm_irq_routing_entry {
	uint32_t gsi, type, flags;
	union {
		struct kvm_irq_routing_irqchip irqchip;
		struct kvm_irq_routing_msi msi;
		uint32_t pad[8];
	} u;
	...;
};

struct kvm_irq_routing {
	uint32_t nr, flags;
	struct kvm_irq_routing_entry entries[];
	...;
};

struct kvm_msi {
	uint32_t address_lo, address_hi, data, flags;
	...;
};

struct kvm_irqfd {
	uint32_t fd, gsi, flags, resamplefd;
	...;
};

struct kvm_ioeventfd {
	uint64_t datamatch, addr;
	uint32_t len;
	int32_t fd;
	uint32_t flags;
	...;
};
