#!/usr/bin/env bash
# What bad input gets: one line that names key, value and remedy, the exit code
# of its kind, and nothing changed: no lake is made by a configuration that is
# refused.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
good=(name=x topics=flights bootstrap.servers=127.0.0.1:1 value.converter=json format=json)

# refused NAME CODE WORD KEY=VALUE...: the properties come on top of the good
# ones ("KEY=" takes one away). The word is in the error's one line.
refused() {
	local name=$1 code=$2 word=$3 got=0 p
	shift 3
	rm -rf "$dir/lake"
	{
		for p in "${good[@]}"; do
			if [[ " $* " != *" ${p%%=*}="* ]]; then echo "$p"; fi
		done
		echo "lake.url=$dir/lake"
		for p in "$@"; do
			if [ -n "${p#*=}" ]; then echo "$p"; fi
		done
	} >"$dir/x.properties"
	timeout 20 tidemark run "$dir/x.properties" --until-latest >"$dir/log" 2>&1 </dev/null || got=$?
	if [ "$got" = "$code" ] && grep -qF -- "$word" "$dir/log" &&
		[ "$(wc -l <"$dir/log")" = 1 ] && [ ! -e "$dir/lake" ]; then
		ok "$name"
	else
		cat "$dir/log"
		bad "$name (exit code $got, wanted $code and '$word')"
	fi
}

refused 'unknown property' 2 'checkpoint.records' checkpoint.record=5
refused 'not a number' 2 'checkpoint.records' checkpoint.records=many
refused 'out of range' 2 'tasks.max' tasks.max=0
refused 'not a size' 2 'memory.max.bytes' memory.max.bytes=64MB
refused 'too little memory' 2 'memory.max.bytes' memory.max.bytes=1KiB
refused 'no such choice' 2 'value.converter' value.converter=protobuf
refused 'a class of another product' 2 'connector.class' connector.class=io.confluent.connect.s3.S3SinkConnector
refused 'no name' 2 'name' name=
refused 'no topics' 2 'topics' topics=
refused 'both kinds of topics' 2 'topics.regex' topics=a topics.regex=b
refused 'a bad pattern is no topic' 2 'topics' topics=a/../b
refused 'a topic twice' 2 'twice' topics=a,a
refused 'a name that is a path' 2 'name=../x' name=../x
refused 'a prefix that leaves the lake' 2 'path.prefix' path.prefix=../out
refused 'an absolute prefix' 2 'path.prefix' path.prefix=/etc
refused 'a prefix of our own' 2 'path.prefix' path.prefix=_tidemark
refused 'a branch with a slash' 2 'lake.branch' lake.branch=a/b
refused 'the branch is the target' 2 'lake.branch' lake.branch=main
refused 'a schema file that is missing' 2 'value.converter.schema.file' value.converter.schema.file="$dir/none.avsc" format=avro
refused 'Avro without a schema' 2 'value.converter.schema.registry.url' value.converter=avro format=avro
refused 'JSON to Avro without a schema' 2 'value.converter.schema.file' format=avro
refused 'user info that is missing' 2 'user.info' value.converter=avro format=avro value.converter.schema.registry.url=http://127.0.0.1:1 value.converter.basic.auth.credentials.source=USER_INFO
refused 'a cron line of four fields' 2 'publish.schedule=0 6 * *:' 'publish.schedule=0 6 * *'
refused 'an hour that is none' 2 'checkpoint.schedule=0 25 * * *: hour `25`' 'checkpoint.schedule=0 25 * * *'
refused 'a day that never comes' 2 'never run' 'publish.schedule=0 6 30 2 *'
refused 'a time zone that is none' 2 'publish.schedule.timezone=Berlin' 'publish.schedule=0 6 * * *' publish.schedule.timezone=Berlin
refused 'a time zone without a line' 2 'checkpoint.schedule.timezone' checkpoint.schedule.timezone=UTC
time=(partitioner=time "path.format='day'=yyyy-MM-dd" partition.duration.ms=3600000)
refused 'folders of no field' 2 'partition.field.name is not set' partitioner=field
refused 'folders of the wall clock' 2 'timestamp.extractor=Wallclock is refused' "${time[@]}" timestamp.extractor=Wallclock
refused 'a pattern with a weekday' 2 'path.format=yyyy/EEE: letter E is not taken' partitioner=time path.format=yyyy/EEE partition.duration.ms=1
refused 'no pattern' 2 'path.format is not set' partitioner=time partition.duration.ms=1
refused 'no duration' 2 'partition.duration.ms is not set' partitioner=time path.format=yyyy
refused 'folders of a time zone that is none' 2 'timezone=Berlin' "${time[@]}" timezone=Berlin
refused 'folders of text' 2 'have no fields' partitioner=field partition.field.name=a value.converter=string
refused 'folders of a field that is none' 2 'partition.field.name=nobody: it has no field nobody; it has date' partitioner=field partition.field.name=nobody value.converter.schema.file=config/flights.avsc format=avro
refused 'metadata in bytes' 2 'record.metadata=true: format=bytes' record.metadata=true value.converter=bytes format=bytes
flight=(value.converter.schema.file=config/flights.avsc format=parquet)
refused 'sorted JSON lines' 2 'parquet.sort.columns=origin,delay: only Parquet files are sorted; take format=parquet' parquet.sort.columns=origin,delay format=json
refused 'sorted containers' 2 'parquet.sort.columns=x: only Parquet' parquet.sort.columns=x value.converter=avro format=avro value.converter.schema.registry.url=http://127.0.0.1:1
refused 'sorted by a column that is none' 2 "parquet.sort.columns: there is no column 'nobody'; there are date, " "${flight[@]}" parquet.sort.columns=origin,nobody
refused 'columns of JSON lines' 2 'parquet.json.infer=true: only Parquet files have columns; take format=parquet' parquet.json.infer=true format=json
refused 'columns of text' 2 'parquet.json.infer=true: only JSON has columns' parquet.json.infer=true value.converter=string format=parquet
refused 'columns of Avro' 2 'parquet.json.infer=true: only JSON' parquet.json.infer=true value.converter=avro format=parquet value.converter.schema.registry.url=http://127.0.0.1:1
refused 'columns of a schema' 2 'parquet.json.infer=true: value.converter.schema.file says' parquet.json.infer=true "${flight[@]}"
refused 'a gate without a command' 2 'gates.g.command' gates=g gates.g.type=command
refused 'a gate of no known type' 2 'gates.g.type' gates=g gates.g.type=magic
refused 'a gate time-out that is none' 2 'gates.g.timeout.ms' gates=g gates.g.type=command gates.g.command=true gates.g.timeout.ms=12abc
refused 'a gate that is not named' 2 'gates.h.type' gates.h.type=command
refused 'dead letters to their own topic' 2 'errors.deadletterqueue.topic.name' errors.deadletterqueue.topic.name=flights
refused 'an unknown client property' 2 'fetch.wait.mx.ms' consumer.override.fetch.wait.mx.ms=1
refused 'a client property of the wrong type' 2 'fetch.wait.max.ms' consumer.override.fetch.wait.max.ms=soon
for key in group.id group.instance.id enable.auto.commit isolation.level check.crcs auto.offset.reset \
	allow.auto.create.topics enable.partition.eof group.protocol; do
	refused "promised: $key" 2 "consumer.override.$key" "consumer.override.$key=x"
