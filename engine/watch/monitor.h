/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Exit monitor: which guest instruction causes the VM exits.
 *
 * Each exit is charged to a key (RIP, CPL, exit code, kind, argument). The
 * keys are kept in a set-associative table of fixed size; within a set the
 * replacement rule is Space-Saving (Metwally, Agrawal, El Abbadi 2005): a key
 * that finds no slot takes over the slot with the lightest weight and inherits
 * that weight as its possible overestimate.
 *
 * Ageing: epoch e is the charges e * DMP_MONITOR_EPOCH and on, counting from
 * 0. Between one epoch and the next every weight halves (lazily, when its set
 * is next charged or read), so a key that has gone cold gives way to one that
 * is hot now.
 *
 * Bounds, for each key at any time, w = its true weight (its exits, each
 * halved once per epoch begun since it happened, without rounding):
 *   listed:	weight - over - 1 < w < weight + 1
 *   unlisted:	w = 0 while its set has a free slot, else
 *		w < (lightest weight of its set) + 1, and that weight is at
 *		most the true weight of all the set's keys / DMP_MONITOR_WAYS
 * (the 1 is what halving integers rounds off). A reader gets the first line
 * as `low` and `high`, the second from dmp_monitor_unlisted_bound().
 * No weight exceeds 2 * DMP_MONITOR_EPOCH, so none can overflow.
 *
 * `hits` is not aged: the exact number of charges since the key was admitted,
 * up to DMP_MONITOR_HITS_MAX - 1, where it stops. With DMP_ENTRY_EXACT set the key
 * was admitted to a slot nobody had used before, in a set that had never
 * evicted, and hits has not stopped: hits is all the exits the key ever had.
 * Without the flag the key may have been listed before, and lost.
 *
 * Tallies by (code, kind) do not depend on the table and are exact.
 *
 * Cost in instructions (gcc 12 -O2, on its own): hit in way 0 39, in way 1
 * 44, in way 7 56; a code from 0x400 on 5 more; a new key in a full set 134.
 *
 * One table belongs to one vCPU. Whoever runs that vCPU is the only writer
 * (charge, set_bytes, reset); it takes no lock and may be preempted. Readers
 * may run on any CPU at the same time: each set has a sequence count, odd
 * while keys move, and a reader retries a few times and then says BUSY, so a
 * row is never made of two keys. The weight and hits of one row may be some
 * charges apart, rows are not all from one instant.
 */
#ifndef DMP_MONITOR_H
#define DMP_MONITOR_H

#include "arch/types.h"

#define DMP_MONITOR_WAYS	8
#define DMP_MONITOR_SETS	128	/* default: see dmp_monitor_bytes() */
#define DMP_MONITOR_SETS_MAX	256	/* what the hash can tell apart */
#define DMP_MONITOR_EPOCH_SHIFT	16
#define DMP_MONITOR_EPOCH	0x10000u	/* charges; 1 << EPOCH_SHIFT */
#define DMP_MONITOR_CAPTURE	16	/* hits at the first event, power of 2 */
#define DMP_MONITOR_HITS_MAX	((65535ull - 26) << 31)	/* some 10^14 */
#define DMP_INSN_MAX		15	/* bytes; SDM vol. 2, 2.3.11 */

/* What an exit turned out to be, once it has been handled. */
enum dmp_exit_kind {
	DMP_KIND_NONE,		/* the exit code says it all */
	DMP_KIND_PF_GUEST,	/* the guest's own fault, injected */
	DMP_KIND_PF_HIDDEN,	/* exists only because of virtualization */
	DMP_KIND_PF_TABLE,	/* write to a guest page table, emulated */
	DMP_KIND_PF_MMIO,	/* access to no memory */
	DMP_KIND_COUNT		/* at most DMP_MONITOR_KINDS */
};

/* Whom an exit is charged to. */
struct dmp_exit_key {
	u64 rip;		/* guest RIP at the exit (gva) */
	u32 code;		/* hardware exit code (APM2 app. C, SDM3 app. C);
				 * told apart by bits 23:0, bit 23 extends
				 */
	u32 arg;		/* port, MSR index, CR number, vector; else 0 */
	u8 cpl;			/* 0..3 */
	u8 kind;		/* enum dmp_exit_kind */
};

/* What a charge asks of its caller; the entry is dmp_monitor_event_slot(). */
enum dmp_monitor_event {
	DMP_EVENT_NONE,
	DMP_EVENT_CAPTURE,	/* as HOT, and its bytes are not known yet */
	DMP_EVENT_HOT,		/* hits reached CAPTURE, or twice the last event
				 * (from 2^31 hits on: 2^31 more)
				 */
};

