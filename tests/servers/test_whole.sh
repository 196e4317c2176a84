# Whole runs to the latest offset, by each converter and codec, and the oracle on
# what ingest and main show.
# shellcheck shell=bash source=tests/servers/lib.sh
. "$(dirname "$0")/lib.sh"

# whole TOPIC CONVERTER FORMAT [PRODUCE OPTION... --] [KEY=VALUE...]
whole() {
	local topic=$1 produce_options=()
	shift
	while [ "$1" != -- ]; do
		produce_options+=("$1")
		shift
	done
	shift
	local name=w-$topic
	topic "$topic" 4
	produce "$topic" 4 --records 20000 "${produce_options[@]}"
	config "$name" "$topic" checkpoint.records=4000 publish.checkpoints=2 "$@"
	until_latest "$name"
	oracle "$name" "ingest-$name" "$topic.acks"
	oracle "$name" main "$topic.acks"
	# again: nothing new, and nothing changes
	local before
	before=$(head_of "ingest-$name")
	until_latest "$name"
	same "$(head_of "ingest-$name")" "$before" "after a run with nothing new"
	produce "$topic" 4 --records 3000 "${produce_options[@]}"
	until_latest "$name"
	oracle "$name" main "$topic.acks"
}

avro() { whole "avro-$1" --format avro --registry "$REGISTRY" -- value.converter=avro format=avro \
	"value.converter.schema.registry.url=$REGISTRY" "avro.codec=$1"; }

# What Python's fastavro reads of each container equals what was produced.
fastavro_reads() {
	local codec topic
	for codec in null snappy deflate zstandard; do
		topic=fast-$codec
		topic "$topic" 2
		produce "$topic" 2 --records 3000 --format avro --registry "$REGISTRY" --poison 2
		avro_config "f-$codec" "$topic" "avro.codec=$codec" "path.prefix=$codec" errors.tolerance=all
		until_latest "f-$codec"
		lake export "ingest-f-$codec" "out-$codec"
		"$servers_cache/python-2/bin/python" "$here/read_containers.py" "out-$codec" "$topic.acks"
	done
}

mixed_schemas() {
	topic mixed 3
	produce mixed 3 --records 12000 --format avro --registry "$REGISTRY" --mixed-schemas --tombstones 3
	avro_config m mixed
	until_latest m
	oracle m ingest-m mixed.acks
	same "$(lake --json show ingest-m | jq -r '.metadata["tidemark.schemas"]' | jq '.mixed | length')" 3 'schemas: two, and that of tombstones'
}

json_to_avro() {
	cat >stamp.avsc <<-'SCHEMA'
		{"type":"record","name":"Stamp","fields":[{"name":"topic","type":"string"},
		{"name":"partition","type":"int"},{"name":"sequence","type":"long"},
		{"name":"pad","type":"string"},{"name":"crc","type":"long"}]}
	SCHEMA
	whole json-avro -- format=avro "value.converter.schema.file=$PWD/stamp.avsc"
}

two_topics_and_a_pattern() {
	topic two-a 2
	topic two-b 3
	produce two-a 2 --records 5000
	produce two-b 3 --records 5000 --transactions 100
	config p x topics.regex='two-[ab]'
	sed -i '/^topics=/d' p.properties
	until_latest p
	oracle p ingest-p two-a.acks two-b.acks
}

# The oracle itself must find what is wrong: with the log, and with the lake.
oracle_finds() {
	local path
	topic broken 1
	produce broken 1 --records 300 --transactions 30 --seed 5
	config b broken publish.checkpoints=1 checkpoint.records=50
	until_latest b
	oracle b main broken.acks

	sed '/^A /{0,/^A /d}' broken.acks >less.acks
	expect 1 oracle b main less.acks
	says err.txt 'was never acknowledged'
	sed '0,/^A /s//X /' broken.acks >aborted.acks
	expect 1 oracle b main aborted.acks
	says err.txt 'was aborted'
	{ cat broken.acks; echo "A broken 0 0 999999 999999 7"; } >more.acks
	expect 1 oracle b main more.acks
	says err.txt 'acknowledged and never read'
	sed '0,/^A \(.*\) [0-9]*$/s//A \1 7/' broken.acks >crc.acks
	expect 1 oracle b main crc.acks
	says err.txt 'acknowledged was sequence'
	sed '0,/^X /s//A /' broken.acks >visible.acks
	expect 1 oracle b main visible.acks
	says err.txt 'and it is missing'

	path=$(lake --json ls main:topics/ -r | jq -rs '.[0].path')
	lake branch missing main
	lake rm "missing:$path"
	lake commit missing -m "a file is gone"
	expect 1 oracle b missing broken.acks
	says err.txt 'and it is missing'
	lake branch doubled main
	lake cat "main:$path" >rows
	{ head -n 1 rows; head -n -1 rows; } >wrong
	lake put "doubled:$path" wrong --meta "tidemark.offsets=$(lake --json stat "main:$path" |
		jq -r '.metadata["tidemark.offsets"]')"
	lake commit doubled -m "a row is there twice, another is not"
	expect 1 oracle b doubled broken.acks
	says err.txt 'holds broken:0 sequence'
	lake branch twice main
	lake put "twice:${path/+0000/+9990}" rows --meta "tidemark.offsets=0-1"
	lake commit twice -m "a file with another's rows"
	expect 1 oracle b twice broken.acks
}

t 'avro, snappy, through the registry' avro snappy
t 'json lines' whole json -- json.codec=none
t 'json lines, gzip, transactions' whole json-gz --transactions 50 -- json.codec=gzip
t 'json lines, zstandard, tombstones' whole json-zst --tombstones 5 -- json.codec=zstandard
t 'bytes in containers' whole bytes -- value.converter=bytes format=avro
t 'bytes as lines' whole bytes-lines -- value.converter=bytes format=bytes
t 'strings in containers, tombstones' whole strings --tombstones 5 -- value.converter=string format=avro
t 'json to avro by a schema file' json_to_avro
t 'two schemas and tombstones mixed in one topic' mixed_schemas
t 'topics by a pattern' two_topics_and_a_pattern
t 'fastavro reads all codecs and the dead letters' fastavro_reads
t 'the oracle finds missing, doubled, changed and aborted rows' oracle_finds
