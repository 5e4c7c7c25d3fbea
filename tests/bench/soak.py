#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Steady for long: a constant rate for an hour, looked at every minute. `make soak` runs it; flags through BENCH_FLAGS.

At the end the tables of the queue may be no bigger than after ten minutes, memory and the 95th percentile no higher (but
for what a minute more or less does). --hold leaves a transaction open elsewhere from the middle on: what it keeps from
being vacuumed must not cost a tenth of the throughput.
"""
import argparse
import subprocess
import sys

from tests.bench.bench import is_sound, median, say, trouble_of
from tests.bench.bench_service import Bench, machine, raise_limits
from tests.support.cluster import find_bin

# Those that rows come into and go out of again; message, delivery and event grow until their partitions are dropped.
TABLES = ("queue", "shard", "host", "change")


def sizes(bench):
    rows = bench.cluster.sql("SELECT relname, pg_total_relation_size(oid) FROM pg_class WHERE relname IN ("
                             + ", ".join(f"'{t}'" for t in TABLES) + ")")
    return {name: int(size) // 1024 for name, size in rows}


def hold(bench):
    """A session that has looked at something and then sleeps, as a forgotten psql does."""
    psql = subprocess.Popen([str(find_bin() / "psql"), "-X", "-h", str(bench.cluster.socket), "-U", "postgres", "-d", "smtp_proxy"],
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    psql.stdin.write("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM tenant;\n")
    psql.stdin.flush()
    psql.stdout.readline()
    return psql


def minute(bench, args):
    result = bench.load("--mode", "rate", "--sessions", 50, "--size", args.size, "--rate", args.rate, "--seconds", args.slice,
                        "--drain-seconds", 60)
    return {"rate": result["delivered_per_second"], "p95": result["mail_to_answer_ms"]["p95"], "trouble":
            "" if is_sound(result) else trouble_of(result), "tables": sizes(bench), "memory": bench.service.memory()}


def show(n, m):
    print(f"{n:>4}  {m['rate']:7,.0f}/s  p95 {m['p95']:6.1f} ms  " + "  ".join(f"{k} {v:,} KiB" for k, v in m["tables"].items()) +
          f"  memory {sum(m['memory'].values()) // 1024:,} MiB  {m['trouble']}", flush=True)


def judge(minutes, args):
    """What is not as it must be."""
    early, late = minutes[min(9, len(minutes) // 3)], minutes[-1]
    wrong = [f"minute {n + 1}: {m['trouble']}" for n, m in enumerate(minutes) if m["trouble"]]
    for table, size in late["tables"].items():
        if not args.hold and size > early["tables"][table] * 1.1 + 64:
            wrong.append(f"{table} has grown from {early['tables'][table]:,} to {size:,} KiB")
    for program, size in late["memory"].items():
        if size > early["memory"].get(program, 0) * 1.1 + 4096:
            wrong.append(f"{program} has grown from {early['memory'].get(program, 0):,} to {size:,} KiB")
    third = len(minutes) // 3 or 1
    before, after = median([m["p95"] for m in minutes[:third]]), median([m["p95"] for m in minutes[-third:]])
    if after > before * 1.5 + 2:
        wrong.append(f"p95 rose from {before:.1f} to {after:.1f} ms")
    half = len(minutes) // 2 or 1
    free, held = median([m["rate"] for m in minutes[:half]]), median([m["rate"] for m in minutes[half:] or minutes])
    if args.hold and held < free * 0.9:
        wrong.append(f"with a transaction open elsewhere {held:,.0f}/s instead of {free:,.0f}/s")
    return wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=int, default=60)
    parser.add_argument("--slice", type=int, default=60, help="seconds that are looked at together")
    parser.add_argument("--rate", type=float, default=500)
    parser.add_argument("--size", type=int, default=4096)
    parser.add_argument("--hold", action="store_true", help="a transaction stays open elsewhere from the middle on")
    args = parser.parse_args()
    raise_limits()
    bench, held, minutes = Bench({}), None, []
    m = machine()
    print(f"{m['cpu']}, {m['cores']} cores; {m['postgres']}; {args.rate:g}/s of {args.size} octets, {args.minutes} x {args.slice} s")
    try:
        bench.service.start()
        bench.load("--mode", "kept", "--sessions", 4, "--size", 4096, "--count", 200)
        for n in range(args.minutes):
            if args.hold and n == args.minutes // 2:
                say("a transaction is left open elsewhere")
                held = hold(bench)
            minutes.append(minute(bench, args))
            show(n + 1, minutes[-1])
    finally:
        if held is not None:
            held.kill()
        bench.service.stop()
        bench.close()
    wrong = judge(minutes, args)
    for line in wrong:
        print("NOT STEADY: " + line)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
