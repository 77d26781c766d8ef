// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the agent must leave to the VMM, one thing at a time: where it went on,
 * a stale entry would stay in a machine table, or a writable mapping of a table.
 * Each is stored by a stub; the model and the audit say that what the VMM made
 * of it is right.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agent_case.h"
#include "guest_parts.h"
#include "model_parts.h"
#include "splicer/pool.h"

#define USER_LEAF	(P | RW | US | A | D)	/* stubs do such themselves */
#define LAZY_LEAF	(P | RW | US | D)
#define KERNEL_LEAF	(P | RW | A | D)

static struct text t;
static u64 table[3], gfn;	/* see agent_begin() */

static void begin(void)
{
	agent_begin(&t, 2, 4, table, &gfn);
}

static void end(void)
{
	c_check(&guest->m);
	m_check_machine(&guest->m);
	c_end();
}

/* The store is not the agent's. */
static void set(u64 in, unsigned int index, u64 value)
{
	g_stub_set(guest, in, index, value);
	m_flush_all(&guest->m);
}

/* Stubs know @in, even if they had to forget all. */
static void learn(u64 in)
{
	set(in, 7, 0);
	set(in, 7, 0);
}

/* Entry 7 of @in is for the VMM, and then as it should be; void again. */
static void asks(u64 in, u64 value)
{
	agent_store(in, 7, value, true);
	c_check(&guest->m);
	m_check_machine(&guest->m);
	learn(in);
	c_check(&guest->m);
}

static struct dmp_table *machine_table(u64 of)
{
	struct dmp_mmu *mmu = guest->m.mmu;

	return dmp_table_of(mmu, guest->m.records[of].tables);
}

/* So does @value, while the table has the @flag. */
static void asks_flagged(u64 in, u64 value, u16 flag)
{
	machine_table(in)->flags |= flag;
	agent_store(in, 7, value, true);
	machine_table(in)->flags &= ~flag;
	c_check(&guest->m);
	learn(in);
}

/*
 * ---- Leaves ----
 */

static void test_leaves_of_tables(void **state)
{
	(void)state;
	begin();
	asks(table[1], table[2] << 12 | USER_LEAF);
	asks(table[1], table[2] << 12 | LAZY_LEAF);
	asks(table[1], table[2] << 12 | KERNEL_LEAF);
	/* Read-only it may map it, but not as code. */
	agent_store(table[1], 7, table[2] << 12 | P | A | NX, false);
	asks(table[1], table[2] << 12 | P | A);
	end();
}

static void test_leaves_odd(void **state)
{
	(void)state;
	begin();
	asks(table[1], gfn << 12 | P | RW | A);		/* the VMM sets D */
	asks(table[1], gfn << 12 | P | RW | D);		/* and A */
	asks(table[1], (u64)M_HOLE << 12 | USER_LEAF);
	asks(table[1], (u64)M_HOLE << 12 | P | US | A);
	asks(table[1], (u64)M_MMIO << 12 | P | US | A);
	asks(table[1], 1ull << 32 | USER_LEAF);		/* beyond all frames */
	end();
}

/* Without NXE, NX is reserved. */
static void test_leaf_without_nx(void **state)
{
	(void)state;
	agent_begin(&t, 3, 4, table, &gfn);
	assert_false(guest->m.mmu->paging.flags & DMP_PAGING_NX);
	asks(table[1], gfn << 12 | USER_LEAF | NX);
	asks(table[2], agent_link(gfn) | NX);
	end();
}

/* A free page that has its direct mapping at index 7. */
static u64 free_at_7(void)
{
	u64 at;

	for (at = 7; at < M_GFNS; at += 512)
		if (guest->type[at] == G_FREE && m_is_ram(&guest->m, at) &&
		    guest->m.records[at].dmap_table)
			return at;
	fail_msg("no free frame");
	return 0;
}

/* At the index of the direct mapping: it might be the new one. */
static void test_leaf_at_dmap_index(void **state)
{
	u64 other;

	(void)state;
	begin();
	other = free_at_7();
	guest->type[other] = G_DATA;
	assert_int_equal(guest->m.records[other].dmap_index, 7);
	asks(table[1], other << 12 | KERNEL_LEAF);
	end();
}

