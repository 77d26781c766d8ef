// SPDX-License-Identifier: GPL-2.0-only
/*
 * Exit monitor: charging, but for the hit path, which is inline in monitor.h; and life.
 */
#include "watch/monitor_set.h"

/* What must hold at build time: a division by zero where it does not. */
enum layout_check {
	KINDS_FIT = 1 / ((int)DMP_KIND_COUNT <= DMP_MONITOR_KINDS),
	SET_IS_4_LINES =
		1 / (sizeof(struct dmp_monitor_set) == 4 * DMP_CACHE_LINE),
	SETS_START_ON_LINE =
		1 / (sizeof(struct dmp_monitor) % DMP_CACHE_LINE == 0),
	INSN_IS_PACKED = 1 / (sizeof(struct dmp_monitor_insn) == 16),
	MASK_TAKES_TOP_BITS =
		1 / (sizeof(struct dmp_monitor_set) * DMP_MONITOR_SETS_MAX ==
		     1ull << (64 - DMP_SET_SHIFT)),
	EPOCH_IS_SHIFT =
		1 / (DMP_MONITOR_EPOCH == 1ull << DMP_MONITOR_EPOCH_SHIFT),
	/* so that >> 31 clears it, too */
	WEIGHT_FITS = 1 / (WEIGHT_MAX < 1u << 31),
	GOALS_ARE_CONTINUOUS =
		1 / ((u64)DMP_MONITOR_CAPTURE << GOAL_LINEAR == 1ull << 31),
	HITS_MAX_IS_LAST_GOAL =
		1 / (DMP_MONITOR_HITS_MAX ==
		     (GOAL_MAX - GOAL_LINEAR + 1ull) << 31),
	DEFAULT_IS_64_KIB =
		1 / (sizeof(struct dmp_monitor) + DMP_MONITOR_SETS *
		     (sizeof(struct dmp_monitor_set) + DMP_MONITOR_WAYS *
		      sizeof(struct dmp_monitor_insn)) <= 65536),
};

static void write_begin(struct dmp_monitor_set *set)
{
	monitor_store(&set->seq, set->seq + 1);
	__atomic_thread_fence(__ATOMIC_RELEASE);
}

static void write_end(struct dmp_monitor_set *set)
{
	__atomic_thread_fence(__ATOMIC_RELEASE);
	monitor_store(&set->seq, set->seq + 1);
}

/*
 * ---- Writer ----
 */

static void swap_u64(u64 *array, unsigned int i, unsigned int j)
{
	u64 tmp = array[i];

	array[i] = array[j];
	array[j] = tmp;
}

static void swap_u32(u32 *array, unsigned int i, unsigned int j)
{
	u32 tmp = array[i];

	array[i] = array[j];
	array[j] = tmp;
}

/* Within write_begin() and write_end(). */
static void swap_ways(struct dmp_monitor *m, struct dmp_monitor_set *set,
		      unsigned int i, unsigned int j)
{
	struct dmp_monitor_insn *insn = insn_of(m, slot_of(m, set, 0));
	struct dmp_monitor_insn tmp = insn[i];
	u16 goal = set->goal[i];
	u32 differ = (set->exact >> i ^ set->exact >> j) & 1;

	swap_u64(set->rip, i, j);
	swap_u64(set->meta, i, j);
	swap_u32(set->weight, i, j);
	swap_u32(set->left, i, j);
	swap_u32(set->over, i, j);
	set->goal[i] = set->goal[j];
	set->goal[j] = goal;
	insn[i] = insn[j];
	insn[j] = tmp;
	set->exact ^= differ << i | differ << j;
}

/* Halve weights once per epoch gone by; the heaviest key moves to way 0. */
static void age_set(struct dmp_monitor *m, struct dmp_monitor_set *set,
		    u64 epoch)
{
	u64 gone = epoch - set->epoch;
	unsigned int shift = gone < 31 ? gone : 31;
	unsigned int way, heaviest = 0;

	write_begin(set);
	for (way = 0; way < DMP_MONITOR_WAYS; way++) {
		set->weight[way] >>= shift;
		set->over[way] >>= shift;
		if (set->weight[way] > set->weight[heaviest])
			heaviest = way;
	}
	set->epoch = epoch;
	if (heaviest)
		swap_ways(m, set, 0, heaviest);
	write_end(set);
}

