/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Fixed-width types for the engine.
 *
 * The engine is freestanding: no libc and, with this one exception, no kernel
 * header. Inside kvm.ko the kernel's own integer types are used so that port
 * files may include engine headers; elsewhere the same types are made from
 * what the compiler defines.
 */
#ifndef DMP_TYPES_H
#define DMP_TYPES_H

#ifdef __KERNEL__
#include <linux/types.h>
#else
#include <stdbool.h>
#include <stddef.h>

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef signed char s8;
typedef short s16;
typedef int s32;
typedef long long s64;
#endif

#define DMP_ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

#endif /* DMP_TYPES_H */