done

# ---- the lake's folder ----

snapshot() {
	if [ -d "$dir/lake" ]; then
		find "$dir/lake" -type f ! -path '*/meta/*' ! -name LOCK ! -name SEQUENCE -print0 | sort -z | xargs -r -0 md5sum
	fi
}

# fails NAME CODE WORD COMMAND...: and the lake $dir/lake stays as it was
fails() {
	local name=$1 code=$2 word=$3 got=0 before after
	shift 3
	before=$(snapshot)
	"$@" >"$dir/log" 2>&1 </dev/null || got=$?
	after=$(snapshot)
	if [ "$got" = "$code" ] && grep -qF -- "$word" "$dir/log" && [ "$before" = "$after" ]; then
		ok "$name"
	else
		cat "$dir/log"
		bad "$name (exit code $got, wanted $code and '$word')"
	fi
}

printf '%s\n' "${good[@]}" "lake.url=$dir/lake" >"$dir/x.properties"
rm -rf "$dir/lake" && mkdir "$dir/lake" && echo mine >"$dir/lake/letters"
fails 'a folder that is no lake' 2 "$dir/lake" tidemark run "$dir/x.properties"
rm -rf "$dir/lake"
fails 'a file that is missing' 2 "$dir/none" tidemark run "$dir/none.properties"
export TIDEMARK_LAKE=$dir/lake
fails 'a lake that is missing' 5 "$dir/lake" tidemark log
tidemark init >/dev/null
fails 'a path that leaves the lake' 2 '../x' tidemark put main:../x /etc/hostname
fails 'a ref that is missing' 5 'nowhere' tidemark log nowhere
fails 'a connector that is not known' 5 'nobody' tidemark status nobody
cp -r "$dir/lake" "$dir/keep"
echo 'tidemark lake 999' >"$dir/lake/FORMAT"
fails 'a lake of a newer format' 2 'newer' tidemark log
fails 'a lake of a newer format, to write' 2 'newer' tidemark run "$dir/x.properties"
rm -rf "$dir/lake" && mv "$dir/keep" "$dir/lake"
fails 'a command that is not known' 2 'lgo' tidemark lgo

# ---- a topic that is missing, roots that overlap, a branch that is renamed ----

.ci/deps.sh quickstart
kafka_start
send good 0 100
printf '%s\n' "${good[@]}" "bootstrap.servers=$servers" "lake.url=$dir/lake" publish.checkpoints=1 \
	consumer.override.session.timeout.ms=1000 consumer.override.heartbeat.interval.ms=200 |
	grep -v '127.0.0.1:1$' >"$dir/x.properties"
# shellcheck disable=SC2120 # its arguments come through fails
exec_run() { tidemark run "$dir/x.properties" --until-latest "$@" 5>&- 6<&-; }
heads() { tidemark --json branch | grep -v tidemark-state; }

unchanged() {
	local name=$1 before
	before=$(heads)
	fails "$@"
	if [ "$before" != "$(heads)" ]; then bad "$name: a branch has moved"; fi
}

unchanged 'a topic that is missing' 5 'flihgts' exec_run --set topics=flihgts 2>/dev/null ||
	bad 'a topic that is missing'
exec_run >"$dir/log" 2>&1 || { cat "$dir/log"; bad 'the good configuration'; }
unchanged 'roots that overlap' 2 'topics/flights' exec_run --set name=y
unchanged 'a branch that is renamed' 2 'ingest2' exec_run --set lake.branch=ingest2
unchanged 'a rollback to nowhere' 5 'nowhere' tidemark rollback x --to nowhere --yes
[ "$failures" -eq 0 ]
