# What Kafka does to a stream: retention, topics made anew, partitions that
# come, compaction.
# shellcheck shell=bash source=tests/servers/lib.sh
. "$(dirname "$0")/lib.sh"

retention() {
	local before
	topic cut 1
	config cut cut
	produce cut 1 --records 1000
	until_latest cut
	produce cut 1 --records 1000
	topic_tool cut cut 0 1500
	before=$(head_of ingest-cut)
	expect 1 until_latest cut
	says cut.log 'retention removed 500'
	says cut.log 'on.offset.out.of.range'
	same "$(head_of ingest-cut)" "$before" 'after a start that was refused'
	until_latest cut --set on.offset.out.of.range=earliest
	oracle cut ingest-cut cut.acks >counts
	says counts 'lost=500 '
	# past what retention removed nothing can be replayed
	before=$(head_of main)$(head_of ingest-cut)
	expect 1 lake rollback cut --to "$(checkpoints cut | tail -n 1)" --yes
	same "$(head_of main)$(head_of ingest-cut)" "$before" 'after a rollback that was refused'
	expect 5 lake find cut:0:1200
	says err.txt 'was not read: removed by retention (on.offset.out.of.range=earliest), recorded by'
}

recreated() {
	local before
	topic anew 2
	config anew anew publish.checkpoints=1
	produce anew 2 --records 600
	until_latest anew
	topic_tool delete anew
	wait_until 20 topic anew 2
	produce anew 2 --records 400 --generation 1 --seed 9
	before=$(head_of ingest-anew)
	expect 1 until_latest anew
	says anew.log 'created anew'
	same "$(head_of ingest-anew)" "$before" 'after a start that was refused'
	until_latest anew --set on.topic.recreated=earliest
	oracle anew ingest-anew anew.acks
	oracle anew main anew.acks
	[ "$(files main | grep -c '+g1\.')" -ge 1 ] || die "no file of the new topic"
}

# While it runs: it stops, and never reads the new one as if it were the old.
recreated_while_running() {
	topic anew2 1
	config anew2 anew2 consumer.override.topic.metadata.refresh.interval.ms=500
	produce anew2 1 --records 500
	start anew2
	wait_committed anew2 500
	topic_tool delete anew2
	wait_until 20 topic anew2 1
	produce anew2 1 --records 900 --generation 1 --seed 9
	wait_until 60 eval '! kill -0 $PID' || die "it goes on"
	wait "$PID" && die "it ended with 0"
	oracle anew2 ingest-anew2 anew2.acks --partial
	same "$(committed anew2)" 500 'nothing of the new topic'
}

grows() {
	topic grow 2
	config grow grow consumer.override.topic.metadata.refresh.interval.ms=1000
	produce grow 2 --records 500
	start grow
	wait_committed grow 500
	topic_tool grow grow 5
	wait_until 10 topic_tool bounds grow 4
	produce grow 5 --records 1000 --seed 2
	wait_committed grow 1500 40
	finish
	oracle grow ingest-grow grow.acks
}

# A topic that grows while nobody runs: a broker gives a static member that comes back
# its old partitions, whatever there is now.
grew_meanwhile() {
	topic grew 2
	config grew grew
	produce grew 2 --records 500
	until_latest grew
	topic_tool grow grew 4
	wait_until 10 topic_tool bounds grew 3
	produce grew 4 --records 1000 --seed 2
	until_latest grew
	oracle grew ingest-grew grew.acks
}

# Compaction and transaction markers leave gaps; ranges stay contiguous. The log
# is cut to what Kafka still has; where the broker compacts while that is read,
# it is read again.
compacted() {
	local i
	topic comp 1 cleanup.policy=compact min.cleanable.dirty.ratio=0.01 segment.ms=100 \
		delete.retention.ms=100 min.compaction.lag.ms=0 max.compaction.lag.ms=200
	produce comp 1 --records 1600 --keys 100 --transactions 40 --seed 3
	sleep 0.3 # a segment must grow older than segment.ms to be closed by the next record
	produce comp 1 --records 40 --keys 100 --seed 4
	wait_until 30 shrunk || die "the broker does not compact"
	for i in 1 2 3 4 5; do
		topic_tool dump comp 0 | cut -d ' ' -f 1 >left
		rm -rf lake
		config "comp$i" comp
		until_latest "comp$i"
		topic_tool dump comp 0 | cut -d ' ' -f 1 | cmp -s left - && break
	done
	awk 'NR == FNR { left[$1]; next } $5 in left || $1 == "X"' left comp.acks >left.acks
	oracle "comp$i" "ingest-comp$i" left.acks
	same "$(committed "comp$i")" "$(ends comp 1)" 'the position past all gaps'
	oracle "comp$i" "ingest-comp$i" --list >runs
	says runs , # the rows' offsets have gaps
}
shrunk() { [ "$(topic_tool dump comp 0 | wc -l)" -lt 300 ]; }

markers() {
	topic mark 2
	config mark mark
	produce mark 2 --records 900 --transactions 10 --seed 3
	until_latest mark
	oracle mark ingest-mark mark.acks
	same "$(committed mark)" "$(ends mark 2)" 'past the last marker'
}

from_latest() {
	topic late 1
	produce late 1 --records 300
	config late late auto.offset.reset=latest
	until_latest late
	mv late.acks early.acks
	produce late 1 --records 100 --seed 2
	until_latest late --set auto.offset.reset=earliest
	oracle late ingest-late late.acks
}

t 'retention: refused, by policy recorded; rollback past it refused' retention
t 'a topic created anew: refused, by policy read beside the old' recreated
t 'a topic created anew under a running connector: stops' recreated_while_running
t 'partitions that come later are read from 0' grows
t 'partitions that came while nobody ran are read' grew_meanwhile
t 'compaction: gaps are legal, the position goes past them' compacted
t 'transaction markers: the position goes past them' markers
t 'auto.offset.reset=latest is for the first start alone' from_latest