enum dmp_monitor_init_result {
	DMP_MONITOR_OK,
	DMP_MONITOR_BAD_SETS,	/* not a power of two in 1..SETS_MAX */
	DMP_MONITOR_BAD_ALIGN,	/* memory not aligned to a cache line */
	DMP_MONITOR_TOO_SMALL,	/* fewer than dmp_monitor_bytes() */
};

enum dmp_monitor_read_result {
	DMP_READ_ROW,
	DMP_READ_EMPTY,		/* nothing there; *row is not written */
	DMP_READ_BUSY,		/* the writer was in the way; not written */
};

#define DMP_ENTRY_EXACT		1u	/* hits is all it ever had */

/* An entry as a reader sees it, or the sum of a key's entries (merge). */
struct dmp_monitor_row {
	struct dmp_exit_key key;
	u64 weight;		/* estimate, aged to now */
	u64 low, high;		/* low <= true weight <= high */
	u64 hits;		/* since admission, not aged */
	u32 flags;		/* DMP_ENTRY_* */
	u8 len;			/* of the bytes; 0 when not captured */
	u8 bytes[DMP_INSN_MAX];	/* at rip when captured; may be stale */
};

/* Tallies: codes 0..TALLY_DIRECT-1, then 0x400..0x40f, then all others. */
#define DMP_TALLY_DIRECT	176u
#define DMP_TALLY_HIGH_CODE	0x400u	/* SVM: NPF, AVIC, VMGEXIT */
#define DMP_TALLY_HIGH		16u
#define DMP_TALLY_OTHER		(DMP_TALLY_DIRECT + DMP_TALLY_HIGH)
#define DMP_TALLIES		(DMP_TALLY_OTHER + 1)
#define DMP_CODE_OTHER		0xfffffffeu	/* no hardware's code */

/*
 * ---- Layout. Public only so that charging can be inline. ----
 */
#define DMP_MONITOR_KINDS	8
#define DMP_CACHE_LINE		64
#define DMP_SET_SHIFT		48	/* SETS_MAX sets of 256 bytes: 16 bits */
#define DMP_META_VALID		0x80u	/* tells a used slot from a free one */

#define dmp_unlikely(x)		__builtin_expect(!!(x), 0)

/* Written by the vCPU only. Lines 0 and 1 find, 2 counts; 3 is cold. */
struct dmp_monitor_set {
	u64 rip[DMP_MONITOR_WAYS];
	u64 meta[DMP_MONITOR_WAYS];	/* dmp_exit_meta(), 0: free */
	u32 weight[DMP_MONITOR_WAYS];	/* as of epoch */
	u32 left[DMP_MONITOR_WAYS];	/* hits still missing to the goal */
	u32 over[DMP_MONITOR_WAYS];	/* as of epoch */
	u16 goal[DMP_MONITOR_WAYS];	/* index; see hits_at() */
	u64 epoch;			/* weight and over are aged to this */
	u32 seq;			/* odd: ways are being changed */
	u32 exact;			/* bit per way */
};

/* Same slot numbers as the table: set * WAYS + way. Written under set->seq. */
struct dmp_monitor_insn {
	u8 len;
	u8 bytes[DMP_INSN_MAX];
};

/* Written by the vCPU only; mul_*, set_mask, nsets are constant after init. */
struct dmp_monitor {
	u64 total;			/* charges ever */
	u64 mul_rip, mul_meta;		/* odd, secret from the guest */
	u64 set_mask;			/* (number of sets - 1) * set size */
	u64 evictions;
	u32 event_slot;
	u32 nsets;
	u64 reserved[2];
	u64 tally[DMP_TALLIES][DMP_MONITOR_KINDS];
	struct dmp_monitor_set set[];	/* then the dmp_monitor_insn array */
};

/*
 * One word for all of a key but its RIP; bits that vary most are lowest. The host packs
 * what it knows when an exit begins, of no kind yet, and adds what it finds out.
 */
#define DMP_META_CPL	3u	/* its bits; above them the kind's */
#define DMP_META(code, arg, cpl)	\
	((u64)(arg) << 32 | (u32)(((code) << 8) + (cpl) + DMP_META_VALID))

static inline u64 dmp_meta_at_cpl(u64 meta, u8 cpl)
{
	return (meta & ~(u64)DMP_META_CPL) | cpl;
}

/* @kind: below DMP_MONITOR_KINDS. */
static inline u64 dmp_meta_of_kind(u64 meta, u32 kind)
{
	return meta + kind * (DMP_META_CPL + 1);
}

static inline u64 dmp_exit_meta(const struct dmp_exit_key *key)
{
	return dmp_meta_of_kind(DMP_META(key->code, key->arg, key->cpl),
				key->kind & (DMP_MONITOR_KINDS - 1));
}

/*
 * The set of a key. Multiply-shift over two words (Dietzfelbinger 1996); the
 * mask takes the product's top bits as a distance in bytes.
 */
