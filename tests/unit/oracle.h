/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the manuals say of paging, written as rows of data and apart from the
 * engine, so that one can be held against the other.
 */
#ifndef ORACLE_H
#define ORACLE_H

#include "arch/paging.h"

/* SDM vol. 3, tables 4-14 to 4-20; APM vol. 2, 5.3.3 to 5.3.5. */
bool oracle_rsvd(const struct dmp_paging *paging, u64 entry,
		 unsigned int level);

/* Whether a present entry maps memory. */
bool oracle_leaf(u64 entry, unsigned int level);

/* SDM vol. 3, 4.6.1, with CR0.WP set. */
bool oracle_allows(const struct dmp_paging *paging, bool rw, bool us, bool nx,
		   u32 access);

/* SDM vol. 3, 4.7. */
u32 oracle_error(const struct dmp_paging *paging, u32 access, bool present,
		 bool rsvd);

#endif /* ORACLE_H */
