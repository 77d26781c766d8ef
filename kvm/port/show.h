/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the files of a VM in debugfs say; tools/README.md says how they read.
 */
#ifndef KVM_DMP_SHOW_H
#define KVM_DMP_SHOW_H

#include <linux/seq_file.h>

/* For seq_file: @s->private is the VM's struct kvm, held. May sleep. */
int kvm_dmp_show_status(struct seq_file *s, void *v);
int kvm_dmp_show_hot(struct seq_file *s, void *v);
int kvm_dmp_show_sites(struct seq_file *s, void *v);
int kvm_dmp_show_code(struct seq_file *s, void *v);

#endif /* KVM_DMP_SHOW_H */
