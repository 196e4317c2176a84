#!/usr/bin/env bash
# A gate that takes very long (it waits for a file) beside another connector that publishes
# many times to the same target: the long one gets through, and its gate runs once.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
.ci/deps.sh quickstart
kafka_start
export TIDEMARK_LAKE=$dir/lake
publisher=''
trap '[ -z "$publisher" ] || kill "$publisher" || true; end' EXIT

make_config() { # make_config NAME
	grep -v '^publish\|^bootstrap\|^lake.url\|^name=' config/flights.properties
	printf '%s\n' "name=$1" "path.prefix=$1" "bootstrap.servers=$servers" "lake.url=$TIDEMARK_LAKE"
}
make_config slow >"$dir/slow.properties"
cat >>"$dir/slow.properties" <<END
gates=patient
gates.patient.type=command
gates.patient.command=echo ran >>$dir/runs; until [ -e $dir/go ]; do sleep 0.05; done; \\
	tidemark --lake "\$TIDEMARK_LAKE" ls "\$TIDEMARK_REF:slow/" >/dev/null
END
make_config quick >"$dir/quick.properties"

quiet() { tidemark "$@" >"$dir/said" 2>&1 </dev/null 5>&- 6<&- || {
	local code=$?
	cat "$dir/said"
	echo "tidemark $*: exit code $code"
	return 1
}; }
files() { tidemark ls -r "$1" 5>&- 6<&- | awk '{ print $NF }'; }

it_gets_through() {
	local i
	send good 0 2000
	quiet run "$dir/slow.properties" --until-latest && quiet run "$dir/quick.properties" --until-latest || return
	tidemark publish slow >"$dir/slow.said" 2>&1 </dev/null 5>&- 6<&- &
	publisher=$!
	until [ -e "$dir/runs" ]; do
		kill -0 "$publisher" || return
		sleep 0.05
	done
	for ((i = 0; i < 10; i++)); do
		# each moves the target, to and fro, while the gate has the lake
		quiet publish quick && quiet rollback quick --to ingest-quick~1 --target-only --yes || return
	done
	quiet publish quick && kill -0 "$publisher" && touch "$dir/go" || return
	wait "$publisher" || {
		cat "$dir/slow.said"
		return 1
	}
	publisher=''
	[ "$(wc -l <"$dir/runs")" = 1 ] && grep -q '^published' "$dir/slow.said"
}
both_are_shown() {
	local name
	for name in slow quick; do
		files "ingest-$name:$name/" >"$dir/wanted"
		[ -s "$dir/wanted" ] && files "main:$name/" | cmp - "$dir/wanted" || return
	done
	quiet fsck
}

for name in it_gets_through both_are_shown; do
	if "$name"; then ok "$name"; else bad "$name"; fi
done
[ "$failures" = 0 ]
