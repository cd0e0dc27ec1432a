# shellcheck shell=sh
# shellcheck disable=SC2154 # fragment, flavour, recipe and how_long are set where it is sourced
# SPDX-License-Identifier: GPL-2.0
#
# Kernels of our own from Debian's linux-source-6.1: what lab/debug-kernel and
# lab/native-kernel share. Source it after lib.sh, with "fragment" (the file of
# settings), "flavour" (the word in the release), "recipe" and "how_long" set, and
# a function prepare_source, which changes what must be changed in the source's tree.

package=linux-source-6.1

# the source's package, from the archive, else the newest that is here
source_file() {
	file=$(deb_file_name "$package")
	[ -n "$file" ] || file=$(find "$CACHE" -name "${package}_*.deb" -printf '%f\n' 2>/dev/null |
		sort -V | tail -n 1)
	[ -n "$file" ] || file=$(basename "$(deb_fetch "$package")")
	echo "$file"
}

settings() {
	grep -v -e '^#' -e '^$' "$fragment"
}

key() {
	(echo "recipe $recipe"; echo "$1"; settings) | sha256sum | cut -c 1-8
}

# the source's version and a hash of what the kernel is made of
built_release() {
	file=$(source_file)
	[ -n "$file" ] || exit 1
	echo "$file" | sed -E "s/^${package}_([0-9.]+)-.*/\1-$flavour-$(key "$file")/"
}

# unpack_source DIR: all but what is big and never built here
unpack_source() {
	deb=$(deb_fetch "$package")
	[ "$(cat "$1/.package" 2>/dev/null)" != "${deb##*/}" ] || return 0
	rm -rf "$1" "$1.tmp"
	mkdir -p "$1.tmp"
	say "unpacking $package"
	dpkg-deb --fsys-tarfile "$deb" | tar -xO "./usr/src/$package.tar.xz" | xz -dc -T0 |
		tar -x -C "$1.tmp" --strip-components=1 \
			--exclude='*/drivers/gpu/*.[ch]' --exclude='*/Documentation/*.rst'
	echo "${deb##*/}" >"$1.tmp/.package"
	mv "$1.tmp" "$1"
}

# Each line of the fragment took effect, or something would be missing silently
check_config() {
	settings | while IFS='=' read -r name value; do
		case $value in
		n) ! grep -q "^$name=" "$1" ;;
		*) grep -qxF "$name=$value" "$1" ;;
		esac || echo "$name=$value"
	done >"$1.missing"
	[ ! -s "$1.missing" ] || die "not in the configuration: $(tr '\n' ' ' <"$1.missing")"
}

# kernel_make SOURCE TREE ARG...
kernel_make() {
	kernel_source=$1
	kernel_tree=$2
	shift 2
	make -s -C "$kernel_source" O="$kernel_tree" CC=gcc-12 KBUILD_BUILD_USER=lab \
		KBUILD_BUILD_HOST=lab "$@" >&2 || die "make $* failed"
}

# build_kernel DIR REL IMAGE MAKE-ARG...: IMAGE is the target and, below DIR/tree, its file
build_kernel() {
	[ ! -e "$1/image/.done" ] || return 0
	out=$1
	rel=$2
	kernel_file=$3
	shift 3
	source=$BUILD/$package
	unpack_source "$source"
	prepare_source "$source"
	tree=$out/tree
	mkdir -p "$tree"
	kernel_make "$source" "$tree" KCONFIG_ALLCONFIG="$fragment" "$@" allnoconfig
	check_config "$tree/.config"
	say "building $rel: $how_long"
	set -- "LOCALVERSION=-$flavour-${rel##*-}" "$@"
	kernel_make "$source" "$tree" "$@" -j"$(nproc)" "${kernel_file##*/}" modules
	rm -rf "$out/image"
	kernel_make "$source" "$tree" INSTALL_MOD_PATH="$out/image" INSTALL_MOD_STRIP=1 "$@" \
		modules_install
	rm -f "$out/image/lib/modules/$rel/build" "$out/image/lib/modules/$rel/source"
	mkdir -p "$out/image/boot"
	cp "$tree/$kernel_file" "$out/image/boot/vmlinuz-$rel"
	cp "$tree/.config" "$out/image/boot/config-$rel"
	touch "$out/image/.done"
}

# kernel_command WORD IMAGE MAKE-ARG...: what these scripts are called for
kernel_command() {
	word=$1
	shift
	case $word in
	release)
		built_release
		;;
	image | headers)
		rel=$(built_release)
		with_lock own-kernel build_kernel "$BUILD/$rel" "$rel" "$@"
		case $word in
		image) echo "$BUILD/$rel/image" ;;
		headers) echo "$BUILD/$rel/tree" ;;
		esac
		;;
	*)
		sed -n "/^#   $flavour-kernel/,/make -C/s/^# \{0,1\}//p" "$0" >&2
		exit 2
		;;
	esac
}
