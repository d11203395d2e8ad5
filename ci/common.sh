# Sourced by the scripts of this folder: where things are, and how a script speaks. Words for people go to stderr.
# shellcheck shell=bash disable=SC2034
set -euo pipefail
export LC_ALL=C.UTF-8

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache=${PODGRAFT_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/podgraft}
version=$(<"$root/VERSION")

say() { printf '%s\n' "$*" >&2; }

die() {
	say "${0##*/}: $*"
	exit 1
}

# Prints the comment at the top of the calling script, which is its help.
usage() { sed -n '2,/^[^#]/{s/^# \{0,1\}//p}' "$0"; }

# The mirror of this machine's own release, as its apt knows it, once its lists are there.
mirror() {
	# shellcheck disable=SC2016 # apt expands these
	apt-get indextargets --format '$(CODENAME) $(COMPONENT) $(REPO_URI)' 'Created-By: Packages' |
		awk '$1 == "bookworm" && $2 == "main" { print $3; exit }'
}

# quietly LOG LABEL COMMAND...: runs the command with its output in LOG. Says what it does when that takes more than a second,
# again each 10 s, and how long it took; on failure shows the end of the log and returns the command's status.
quietly() {
	local log=$1 label=$2 pid status=0 began=$SECONDS
	shift 2
	"$@" >"$log" 2>&1 </dev/null &
	pid=$!
	local waited=0
	while kill -0 "$pid" 2>/dev/null; do
		sleep 0.2
		waited=$((waited + 1))
		if ((waited == 5)); then
			say "$label ..."
		elif ((waited % 50 == 0)); then
			say "$label: $((SECONDS - began)) s so far"
		fi
	done
	wait "$pid" || status=$?
	if ((status != 0)); then
		say "$label: failed with status $status after $((SECONDS - began)) s; the end of its log:"
		tail -n 40 "$log" >&2
	elif ((waited >= 5)); then
		say "$label: done in $((SECONDS - began)) s"
	fi
	return "$status"
}
