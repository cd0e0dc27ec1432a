# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0
#
# What the lab's shell scripts share. Source it; it defines functions and the
# three paths TOP (the repository), LAB (this directory) and BUILD (everything
# that is made goes there, default TOP/build).

LAB=$(cd "$(dirname "$(readlink -f "$0")")" && pwd)
TOP=$(dirname "$LAB")
BUILD=${BUILD:-$TOP/build}
mkdir -p "$BUILD"
BUILD=$(cd "$BUILD" && pwd)
CACHE=$BUILD/cache

die() {
	echo "${0##*/}: $*" >&2
	exit 1
}

say() {
	echo "${0##*/}: $*" >&2
}

is_root() {
	[ "$(id -u)" -eq 0 ]
}

# as_root CMD...: runs it as root, or fails without asking for a password
as_root() {
	if is_root; then
		"$@"
	elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
		sudo -n "$@"
	else
		return 1
	fi
}

# with_lock NAME CMD...: runs CMD while no other process holds the lock NAME
with_lock() {
	mkdir -p "$BUILD/lock"
	with_lock_name=$1
	shift
	(
		flock 9 || exit 1
		"$@" 9>&-
	) 9>"$BUILD/lock/$with_lock_name"
}

# apt_lists: the package lists are there, fetched once if they are not
apt_lists() {
	[ -n "$(apt-cache pkgnames linux-image-6.1.0- 2>/dev/null | head -n 1)" ] && return 0
	[ -e "$BUILD/.apt-updated" ] && return 0
	say "no package lists yet: apt-get update"
	as_root apt-get update -qq >&2 ||
		die "no package lists: run 'apt-get update' as root"
	touch "$BUILD/.apt-updated"
}

# deb_fetch PACKAGE...: downloads the newest packages; prints the path of each
deb_fetch() {
	mkdir -p "$CACHE"
	for deb_fetch_pkg in "$@"; do
		deb_fetch_one "$deb_fetch_pkg" || return 1
	done
}

deb_fetch_one() {
	# 'URI' FILE SIZE HASH
	deb_file=$(deb_file_name "$1")
	if [ -z "$deb_file" ]; then
		# lists may be there, but older than the archive
		deb_file=$(as_root apt-get update -qq >&2; deb_file_name "$1")
	fi
	[ -n "$deb_file" ] || die "the archive does not offer $1"
	if [ ! -s "$CACHE/$deb_file" ]; then
		say "downloading $deb_file"
		deb_download "$1" || {
			as_root apt-get update -qq >&2
			deb_file=$(deb_file_name "$1")
			deb_download "$1"
		} || die "cannot download $1"
	fi
	echo "$CACHE/$deb_file"
}

deb_file_name() {
	apt-get download --print-uris "$1" 2>/dev/null | awk 'NR == 1 { print $2 }'
}

deb_download() {
	deb_tmp=$(mktemp -d "$CACHE/.dl.XXXXXX") || return 1
	deb_sandbox=
	is_root && deb_sandbox='-oAPT::Sandbox::User=root'
	# shellcheck disable=SC2086 # empty or one word
	if (cd "$deb_tmp" && apt-get download -qq $deb_sandbox "$1" >&2); then
		mv "$deb_tmp"/*.deb "$CACHE/"
		rmdir "$deb_tmp"
	else
		rm -rf "$deb_tmp"
		return 1
	fi
}
