# Rollback, undo, and forward again, on a stream that goes on.
# shellcheck shell=bash source=tests/servers/lib.sh
. "$(dirname "$0")/lib.sh"

epoch_is() { [ "$(lake --json show "ingest-$1" | jq -r '.metadata["tidemark.epoch"]')" = "$2" ]; }

# Path, offsets and digest of each data file of ingest.
remember() { oracle "${1#ingest-}" "$1" --list; }

# Files that cover equal offsets are equal, however often they were read anew.
equal_offsets_equal_files() {
	awk 'NF != 3 { exit 1 }' "$@" || die "not path, offsets and digest"
	sort -u "$@" | awk '{ k = $1 " " $2; if (k in seen && seen[k] != $3) { print k; bad = 1 } seen[k] = $3 } END { exit bad }' ||
		die "files of equal offsets differ"
}

# A publish that comes between plan and move is a conflict (4): again.
roll_back() { lake --json rollback "$1" --to "$2" --mode "$3" >"$4" 2>err.txt; }

# To each of twenty checkpoints and on, while producing goes on.
to_each() {
	local mode=$1 name=r-$1 n=0 target epoch=0 p
	topic "$name" 3
	config "$name" "$name" checkpoint.records=400 checkpoint.interval.ms=10000 publish.checkpoints=2
	produce "$name" 3 --records 9000
	until_latest "$name"
	spawn produce.log "$TOOLS/oracle_produce" --bootstrap "$KAFKA" --topic "$name" --partitions 3 \
		--log "$PWD/more.acks" --rate 300 --seconds 600 --seed 2
	local producer=$SPAWNED
	cat "$name.acks" >more.acks
	checkpoints "$name" | head -n 21 | tail -n 20 >targets
	same "$(wc -l <targets)" 20 checkpoints
	remember "ingest-$name" >seen.0
	start "$name" --set checkpoint.interval.ms=300
	while read -r target; do
		n=$((n + 1))
		files "$target" >want
		wait_until 10 roll_back "$name" "$target" "$mode" "result.$n" || die "$(cat err.txt)"
		epoch=$((epoch + 1))
		# the commit of the rollback itself, whatever was committed since
		files "$(jq -r .ingest result.$n)" >got
		cmp want got || die "ingest after rollback $n is not the checkpoint"
		# the target shows nothing that the checkpoint has not
		files "$(jq -r .target result.$n)" >shown
		[ -z "$(comm -13 <(sort want) <(sort shown))" ] || die "main shows more than the checkpoint"
		wait_until 20 moved_on "$name" "$(jq -r .ingest result.$n)" || die "nothing came after rollback $n"
		remember "ingest-$name" >seen.$n
	done <targets
	kill -TERM "$producer"
	wait "$producer"
	wait_committed "$name" "$(ends "$name" 3)"
	finish
	oracle "$name" "ingest-$name" more.acks
	publish_all "$name"
	oracle "$name" main more.acks
	equal_offsets_equal_files seen.*
	epoch_is "$name" 20 || die "epoch is not 20"
}

moved_on() { [ "$(head_of "ingest-$1")" != "$2" ]; }

publish_all() { lake publish "$1" >>publish.out 2>&1 || die "publish: $(tail -n 1 publish.out)"; }

three_checkpoints() {
	local name=$1 i
	topic "$name" 2
	config "$name" "$name"
	for i in 1 2 3; do
		produce "$name" 2 --records 500 --seed $i
		until_latest "$name"
	done
	publish_all "$name"
}

undo_and_again() {
	local name=undo
	three_checkpoints $name
	files ingest-$name >before
	files main >main_before
	lake rollback $name --to "$(checkpoints $name | tail -n 3 | head -n 1)" --yes
	oracle $name ingest-$name $name.acks --partial
	lake rollback $name --undo --yes
	files ingest-$name >after
	files main >main_after
	cmp before after
	cmp main_before main_after
	oracle $name main $name.acks
	# undo of the undo, then forward
	lake rollback $name --undo --yes
	until_latest $name
	publish_all $name
	oracle $name main $name.acks
}

# What is read anew over the range of an earlier checkpoint gives its very files.
same_files() {
	local name=same codec
	topic $name 3
	for codec in snappy zstandard; do
		avro_config $name-$codec $name "avro.codec=$codec"
		sed -i "s|^lake.url=.*|lake.url=$PWD/lake-$codec|" $name-$codec.properties
	done
	for i in 1 2; do
		produce $name 3 --records 3000 --seed $i --format avro --registry "$REGISTRY" --mixed-schemas --tombstones 2
		for codec in snappy zstandard; do until_latest $name-$codec; done
	done
	for codec in snappy zstandard; do
		rm -rf lake && mv lake-$codec lake
		sed -i "s|^lake.url=.*|lake.url=$PWD/lake|" $name-$codec.properties
		oracle $name-$codec ingest-$name-$codec --list >before
		lake rollback $name-$codec --to ingest-$name-$codec~1 --yes
		oracle $name-$codec ingest-$name-$codec --list >back
		[ "$(wc -l <back)" -lt "$(wc -l <before)" ] || die "nothing was undone"
		until_latest $name-$codec
		oracle $name-$codec ingest-$name-$codec --list >after
		cmp before after
		oracle $name-$codec ingest-$name-$codec $name.acks
	done
}