/* The key is not in its set, which is aged: give it a slot, one hit in it. */
enum dmp_monitor_event dmp_monitor_charge_new(struct dmp_monitor *m,
					      struct dmp_monitor_set *set,
					      u64 rip, u64 meta)
{
	unsigned int way = victim_in(set);
	u32 bit = 1u << way;

	write_begin(set);
	/* A free way means that the set has never evicted. */
	if (set->meta[way]) {
		monitor_store(&m->evictions, m->evictions + 1);
		set->exact &= ~bit;
	} else {
		set->exact |= bit;
	}
	set->rip[way] = rip;
	set->meta[way] = meta;
	set->over[way] = set->weight[way];
	set->weight[way]++;
	set->goal[way] = 0;
	set->left[way] = DMP_MONITOR_CAPTURE - 1;
	insn_of(m, slot_of(m, set, way))->len = 0;
	write_end(set);
	return DMP_EVENT_NONE;
}

/* A charge that starts an epoch for its set, or whose RIP may be there twice. */
enum dmp_monitor_event dmp_monitor_charge_slow(struct dmp_monitor *m,
					       struct dmp_monitor_set *set,
					       u64 rip, u64 meta)
{
	u64 epoch = (m->total - 1) >> DMP_MONITOR_EPOCH_SHIFT;
	unsigned int way;

	if (set->epoch != epoch)
		age_set(m, set, epoch);
	for (way = 0; way < DMP_MONITOR_WAYS; way++) {
		if (set->rip[way] != rip || set->meta[way] != meta)
			continue;
		set->weight[way]++;
		if (--set->left[way])
			return DMP_EVENT_NONE;
		return dmp_monitor_charge_goal(m, set, way);
	}
	return dmp_monitor_charge_new(m, set, rip, meta);
}

/* left is 0: set the next goal and tell the caller. */
enum dmp_monitor_event dmp_monitor_charge_goal(struct dmp_monitor *m,
					       struct dmp_monitor_set *set,
					       unsigned int way)
{
	unsigned int goal = set->goal[way];
	unsigned int slot = slot_of(m, set, way);

	write_begin(set);
	if (goal < GOAL_MAX) {
		set->goal[way] = goal + 1;
		set->left[way] = hits_at(goal + 1) - hits_at(goal);
	} else {
		/* hits stops one short of the last goal */
		set->left[way] = 1;
		set->exact &= ~(1u << way);
	}
	write_end(set);

	if (goal == GOAL_MAX)
		return DMP_EVENT_NONE;
	m->event_slot = slot;
	return insn_of(m, slot)->len ? DMP_EVENT_HOT : DMP_EVENT_CAPTURE;
}

/* Where the key is, which was charged just now. */
static unsigned int way_of(const struct dmp_monitor_set *set, u64 rip, u64 meta)
{
	unsigned int way = 0;

	while (set->rip[way] != rip || set->meta[way] != meta)
		way++;
	return way;
}

enum dmp_monitor_event dmp_monitor_charge_many(struct dmp_monitor *m,
					       const struct dmp_exit_key *key,
					       u32 n)
{
	enum dmp_monitor_event event = dmp_monitor_charge(m, key), last;
	u64 meta = dmp_exit_meta(key);
	struct dmp_monitor_set *set = dmp_monitor_set_of(m, key->rip, meta);
	unsigned int way = way_of(set, key->rip, meta);

	n--;
	if (set->left[way] > n &&
	    (m->total & (DMP_MONITOR_EPOCH - 1)) + n < DMP_MONITOR_EPOCH &&
	    m->total & (DMP_MONITOR_EPOCH - 1)) {
		m->total += n;
		m->tally[dmp_tally_of(key->code)]
			[key->kind & (DMP_MONITOR_KINDS - 1)] += n;
		set->weight[way] += n;
		set->left[way] -= n;
		return event;
	}
	while (n--) {
		last = dmp_monitor_charge(m, key);
		if (last != DMP_EVENT_NONE)
			event = last;
	}
	return event;
}

