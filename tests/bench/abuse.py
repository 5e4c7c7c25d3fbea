# SPDX-License-Identifier: Apache-2.0
"""One good client from 127.0.0.1, alone and then beside abuse from other loopback addresses: connections that are opened and
dropped, slow clients, and one that guesses passwords. `make check-abuse` runs it; flags through BENCH_FLAGS.

The good client makes a new connection for every message; what counts is the time from connecting to the message's 250: its P95
may be three times what it is in quiet.
"""
import argparse
import json
import subprocess
import sys
import threading
import time

from tests.bench.bench_service import Bench, raise_limits
from tests.support.base import BUILD, patience
from tests.support.smtp import Smtp

PROGRAM_ABUSE = BUILD / "tests" / "bench" / "bench_abuse"
MOST = 3.0


class Guesser:
    """Tries passwords from an address of its own until it is told to stop; counts the replies."""

    def __init__(self, service, user, address):
        self.service, self.user, self.address = service, user, address
        self.replies, self.stop = {}, threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        n = 0
        while not self.stop.wait(0.01):
            n += 1
            try:
                with Smtp(self.service.port, "none", self.service.authority.ca_file, source=self.address, ehlo=False) as s:
                    said = s.greeting.code
                    if said == 220:
                        s.ehlo()
                        s.starttls()
                        s.ehlo()
                        said = s.auth(self.user, f"guess{n}").code
            except (EOFError, OSError, AssertionError) as e:
                said = type(e).__name__
            self.replies[said] = self.replies.get(said, 0) + 1

    def end(self):
        self.stop.set()
        self.thread.join(patience(20))
        return self.replies


def good_client(bench, seconds, rate):
    result = bench.load("--mode", "new", "--sessions", 1, "--rate", rate, "--seconds", seconds, "--size", 4096)
    result["mean_cpu"] = sum(result["cpu_seconds"].values()) / seconds
    return result


def line(title, stats):
    print(f"    {title:14}  p50 {stats['p50']:7.1f}  p95 {stats['p95']:7.1f}  p99 {stats['p99']:7.1f}  max {stats['max']:7.1f} ms"
          f"  n {stats['n']}")


def show(title, result):
    print(f"{title}:")
    for name, key in (("whole message", "whole_ms"), ("connect", "connect_ms"), ("TLS", "tls_ms"), ("AUTH", "auth_ms"),
                      ("MAIL to 250", "mail_to_250_ms")):
        line(name, result[key])
    print(f"    refused {result['refused']}, broken {result['broken']}, lost {result['lost']}; {result['mean_cpu']:.2f} processors "
          "busy: " + ", ".join(f"{k} {v:.1f} s" for k, v in result["cpu_seconds"].items() if v >= 0.1))
    if result["first_failure"]:
        print("    first:", result["first_failure"].splitlines()[0])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument("--drops", type=int, default=2000, help="connections a second that are opened and dropped")
    parser.add_argument("--slow", type=int, default=500, help="slow clients")
    parser.add_argument("--rate", type=float, default=10, help="messages a second of the good client")
    parser.add_argument("--no-guesser", action="store_true")
    args = parser.parse_args()
    raise_limits()
    # The defaults, but the good client is on the list of those that are not limited: it sends more than a person would.
    bench = Bench({"limits": {"allow": "127.0.0.1/32"}})
    abuse = guesser = None
    try:
        bench.service.start()
        good_client(bench, 3, args.rate)
        quiet = good_client(bench, args.seconds, args.rate)
        show("quiet", quiet)
        abuse = subprocess.Popen([str(PROGRAM_ABUSE), "--port", str(bench.service.port), "--implicit-port",
                                  str(bench.service.port_implicit), "--rate", str(args.drops), "--slow", str(args.slow)],
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if not args.no_guesser:
            guesser = Guesser(bench.service, bench.USER, "127.0.4.1")
        time.sleep(3)
        abused = good_client(bench, args.seconds, args.rate)
        did = json.loads(abuse.communicate(timeout=patience(30))[0])
        guesses = guesser.end() if guesser else {}
        ended = [e for e in bench.service.events() if e.get("event") == "master.child.ended"]
    finally:
        if abuse is not None and abuse.poll() is None:
            abuse.kill()
        bench.close()
    show("abused", abused)
    print(f"abuse: {did}; guesses: {guesses}")
    ratio = abused["whole_ms"]["p95"] / quiet["whole_ms"]["p95"]
    print(f"P95 {quiet['whole_ms']['p95']:.1f} ms quiet, {abused['whole_ms']['p95']:.1f} ms abused: {ratio:.2f} times")
    wrong = []
    if ratio > MOST:
        wrong.append(f"P95 is {ratio:.1f} times the quiet one")
    if did["dropped_per_second"] < 0.9 * args.drops:
        wrong.append(f"only {did['dropped_per_second']} connections a second were dropped")
    if abused["refused"] or abused["broken"] or abused["lost"] or ended:
        wrong.append("the good client was refused, or a process ended")
    if guesser and 421 not in guesses:
        wrong.append("the guesser was not banned")
    if 235 in guesses:
        wrong.append("the guesser was let in")
    print(f"check-abuse: {4 - len(wrong)} passed, {len(wrong)} failed" + "".join(f"; {w}" for w in wrong))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