/* The kernel's mapping of a frame that has no other. */
static void test_leaf_is_dmap(void **state)
{
	struct dmp_frame *frame;
	struct place large;
	u64 l1, was;

	(void)state;
	begin();
	frame = &guest->m.records[gfn];
	large = (struct place){ .table = guest->dmap_l2, .index = gfn / 512,
				.level = 2 };
	g_huge_split(guest, large, g_dmap(guest, gfn));
	l1 = dmp_pte_gfn(g_entry_get(guest, guest->dmap_l2, gfn / 512));
	was = g_entry_get(guest, l1, gfn % 512);
	g_entry_set(guest, l1, gfn % 512, 0);
	m_flush_all(&guest->m);
	learn(table[1]);
	assert_int_equal(frame->dmap_table, 0);

	agent_store(table[1], 7, gfn << 12 | KERNEL_LEAF, true);
	assert_int_equal(frame->dmap_table, machine_table(table[1])->id);
	c_check(&guest->m);
	/* It goes, and nothing says any more that it is there. */
	agent_store(table[1], 7, 0, true);
	assert_int_equal(frame->dmap_table, 0);
	c_check(&guest->m);
	g_entry_set(guest, l1, gfn % 512, was);
	end();
}

/* Where a path to what stubs know may change, or code be mapped. */
static void test_leaves_flagged(void **state)
{
	(void)state;
	begin();
	asks_flagged(table[1], gfn << 12 | KERNEL_LEAF, DMP_TABLE_PATH);
	asks_flagged(table[1], gfn << 12 | LAZY_LEAF, DMP_TABLE_CODE);
	asks_flagged(table[1], gfn << 12 | LAZY_LEAF, DMP_TABLE_MIXED);
	end();
}

/* The guest's table was changed by nobody that the VMM knows of. */
static void change_unseen(u64 in, u64 value)
{
	m_real(&guest->m, in)[7] = value;
	m_ref(&guest->m, in)[7] = value;
}

static void expect_untracked(void)
{
	c_expect_broken(DMP_BROKEN_UNTRACKED);
	c_end();
}

/* What the entry mapped is not the frame it named. */
static void test_leaf_changed_unseen(void **state)
{
	(void)state;
	begin();
	set(table[1], 7, gfn << 12 | USER_LEAF);
	guest->m.may_break = 1u << DMP_BROKEN_UNTRACKED;
	change_unseen(table[1], (gfn + 1) << 12 | USER_LEAF);
	agent_store(table[1], 7, gfn << 12 | LAZY_LEAF, true);
	expect_untracked();
}

/*
 * ---- Links ----
 */

/* An entry anywhere in the new table: all of it is the VMM's. */
static void test_link_not_empty(void **state)
{
	unsigned int i;

	(void)state;
	begin();
	for (i = 0; i < DMP_ENTRIES; i += i < 16 ? 1 : 17) {
		g_entry_set(guest, gfn, i, (gfn + 1) << 12 | USER_LEAF);
		asks(table[2], agent_link(gfn));
		g_entry_set(guest, gfn, i, 0);
	}
	agent_store(table[2], 7, agent_link(gfn), false);
	end();
}

/* Writable somewhere else: that would stay a way to write the table. */
static void test_link_of_mapped(void **state)
{
	(void)state;
	begin();
	set(table[1], 9, gfn << 12 | USER_LEAF);
	asks(table[2], agent_link(gfn));
	set(table[1], 9, 0);
	agent_store(table[2], 7, agent_link(gfn), false);
	end();
}

/* A table with a record already, though none that is held. */
static void test_link_of_root(void **state)
{
	struct machine *m;
	unsigned int i;
	u64 first;

	(void)state;
	begin();
	m = &guest->m;
	first = m->cr3_gfn;
	for (i = DMP_ENTRIES / 2; i < DMP_ENTRIES; i++)
		g_entry_set(guest, gfn, i, g_entry_get(guest, first, i));
	m_load_cr3(m, gfn, 0, false);
	m_load_cr3(m, first, 0, false);
	for (i = DMP_ENTRIES / 2; i < DMP_ENTRIES; i++)
		g_entry_set(guest, gfn, i, 0);
	assert_true(m->records[gfn].tables && !m->records[gfn].held);
	assert_int_equal(m->records[gfn].writable, 1);
	agent_store(table[2], 7, agent_link(gfn), true);
	end();
}

/*
 * A free frame, @gfn from now on, has a small page in the direct map, and another in
 * a table that is alike, as what is freed of Linux' image has.
 */
