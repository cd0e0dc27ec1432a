// SPDX-License-Identifier: GPL-2.0
/*
 * A plugin of QEMU: how often each instruction of the guest's kernel is executed between two
 * marks, and which of them lock the bus. "lab/vm-run --icount --profile" loads it; profile.py
 * reads what it writes.
 *
 * The marks are no-ops in a program of the guest, mark_begin() in lab/fuzz/wire.h. At each second
 * one a file DIRECTORY/N is written, with a line "ADDRESS COUNT LOCKED" for each instruction.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "qemu_plugin.h"

#define TABLE_BITS	22
#define TABLE_SIZE	0x400000u

struct counter {
	uint64_t address;
	uint64_t count;
	bool locked;
};

EXPORT int qemu_plugin_version = 1;

static struct counter *table;
static const char *directory = ".";
static unsigned int files;

static struct counter *counter_of(uint64_t address)
{
	uint64_t i = (address * 0x9e3779b97f4a7c15ull) >> (64 - TABLE_BITS);

	while (table[i].address && table[i].address != address)
		i = (i + 1) % TABLE_SIZE;
	table[i].address = address;
	return &table[i];
}

static void begin(unsigned int cpu, void *data)
{
	unsigned int i;

	(void)cpu;
	(void)data;
	for (i = 0; i < TABLE_SIZE; i++)
		table[i].count = 0;
}

static void end(unsigned int cpu, void *data)
{
	char path[4096];
	unsigned int i;
	FILE *file;

	(void)cpu;
	(void)data;
	snprintf(path, sizeof(path), "%s/%u", directory, files++);
	file = fopen(path, "w");
	if (!file) {
		perror(path);
		exit(1);
	}
	for (i = 0; i < TABLE_SIZE; i++)
		if (table[i].count)
			fprintf(file, "%lx %lu %d\n", table[i].address, table[i].count,
				table[i].locked);
	fclose(file);
}

/* LOCK, or an exchange with memory. */
static bool is_locked(const uint8_t *code, size_t len)
{
	static const uint8_t prefixes[] = { 0x2e, 0x36, 0x3e, 0x26, 0x64, 0x65, 0x66, 0x67,
					    0xf2, 0xf3 };
	size_t i;

	for (i = 0; i < len; i++) {
		if (code[i] == 0xf0)
			return true;
		if (!memchr(prefixes, code[i], sizeof(prefixes)) && (code[i] & 0xf0) != 0x40)
			break;
	}
	return i + 1 < len && (code[i] & 0xfe) == 0x86 && code[i + 1] < 0xc0;
}

/* nopl DISPLACEMENT(%rax), whose displacement nobody else would use. */
static bool is_mark(const uint8_t *code, size_t len)
{
	return len == 7 && !memcmp(code, "\x0f\x1f\x80", 3) && !memcmp(code + 4, "MNF", 3);
}

static void translated(uint64_t id, struct qemu_plugin_tb *tb)
{
	size_t count = qemu_plugin_tb_n_insns(tb), i;

	(void)id;
	for (i = 0; i < count; i++) {
		struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
		uint64_t address = qemu_plugin_insn_vaddr(insn);
		const uint8_t *code = qemu_plugin_insn_data(insn);
		size_t len = qemu_plugin_insn_size(insn);

		if ((int64_t)address < 0) {
			struct counter *c = counter_of(address);

			c->locked = is_locked(code, len);
			qemu_plugin_register_vcpu_insn_exec_inline(insn, INLINE_ADD_U64,
								   &c->count, 1);
		} else if (is_mark(code, len)) {
			qemu_plugin_register_vcpu_insn_exec_cb(insn, code[3] == 1 ? begin : end,
							       NO_REGISTERS, NULL);
		}
	}
}

EXPORT int qemu_plugin_install(uint64_t id, const void *info, int argc, char **argv)
{
	(void)info;
	if (argc && !strncmp(argv[0], "out=", 4))
		directory = argv[0] + 4;
	table = calloc(TABLE_SIZE, sizeof(*table));
	if (!table)
		return 1;
	qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
	return 0;
}