static inline struct dmp_monitor_set *
dmp_monitor_set_of(const struct dmp_monitor *m, u64 rip, u64 meta)
{
	u64 hash = rip * m->mul_rip + meta * m->mul_meta;

	return (void *)((char *)m->set + (hash >> DMP_SET_SHIFT & m->set_mask));
}

static inline size_t dmp_tally_of(u32 code)
{
	if (code < DMP_TALLY_DIRECT)
		return code;
	code -= DMP_TALLY_HIGH_CODE;
	return code < DMP_TALLY_HIGH ? DMP_TALLY_DIRECT + code : DMP_TALLY_OTHER;
}

/* The ways out of the hit path; for dmp_monitor_charge() alone. */
enum dmp_monitor_event dmp_monitor_charge_slow(struct dmp_monitor *m,
					       struct dmp_monitor_set *set,
					       u64 rip, u64 meta);
enum dmp_monitor_event dmp_monitor_charge_new(struct dmp_monitor *m,
					      struct dmp_monitor_set *set,
					      u64 rip, u64 meta);
enum dmp_monitor_event dmp_monitor_charge_goal(struct dmp_monitor *m,
					       struct dmp_monitor_set *set,
					       unsigned int way);

/*
 * ---- For the vCPU's own thread. None sleeps or allocates. ----
 */

/* Bytes a table of @nsets sets takes; 0 when there can be no such table. */
size_t dmp_monitor_bytes(unsigned int nsets);

/*
 * Make an empty table in @mem, which is aligned to DMP_CACHE_LINE. @seed is
 * random and unknown to the guest, or it could aim all its exits at one set.
 */
enum dmp_monitor_init_result
dmp_monitor_init(void *mem, size_t bytes, unsigned int nsets, u64 seed);

/* Forget all charges; the seed stays. */
void dmp_monitor_reset(struct dmp_monitor *m);

/*
 * Charge one exit to @key. When the answer is an event its entry is
 * dmp_monitor_event_slot(), good until the next charge or reset.
 *
 * The hit path stays free of calls: with the port's glue it has 60
 * instructions to spend. The heaviest key of a set is in way 0 at the start
 * of each epoch. A RIP is in a set twice only for keys that differ in meta and
 * still share the set; the slow path finds these.
 */
static inline enum dmp_monitor_event
dmp_monitor_charge(struct dmp_monitor *m, const struct dmp_exit_key *key)
{
	u64 rip = key->rip, meta = dmp_exit_meta(key);
	struct dmp_monitor_set *set = dmp_monitor_set_of(m, rip, meta);
	u64 epoch = m->total++ >> DMP_MONITOR_EPOCH_SHIFT;
	size_t kind = key->kind & (DMP_MONITOR_KINDS - 1), way;

	/* Keep the address; gcc would work it out anew for each field. */
	__asm__("" : "+r" (set));
	m->tally[dmp_tally_of(key->code)][kind]++;
	if (dmp_unlikely(set->epoch != epoch))
		return dmp_monitor_charge_slow(m, set, rip, meta);

	if (set->rip[0] == rip && set->meta[0] == meta) {
		set->weight[0]++;
		if (dmp_unlikely(!--set->left[0]))
			return dmp_monitor_charge_goal(m, set, 0);
		return DMP_EVENT_NONE;
	}
#pragma GCC unroll 8
	for (way = 1; way < DMP_MONITOR_WAYS; way++)
		if (set->rip[way] == rip)
			break;
	if (dmp_unlikely(way == DMP_MONITOR_WAYS))
		return dmp_monitor_charge_new(m, set, rip, meta);
	if (dmp_unlikely(set->meta[way] != meta))
		return dmp_monitor_charge_slow(m, set, rip, meta);
	set->weight[way]++;
	if (dmp_unlikely(!--set->left[way]))
		return dmp_monitor_charge_goal(m, set, way);
	return DMP_EVENT_NONE;
}

/*
 * As charge(), @n > 0 times in a row; the answer is the last event's. Costs
 * little more than one charge where no goal or epoch lies in between.
 */
enum dmp_monitor_event dmp_monitor_charge_many(struct dmp_monitor *m,
					       const struct dmp_exit_key *key,
					       u32 n);

/*
 * ---- Batches ----
 *
 * Most exits are like one of the last few: a small cache in front of the
 * table counts them there and charges them together. What is in the batch is
 * not in the table yet; the vCPU's thread drains it whenever somebody may
 * want to know (it stops running, or reads its own counts).
 */
#define DMP_BATCH_SLOTS	16	/* power of two */
#define DMP_BATCH_MAX	64	/* exits a slot holds back at the most */