static void map_twice(void)
{
	struct dmp_table *direct;
	struct place large;
	unsigned int index;
	u64 l1, leaf;

	while (g_entry_get(guest, t.alias_table, gfn % DMP_ENTRIES))
		gfn = g_plain_table(guest);
	index = gfn % DMP_ENTRIES;
	large = (struct place){ .table = guest->dmap_l2, .index = gfn / DMP_ENTRIES,
				.level = 2 };
	g_huge_split(guest, large, g_dmap(guest, gfn));
	l1 = dmp_pte_gfn(g_entry_get(guest, guest->dmap_l2, gfn / DMP_ENTRIES));
	leaf = g_entry_get(guest, l1, index);
	g_entry_set(guest, t.alias_table, index, gfn << 12 | KERNEL_LEAF);
	/* The direct mapping is the last to become writable. */
	g_entry_set(guest, l1, index, leaf & ~RW);
	g_entry_set(guest, l1, index, leaf);
	m_flush_all(&guest->m);
	learn(table[2]);
	/* The VMM searches once, and knows the two tables then. */
	asks(table[2], agent_link(gfn));
	direct = machine_table(l1);
	assert_int_equal(guest->m.records[gfn].dmap_table, direct->id);
	assert_int_equal(direct->pair, machine_table(t.alias_table)->id);
}

static void set_second(u64 leaf)
{
	g_entry_set(guest, t.alias_table, gfn % DMP_ENTRIES, leaf);
	set(table[2], 8, 0);
	set(table[2], 8, 0);
}

/* Two mappings are taken and given back; one that is read-only is no mapping to take. */
static void test_link_of_mapped_twice(void **state)
{
	const struct dmp_frame *frame;

	(void)state;
	begin();
	map_twice();
	frame = &guest->m.records[gfn];
	assert_int_equal(frame->writable, 2);
	agent_store(table[2], 7, agent_link(gfn), false);
	assert_true(frame->paired && !frame->aliased);
	c_check(&guest->m);
	agent_store(table[2], 7, 0, false);
	assert_int_equal(frame->writable, 2);
	c_check(&guest->m);

	set_second(gfn << 12 | P | A);
	assert_int_equal(frame->writable, 1);
	agent_store(table[2], 7, agent_link(gfn), false);
	assert_true(!frame->paired && !frame->aliased);
	c_check(&guest->m);
	agent_store(table[2], 7, 0, false);
	assert_int_equal(frame->writable, 1);
	c_check(&guest->m);
	end();
}

/* The second mapping changes while neither may be written. */
static void test_unlink_of_mapped_twice(void **state)
{
	const struct dmp_frame *frame;

	(void)state;
	begin();
	map_twice();
	frame = &guest->m.records[gfn];
	agent_store(table[2], 7, agent_link(gfn), false);
	set_second(gfn << 12 | P | A);
	agent_store(table[2], 7, 0, true);
	assert_int_equal(frame->writable, 1);
	c_check(&guest->m);

	learn(table[2]);
	agent_store(table[2], 7, agent_link(gfn), false);
	set_second(gfn << 12 | KERNEL_LEAF);
	agent_store(table[2], 7, 0, true);
	assert_int_equal(frame->writable, 2);
	c_check(&guest->m);
	end();
}

static void test_links_odd(void **state)
{
	struct dmp_implant *implant;

	(void)state;
	begin();
	implant = guest->m.splicer->implant;
	asks(table[2], agent_link(gfn) | G);
	asks(table[2], agent_link(gfn) & ~A);
	asks(table[2], agent_link(1ull << 20));		/* beyond all frames */
	/* Until no entry waits for its A and D any more. */
	implant->state |= DMP_IMPLANT_WAITING;
	agent_store(table[2], 7, agent_link(gfn), true);
	implant->state &= ~DMP_IMPLANT_WAITING;
	/* One for another. */
	agent_store(table[2], 7, agent_link(table[1]), true);
	c_check(&guest->m);
	agent_store(table[2], 7, 0, false);	/* linked twice */
	c_check(&guest->m);
	agent_store(table[2], 7, agent_link(gfn), false);
	agent_store(table[2], 7, agent_link(gfn + 1), true);
	end();
}

/* The table is linked by one more entry, and stays. */
static void test_unlink_one_of_two(void **state)
{
	(void)state;
	begin();
	agent_store(table[2], 7, agent_link(gfn), false);
	agent_store(table[2], 9, agent_link(gfn), true);
	assert_int_equal(machine_table(gfn)->links, 2);
	agent_store(table[2], 7, 0, false);
	assert_int_equal(machine_table(gfn)->links, 1);
	c_check(&guest->m);
	agent_store(table[2], 9, 0, false);
	end();
}

