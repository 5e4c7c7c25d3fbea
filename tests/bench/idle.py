# SPDX-License-Identifier: Apache-2.0
"""Thousands of idle sessions, logged in under TLS, and how long a new one waits meanwhile. `make check-idle` runs it; flags
through BENCH_FLAGS. Measured one after the other: a new session's first 250 (on the port of TLS: connection, handshake, EHLO;
on the port of STARTTLS: connection, EHLO), the 235 after it, and the 250 of a message.
"""
import argparse
import json
import ssl
import statistics
import sys
import time

from tests.bench.bench_service import Bench, raise_limits
from tests.support import mail
from tests.support.base import patience
from tests.support.smtp import Smtp

LIMIT_MS = 200


def percentile(values, p):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * p / 100))]


class Probe:
    """New sessions; their times in milliseconds."""

    def __init__(self, service, user):
        self.service, self.user = service, user
        self.context = ssl.create_default_context(cafile=str(service.authority.ca_file))
        self.times = {"first 250, TLS": [], "first 250, STARTTLS": [], "logged in": [], "message taken": []}

    def note(self, what, begin):
        self.times[what].append((time.monotonic() - begin) * 1000)

    def once(self, with_message):
        begin = time.monotonic()
        with Smtp(self.service.port, tls="none"):
            self.note("first 250, STARTTLS", begin)
        begin = time.monotonic()
        s = Smtp(self.service.port_implicit, tls="none", greet=False)
        with s:
            s.sock = self.context.wrap_socket(s.sock, server_hostname="localhost")
            s.greeting = s.reply()
            reply = s.ehlo()
            assert reply.code == 250, reply
            self.note("first 250, TLS", begin)
            s.login(self.user, self.service.passwords[self.user])
            self.note("logged in", begin)
            if with_message:
                reply = s.mail(mail.plain())
                assert reply.code == 250, reply
                self.note("message taken", begin)

    def run(self, times, pause=0.02):
        for n in range(times):
            self.once(with_message=n % 10 == 0)
            time.sleep(pause)


def report(title, probe):
    print(f"{title}:")
    for what, values in probe.times.items():
        print(f"    {what:20}  n {len(values):5}  p50 {statistics.median(values):7.1f}  p95 {percentile(values, 95):7.1f}"
              f"  p99 {percentile(values, 99):7.1f}  max {max(values):7.1f} ms")
    return {what: percentile(values, 99) for what, values in probe.times.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, default=10000)
    parser.add_argument("--probes", type=int, default=500)
    args = parser.parse_args()
    files = raise_limits()
    if files < args.sessions + 500:
        sys.exit(f"check-idle: {files} descriptors a process are allowed, too few for {args.sessions} sessions")
    bench = Bench({"limits": {"connections": 4 * args.sessions, "allow": "127.0.0.0/8"},
                   "smtpd": {"workers": 0, "command_timeout": "1h"}})
    try:
        bench.service.start()
        bench.load("--mode", "kept", "--sessions", 4, "--count", 100)
        quiet = Probe(bench.service, bench.USER)
        quiet.run(max(100, args.probes // 5))
        before = bench.service.memory()
        begin = time.monotonic()
        run = bench.command("--mode", "idle", "--sessions", args.sessions)
        if run.stdout.readline().strip() != "READY":
            sys.exit("check-idle: the idle sessions did not come up: " + run.communicate()[0])
        print(f"{args.sessions:,} sessions logged in under TLS in {time.monotonic() - begin:.1f} s")
        held = bench.service.sockets("smtpd")
        busy = Probe(bench.service, bench.USER)
        busy.run(args.probes)
        after = bench.service.memory()
        result = json.loads(run.communicate("done\n", timeout=patience(120))[0])
        troubles = bench.service.troubles()
    finally:
        bench.close()
    report("quiet", quiet)
    worst = report(f"with {args.sessions:,} idle sessions", busy)
    print(f"smtpd holds {held:,} sockets, {(after['smtpd'] - before['smtpd']) / args.sessions:.1f} KiB a session; "
          f"{result['broken']} sessions broke")
    for event in troubles:
        print("the log warns:", json.dumps(event))
    wrong = [w for w in ("first 250, TLS", "first 250, STARTTLS") if worst[w] >= LIMIT_MS]
    if held < args.sessions:
        wrong.append("sessions held")
    if result["broken"]:
        wrong.append("broken sessions")
    print(f"check-idle: {4 - len(wrong)} passed, {len(wrong)} failed" + "".join(f"; {w}" for w in wrong))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