struct dmp_batch {
	struct dmp_batch_slot {
		u64 rip, meta;
		u64 count;	/* 0: free */
		u64 unused;	/* a shift is one instruction less than a product */
	} slot[DMP_BATCH_SLOTS];
};

static inline struct dmp_batch_slot *
dmp_batch_slot_of(struct dmp_batch *batch, u64 rip, u64 meta)
{
	/* The kind is in bits 2 and up of meta: faults of one RIP differ. */
	return &batch->slot[(rip + (meta >> 2)) & (DMP_BATCH_SLOTS - 1)];
}

/*
 * Count one exit. False: it did not fit; the caller charges what is in
 * *@where (count times its key), then calls dmp_batch_take().
 */
static inline bool dmp_batch_add(struct dmp_batch *batch, u64 rip, u64 meta,
				 struct dmp_batch_slot **where)
{
	struct dmp_batch_slot *slot = dmp_batch_slot_of(batch, rip, meta);

	*where = slot;
	if (dmp_unlikely(slot->rip != rip || slot->meta != meta ||
			 slot->count >= DMP_BATCH_MAX))
		return false;
	slot->count++;
	return true;
}

static inline void dmp_batch_take(struct dmp_batch_slot *slot, u64 rip, u64 meta)
{
	slot->rip = rip;
	slot->meta = meta;
	slot->count = 1;
}

/* The key that dmp_exit_meta() packed. */
static inline struct dmp_exit_key dmp_exit_key_of(u64 rip, u64 meta)
{
	return (struct dmp_exit_key){
		.rip = rip,
		.code = (u32)meta >> 8,
		.arg = meta >> 32,
		.cpl = meta & DMP_META_CPL,
		.kind = meta >> 2 & (DMP_MONITOR_KINDS - 1),
	};
}

static inline unsigned int dmp_monitor_event_slot(const struct dmp_monitor *m)
{
	return m->event_slot;
}

/*
 * Keep the @len instruction bytes (1..DMP_INSN_MAX) found at the entry's RIP,
 * in place of any kept before. They need not be one whole instruction. Other
 * lengths and slots that hold no entry are ignored.
 */
void dmp_monitor_set_bytes(struct dmp_monitor *m, unsigned int slot,
			   const u8 *bytes, unsigned int len);

/*
 * ---- For readers, on any CPU, while the memory stays allocated. ----
 */

/* Slots are numbered 0..dmp_monitor_slots() - 1. */
unsigned int dmp_monitor_slots(const struct dmp_monitor *m);

/* The entry in @slot. Between two calls an entry may move to another slot. */
enum dmp_monitor_read_result
dmp_monitor_read(const struct dmp_monitor *m, unsigned int slot,
		 struct dmp_monitor_row *row);

/* The entry of @key: EMPTY when unlisted. On EMPTY, *@bound >= its weight. */
enum dmp_monitor_read_result
dmp_monitor_find(const struct dmp_monitor *m, const struct dmp_exit_key *key,
		 struct dmp_monitor_row *row, u64 *bound);

/*
 * No key that is unlisted weighs more than this. A set that stays busy counts
 * as the most that any set can have.
 */
u64 dmp_monitor_unlisted_bound(const struct dmp_monitor *m);

/* Exact counts since init or reset. */
u64 dmp_monitor_total(const struct dmp_monitor *m);
u64 dmp_monitor_evictions(const struct dmp_monitor *m);
u64 dmp_monitor_epochs(const struct dmp_monitor *m);
u64 dmp_monitor_tally(const struct dmp_monitor *m, unsigned int tally,
		      enum dmp_exit_kind kind);
u64 dmp_monitor_kind_total(const struct dmp_monitor *m, enum dmp_exit_kind kind);

/* The code that a tally counts, DMP_CODE_OTHER for the last. */
u32 dmp_tally_code(unsigned int tally);

/*
 * The heaviest keys of several tables. The caller fills all fields but @used,
 * sets that to 0 and calls dmp_monitor_top_add() once for each table (it may
 * sleep in between); then row[0..used) are in falling order of weight.
 *
 * Every key is summed over all tables when it is first met, so nothing is lost
 * to the small array. low and high hold for the sum: where a table does not
 * list the key, its bound goes into high. A key listed by no table weighs at
 * most the sum of the tables' unlisted bounds.
 *
 * On a busy set: that table's share of a key is taken as unlisted, with the
 * greatest bound.
 */
struct dmp_monitor_top {
	const struct dmp_monitor *const *table;	/* may hold NULLs */
	unsigned int tables;
	struct dmp_monitor_row *row;
	unsigned int cap, used;
};

/* Takes some 100 ns for each slot of @table[@index] and each other table. */
void dmp_monitor_top_add(struct dmp_monitor_top *top, unsigned int index);

#endif /* DMP_MONITOR_H */
