#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# run_completion.sh IPVSADM: the words that bash offers, and that the tool knows all of them.
set -eu
cd "$(dirname "$0")/.."
# shellcheck source=/dev/null
. ./ipvsadm.bash-completion
tool=$1
bad=0

# shellcheck disable=SC2317 # called by the completion
# In place of the tool: what rules are in force
ipvsadm() {
	printf '%s\n' '-A -t 10.9.0.1:80 -s rr --fullnat' '-P -t 10.9.0.1:80 -z 10.9.1.1' \
		'-a -t 10.9.0.1:80 -r 10.9.2.1:80 -b -w 1' '-E --vips 10.9.0.0/24 --fullnat'
}

# offers WORDS... = EXPECTED...
offers() {
	local expected
	COMP_WORDS=(ipvsadm)
	while [ "$1" != = ]; do COMP_WORDS+=("$1"); shift; done
	shift
	expected=$*
	COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
	_ipvsadm
	[ "${COMPREPLY[*]}" = "$expected" ] && return
	echo "not ok completion of '${COMP_WORDS[*]}': '${COMPREPLY[*]}', not '$expected'"
	bad=1
}

offers --k = --kill
offers -P -t '' = 10.9.0.1:80
offers -G --vips '' = 10.9.0.0/24
offers -Q -t 10.9.0.1:80 -z '' = 10.9.1.1
offers --kill -r 10.9.2 = 10.9.2.1:80
offers -A -t 10.9.0.1:80 -s f = fo fullnat
offers -E -t 10.9.0.1:80 --t = --toa --timestamps
offers -E -t 10.9.0.1:80 --toa 25 = 253 254
offers -Lc --c = --client
offers -S '' = -n
offers -Q -t 10.9.0.1:80 -F '' =

# An option that the tool does not know is "unknown option" for popt
while read -r option; do
	if "$tool" -D "$option" 2>&1 </dev/null | grep -q 'unknown option'; then
		echo "not ok completion: ipvsadm has no $option"
		bad=1
	fi
done < <(grep -o -- '--[a-z][a-z-]*' ipvsadm.bash-completion | sort -u)
[ "$bad" = 0 ] && echo "ok completion"
exit "$bad"
