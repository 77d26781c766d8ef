// SPDX-License-Identifier: GPL-2.0-only
/*
 * Per-VM files in KVM's debugfs directory, under dmp/: the files, and what is written to
 * them. The tool `dmp` is their user.
 */
#include <linux/debugfs.h>
#include <linux/module.h>
#include <linux/uaccess.h>

#include "charge.h"
#include "engage.h"
#include "life.h"
#include "mode.h"
#include "show.h"
#include "undo.h"

static int show_mode(struct seq_file *s, void *v)
{
	struct kvm *kvm = s->private;

	seq_printf(s, "%s\n", kvm_dmp_mode_name[READ_ONCE(kvm->arch.dmp->mode)]);
	return 0;
}

/* Reads one word of user space into @word. */
static int get_word(const char __user *buf, size_t count, char *word,
		    size_t size)
{
	if (count >= size)
		return -EINVAL;
	if (copy_from_user(word, buf, count))
		return -EFAULT;
	word[count] = '\0';
	return 0;
}

static struct kvm *file_kvm(struct file *file)
{
	return ((struct seq_file *)file->private_data)->private;
}

static ssize_t mode_write(struct file *file, const char __user *buf,
			  size_t count, loff_t *ppos)
{
	char word[16];
	int r, mode;

	r = get_word(buf, count, word, sizeof(word));
	if (r)
		return r;
	mode = sysfs_match_string(kvm_dmp_mode_name, word);
	if (mode < 0)
		return mode;
	r = kvm_dmp_set_mode(file_kvm(file), mode);
	return r ?: count;
}

static int show_ctl(struct seq_file *s, void *v)
{
	seq_puts(s, "reset engage disengage audit undo\n");
	return 0;
}

/* "0xRIP" or "all". */
static int undo(struct kvm *kvm, char *what)
{
	u64 rip;
	int r;

	what = strim(what);
	if (!strcmp(what, "all"))
		return kvm_dmp_undo(kvm, 0);
	r = kstrtou64(what, 0, &rip);
	if (r)
		return r;
	return rip ? kvm_dmp_undo(kvm, rip) : -ENOENT;
}

static ssize_t ctl_write(struct file *file, const char __user *buf,
			 size_t count, loff_t *ppos)
{
	char word[40];
	int r;

	r = get_word(buf, count, word, sizeof(word));
	if (r)
		return r;
	if (sysfs_streq(word, "reset"))
		r = kvm_dmp_reset(file_kvm(file));
	else if (sysfs_streq(word, "engage"))
		r = kvm_dmp_engage(file_kvm(file));
	else if (sysfs_streq(word, "disengage"))
		kvm_dmp_stand_down(file_kvm(file));
	else if (sysfs_streq(word, "audit"))
		r = kvm_dmp_audit(file_kvm(file));
	else if (str_has_prefix(word, "undo "))
		r = undo(file_kvm(file), word + strlen("undo "));
	else
		r = -EINVAL;
	return r ?: count;
}

/*
 * The file holds the VM: it stays while the file is open. And the module, whose
 * text runs still when release_vm() has put the VM.
 */
static int open_with_vm(struct inode *inode, struct file *file,
			int (*show)(struct seq_file *s, void *v))
{
	struct kvm *kvm = inode->i_private;
	int r;

	if (!kvm_get_kvm_safe(kvm))
		return -ENOENT;
	r = single_open(file, show, kvm);
	if (r)
		kvm_put_kvm(kvm);
	return r;
}

static int release_vm(struct inode *inode, struct file *file)
{
	struct kvm *kvm = inode->i_private;
	int r = single_release(inode, file);

	kvm_put_kvm(kvm);
	return r;
}

#define DMP_FILE(name, show_fn, write_fn)				\
static int name##_open(struct inode *inode, struct file *file)		\
{									\
	return open_with_vm(inode, file, show_fn);			\
}									\
static const struct file_operations name##_fops = {			\
	.owner		= THIS_MODULE,					\
	.open		= name##_open,					\
	.read		= seq_read,					\
	.write		= write_fn,					\
	.llseek		= seq_lseek,					\
	.release	= release_vm,					\
}

DMP_FILE(status, kvm_dmp_show_status, NULL);
DMP_FILE(hot, kvm_dmp_show_hot, NULL);
DMP_FILE(sites, kvm_dmp_show_sites, NULL);
DMP_FILE(code, kvm_dmp_show_code, NULL);
DMP_FILE(mode, show_mode, mode_write);
DMP_FILE(ctl, show_ctl, ctl_write);

void kvm_dmp_create_debugfs(struct kvm *kvm)
{
	struct dentry *dir = debugfs_create_dir("dmp", kvm->debugfs_dentry);

	debugfs_create_file("status", 0444, dir, kvm, &status_fops);
	debugfs_create_file("hot", 0444, dir, kvm, &hot_fops);
	debugfs_create_file("sites", 0444, dir, kvm, &sites_fops);
	debugfs_create_file("code", 0444, dir, kvm, &code_fops);
	debugfs_create_file("mode", 0644, dir, kvm, &mode_fops);
	debugfs_create_file("ctl", 0644, dir, kvm, &ctl_fops);
}
