# Parquet files, read back by libraries that are not ours and by the oracle.
# shellcheck shell=bash source=tests/servers/lib.sh
. "$(dirname "$0")/lib.sh"

python=$servers_cache/python-2/bin/python

# Random schemas and rows: what pyarrow reads of the Parquet files equals what
# fastavro reads of containers of the same rows.
pyarrow_reads() {
	mkdir pairs
	"$B/tests/tools/random_files" pairs 1 100
	"$python" "$here/compare_files.py" pairs
}

# options NAME [PRODUCE OPTION]... -- [KEY=VALUE]...: makes the topic pq-NAME; sets topic,
# produce_options and properties.
options() {
	topic=pq-$1 produce_options=()
	shift
	while [ "$1" != -- ]; do
		produce_options+=("$1")
		shift
	done
	properties=("${@:2}")
	topic "$topic" 4
}

# whole, with options: every acknowledged record once, on ingest and main, over several
# checkpoints.
whole() {
	local topic produce_options properties
	options "$@"
	produce "$topic" 4 --records 20000 "${produce_options[@]}"
	config "$topic" "$topic" checkpoint.records=4000 publish.checkpoints=2 format=parquet "${properties[@]}"
	until_latest "$topic"
	oracle "$topic" "ingest-$topic" "$topic.acks"
	oracle "$topic" main "$topic.acks"
}

of_registry=(value.converter=avro "value.converter.schema.registry.url=$REGISTRY")
codec() { whole "$1" --format avro --registry "$REGISTRY" --transactions 100 -- "${of_registry[@]}" "parquet.codec=$1"; }
mixed() {
	whole mixed --format avro --registry "$REGISTRY" --mixed-schemas --tombstones 3 --poison 2 -- \
		"${of_registry[@]}" errors.tolerance=all
}
json_text() { whole text -- value.converter=json; }

sorted() {
	whole sorted --format avro --registry "$REGISTRY" --mixed-schemas --tombstones 3 --transactions 100 -- \
		"${of_registry[@]}" "parquet.sort.columns=note,crc" "parquet.row.group.bytes=128 KiB"
}
# The records of one schema or another, text that is no JSON among them.
inferred() {
	whole inferred --tombstones 3 --poison 2 -- value.converter=json parquet.json.infer=true errors.tolerance=all \
		"parquet.row.group.bytes=128 KiB"
}

# killed, with options: SIGKILL while files are open, again and again: nothing lost,
# nothing doubled.
killed() {
	local topic produce_options properties
	options "$@"
	spawn produce.log "$TOOLS/oracle_produce" --bootstrap "$KAFKA" --topic "$topic" --partitions 4 \
		--log "$PWD/$topic.acks" --rate 4000 --seconds 3600 "${produce_options[@]}"
	local producer=$SPAWNED i
	config k "$topic" format=parquet checkpoint.interval.ms=100 publish.checkpoints=3 \
		parquet.row.group.rows=2048 "${properties[@]}"
	for i in 1 2 3 4 5 6; do
		start k
		sleep "1.$((i * 37 % 100))"
		kill -KILL "$PID"
		wait "$PID" 2>/dev/null || true
	done
	kill -TERM "$producer"
	wait "$producer"
	until_latest k
	oracle k ingest-k "$topic.acks"
	oracle k main "$topic.acks"
	same "$(find lake/tmp -type f | wc -l)" 0 'files in tmp'
}

# Three million flights, and ten thousand birds that met aircraft.
real_data() {
	local kind=$1 file=$2
	shift 2
	topic "real-$kind" 3
	"$python" "$here/real_data.py" rows "$kind" "$file" | "$TOOLS/produce_rows" "$KAFKA" "real-$kind" 3
	config "real-$kind" "real-$kind" format=parquet checkpoint.interval.ms=1000 "$@"
	until_latest "real-$kind"
	lake export "ingest-real-$kind:topics" plain
	"$python" "$here/real_data.py" compare "$kind" "$file" plain 3
}
flights() {
	cat >flight.avsc <<-'SCHEMA'
		{"type":"record","name":"Flight","fields":[
		{"name":"date","type":{"type":"long","logicalType":"local-timestamp-micros"}},
		{"name":"delay","type":"long"},{"name":"distance","type":"long"},
		{"name":"origin","type":"string"},{"name":"destination","type":"string"}]}
	SCHEMA
	real_data flights "$servers_cache/vega-datasets-3.2.1/flights-3m.parquet" value.converter=avro \
		"value.converter.schema.file=$PWD/flight.avsc" checkpoint.records=400000
}
events() {
	real_data events "$servers_cache/vega-datasets-3.2.1/birdstrikes.csv" value.converter=json checkpoint.records=6000 \
		parquet.json.infer=true "parquet.sort.columns=cost.total,n" "parquet.row.group.bytes=256 KiB"
}
birds() { real_data birds "$servers_cache/vega-datasets-3.2.1/birdstrikes.csv" value.converter=json checkpoint.records=4000; }

t 'pyarrow reads the rows that fastavro reads, random schemas' pyarrow_reads
t 'avro to parquet, snappy, transactions' codec snappy
t 'avro to parquet, zstandard' codec zstandard
t 'avro to parquet, gzip' codec gzip
t 'avro to parquet, uncompressed' codec none
t 'two schemas, tombstones and dead letters' mixed
t 'json without a schema' json_text
t 'avro, sorted, two schemas' sorted
t 'json with inferred columns' inferred
t 'killed with files open' killed open --format avro --registry "$REGISTRY" -- "${of_registry[@]}"
t 'killed with sorted files' killed sorting --format avro --registry "$REGISTRY" -- \
	"${of_registry[@]}" parquet.sort.columns=crc "parquet.row.group.bytes=64 KiB"
t 'killed with inferred and sorted files' killed inferring -- value.converter=json \
	parquet.json.infer=true parquet.sort.columns=crc "parquet.row.group.bytes=64 KiB"
t 'birdstrikes.csv in inferred, sorted columns' events
t 'birdstrikes.csv there and back' birds
TEST_TIMEOUT=300 t 'flights-3m.parquet there and back' flights
