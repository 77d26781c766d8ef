// SPDX-License-Identifier: GPL-2.0-only
/*
 * Paging by the manuals; see oracle.h.
 */
#include "oracle.h"

#define BIT(n)	(1ull << (n))

enum when { ALWAYS, LEAF, NO_NXE, NO_1G, ON_AMD };

/* Bits that must be zero in a present entry. */
static const struct must_be_zero {
	const char *levels;	/* digits: which levels */
	enum when when;
	int first, last;	/* first -1: the physical address width */
} must_be_zero[] = {
	{ "12345", ALWAYS, -1, 51 },
	{ "12345", NO_NXE, 63, 63 },
	{ "45", ALWAYS, 7, 7 },
	{ "45", ON_AMD, 8, 8 },
	{ "3", NO_1G, 7, 7 },
	{ "3", LEAF, 13, 29 },
	{ "2", LEAF, 13, 20 },
};

bool oracle_leaf(u64 entry, unsigned int level)
{
	if (level == 1)
		return true;
	if (level > 3)
		return false;
	return entry >> 7 & 1;
}

static bool applies(const struct dmp_paging *paging, enum when when, u64 entry,
		    unsigned int level)
{
	switch (when) {
	case ALWAYS:
		return true;
	case LEAF:
		return oracle_leaf(entry, level);
	case NO_NXE:
		return !(paging->flags & DMP_PAGING_NX);
	case NO_1G:
		return !(paging->flags & DMP_PAGING_GBPAGES);
	case ON_AMD:
		return paging->flags & DMP_PAGING_AMD;
	}
	return false;
}

bool oracle_rsvd(const struct dmp_paging *paging, u64 entry, unsigned int level)
{
	const struct must_be_zero *row;
	const char *digit;
	int bit;

	for (row = must_be_zero;
	     row < must_be_zero + DMP_ARRAY_SIZE(must_be_zero); row++) {
		for (digit = row->levels; *digit; digit++)
			if ((unsigned int)(*digit - '0') == level)
				break;
		if (!*digit || !applies(paging, row->when, entry, level))
			continue;
		bit = row->first < 0 ? paging->guest_phys_bits : row->first;
		for (; bit <= row->last; bit++)
			if (entry & BIT(bit))
				return true;
	}
	return false;
}

/* Accesses that are allowed; -1 where the column does not matter. */
static const struct allowed {
	char mode;		/* S, U */
	char type;		/* r, w, x */
	char page;		/* S, U */
	s8 rw, nx, smep, smap, ac;
} allowed[] = {
	{ 'S', 'r', 'S', -1, -1, -1, -1, -1 },
	{ 'S', 'r', 'U', -1, -1, -1,  0, -1 },
	{ 'S', 'r', 'U', -1, -1, -1,  1,  1 },
	{ 'S', 'w', 'S',  1, -1, -1, -1, -1 },
	{ 'S', 'w', 'U',  1, -1, -1,  0, -1 },
	{ 'S', 'w', 'U',  1, -1, -1,  1,  1 },
	{ 'S', 'x', 'S', -1,  0, -1, -1, -1 },
	{ 'S', 'x', 'U', -1,  0,  0, -1, -1 },
	{ 'U', 'r', 'U', -1, -1, -1, -1, -1 },
	{ 'U', 'w', 'U',  1, -1, -1, -1, -1 },
	{ 'U', 'x', 'U', -1,  0, -1, -1, -1 },
};

static bool fits(s8 column, bool value)
{
	return column < 0 || column == value;
}

bool oracle_allows(const struct dmp_paging *paging, bool rw, bool us, bool nx,
		   u32 access)
{
	char type = access & DMP_ACCESS_FETCH ? 'x' :
		    access & DMP_ACCESS_WRITE ? 'w' : 'r';
	char mode = access & DMP_ACCESS_USER ? 'U' : 'S';
	bool smep = paging->flags & DMP_PAGING_SMEP;
	bool smap = paging->flags & DMP_PAGING_SMAP;
	bool ac = access & DMP_ACCESS_AC;
	const struct allowed *row;

	for (row = allowed; row < allowed + DMP_ARRAY_SIZE(allowed); row++)
		if (row->mode == mode && row->type == type &&
		    row->page == (us ? 'U' : 'S') && fits(row->rw, rw) &&
		    fits(row->nx, nx) && fits(row->smep, smep) &&
		    fits(row->smap, smap) && fits(row->ac, ac))
			return true;
	return false;
}

u32 oracle_error(const struct dmp_paging *paging, u32 access, bool present,
		 bool rsvd)
{
	u32 code = 0;

	if (present || rsvd)
		code += 1;
	if (access & DMP_ACCESS_WRITE)
		code += 2;
	if (access & DMP_ACCESS_USER)
		code += 4;
	if (rsvd)
		code += 8;
	if (access & DMP_ACCESS_FETCH) {
		if (paging->flags & DMP_PAGING_NX)
			code += 16;
		else if (paging->flags & DMP_PAGING_SMEP)
			code += 16;
	}
	return code;
}
