#!/usr/bin/env python3
"""The stream's benchmarks against real Kafka.

usage: stream.py throughput|parquet|memory|restart|latency BUILD_DIR WORK_DIR
KAFKA and REGISTRY name the servers. Every rate is printed beside the bare
consumer's in the same pair; machines that share processors switch between
states, so all pairs are shown and the best is named.
"""
import calendar
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request

BUILD, WORK = sys.argv[2], sys.argv[3]
KAFKA, REGISTRY = os.environ["KAFKA"], os.environ["REGISTRY"]
PAIRS = int(os.environ.get("BENCH_PAIRS", "5"))
SIZES = {"small": int(os.environ.get("BENCH_SMALL", "5000000")),
         "large": int(os.environ.get("BENCH_LARGE", "1500000"))}


def schema():
    source = open("tests/lib/orders.c").read()
    text = source[source.index("const char order_schema[]"):]
    text = text[text.index("=") + 1:text.index(";\n")]
    return "".join(re.findall(r'"((?:[^"\\]|\\.)*)"', text)).replace('\\"', '"')


def register():
    request = urllib.request.Request(
        REGISTRY + "/subjects/orders-value/versions",
        data=json.dumps({"schema": schema()}).encode(),
        headers={"Content-Type": "application/json"})
    return json.load(urllib.request.urlopen(request))["id"]


def load(topic, count, size, rate=None, partitions=4):
    command = [f"{BUILD}/tests/bench/load", KAFKA, topic, str(partitions), str(count), size, str(register())]
    if rate:
        return subprocess.Popen(command + [str(rate)])
    subprocess.run(command, check=True)


def config(name, topic, **extra):
    path = f"{WORK}/{name}.properties"
    lines = {"name": name, "topics": topic, "bootstrap.servers": KAFKA,
             "value.converter": "avro", "value.converter.schema.registry.url": REGISTRY}
    lines.update({k.replace("_", "."): v for k, v in extra.items()})
    with open(path, "w") as f:
        f.writelines(f"{k}={v}\n" for k, v in lines.items())
    return path


def command(lake, *args):
    return [f"{BUILD}/tidemark", "--lake", f"{WORK}/{lake}", *args]


def ingest(name, config_path, *args):
    """One run to the latest offset: dict of what the run's own summary says."""
    subprocess.run(["rm", "-rf", f"{WORK}/{name}"], check=True)
    process = subprocess.Popen(command(name, "--json", "run", config_path, "--until-latest", *args),
                               stderr=subprocess.PIPE, text=True)
    text = process.stderr.read()
    _, code, usage = os.wait4(process.pid, 0)
    if code:
        sys.exit(f"run failed: {text}")
    done = [json.loads(line) for line in text.splitlines() if '"event":"done"' in line][0]
    return {"seconds": done["ms"] / 1000, "records": done["records"],
            "cpu": usage.ru_utime + usage.ru_stime, "peak": usage.ru_maxrss / 1024}


def bare(topic, count, partitions=4):
    out = subprocess.run([f"{BUILD}/tests/bench/bare", KAFKA, topic, str(partitions), str(count)], check=True,
                         stdout=subprocess.PIPE, text=True).stdout
    return json.loads(out)


def disk_rate(size):
    """Bytes a second of direct, synced writes; measured like the files are written."""
    path = f"{WORK}/disk"
    start = time.monotonic()
    subprocess.run(["dd", "if=/dev/zero", f"of={path}", "bs=512K", f"count={size >> 19}",
                    "oflag=direct", "conv=fsync"], check=True, stderr=subprocess.DEVNULL)
    rate = size / (time.monotonic() - start)
    os.unlink(path)
    return rate


def pairs(name, topic, count, path, wanted, limit=None, partitions=4):
    """PAIRS times the bare consumer and then the connector; limit(bare) may be the
    rate that the disk allows."""
    ingest(name, path)
    best, best_cpu, peak = 0, 99, 0
    for pair in range(PAIRS):
        b = bare(topic, count, partitions)
        t = ingest(name, path)
        b_rate, t_rate = count / b["seconds"], t["records"] / t["seconds"]
        ratio = t_rate / (min(b_rate, limit(b)) if limit else b_rate)
        cpu = t["cpu"] / b["cpu_seconds"]
        best, best_cpu, peak = max(best, ratio), min(best_cpu, cpu), max(peak, t["peak"])
        print(f"{name:13} pair {pair + 1}: bare {b_rate / 1e6:.2f} M/s at "
              f"{b['cpu_seconds'] * 1e6 / count:.2f} us, tidemark {t_rate / 1e6:.2f} M/s at "
              f"{t['cpu'] * 1e6 / count:.2f} us; rate x{ratio:.2f}, cpu x{cpu:.2f}, "
              f"peak {t['peak']:.0f} MiB", flush=True)
    print(f"{name:13} best: rate x{best:.2f}, cpu x{best_cpu:.2f}, greatest peak {peak:.0f} MiB "
          f"(wanted {wanted})", flush=True)


