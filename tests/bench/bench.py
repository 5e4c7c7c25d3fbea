#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures the whole road: client - TLS - smtp-proxy - Postgres - stand-in SendGrid (or SES), all on this machine, with Postgres'
default durability and an ECDSA P-256 certificate. `make bench` runs it; flags through BENCH_FLAGS.

Every throughput case ends only when all that got a 250 has been answered by the stand-in, and counts what was lost or
came twice: a figure with losses is no figure. Its rate is messages delivered by the time until the last one was.
"""
import argparse
import json
import os
import statistics
import sys
import time

from tests.bench.bench_service import Bench, machine, raise_limits

# For comparison, measured on the two-core reference machine with the same client pattern (messages a second):
# Postfix 3.7 accepting and relaying by SMTP.
CASES = {
    "kept": {"title": "20 kept sessions, 4 KiB", "postfix": 663, "now": 1500, "aim": 3500,
             "options": ["--mode", "kept", "--sessions", 20, "--size", 4096]},
    "ses": {"title": "the same to SES: raw, signed", "postfix": 663, "now": 1500, "aim": 3500, "user": Bench.SES_USER,
            "options": ["--mode", "kept", "--sessions", 20, "--size", 4096]},
    "new": {"title": "new connection each, 50 at a time, 4 KiB", "postfix": 374, "now": 650, "aim": 1000,
            "options": ["--mode", "new", "--sessions", 50, "--size", 4096]},
    "large": {"title": "20 kept sessions, 100 KiB", "postfix": 457, "now": 500, "aim": 800,
              "options": ["--mode", "kept", "--sessions", 20, "--size", 102400]},
    "idle": {"title": "idle authenticated TLS sessions", "postfix": 1900, "now": 48, "aim": 40,
             "options": ["--mode", "idle"]},
    "rate": {"title": "10,000 messages a minute, open loop", "now": (20, 100), "aim": (10, 40),
             "options": ["--mode", "rate", "--sessions", 50, "--size", 4096, "--rate", 10000 / 60]},
}


def say(text):
    print(text, file=sys.stderr, flush=True)


def is_sound(result):
    return not (result["hopeless"] or result["lost"] or result["duplicates"] or result["refused"] or
                result["unaccepted"] or result["broken"])


def trouble_of(result):
    """What was not as it must be, in words; "" when all was."""
    names = ("lost", "duplicates", "refused", "unaccepted", "broken", "unknown")
    words = [f"{result[n]} {n}" for n in names if result[n]]
    if result["hopeless"]:
        words.append("no session could log in")
    if words and result["first_failure"]:
        words.append("first: " + result["first_failure"].splitlines()[0])
    return ", ".join(words)


def measure_load(bench, name, seconds, extra):
    """A fresh process tree for every run: none profits from the one before."""
    bench.service.start()
    try:
        # Caches of the password, the tenant and the connections: the first second is not what lasts.
        user = CASES[name].get("user", bench.USER)
        bench.load("--mode", "kept", "--sessions", 4, "--size", 4096, "--count", 200, *extra, user=user)
        result = bench.load(*CASES[name]["options"], "--seconds", seconds, "--drain-seconds", 60, *extra, user=user)
        result["log_troubles"] = bench.service.troubles()
    finally:
        bench.service.stop()
    return result


def measure_idle(bench, sessions):
    bench.service.start()
    try:
        bench.load("--mode", "kept", "--sessions", 4, "--size", 4096, "--count", 200)
        time.sleep(1)
        before, held_before = bench.service.memory(), bench.service.sockets("smtpd")
        run = bench.command(*CASES["idle"]["options"], "--sessions", sessions)
        first = run.stdout.readline()
        if first.strip() != "READY":
            run.communicate()
            raise RuntimeError("the idle sessions did not come up: " + first)
        time.sleep(2)
        after = bench.service.memory()
        held = bench.service.sockets("smtpd")
        run.stdin.write("done\n")
        run.stdin.flush()
        result = json.loads(run.communicate()[0])
    finally:
        bench.service.stop()
    total = sum(after.values()) - sum(before.values())
    return {"sessions": sessions, "held": held - held_before, "kib_per_session": round(total / sessions, 2), "before_kib": before,
            "after_kib": after, "tls_ms": result["tls_ms"], "auth_ms": result["auth_ms"], "broken": result["broken"],
            "by_program": {k: round((v - before.get(k, 0)) / sessions, 2) for k, v in after.items()}}


def median(values):
    return statistics.median(values) if values else 0


def spread(values):
    return f"{min(values):,.0f}-{max(values):,.0f}" if len(values) > 1 else ""


def row(*cells):
    widths = (42, 12, 14, 9, 9, 11, 11, 22)
    print("  ".join(str(c).ljust(w) if i == 0 else str(c).rjust(w) for i, (c, w) in enumerate(zip(cells, widths))))


def print_cpu(runs):
    """Microseconds of processor time a message, by program: where the machine goes."""
    n = sum(r["delivered"] for r in runs) or 1
    cost = {}
    for r in runs:
        for program, seconds in r["cpu_seconds"].items():
            cost[program] = cost.get(program, 0) + seconds
    words = [f"{k} {v / n * 1e6:.0f}" for k, v in sorted(cost.items(), key=lambda i: -i[1]) if v / n * 1e6 >= 1]
    print("    us of processor a message: " + ", ".join(words))


def print_steps(runs):
    """How long a message is in each step, on average."""
    total = {}
    for r in runs:
        for name, value in r["steps"].items():
            total[name] = total.get(name, 0) + value

    def mean(name):
        return 1000 * total.get(name + "_sum", 0) / (total.get(name + "_count", 0) or 1)
    a_commit = total.get("queue_messages_stored_total", 0) / (total.get("queue_commits_total", 0) or 1)
    print(f"    steps: last octet to the queue's answer {mean('smtp_submit_seconds'):.1f} ms (a commit {mean('queue_commit_seconds'):.1f} ms "
          f"for {a_commit:.0f} messages), provider's call {mean('delivery_call_seconds'):.1f} ms, "
          f"MAIL to the provider's answer {mean('message_delivery_seconds'):.1f} ms")


def print_throughput(name, runs):
    case = CASES[name]
    rates = [r["delivered_per_second"] for r in runs]
    rate = median(rates)
    row(case["title"], f"{rate:,.0f}/s", spread(rates), f"{case['now']:,}/s", f"{case['aim']:,}/s",
        "reached" if rate >= case["aim"] else "now ok" if rate >= case["now"] else "MISSED",
        f"{rate / case['postfix']:.1f} x Postfix",
        "p95 %.0f / %.0f ms" % (median([r["mail_to_250_ms"]["p95"] for r in runs]),
                                median([r["mail_to_answer_ms"]["p95"] for r in runs])))
    print(f"    accepted {sum(r['accepted'] for r in runs):,}, delivered {sum(r['delivered'] for r in runs):,}, "
          f"lost {sum(r['lost'] for r in runs)}, twice {sum(r['duplicates'] for r in runs)}; "
          f"accepted at {median([r['accepted_per_second'] for r in runs]):,.0f}/s")
    print_cpu(runs)
    print_steps(runs)


def print_idle(runs):
    case = CASES["idle"]
    values = [r["kib_per_session"] for r in runs]
    kib = median(values)
    row(f"{runs[0]['sessions']:,} {case['title']}", f"{kib:.1f} KiB",
        f"{min(values):.1f}-{max(values):.1f}" if len(values) > 1 else "", f"{case['now']} KiB", f"{case['aim']} KiB",
        "reached" if kib <= case["aim"] else "now ok" if kib <= case["now"] else "MISSED",
        f"1/{case['postfix'] / kib:.0f} Postfix" if kib > 0 else "", "")
    print("    by program: " + ", ".join(f"{k} {v:.1f}" for k, v in runs[0]["by_program"].items() if v))


def print_rate(runs):
    case = CASES["rate"]
    for i, (key, title) in enumerate((("mail_to_250_ms", "MAIL to 250"), ("mail_to_answer_ms", "MAIL to provider's answer"))):
        values = [r[key]["p95"] for r in runs]
        p95 = median(values)
        row(f"{case['title']}" if i == 0 else "", f"{p95:.1f} ms", f"{min(values):.1f}-{max(values):.1f}" if len(values) > 1 else "",
            f"{case['now'][i]} ms", f"{case['aim'][i]} ms",
            "reached" if p95 <= case["aim"][i] else "now ok" if p95 <= case["now"][i] else "MISSED", "", title + " p95")
        one = runs[0][key]
        print(f"    p50 {one['p50']:.1f}  p90 {one['p90']:.1f}  p95 {one['p95']:.1f}  p99 {one['p99']:.1f}  "
              f"max {one['max']:.1f} ms, n {one['n']:,}")
    print(f"    the generator itself was late by p95 {runs[0]['lag_ms']['p95']:.1f} ms, "
          f"{sum(r['late'] for r in runs)} times for want of a free session")


def print_table(report):
    m = report["machine"]
    print(f"\n{m['cpu']}, {m['cores']} cores, {m['memory_gib']} GiB; {m['system']}, Linux {m['kernel']}")
    print(f"{m['openssl']}; libevent {m['libevent']}; libcurl {m['libcurl']}; {m['postgres']}; {m['compiler']}")
    print(f"{report['runs']} run(s) of {report['seconds']} s a case, median and range; client, stand-in provider and Postgres "
          "(default durability) on the same machine; ECDSA P-256" +
          ("" if report["has_users"] else "; all processes as one ordinary user") + "\n")
    row("case", "measured", "range", "now", "aim", "verdict", "compared", "MAIL to 250 / answer")
    for name, runs in report["cases"].items():
        (print_idle if name == "idle" else print_rate if name == "rate" else lambda r, n=name: print_throughput(n, r))(runs)
    for line in report["log"][:5]:
        print("the log warns: " + line)
    for line in report["troubles"]:
        print("NOT SOUND: " + line)


def run_all(args):
    report = {"machine": machine(), "runs": args.runs, "seconds": args.seconds, "cases": {}, "troubles": [], "log": []}
    bench = Bench(json.loads(args.settings))
    report["has_users"] = bench.service.has_users
    extra = ["--latency-ms", args.latency_ms, "--fail-every", args.fail_every]
    try:
        for name in args.cases:
            for n in range(args.runs):
                say(f"{CASES[name]['title']}: run {n + 1} of {args.runs}")
                if name == "idle":
                    result = measure_idle(bench, args.idle_sessions)
                    if result["held"] != args.idle_sessions or result["broken"]:
                        report["troubles"].append(f"of {args.idle_sessions} idle sessions smtpd held {result['held']}, "
                                                  f"{result['broken']} broke")
                else:
                    result = measure_load(bench, name, args.seconds, extra)
                    if not is_sound(result):
                        report["troubles"].append(f"{CASES[name]['title']}: {trouble_of(result)}")
                    for event in result["log_troubles"]:
                        report["log"].append(json.dumps(event))
                report["cases"].setdefault(name, []).append(result)
    finally:
        bench.close()
    return report


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", default=[], help="kept ses new large idle rate; all when none is named")
    parser.add_argument("--seconds", type=int, default=int(os.environ.get("BENCH_SECONDS", "60")))
    parser.add_argument("--runs", type=int, default=int(os.environ.get("BENCH_RUNS", "3")))
    parser.add_argument("--idle-sessions", type=int, default=2500)
    parser.add_argument("--latency-ms", type=int, default=0, help="of the stand-in provider")
    parser.add_argument("--fail-every", type=int, default=0, help="the stand-in answers every Nth request with 503")
    parser.add_argument("--settings", default="{}", help="further settings, as JSON: {\"smtpd\": {\"workers\": 1}}")
    parser.add_argument("--json", metavar="FILE", help="write everything that was measured, - for standard output")
    args = parser.parse_args()
    unknown = [c for c in args.cases if c not in CASES]
    if unknown:
        parser.error(f"{unknown[0]}: no such case; there are {' '.join(CASES)}")
    args.cases = args.cases or list(CASES)
    files = raise_limits()
    if "idle" in args.cases and files < args.idle_sessions + 200:
        args.idle_sessions = files - 200
        say(f"only {files} descriptors a process are allowed: {args.idle_sessions} idle sessions")
    report = run_all(args)
    if args.json != "-":
        print_table(report)
    if args.json:
        with (sys.stdout if args.json == "-" else open(args.json, "w", encoding="utf-8")) as f:
            json.dump(report, f, indent=1)
            f.write("\n")
    return 1 if report["troubles"] else 0


if __name__ == "__main__":
    sys.exit(main())