# Forward again after a rollback shows everything, also what had been shown before.
forward_again() {
	local name=forward
	three_checkpoints $name
	lake rollback $name --to "$(checkpoints $name | tail -n 2 | head -n 1)" --yes
	until_latest $name
	publish_all $name
	oracle $name ingest-$name $name.acks
	oracle $name main $name.acks
	produce $name 2 --records 300
	until_latest $name
	publish_all $name
	oracle $name main $name.acks
}

# Trap 1: main is reverted and the replay lands on top of the bad commits.
trap_replay_on_bad() {
	local name=trap1 good
	three_checkpoints $name
	good=$(checkpoints $name | tail -n 3 | head -n 1)
	lake rollback $name --to "$good" --yes
	[ "$(lake --json ls "ingest-$name:topics/" -r | wc -l)" = "$(lake --json ls "$good:topics/" -r | wc -l)" ] ||
		die "ingest still holds what was undone"
	until_latest $name
	publish_all $name
	oracle $name main $name.acks
}

# Trap 2: main alone is reset; it is found, and bad data do not come back unseen.
trap_reset_alone() {
	local name=trap2 good
	three_checkpoints $name
	good=$(checkpoints $name | tail -n 2 | head -n 1)
	expect 1 lake reset main --to main~1
	says err.txt rollback
	lake rollback $name --to "$good" --mode reset --yes
	# what follows is skipped: it must never come back
	lake rollback $name --to "$good" --skip-to "$name:0:latest" --skip-to "$name:1:latest" --yes
	produce $name 2 --records 200
	until_latest $name
	publish_all $name
	oracle $name main $name.acks >counts
	says counts 'lost=1000 '
}

# Trap 3: publications again and again, with rollbacks between, from one branch.
trap_merge_base() {
	local name=trap3 i
	three_checkpoints $name
	for i in 1 2 3; do
		lake rollback $name --to "ingest-$name~1" --yes
		produce $name 2 --records 200 --seed 1$i
		until_latest $name
		publish_all $name
		oracle $name main $name.acks
	done
}

by_offset_and_time() {
	local name=by target
	three_checkpoints $name
	target=$(checkpoints $name | tail -n 3 | head -n 1)
	lake --json rollback $name --to "$name:0:$(lake --json show "$target" |
		jq -r '.metadata["tidemark.offsets"]' | jq ".\"$name\".\"0\"")" --dry-run >plan
	same "$(jq -r .to plan)" "$target"
	lake --json rollback $name --to "$(lake --json show "$target" | jq -r .time)" --dry-run >plan
	same "$(jq -r .to plan)" "$target"
	before=$(head_of main)$(head_of ingest-$name)
	lake rollback $name --to "$target" --dry-run >plan.txt
	same "$(head_of main)$(head_of ingest-$name)" "$before" 'after --dry-run'
	expect 2 lake rollback $name --to main~0 --to nonsense:0:5 --mode sideways
	expect 5 lake rollback $name --to nosuchref
}

# Partitions that came since are read again from their beginning.
grown_since() {
	local name=grown target
	topic $name 2
	config $name $name consumer.override.topic.metadata.refresh.interval.ms=1000
	produce $name 2 --records 500
	until_latest $name
	publish_all $name
	target=$(head_of ingest-$name)
	start $name
	topic_tool grow $name 4
	wait_until 10 topic_tool bounds $name 3
	produce $name 4 --records 1000 --seed 2
	wait_committed $name 1500 40
	publish_all $name
	lake rollback $name --to "$target" --yes >plan.txt
	says plan.txt "replay $name:3 [0,"
	wait_committed $name 1500 40
	finish
	publish_all $name
	oracle $name ingest-$name $name.acks
	oracle $name main $name.acks
	epoch_is $name 1
}

changed_by_hand() {
	local name=hand path
	three_checkpoints $name
	path=$(lake --json ls main:topics/ -r | jq -rs '.[0].path')
	lake branch fix main
	lake rm "fix:$path"
	lake commit fix -m "by hand"
	lake merge fix main
	produce $name 2 --records 100
	until_latest $name
	expect 3 lake publish $name
	says err.txt 'changed by hand'
	lake rollback $name --to "ingest-$name" --yes
	publish_all $name
	oracle $name main $name.acks
}

t 'to each of 20 checkpoints and on, mode revert' to_each revert
t 'to each of 20 checkpoints and on, mode reset' to_each reset
t 'what is replayed over an equal range gives equal files' same_files
t 'undo, and undo of the undo' undo_and_again
t 'forward again after a rollback shows everything' forward_again
t 'trap 1: the replay does not land on the bad commits' trap_replay_on_bad
t 'trap 2: what was undone or skipped does not come back' trap_reset_alone
t 'trap 3: the merge base moves on' trap_merge_base
t 'to an offset, a time; --dry-run moves nothing' by_offset_and_time
t 'partitions that came since are read again from their beginning' grown_since
t 'a change of main by hand is found' changed_by_hand