def throughput():
    for size, count in SIZES.items():
        load(size, count, size)
        bare(size, count)  # warms the log files
        wanted = {"small": "0.72; cpu at most 1.7", "large": "0.37; cpu at most 4.4"}[size]
        pairs(f"{size}-snappy", size, count, config(f"{size}-snappy", size, avro_codec="snappy"),
              wanted)
        wanted, limit = "1.0", None
        if size == "large":
            wanted, limit = "0.7", lambda b: disk_rate(1 << 30) / (b["bytes"] / count)
        pairs(f"{size}-null", size, count, config(f"{size}-null", size, avro_codec="null"), wanted,
              limit)


def parquet():
    """Four partitions, so four writers; then one."""
    for size, count in SIZES.items():
        for partitions in (4, 1):
            topic = f"columns-{size}-{partitions}"
            load(topic, count, size, partitions=partitions)
            bare(topic, count, partitions)
            rate = {"small": "0.2", "large": "0.1"}[size]
            peak = {4: "1024 MiB", 1: "300 MiB"}[partitions]
            pairs(f"{size}-{partitions}", topic, count,
                  config(f"{size}-{partitions}", topic, format="parquet"), f"{rate}; peak under {peak}",
                  partitions=partitions)


def memory():
    load("memory", SIZES["large"], "large")
    for limit in ["256MiB", "64MiB"]:
        name = f"memory-{limit}"
        t = ingest(name, config(name, "memory", memory_max_bytes=limit))
        print(f"memory.max.bytes={limit}: peak {t['peak']:.0f} MiB at full lag "
              f"(wanted under {512 if limit == '256MiB' else 150})")


def wait_for(process, event, seen=None):
    for line in process.stderr:
        entry = json.loads(line)
        if seen is not None:
            seen.append(entry)
        if entry["event"] == event:
            return entry
    sys.exit(f"the connector ended before '{event}'")


def restart():
    load("restart", 2000000, "small")
    path = config("restart", "restart", checkpoint_interval_ms="200", checkpoint_bytes="1MiB")
    times, firsts = [], []
    for _ in range(5):
        argv = command("restart", "--json", "run", path)
        process = subprocess.Popen(argv, stderr=subprocess.PIPE, text=True)
        wait_for(process, "checkpoint")
        process.kill()
        process.wait()
        start = time.monotonic()
        process = subprocess.Popen(argv, stderr=subprocess.PIPE, text=True)
        wait_for(process, "first record")
        firsts.append(time.monotonic() - start)
        wait_for(process, "checkpoint")
        times.append(time.monotonic() - start)
        process.kill()
        process.wait()
    print(f"SIGKILL and restart to the first record: median {sorted(firsts)[2]:.2f} s; to the first "
          f"checkpoint: median {sorted(times)[2]:.2f} s, worst {max(times):.2f} s (wanted 2)")


def percentile(values, part):
    return values[min(len(values) - 1, int(part * len(values)))]


def latency():
    rate, seconds = 50000, 20
    loader = load("latency", rate * seconds, "small", rate)
    time.sleep(1)
    path = config("latency", "latency", checkpoint_interval_ms="500", publish_checkpoints="1")
    process = subprocess.Popen(command("latency", "run", path), stderr=subprocess.DEVNULL)
    loader.wait()
    time.sleep(2)
    process.send_signal(signal.SIGTERM)
    process.wait()
    log = [json.loads(line) for line in subprocess.run(
        command("latency", "--json", "log", "main"), check=True, stdout=subprocess.PIPE,
        text=True).stdout.splitlines()]
    commits = {c["id"]: c for c in log}
    values = []
    for c in log:
        shown = json.loads(c["metadata"].get("tidemark.published", "{}")).get("latency")
        checkpoint = commits.get(shown["checkpoint"]) if shown else None
        stamps = json.loads(checkpoint["metadata"].get("tidemark.timestamps", "{}")) if checkpoint else {}
        if "least" not in stamps:
            continue
        at = time_ms(c["time"])
        # the stream is steady, so a checkpoint's records are spread evenly
        values += [at - stamps["least"] - (stamps["greatest"] - stamps["least"]) * i / 99
                   for i in range(100)]
    values = sorted(values[:-600] if len(values) > 2000 else values)  # without the catching up at the start
    print(f"produced to readable on main, {rate} records/s: p50 {percentile(values, 0.5):.0f} ms, "
          f"p99 {percentile(values, 0.99):.0f} ms (wanted p99 1500)")


def time_ms(text):
    whole, fraction = text.rstrip("Z").split(".")
    return calendar.timegm(time.strptime(whole, "%Y-%m-%dT%H:%M:%S")) * 1000 + int(fraction)


{"throughput": throughput, "parquet": parquet, "memory": memory, "restart": restart, "latency": latency}[sys.argv[1]]()
