# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# Which of Debian's kernels to build against and to boot. Sourced by setup.sh.
#
# The build needs the source, the headers and the image of one version. The
# archive keeps several versions of each, and they do not come at one time: a
# signed image follows its source by days.

# The archive's versions, a line each: PACKAGE VERSION. The image of a version is
# the signed one or, where there is none yet, the one that is waiting for its
# signature: the same kernel.
kernel_versions() {
	local names
	names=$(apt-cache pkgnames linux- | grep -E \
		'^linux-(image|headers)-6\.1\.[0-9]+-[0-9]+-amd64(-unsigned)?$') || true
	# shellcheck disable=SC2086 # names are words
	apt-cache madison linux-source-6.1 $names 2>/dev/null |
		awk -F ' *[|] *' '$3 ~ / Packages$/ { sub(/^ +/, "", $1); print $1, $2 }' | sort -u
}

# Of such lines the newest version that is complete: RELEASE VERSION IMAGE, or
# nothing.
newest_complete() {
	awk '
	{ has[$1, $2] = 1 }
	$1 ~ /^linux-headers-/ { release[$2] = substr($1, 15) }
	END {
		for (v in release) {
			image = "linux-image-" release[v]
			if (!((image, v) in has))
				image = image "-unsigned"
			if (((image, v) in has) && (("linux-source-6.1", v) in has))
				print v, release[v], image
		}
	}' | sort -rV -k 1,1 | awk 'NR == 1 { print $2, $1, $3 }'
}

# What there is instead, in words.
newest_of_each() {
	sort -k 2,2rV | awk '
	NF { kind = $1; sub(/-6\.1.*/, "", kind); sub(/^linux-/, "", kind) }
	NF && !seen[kind]++ { printf "%s%s %s", n++ ? ", " : "", kind, $2 }
	END { if (!n) print "nothing" }'
}

has_version() { [ "$(dpkg-query -W -f '${Version}' "$1" 2>/dev/null)" = "$2" ]; }

# What an earlier run chose is here and whole.
kernel_is_ready() {
	local f release version
	for f in release version vmlinuz config; do
		[ -s "$KERNEL/$f" ] || return 1
	done
	release=$(<"$KERNEL/release") version=$(<"$KERNEL/version")
	[ -d "$KERNEL/lib/modules/$release" ] &&
		is_installed linux-source-6.1 && has_version linux-source-6.1 "$version" &&
		is_installed "linux-headers-$release" && has_version "linux-headers-$release" "$version"
}

# Downloads and unpacks; what stands under its name is whole.
unpack_image() {
	local image=$1 release=$2 version=$3 tmp
	tmp=$(mktemp -d "$BUILD/kernel.XXXXXX")
	{
		(cd "$tmp" && apt-get -qq download "$image=$version") &&
			dpkg -x "$tmp"/linux-image-*.deb "$tmp/root" &&
			depmod -b "$tmp/root" "$release" &&
			mkdir "$tmp/new" &&
			mv "$tmp/root/boot/vmlinuz-$release" "$tmp/new/vmlinuz" &&
			mv "$tmp/root/boot/config-$release" "$tmp/new/config" &&
			mv "$tmp/root/lib" "$tmp/new/lib"
	} >>"$BUILD/setup.log" 2>&1 || {
		rm -rf "$tmp"
		return 1
	}
	echo "$version" >"$tmp/new/version"
	echo "$release" >"$tmp/new/release"
	rm -rf "$KERNEL"
	mv "$tmp/new" "$KERNEL"
	rm -rf "$tmp"
}

# The newest complete version of today's lists; says why not in the caller's
# `why`. Going back to an older source than is installed is a downgrade, which
# apt has to be allowed.
get_kernel() {
	local versions release version image
	versions=$(kernel_versions)
	read -r release version image < <(newest_complete <<<"$versions") || {
		why="Debian offers no 6.1 kernel whose source, headers and image are of one version (newest: $(newest_of_each <<<"$versions")); see apt-cache policy linux-source-6.1"
		return 1
	}
	note "kernel $release ($version, $image)"
	why="cannot install linux-source-6.1 and linux-headers-$release $version, see $BUILD/setup.log"
	apt_quiet install -y --no-install-recommends --allow-downgrades \
		"linux-source-6.1=$version" "linux-headers-$release=$version" || return 1
	why="cannot download $image $version, see $BUILD/setup.log"
	unpack_image "$image" "$release" "$version"
}

# Old lists name what the archive no longer has, so there is a second try with
# new ones.
install_kernel() {
	local why
	! kernel_is_ready || return 0
	refresh_lists
	! get_kernel || return 0
	[ -z "$lists_read" ] || fail "$why"
	read_lists
	get_kernel || fail "$why"
}
