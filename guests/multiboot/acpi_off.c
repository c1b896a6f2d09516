/*
 * acpi_off: switch the machine off as a kernel does, by what ACPI's tables say.
 *
 * Teaches: from the root pointer in the BIOS area through the root table to the fixed description;
 *          the control register's port; the sleep type in the differentiated description's \_S5,
 *          found without an interpreter of its bytecode.
 * Mode:    protected (32-bit), a Multiboot kernel in an ELF executable at 1 MiB.
 * Prints:  what it finds, before.
 * Ends:    power off, status 0; debug-exit 1 (status 3) if the tables are not as they must be, or
 *          nothing happens.
 */

#include "console.h"

enum {
	HEADER_MAGIC = 0x1BADB002,
	BIOS_AREA = 0xE0000,
	BIOS_AREA_END = 0x100000,
	ROOT_ALIGNMENT = 16,
	ROOT_LENGTH = 20, /* of its first version, which its first checksum is for */
	ZERO_OP = 0x00,
	ONE_OP = 0x01,
	BYTE_PREFIX = 0x0A,
	PACKAGE_OP = 0x12,
	SLEEP_TYPE_SHIFT = 10, /* in the control register */
	SLEEP_ENABLE = 1 << 13,
};

struct header {
	uint32_t magic, flags, checksum;
};

struct root_pointer {
	char signature[8];
	uint8_t checksum;
	char oem[6];
	uint8_t revision;
	uint32_t root_table;
} __attribute__((packed));

struct table {
	char signature[4];
	uint32_t length;
	uint8_t revision, checksum;
	char oem[6], oem_table[8];
	uint32_t oem_revision, creator, creator_revision;
	uint32_t entries[]; /* in the root table: where the others are */
} __attribute__((packed));

struct fixed {
	struct table table;
	uint32_t facs, dsdt;
	uint8_t reserved, profile;
	uint16_t sci;
	uint32_t smi_command;
	uint8_t enable, disable, s4, performance;
	uint32_t pm1a_event, pm1b_event, pm1a_control;
} __attribute__((packed));

__attribute__((section(".multiboot"), used)) static const struct header header = {
        HEADER_MAGIC, 0, (uint32_t)-HEADER_MAGIC};

uint8_t stack[4096] __attribute__((aligned(16)));

__asm__(".global _start\n"
        "_start:\n"
        "	lea esp, [stack + 4096]\n"
        "	call kernel\n");

static int same(const char *one, const char *other, uint32_t length)
{
	for (uint32_t i = 0; i < length; i++)
		if (one[i] != other[i])
			return 0;
	return 1;
}

/* All the bytes of a table add up to a multiple of 256. */
static void check(const void *start, uint32_t length)
{
	const uint8_t *bytes = start;
	uint8_t sum = 0;

	for (uint32_t i = 0; i < length; i++)
		sum = (uint8_t)(sum + bytes[i]);
	if (sum)
		fail();
}

static const struct root_pointer *find_root(void)
{
	for (uint32_t at = BIOS_AREA; at < BIOS_AREA_END; at += ROOT_ALIGNMENT)
		if (same((const char *)at, "RSD PTR ", 8))
			return (const struct root_pointer *)at;
	fail();
}

static const struct table *find_table(const struct table *root, const char *signature)
{
	const uint32_t count = (root->length - sizeof(*root)) / sizeof(root->entries[0]);

	for (uint32_t i = 0; i < count; i++) {
		const struct table *table = (const struct table *)root->entries[i];
		if (same(table->signature, signature, 4))
			return table;
	}
	fail();
}

/*
 * The first element of the package \_S5 (ACPI 6.0, 20.2.5.4): behind the name come the package's
 * operator, its length, whose first byte has in its top bits how many more there are of it, the
 * number of elements, and the elements.
 */
static uint8_t sleep_type(const struct table *dsdt)
{
	const uint8_t *end = (const uint8_t *)dsdt + dsdt->length;

	for (const uint8_t *at = (const uint8_t *)(dsdt + 1); at + 12 <= end; at++) {
		if (!same((const char *)at, "_S5_", 4) || at[4] != PACKAGE_OP)
			continue;
		const uint8_t *element = at + 5 + (at[5] >> 6) + 2;
		if (element[0] == ZERO_OP || element[0] == ONE_OP)
			return element[0];
		if (element[0] == BYTE_PREFIX)
			return element[1];
		break;
	}
	fail();
}

__attribute__((used)) static _Noreturn void kernel(void)
{
	const struct root_pointer *pointer = find_root();
	check(pointer, ROOT_LENGTH);
	const struct table *root = (const struct table *)pointer->root_table;
	check(root, root->length);
	const struct fixed *fixed = (const struct fixed *)find_table(root, "FACP");
	check(fixed, fixed->table.length);
	const struct table *dsdt = (const struct table *)fixed->dsdt;
	check(dsdt, dsdt->length);
	const uint8_t type = sleep_type(dsdt);

	print("control register: port ");
	print_number(fixed->pm1a_control);
	print("\nsleep type that switches off: ");
	print_number(type);
	print("\nSwitching off.\n");
	out16((uint16_t)fixed->pm1a_control, (uint16_t)(type << SLEEP_TYPE_SHIFT | SLEEP_ENABLE));
	fail();
}
