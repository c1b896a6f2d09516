/*
 * multiboot: print what a Multiboot boot loader tells its kernel.
 *
 * Teaches: the Multiboot header in the image; the boot information in EBX: memory, command line,
 *          modules, memory map, section headers.
 * Mode:    protected (32-bit), a Multiboot kernel in an ELF executable at 1 MiB.
 * Prints:  the information, part by part, then PASS.
 * Ends:    HLT, status 0; debug-exit 1 (status 3) if it is incomplete or contradicts itself.
 */

#include "console.h"

enum {
	HEADER_MAGIC = 0x1BADB002,
	LOADER_MAGIC = 0x2BADB002,
	PAGE_ALIGN_MODULES = 1 << 0, /* in the header */
	WANT_MEMORY = 1 << 1,
	HAS_MEMORY = 1 << 0, /* in the information */
	HAS_CMDLINE = 1 << 2,
	HAS_MODULES = 1 << 3,
	HAS_SECTIONS = 1 << 5,
	HAS_MEMORY_MAP = 1 << 6,
	HAS_LOADER_NAME = 1 << 9,
	USABLE = 1,
	SHT_SYMTAB = 2,
	STT_FUNC = 2,
};

struct header {
	uint32_t magic, flags, checksum;
};

/* All addresses are physical; there is no paging, so they are pointers as they are. */
struct information {
	uint32_t flags, mem_lower, mem_upper, boot_device, cmdline, mods_count, mods_addr;
	uint32_t section_count, section_size, section_addr, section_names;
	uint32_t mmap_length, mmap_addr, drives_length, drives_addr, config_table;
	uint32_t boot_loader_name;
};

struct module {
	uint32_t start, end, string, reserved;
};

struct range {
	uint32_t size; /* of what follows */
	uint64_t base, length;
	uint32_t type;
} __attribute__((packed));

struct section {
	uint32_t name, type, flags, addr, offset, size, link, info, addralign, entsize;
};

struct symbol {
	uint32_t name, value, size;
	uint8_t info, other;
	uint16_t section;
};

#define FLAGS (PAGE_ALIGN_MODULES | WANT_MEMORY)

__attribute__((section(".multiboot"), used)) static const struct header header = {
        HEADER_MAGIC, FLAGS, (uint32_t)-(HEADER_MAGIC + FLAGS)};

static uint8_t cleared[4096]; /* .bss, where no loader may put anything */
uint8_t stack[4096] __attribute__((aligned(16)));

/* ESP is undefined, EAX and EBX are the arguments. */
__asm__(".global _start\n"
        "_start:\n"
        "	lea esp, [stack + 4096]\n"
        "	push ebx\n"
        "	push eax\n"
        "	call kernel\n");

static void print_hex(uint64_t value)
{
	for (int shift = 36; shift >= 0; shift -= 4)
		put("0123456789abcdef"[value >> shift & 0xF]);
}

static void print_string(const char *name, uint32_t address)
{
	print(name);
	print((const char *)address);
	put('\n');
}

static void print_memory(const struct information *info)
{
	print("memory: ");
	print_number(info->mem_lower);
	print(" KiB, ");
	print_number(info->mem_upper);
	print(" KiB from 1 MiB on\n");

	const uint32_t end = info->mmap_addr + info->mmap_length;
	uint64_t above_1_mib = 0;
	for (uint32_t at = info->mmap_addr; at < end; at += ((struct range *)at)->size + 4) {
		const struct range *range = (const struct range *)at;
		print("  ");
		print_hex(range->base);
		put(' ');
		print_hex(range->length);
		put(' ');
		print_number(range->type);
		put('\n');
		if (range->base == 0x100000 && range->type == USABLE)
			above_1_mib = range->length;
	}
	if (above_1_mib >> 10 != info->mem_upper)
		fail();
}

static void print_modules(const struct information *info)
{
	const struct module *module = (const struct module *)info->mods_addr;

	for (uint32_t i = 0; i < info->mods_count; i++, module++) {
		if (module->start % 4096 || module->end <= module->start || module->reserved)
			fail();
		print_string("module: ", module->string);
		print("  ");
		print_number(module->end - module->start);
		print(" bytes, the first one is ");
		print_number(*(const uint8_t *)module->start);
		print(".\n");
	}
}

/* The name of the function at `address`, from the symbols that the linker left in the file. */
static const char *name_of(const struct information *info, uint32_t address)
{
	const struct section *sections = (const struct section *)info->section_addr;

	for (uint32_t i = 0; i < info->section_count; i++) {
		const struct section *table = &sections[i];
		if (table->type != SHT_SYMTAB)
			continue;
		const struct symbol *symbols = (const struct symbol *)table->addr;
		for (uint32_t n = 0; n < table->size / sizeof(*symbols); n++)
			if (symbols[n].value == address && (symbols[n].info & 0xF) == STT_FUNC)
				return (const char *)sections[table->link].addr + symbols[n].name;
	}
	fail();
}

__attribute__((used)) static _Noreturn void kernel(uint32_t magic, const struct information *info)
{
	const uint32_t needed = HAS_MEMORY | HAS_CMDLINE | HAS_MODULES | HAS_SECTIONS |
	                        HAS_MEMORY_MAP | HAS_LOADER_NAME;

	if (magic != LOADER_MAGIC || (info->flags & needed) != needed)
		fail();
	for (unsigned int i = 0; i < sizeof(cleared); i++)
		if (((volatile uint8_t *)cleared)[i])
			fail();
	print_string("loader: ", info->boot_loader_name);
	print_string("command line: ", info->cmdline);
	print_memory(info);
	print_modules(info);
	print_string("function: ", (uint32_t)name_of(info, (uint32_t)kernel));
	pass();
}
