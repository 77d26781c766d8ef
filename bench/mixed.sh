#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# One pass of the shell workload: mixed.sh DIR appends to DIR/out what
# mixed.expected holds. Needs a POSIX shell and the usual small tools, no
# device files, nothing writable but DIR. It starts 24 processes, the number
# BENCH_SHELL_PROCS in bench.h: this shell is one, each command that is no
# builtin is one, and a subshell of builtins is one (counts at the line ends).
set -eu
cd "$1"
mkdir work				# 1 and the shell: 2
cd work

# Builtins and a redirection: no process.
i=0
while [ $i -lt 120 ]; do
	echo "$((i * 7919 % 1000)) line $i of the list"
	i=$((i + 1))
done >list

# Pipelines.
sort -n list | uniq | sed -n '1,5p' >first		# 3: 5
cut -d' ' -f1 <list | sort -r | tail -n 3 >last		# 3: 8
tr '[:lower:]' '[:upper:]' <list | grep -c 'LINE 1' >count		# 2: 10

# Command substitution.
sum=$(md5sum <list)			# 1: 11
lines=$(wc -l <list)			# 1: 12
steps=$(while [ $i -gt 0 ]; do i=$((i - 7)); echo $i; done)	# 1: 13
bytes=$(cat list first last | wc -c)	# 3, its subshell with it: 16

# Small file work.
for name in a b; do			# 2 each: 20
	cp list $name
	mv $name $name.moved
done
(echo "in a subshell"; echo "of builtins") >sub		# 1: 21
names=''
for name in *; do
	names="$names $name"
done

# $(( )) because some wc pad their numbers.
{
	echo "sum ${sum%% *} lines $((lines)) steps ${steps##*-} bytes $((bytes))"
	echo "names$names"
	cat first last count sub	# 1: 22
	grep -v 'line [0-8]' b.moved	# 1: 23
} >>../out
cd ..
rm -r work				# 1: 24
