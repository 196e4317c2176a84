#!/usr/bin/env bash
# A connector whose disk fills up while it runs: it stops before the disk is
# full, its log, status and exit code say why, commands still read; when there
# is room it goes on, and every record is on main once.
#
# The disk is a tmpfs in a mount namespace of the script's own.
if [ -z "${TIDEMARK_SMALL_DISK-}" ]; then
	for flags in -m -Urm; do
		if unshare "$flags" mount -t tmpfs none /mnt 2>/dev/null; then
			TIDEMARK_SMALL_DISK=1 exec unshare "$flags" bash "$0"
		fi
	done
	echo 'skipped: this process may not mount a small disk'
	exit 0
fi
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
.ci/deps.sh quickstart
mkdir "$dir/disk"
trap 'umount -l "$dir/disk"; end' EXIT
mount -t tmpfs -o size=128m none "$dir/disk"
kafka_start
export TIDEMARK_LAKE=$dir/disk/lake
free_kib() { df --output=avail "$dir/disk" | tail -1 | tr -d ' '; }
run() {
	timeout 60 tidemark run config/flights.properties --set "lake.url=$TIDEMARK_LAKE" \
		--set "bootstrap.servers=$servers" --set checkpoint.interval.ms=200 "$@" 5>&- 6<&-
}
expect() {
	local name=$1
	shift
	if "$@"; then ok "$name"; else
		cat "$dir/log"
		bad "$name"
	fi
}

send good 0 1000
run --until-latest 2>"$dir/log"
tidemark branch dev
run 2>"$dir/log" &
running=$!
until tidemark status flights 2>/dev/null | grep -q RUNNING; do sleep 0.1; done
fallocate -l $(($(free_kib) - 40 * 1024))KiB "$dir/disk/filler"
send good 1000 2000
code=0
wait "$running" || code=$?
expect 'it stops with exit code 1' [ "$code" = 1 ]
expect 'the log says why' grep -q 'stopped.*status=no_space.*in reserve.*tidemark gc' "$dir/log"
expect 'the disk is not full' [ "$(free_kib)" -gt $((32 * 1024)) ]
tidemark status flights >"$dir/log"
expect 'status says why' grep -q 'failed .*in reserve' "$dir/log"
expect 'status says FAILED' grep -q '^flights  FAILED' "$dir/log"
tidemark log main >"$dir/log" && tidemark ls -r main >>"$dir/log"
expect 'reading goes on' grep -q 'topics/flights/' "$dir/log"
tidemark fsck >"$dir/log" 2>&1
expect 'nothing is damaged' [ $? = 0 ]
code=0
echo x | tidemark put dev:x - >"$dir/log" 2>&1 || code=$?
expect 'a command that writes says why' grep -q 'in reserve' "$dir/log"
expect 'and fails' [ "$code" = 1 ]
expect 'gc runs' tidemark --json gc
rm "$dir/disk/filler"
run --until-latest 2>"$dir/log"
rows=$(tidemark ls -r main | grep -c 'topics/flights/')
expect 'it goes on' [ "$rows" -ge 2 ]
tidemark export main "$dir/exported" >"$dir/log"
sum=$(cat "$dir"/exported/topics/flights/*/* | wc -l)
expect "every record once ($sum)" [ "$sum" = 2000 ]
tidemark status flights >"$dir/log"
expect 'no failure is left' grep -qv FAILED "$dir/log"
[ "$failures" -eq 0 ]
