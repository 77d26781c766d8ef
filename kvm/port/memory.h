/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The memory behind the guest: slots, pinned pages, what the host does to them.
 */
#ifndef KVM_DMP_MEMORY_H
#define KVM_DMP_MEMORY_H

#include "state.h"

/* Fill in mmu.slot[], .frames, .gfns, and have records for all; under slots_lock. */
enum dmp_reason kvm_dmp_gather_slots(struct kvm_dmp_engine *e);

/* Pin every frame's page, and note which it is. May sleep for long. */
enum dmp_reason kvm_dmp_pin_memory(struct kvm_dmp_engine *e);

/* What either of them has left is given back. */
void kvm_dmp_unpin_memory(struct kvm_dmp_engine *e);

/* Whether all that MMU notifiers saw left the pinned pages where they are. */
bool kvm_dmp_check_suspects(struct kvm_dmp_vm *vm);

#endif /* KVM_DMP_MEMORY_H */