/* A child that stubs know at more places, or that is more than a table. */
static void test_unlink_flagged(void **state)
{
	static const u16 flags[] = {
		DMP_TABLE_CACHED_MORE, DMP_TABLE_PATH, DMP_TABLE_CODE,
		DMP_TABLE_MIXED, DMP_TABLE_OVERLAID,
	};
	unsigned int i;

	(void)state;
	begin();
	for (i = 0; i < DMP_ARRAY_SIZE(flags); i++) {
		g_entry_set(guest, table[2], 7, agent_link(gfn));
		machine_table(gfn)->flags |= flags[i];
		agent_store(table[2], 7, 0, true);
		c_check(&guest->m);
	}
	/* By way of the table, stubs know others. */
	agent_store(table[2], 7, agent_link(gfn), false);
	asks_flagged(table[2], 0, DMP_TABLE_PATH);
	asks_flagged(table[2], agent_link(gfn), DMP_TABLE_OVERLAID);
	end();
}

/* What the entry linked is not the table that it named. */
static void test_unlink_changed_unseen(void **state)
{
	(void)state;
	begin();
	agent_store(table[2], 7, agent_link(gfn), false);
	agent_store(table[2], 8, agent_link(g_plain_table(guest)), false);
	change_unseen(table[2], g_entry_get(guest, table[2], 8));
	guest->m.in_engine = false;
	agent_store(table[2], 7, 0, true);
	c_end();
}

/* The filter's last walk may have led by the entry. */
static void test_walk_forgotten(void **state)
{
	struct dmp_implant *implant;

	(void)state;
	begin();
	implant = guest->m.splicer->implant;
	implant->walk_tag = 1;
	agent_store(table[2], 7, agent_link(gfn), false);
	assert_true(implant->walk_tag != 1);
	implant->walk_tag = 1;
	agent_store(table[2], 7, 0, false);
	assert_true(implant->walk_tag != 1);
	end();
}

/*
 * ---- The pool ----
 */

static bool is_cached(u64 hfn)
{
	const struct machine *m = &guest->m;
	unsigned int i;

	for (i = 0; i < M_PSC; i++)
		if (m->psc[i].valid && m->psc[i].hfn == hfn)
			return true;
	return false;
}

/* The CPU knows a table still that the agent has unlinked. */
static void test_freed_flushed(void **state)
{
	struct machine *m;
	u64 gva, hfn, word = 0;
	u32 error;

	(void)state;
	begin();
	m = &guest->m;
	gva = g_gva_of(guest, 9, 0, 0, 7, 3);
	agent_store(table[2], 7, agent_link(gfn), false);
	g_stub_set(guest, gfn, 3, (gfn + 1) << 12 | USER_LEAF);
	assert_int_equal(m_access(m, gva, DMP_ACCESS_USER, &word, 8, &error),
			 ACCESS_DONE);
	hfn = machine_table(gfn)->hfn;
	g_stub_set(guest, gfn, 3, 0);
	assert_true(is_cached(hfn));
	g_stub_set(guest, table[2], 7, 0);
	assert_int_equal(m->splicer->implant->agent.freed_count, 1);
	assert_true(is_cached(hfn));
	m->in_engine = true;
	assert_true(dmp_pool_settle(m->mmu));
	m->in_engine = false;
	assert_int_equal(m->splicer->implant->agent.freed_count, 0);
	assert_false(is_cached(hfn));
	m_flush_all(m);
	end();
}

/* A root's table shows the implant, and is none to give out. */
static void test_roots_not_kept(void **state)
{
	u64 evictions;

	(void)state;
	begin();
	evictions = guest->m.mmu->stats.root_evictions;
	g_many_roots(guest, M_ROOTS + 4);
	assert_true(guest->m.mmu->stats.root_evictions > evictions);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_leaves_of_tables),
		cmocka_unit_test(test_leaves_odd),
		cmocka_unit_test(test_leaf_without_nx),
		cmocka_unit_test(test_leaf_at_dmap_index),
		cmocka_unit_test(test_leaf_is_dmap),
		cmocka_unit_test(test_leaves_flagged),
		cmocka_unit_test(test_leaf_changed_unseen),
		cmocka_unit_test(test_link_not_empty),
		cmocka_unit_test(test_link_of_mapped),
		cmocka_unit_test(test_link_of_root),
		cmocka_unit_test(test_link_of_mapped_twice),
		cmocka_unit_test(test_unlink_of_mapped_twice),
		cmocka_unit_test(test_links_odd),
		cmocka_unit_test(test_unlink_one_of_two),
		cmocka_unit_test(test_unlink_flagged),
		cmocka_unit_test(test_unlink_changed_unseen),
		cmocka_unit_test(test_walk_forgotten),
		cmocka_unit_test(test_freed_flushed),
		cmocka_unit_test(test_roots_not_kept),
	};

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (getenv("DMP_TEST"))
		cmocka_set_test_filter(getenv("DMP_TEST"));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
