#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a long queue costs: new mail while a million messages wait, and the taking over of what a dead host left.
`make check-backlog` runs it; flags through BENCH_FLAGS. Everything is as in bench.py.
"""
import argparse
import sys
import time

from tests.bench.bench import is_sound, median, say, trouble_of
from tests.bench.bench_service import Bench, machine, raise_limits

# As many as asked, of a tenant of their own; the ids are made as smtpd makes them (UUID version 7, of today).
FILL = """
WITH made AS (
    SELECT (lpad(to_hex((extract(epoch FROM now()) * 1000)::bigint), 12, '0') || '7' || substr(md5(n::text || random()::text), 1, 3) ||
            '8' || substr(md5(random()::text || n::text), 1, 15))::uuid AS id, n FROM generate_series(1, {n}) AS n),
stored AS (
    INSERT INTO message (tenant_id, message_id, user_id, session, client, helo, mail_from, recipients, is_8bit, is_utf8, size,
                         mail_at, received_at, content)
    SELECT (SELECT tenant_id FROM tenant WHERE name = '{tenant}'), id, gen_random_uuid(), 'backlog', '127.0.0.1', 'x',
           'a@example.com', ARRAY['b@example.com'], false, false, length(c), now(), now(), c
    FROM made, LATERAL (SELECT convert_to('From: a@example.com' || E'\\r\\n' || 'Subject: ' || n || E'\\r\\n\\r\\n' ||
                                          repeat('waiting ', 60) || E'\\r\\n', 'UTF8')) AS t(c))
INSERT INTO queue (shard, tenant_id, message_id, due_at)
SELECT n % 64, (SELECT tenant_id FROM tenant WHERE name = '{tenant}'), id, now() + interval '{due}' FROM made
"""


def fill(bench, n, tenant, due):
    for done in range(0, n, 100000):
        bench.cluster.sql(FILL.format(n=min(100000, n - done), tenant=tenant, due=due))
    bench.cluster.sql("ANALYZE queue")


def new_mail(bench, seconds):
    bench.service.start()
    try:
        bench.load("--mode", "kept", "--sessions", 4, "--size", 4096, "--count", 200)
        return bench.load("--mode", "kept", "--sessions", 20, "--size", 4096, "--seconds", seconds, "--drain-seconds", 60)
    finally:
        bench.service.stop()


def backlog(bench, args, troubles):
    rates = []
    for waiting in (0, args.waiting):
        if waiting:
            say(f"{waiting:,} messages that wait are made")
            fill(bench, waiting, "waiting", "2 hours")
        say(f"new mail beside {waiting:,} that wait")
        runs = [new_mail(bench, args.seconds) for _ in range(args.runs)]
        troubles += [trouble_of(r) for r in runs if not is_sound(r)]
        rates.append(median([r["delivered_per_second"] for r in runs]))
        print(f"{waiting:>9,} wait: {rates[-1]:7,.0f}/s accepted and delivered; MAIL to 250 p95 "
              f"{median([r['mail_to_250_ms']['p95'] for r in runs]):.1f} ms")
    slower = 1 - rates[1] / rates[0] if rates[0] else 1
    print(f"          slower by {slower:.1%} (at most 20 %): {'reached' if slower < 0.2 else 'MISSED'}")
    bench.cluster.sql("TRUNCATE queue, message")


def left(bench):
    return int(bench.cluster.sql("SELECT count(*) FROM queue")[0][0])


def takeover(bench, args):
    """Another host has all shards, and has been dead for a moment: its lease is still good for ten seconds."""
    fill(bench, args.left, "bench", "0 s")
    bench.cluster.sql("UPDATE shard SET owner = '00000000-0000-7000-8000-00000000dead', epoch = epoch + 1,"
                      " until = now() + interval '10 s'")
    bench.cluster.sql("INSERT INTO host (owner, name) VALUES ('00000000-0000-7000-8000-00000000dead', 'dead')")
    died = time.monotonic()
    bench.service.start()
    try:
        # One message keeps the stand-in there while the queue is emptied.
        with bench.command("--mode", "rate", "--sessions", 1, "--size", 1024, "--rate", 0.2, "--seconds", 120) as run:
            first = last = None
            while time.monotonic() < died + 180 and last is None:
                n = left(bench)
                if first is None and n < args.left:
                    first = time.monotonic()
                if n < args.left / 100:
                    last = time.monotonic()
                time.sleep(0.2)
            run.kill()
    finally:
        bench.service.stop()
    if last is None:
        print(f"taking over {args.left:,}: MISSED, {left(bench):,} are left")
        return
    print(f"taking over {args.left:,} of a dead host: begun {first - died:.1f} s after its last sign of life "
          f"(at most 15: {'reached' if first - died <= 15 else 'MISSED'}), then {0.99 * args.left / (last - first):,.0f}/s")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--waiting", type=int, default=1000000)
    parser.add_argument("--left", type=int, default=100000)
    args = parser.parse_args()
    raise_limits()
    troubles = []
    bench = Bench({"queue": {"retry_first": "30s", "max_depth": 100000000}})
    m = machine()
    print(f"{m['cpu']}, {m['cores']} cores; {m['postgres']}; {args.runs} run(s) of {args.seconds} s, medians")
    try:
        bench.service.tenant("waiting", "standin")
        backlog(bench, args, troubles)
        takeover(bench, args)
    finally:
        bench.close()
    for line in troubles:
        print("NOT SOUND: " + line)
    return 1 if troubles else 0


if __name__ == "__main__":
    sys.exit(main())
