// SPDX-License-Identifier: GPL-2.0-only
/*
 * Exit monitor: everything but the hit path, which is inline in monitor.h.
 *
 * Order against readers: the writer makes set->seq odd before it changes which
 * key a way holds and even after; the fences in write_begin() and write_end()
 * pair with those in snapshot(). Hits alone change weight and left with seq
 * even: they belong to the same key before and after. The fences cost nothing
 * on x86 but keep the compiler in order.
 */
#include "watch/monitor.h"

#define READ_TRIES	64	/* a preempted writer may hold seq odd */
#define GOAL_MAX	65535u
#define GOAL_LINEAR	27u	/* hits_at() doubles up to this index */
#define WEIGHT_MAX	(2ull * DMP_MONITOR_EPOCH)

#define load(p)		__atomic_load_n((p), __ATOMIC_RELAXED)
#define store(p, v)	__atomic_store_n((p), (v), __ATOMIC_RELAXED)

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

/* Hits at which goal @index is reached: 16, 32, ..., 2^31, 2 * 2^31, 3 * ... */
static u64 hits_at(unsigned int index)
{
	if (index <= GOAL_LINEAR)
		return (u64)DMP_MONITOR_CAPTURE << index;
	return (u64)(index - GOAL_LINEAR + 1) << 31;
}

static struct dmp_monitor_insn *insn_of(const struct dmp_monitor *m,
					unsigned int slot)
{
	return (struct dmp_monitor_insn *)&m->set[m->nsets] + slot;
}

static unsigned int slot_of(const struct dmp_monitor *m,
			    const struct dmp_monitor_set *set, unsigned int way)
{
	return (unsigned int)(set - m->set) * DMP_MONITOR_WAYS + way;
}

static void write_begin(struct dmp_monitor_set *set)
{
	store(&set->seq, set->seq + 1);
	__atomic_thread_fence(__ATOMIC_RELEASE);
}