void dmp_monitor_set_bytes(struct dmp_monitor *m, unsigned int slot,
			   const u8 *bytes, unsigned int len)
{
	struct dmp_monitor_set *set;
	struct dmp_monitor_insn *insn;
	unsigned int i;

	if (slot >= dmp_monitor_slots(m) || !len || len > DMP_INSN_MAX)
		return;
	set = &m->set[slot / DMP_MONITOR_WAYS];
	if (!set->meta[slot % DMP_MONITOR_WAYS])
		return;

	insn = insn_of(m, slot);
	write_begin(set);
	for (i = 0; i < len; i++)
		insn->bytes[i] = bytes[i];
	insn->len = len;
	write_end(set);
}

/*
 * ---- Life ----
 */

size_t dmp_monitor_bytes(unsigned int nsets)
{
	if (!nsets || nsets > DMP_MONITOR_SETS_MAX || nsets & (nsets - 1))
		return 0;
	return sizeof(struct dmp_monitor) +
	       nsets * (sizeof(struct dmp_monitor_set) +
			DMP_MONITOR_WAYS * sizeof(struct dmp_monitor_insn));
}

/* Steele, Lea, Flood 2014 (splitmix64): @seed's @n-th number. */
static u64 nth_random(u64 seed, u64 n)
{
	u64 z = seed + n * 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

enum dmp_monitor_init_result
dmp_monitor_init(void *mem, size_t bytes, unsigned int nsets, u64 seed)
{
	struct dmp_monitor *m = mem;
	size_t need = dmp_monitor_bytes(nsets);
	unsigned int i;

	if (!need)
		return DMP_MONITOR_BAD_SETS;
	if ((size_t)mem % DMP_CACHE_LINE)
		return DMP_MONITOR_BAD_ALIGN;
	if (bytes < need)
		return DMP_MONITOR_TOO_SMALL;

	m->mul_rip = nth_random(seed, 1) | 1;
	m->mul_meta = nth_random(seed, 2) | 1;
	m->set_mask = (nsets - 1) * sizeof(struct dmp_monitor_set);
	m->nsets = nsets;
	for (i = 0; i < DMP_ARRAY_SIZE(m->reserved); i++)
		m->reserved[i] = 0;
	for (i = 0; i < nsets; i++)
		m->set[i].seq = 0;
	dmp_monitor_reset(m);
	return DMP_MONITOR_OK;
}

static void reset_set(struct dmp_monitor *m, struct dmp_monitor_set *set)
{
	struct dmp_monitor_insn *insn = insn_of(m, slot_of(m, set, 0));
	unsigned int way, i;

	write_begin(set);
	for (way = 0; way < DMP_MONITOR_WAYS; way++) {
		set->rip[way] = 0;
		set->meta[way] = 0;
		set->weight[way] = 0;
		set->left[way] = 0;
		set->over[way] = 0;
		set->goal[way] = 0;
		insn[way].len = 0;
		for (i = 0; i < DMP_INSN_MAX; i++)
			insn[way].bytes[i] = 0;
	}
	set->epoch = 0;
	set->exact = 0;
	write_end(set);
}

void dmp_monitor_reset(struct dmp_monitor *m)
{
	unsigned int i, kind;

	for (i = 0; i < m->nsets; i++)
		reset_set(m, &m->set[i]);
	for (i = 0; i < DMP_TALLIES; i++)
		for (kind = 0; kind < DMP_MONITOR_KINDS; kind++)
			monitor_store(&m->tally[i][kind], 0);
	monitor_store(&m->evictions, 0);
	monitor_store(&m->total, 0);
	m->event_slot = 0;
}
