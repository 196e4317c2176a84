#!/usr/bin/env bash
# Folders by field and by time, with fewer open files than folders: what a rollback
# takes back and a replay reads again lies at the same paths with the same
# checksums; find, fsck, gates, export and drop go on working.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
.ci/deps.sh quickstart
kafka_start
sent=0

# run CODE [ARGUMENT]...: $config to the end, with room for few open files
run() {
	local code=$1 got=0
	shift
	tidemark run "$config" --until-latest --set "bootstrap.servers=$servers" --set lake.url="$TIDEMARK_LAKE" \
		--set memory.max.bytes="$memory" --set gates=whole --set gates.whole.type=offsets \
		--set checkpoint.records=1000000 --set consumer.override.session.timeout.ms=2000 \
		--set consumer.override.heartbeat.interval.ms=500 "${settings[@]}" "$@" >"$dir/log" 2>&1 </dev/null 5>&- 6<&- || got=$?
	[ "$got" = "$code" ] || {
		cat "$dir/log"
		echo "$config: exit code $got, not $code"
		return 1
	}
}
files() { tidemark --json ls -r main | grep -v '"path":"_tidemark/'; }
head_of() { tidemark --json log "ingest-$name" -n 1 | sed 's/.*"id":"\([0-9a-f]*\)".*/\1/'; }

# The batch before, kept by the rollback; the batch that is taken back and read again.
replay() {
	send good $sent $((sent + 2000)) && sent=$((sent + 2000))
	run 0 || return
	kept=$(head_of)
	files >"$dir/kept"
	send good $sent $((sent + 2000)) && sent=$((sent + 2000))
	run 0 || return
	files >"$dir/all"
	[ "$(wc -l <"$dir/all")" -gt "$(($(wc -l <"$dir/kept") + 30))" ] || return
	tidemark rollback "$name" --to "$kept" --yes >"$dir/log" 2>&1 || return
	files | cmp - "$dir/kept" || return
	run 0 && files | diff - "$dir/all"
}
# Some folder has more files of one partition than there were checkpoints.
folders_took_turns() {
	sed 's/.*"path":"\([^"]*\)".*/\1/; s/[^/]*$//' "$dir/all" | sort | uniq -c | sort -rn |
		awk 'NR == 1 { most = $1 } END { exit !(most > 4) }'
}
# Rows stand in the order of the columns that were named, and not in that of their offsets.
sorted() {
	local path wrong=0
	[ "$name" = flights-sorted ] || return 0
	for path in $(sed 's/.*"path":"\([^"]*\)".*/\1/' "$dir/all"); do
		tidemark sql "SELECT origin, delay, _kafka.offset FROM \"main:$path\"" | tail -n +2 >"$dir/rows" || return
		LC_ALL=C sort -t, -k1,1 -k2,2n -k3,3n "$dir/rows" | cmp - "$dir/rows" || return
		LC_ALL=C sort -t, -k3,3n "$dir/rows" | cmp -s - "$dir/rows" || wrong=$((wrong + 1))
	done
	[ "$wrong" -gt 5 ]
}
# The file and row that find names hold the record.
finds() {
	local p offset path row
	for p in 0 1; do
		for offset in 0 7 500 1000 1500; do
			tidemark --json find "flights:$p:$offset" >"$dir/found" || return
			path=$(sed 's/.*"path":"\([^"]*\)".*/\1/' "$dir/found")
			row=$(sed 's/.*"row":\([0-9]*\).*/\1/' "$dir/found")
			record "$path" "$row" | grep -q "^$p $offset\$" || {
				cat "$dir/found"
				return 1
			}
		done
	done
}
# record PATH ROW: its partition and offset, by the row itself
record() {
	case $1 in
	*.jsonl)
		tidemark cat "main:$1" >"$dir/file"
		sed -n "$(($2 + 1))s/.*\"partition\":\([0-9]*\),\"offset\":\([0-9]*\).*/\1 \2/p" "$dir/file"
		;;
	*)
		tidemark sql "SELECT _kafka.partition || ' ' || _kafka.offset AS place FROM \"main:$1\" LIMIT 1 OFFSET $2" |
			tail -n +2
		;;
	esac
}
# Every record is there once, as SQL sees it.
is_asked() {
	tidemark sql "SELECT count(*), count(DISTINCT (_kafka.partition, _kafka.offset)) FROM flights" >"$dir/said" 2>"$dir/log" &&
		grep -q "^$sent,$sent$" "$dir/said" || {
		cat "$dir/said"
		return 1
	}
}
is_whole() {
	tidemark fsck >"$dir/log" 2>&1 || {
		cat "$dir/log"
		return 1
	}
}
exports() {
	rm -rf "$dir/plain"
	tidemark export main "$dir/plain" >/dev/null &&
		(cd "$dir/plain" && find . -type f ! -path './_tidemark/*' | sed 's|^\./||' | sort) |
		diff - <(sed 's/.*"path":"\([^"]*\)".*/\1/' "$dir/all" | sort)
}
drops() {
	tidemark drop "$name" "$(head_of)..$(head_of)" --yes >"$dir/log" 2>&1 && is_whole &&
		tidemark publish "$name" >"$dir/log" 2>&1 && files | cmp - "$dir/kept"
}

# A folder for nearly every record: what waits for a checkpoint is bounded, so they
# come although nothing else asks for them; and the dates' signs are safe in paths.
a_folder_a_record() {
	name=by-date config=config/flights-by-origin.properties TIDEMARK_LAKE=$dir/by-date memory='32 MiB'
	settings=(--set name=by-date --set path.prefix=by-date --set partition.field.name=date)
	run 0 || return
	[ "$(tidemark --json log ingest-by-date | grep -c '"tidemark.records":"[1-9]')" -gt 3 ] || return
	files >"$dir/all"
	grep -q '"path":"by-date/flights/date=2001%2F01%2F01%2000%3A47/flights+' "$dir/all" && is_asked && is_whole
}

for name in flights-by-origin flights-hourly flights-sorted; do
	config=config/${name/sorted/hourly}.properties
	TIDEMARK_LAKE=$dir/$name
	export TIDEMARK_LAKE
	settings=() memory='37 MiB'
	[ $name = flights-by-origin ] || {
		# by the distance, as if it were milliseconds
		settings=(--set "path.format='second'=ss" --set partition.duration.ms=1000
			--set timestamp.extractor=RecordField --set timestamp.field=distance)
		memory='256 MiB'
	}
	[ $name != flights-sorted ] || settings+=(--set name=flights-sorted --set "parquet.sort.columns=origin,delay")
	for t in replay folders_took_turns sorted finds is_whole is_asked exports drops; do
		if "$t"; then ok "$name $t"; else cat "$dir/log"; bad "$name $t"; fi
	done
done
if a_folder_a_record; then ok a_folder_a_record; else cat "$dir/log"; bad a_folder_a_record; fi
[ "$failures" -eq 0 ]