static void write_end(struct dmp_monitor_set *set)
{
	__atomic_thread_fence(__ATOMIC_RELEASE);
	store(&set->seq, set->seq + 1);
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

/*
 * A free way, else the lightest. Ways are used in rising order, never freed,
 * and only used ones change places, so a free way means the last one is free.
 */
static inline unsigned int victim_in(const struct dmp_monitor_set *set)
{
	unsigned int way, lightest = 0;
	u32 least = set->weight[0];

	if (!set->meta[DMP_MONITOR_WAYS - 1]) {
		for (way = 0; set->meta[way]; way++)
			;
		return way;
	}
#pragma GCC unroll 8
	for (way = 1; way < DMP_MONITOR_WAYS; way++) {
		lightest = set->weight[way] < least ? way : lightest;
		least = set->weight[way] < least ? set->weight[way] : least;
	}
	return lightest;
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
		store(&m->evictions, m->evictions + 1);
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
			store(&m->tally[i][kind], 0);
	store(&m->evictions, 0);
	store(&m->total, 0);
	m->event_slot = 0;
}

/*
 * ---- Readers ----
 */

/* A set as it was at one time, aged to now. */
struct set_view {
	struct dmp_monitor_set set;
	struct dmp_monitor_insn insn[DMP_MONITOR_WAYS];
};

static void copy_set(const struct dmp_monitor *m,
		     const struct dmp_monitor_set *set, struct set_view *view)
{
	const struct dmp_monitor_insn *insn = insn_of(m, slot_of(m, set, 0));
	unsigned int way, i;

	for (way = 0; way < DMP_MONITOR_WAYS; way++) {
		view->set.rip[way] = load(&set->rip[way]);
		view->set.meta[way] = load(&set->meta[way]);
		view->set.weight[way] = load(&set->weight[way]);
		view->set.left[way] = load(&set->left[way]);
		view->set.over[way] = load(&set->over[way]);
		view->set.goal[way] = load(&set->goal[way]);
		view->insn[way].len = load(&insn[way].len);
		for (i = 0; i < DMP_INSN_MAX; i++)
			view->insn[way].bytes[i] = load(&insn[way].bytes[i]);
	}
	view->set.exact = load(&set->exact);
	view->set.epoch = load(&set->epoch);
}

/* Age by the table's clock, which is never behind a set's except in reset. */
static void age_view(struct set_view *view, u64 now)
{
	u64 gone = now > view->set.epoch ? now - view->set.epoch : 0;
	unsigned int shift = gone < 31 ? gone : 31;
	unsigned int way;

	for (way = 0; way < DMP_MONITOR_WAYS; way++) {
		view->set.weight[way] >>= shift;
		view->set.over[way] >>= shift;
	}
}

/* False when the writer kept changing the set, or was preempted in it. */
static bool try_snapshot(const struct dmp_monitor *m,
			 const struct dmp_monitor_set *set,
			 struct set_view *view)
{
	unsigned int tries;
	u32 seq;

	for (tries = 0; tries < READ_TRIES; tries++) {
		seq = __atomic_load_n(&set->seq, __ATOMIC_ACQUIRE);
		if (seq & 1)
			continue;
		copy_set(m, set, view);
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		if (load(&set->seq) != seq)
			continue;
		age_view(view, dmp_monitor_epochs(m));
		return true;
	}
	return false;
}

/* Bound for a key that hashes to this set and is not in it. */
static u64 view_bound(const struct set_view *view)
{
	unsigned int way = victim_in(&view->set);

	return view->set.meta[way] ? view->set.weight[way] + 1ull : 0;
}

static void view_row(const struct set_view *view, unsigned int way,
		     struct dmp_monitor_row *row)
{
	const struct dmp_monitor_set *set = &view->set;
	u64 meta = set->meta[way], sure = set->weight[way] - set->over[way];
	unsigned int i;

	row->key.rip = set->rip[way];
	row->key.code = (s32)(u32)meta >> 8;
	row->key.arg = meta >> 32;
	row->key.cpl = meta & 3;
	row->key.kind = meta >> 2 & (DMP_MONITOR_KINDS - 1);
	row->weight = set->weight[way];
	row->low = sure ? sure - 1 : 0;
	row->high = row->weight + 1;
	row->hits = hits_at(set->goal[way]) - set->left[way];
	row->flags = set->exact >> way & 1 ? DMP_ENTRY_EXACT : 0;
	row->len = view->insn[way].len;
	for (i = 0; i < DMP_INSN_MAX; i++)
		row->bytes[i] = i < row->len ? view->insn[way].bytes[i] : 0;
}

unsigned int dmp_monitor_slots(const struct dmp_monitor *m)
{
	return m->nsets * DMP_MONITOR_WAYS;
}

enum dmp_monitor_read_result
dmp_monitor_read(const struct dmp_monitor *m, unsigned int slot,
		 struct dmp_monitor_row *row)
{
	const struct dmp_monitor_set *set;
	unsigned int way = slot % DMP_MONITOR_WAYS;
	struct set_view view;

	if (slot >= dmp_monitor_slots(m))
		return DMP_READ_EMPTY;
	set = &m->set[slot / DMP_MONITOR_WAYS];
	if (!load(&set->meta[way]))
		return DMP_READ_EMPTY;
	if (!try_snapshot(m, set, &view))
		return DMP_READ_BUSY;
	if (!view.set.meta[way])
		return DMP_READ_EMPTY;
	view_row(&view, way, row);
	return DMP_READ_ROW;
}

enum dmp_monitor_read_result
dmp_monitor_find(const struct dmp_monitor *m, const struct dmp_exit_key *key,
		 struct dmp_monitor_row *row, u64 *bound)
{
	u64 meta = dmp_exit_meta(key);
	struct set_view view;
	unsigned int way;

	if (!try_snapshot(m, dmp_monitor_set_of(m, key->rip, meta), &view))
		return DMP_READ_BUSY;
	for (way = 0; way < DMP_MONITOR_WAYS; way++) {
		if (view.set.rip[way] != key->rip || view.set.meta[way] != meta)
			continue;
		view_row(&view, way, row);
		return DMP_READ_ROW;
	}
	*bound = view_bound(&view);
	return DMP_READ_EMPTY;
}

u64 dmp_monitor_unlisted_bound(const struct dmp_monitor *m)
{
	struct set_view view;
	u64 bound, most = 0;
	unsigned int i;

	for (i = 0; i < m->nsets; i++) {
		bound = WEIGHT_MAX / DMP_MONITOR_WAYS + 1;
		if (try_snapshot(m, &m->set[i], &view))
			bound = view_bound(&view);
		if (bound > most)
			most = bound;
	}
	return most;
}

u64 dmp_monitor_total(const struct dmp_monitor *m)
{
	return load(&m->total);
}

u64 dmp_monitor_evictions(const struct dmp_monitor *m)
{
	return load(&m->evictions);
}

u64 dmp_monitor_epochs(const struct dmp_monitor *m)
{
	return load(&m->total) >> DMP_MONITOR_EPOCH_SHIFT;
}

u64 dmp_monitor_tally(const struct dmp_monitor *m, unsigned int tally,
		      enum dmp_exit_kind kind)
{
	if (tally >= DMP_TALLIES || (unsigned int)kind >= DMP_MONITOR_KINDS)
		return 0;
	return load(&m->tally[tally][kind]);
}

u64 dmp_monitor_kind_total(const struct dmp_monitor *m, enum dmp_exit_kind kind)
{
	unsigned int i;
	u64 sum = 0;

	for (i = 0; i < DMP_TALLIES; i++)
		sum += dmp_monitor_tally(m, i, kind);
	return sum;
}

u32 dmp_tally_code(unsigned int tally)
{
	if (tally < DMP_TALLY_DIRECT)
		return tally;
	if (tally < DMP_TALLY_OTHER)
		return tally - DMP_TALLY_DIRECT + DMP_TALLY_HIGH_CODE;
	return DMP_CODE_OTHER;
}

/*
 * ---- The heaviest keys of several tables ----
 */

static bool is_same_key(const struct dmp_exit_key *a,
			const struct dmp_exit_key *b)
{
	return a->rip == b->rip && dmp_exit_meta(a) == dmp_exit_meta(b);
}

/* Add what @m knows of row's key. */
static void add_share(struct dmp_monitor_row *row, const struct dmp_monitor *m)
{
	u64 bound = WEIGHT_MAX / DMP_MONITOR_WAYS + 1;
	struct dmp_monitor_row share;

	if (dmp_monitor_find(m, &row->key, &share, &bound) != DMP_READ_ROW) {
		row->high += bound;
		if (bound)
			row->flags &= ~DMP_ENTRY_EXACT;
		return;
	}
	row->weight += share.weight;
	row->low += share.low;
	row->high += share.high;
	row->hits += share.hits;
	row->flags &= share.flags;
	if (!row->len && share.len) {
		unsigned int i;

		row->len = share.len;
		for (i = 0; i < DMP_INSN_MAX; i++)
			row->bytes[i] = share.bytes[i];
	}
}

/* Put @row in its place; a full array drops its lightest. */
static void insert_row(struct dmp_monitor_top *top,
		       const struct dmp_monitor_row *row)
{
	unsigned int i;

	/* A key that moved while it was read may come twice. */
	for (i = 0; i < top->used; i++)
		if (is_same_key(&top->row[i].key, &row->key))
			return;
	if (top->used < top->cap)
		top->used++;
	else if (!top->cap || top->row[top->cap - 1].weight >= row->weight)
		return;
	for (i = top->used - 1; i && top->row[i - 1].weight < row->weight; i--)
		top->row[i] = top->row[i - 1];
	top->row[i] = *row;
}

/* Was the key met in a table added before this one? */
static bool is_listed_before(const struct dmp_monitor_top *top,
			     unsigned int index, const struct dmp_exit_key *key)
{
	struct dmp_monitor_row row;
	unsigned int i;
	u64 bound;

	for (i = 0; i < index; i++)
		if (top->table[i] &&
		    dmp_monitor_find(top->table[i], key, &row, &bound) == DMP_READ_ROW)
			return true;
	return false;
}

void dmp_monitor_top_add(struct dmp_monitor_top *top, unsigned int index)
{
	const struct dmp_monitor *m = top->table[index];
	struct dmp_monitor_row row;
	unsigned int slot, i;

	for (slot = 0; m && slot < dmp_monitor_slots(m); slot++) {
		if (dmp_monitor_read(m, slot, &row) != DMP_READ_ROW ||
		    is_listed_before(top, index, &row.key))
			continue;
		for (i = 0; i < top->tables; i++)
			if (i != index && top->table[i])
				add_share(&row, top->table[i]);
		insert_row(top, &row);
	}
}
