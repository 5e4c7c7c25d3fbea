#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The measuring tool itself: bench_run against a small relay, so that a loss or a repetition is known to be seen.

Run by make check in the build directory, or with BENCH_RUN set. Standard library only.
"""
import http.client
import json
import os
import re
import socket
import subprocess
import sys
import time
import tempfile
import threading
import unittest

SRC = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
sys.path.insert(0, SRC)
from tests.client.test_client_test import PASSWORD, USER, Server  # noqa: E402

BENCH_RUN = os.path.abspath(os.environ.get("BENCH_RUN", "tests/bench/bench_run"))
KEY = "SG.test"


class Relay:
    """What smtp-proxy is to bench_run: takes mail, calls the stand-in. `calls` says how often for the nth message."""

    def __init__(self, certs, port, calls=lambda n: 1, key=KEY, **how):
        self.port, self.calls, self.key = port, calls, key
        self.lock, self.n, self.statuses = threading.Lock(), 0, []
        self.local = threading.local()
        self.server = Server(certs, replies={"message": self.relay}, **how)

    def relay(self):
        with self.lock:
            self.n += 1
            n, data = self.n, self.server.messages.pop()
        load_id = re.search(rb"^X-Load-ID: (\S+)\r", data, re.M)[1].decode()
        for _ in range(self.calls(n)):
            status = 503
            while status == 503:
                status = self.post(json.dumps({"content": "x" * 5000, "headers": {"X-Load-ID": load_id}}))
                self.statuses.append(status)
        return "250 2.0.0 Ok: queued as %d" % n

    def post(self, body):
        if not hasattr(self.local, "connection"):
            self.local.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection = self.local.connection
        try:
            connection.request("POST", "/v3/mail/send", body, {"Authorization": "Bearer " + self.key})
            answer = connection.getresponse()
            answer.read()
            return answer.status
        except (http.client.HTTPException, OSError):
            connection.close()
            return 0


class BenchRunTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dir = tempfile.TemporaryDirectory()
        cls.certs = cls.dir.name + "/certs"
        subprocess.run([SRC + "/contrib/dev-certificates", "--ecdsa", cls.certs], check=True, stdout=subprocess.DEVNULL)

    @classmethod
    def tearDownClass(cls):
        cls.dir.cleanup()

    def bench(self, *options, stdin=None, **how):
        with socket.create_server(("127.0.0.1", 0), backlog=100) as listener:
            relay = Relay(self.certs, listener.getsockname()[1], **how)
            self.addCleanup(relay.server.listener.close)
            run = subprocess.run(
                [BENCH_RUN, "--port", str(relay.server.port), "--ca", self.certs + "/ca.crt", "--user", USER,
                 "--standin-fd", str(listener.fileno()), "--drain-seconds", "1", *map(str, options)],
                pass_fds=(listener.fileno(),), capture_output=True, text=True, timeout=60, input=stdin, check=False,
                env={**os.environ, "BENCH_PASSWORD": PASSWORD, "BENCH_API_KEY": KEY})
        self.assertIn("{", run.stdout, run.stderr)
        return run.returncode, json.loads(run.stdout[run.stdout.index("{"):]), relay

    def test_all_is_well_when_it_is(self):
        for mode in (["kept"], ["new"], ["rate", "--rate", 500]):
            with self.subTest(mode=mode[0]):
                status, r, relay = self.bench("--mode", *mode, "--sessions", 4, "--count", 60)
                self.assertEqual((status, r["accepted"], r["delivered"], r["lost"], r["duplicates"], r["strangers"]),
                                 (0, 60, 60, 0, 0, 0))
                # A place may have connected again just when the last message was begun elsewhere.
                self.assertIn(relay.server.connections, range(60, 64) if mode[0] == "new" else [4])
                self.assertEqual((r["mail_to_250_ms"]["n"], r["mail_to_answer_ms"]["n"]), (60, 60))
                self.assertLessEqual(r["mail_to_answer_ms"]["p50"], r["mail_to_250_ms"]["p50"])
                self.assertGreater(r["delivered_per_second"], 0)

    def test_a_loss_is_seen(self):
        status, r, _ = self.bench("--count", 50, calls=lambda n: n != 17)
        self.assertEqual((status, r["accepted"], r["delivered"], r["lost"]), (1, 50, 49, 1))

    def test_a_repetition_is_seen(self):
        status, r, _ = self.bench("--count", 50, calls=lambda n: 3 if n == 17 else 1)
        self.assertEqual((status, r["lost"], r["duplicates"]), (1, 0, 2))

    def test_a_wrong_key_is_not_taken(self):
        status, r, relay = self.bench("--count", 10, key="SG.other")
        self.assertEqual((status, r["lost"], r["standin"]["bad_key"]), (1, 10, 10))
        self.assertEqual(set(relay.statuses), {401})

    def test_failures_and_latency_by_order(self):
        status, r, relay = self.bench("--count", 30, "--fail-every", 5, "--latency-ms", 20)
        self.assertEqual((status, r["delivered"]), (0, 30))
        self.assertEqual(relay.statuses.count(503), r["standin"]["failed"])
        self.assertGreaterEqual(r["standin"]["failed"], 6)
        self.assertGreaterEqual(r["mail_to_answer_ms"]["p50"], 20)

    def test_a_dropped_request_is_counted(self):
        status, r, relay = self.bench("--count", 20, "--drop-every", 10)
        self.assertEqual((status, r["standin"]["dropped"], r["lost"], relay.statuses.count(0)), (1, 2, 2, 2))

    def test_sizes_are_as_asked(self):
        for size, more in ((4096, []), (102400, []), (102400, ["--attachment"])):
            _, _, relay = self.bench("--count", 3, "--size", size, *more)
            sizes = [int(re.search(r"SIZE=(\d+)", c)[1]) for c in relay.server.commands if c.startswith("MAIL")]
            self.assertTrue(all(abs(s - size) < size * 0.08 for s in sizes), sizes)

    def test_time_ends_a_load(self):
        status, r, _ = self.bench("--mode", "rate", "--rate", 100, "--seconds", 1)
        self.assertEqual(status, 0)
        self.assertTrue(50 <= r["accepted"] <= 101, r["accepted"])

    def test_new_connections_keep_to_a_rate(self):
        begin = time.monotonic()
        status, r, relay = self.bench("--mode", "new", "--sessions", 2, "--rate", 40, "--count", 20)
        self.assertEqual((status, r["delivered"], relay.server.connections, r["whole_ms"]["n"]), (0, 20, 20, 20))
        self.assertGreater(time.monotonic() - begin, 0.4)
        self.assertGreaterEqual(r["whole_ms"]["p50"], r["mail_to_250_ms"]["p50"])

    def test_idle_sessions_wait_for_the_word(self):
        status, r, relay = self.bench("--mode", "idle", "--sessions", 30, stdin="done\n")
        self.assertEqual((status, r["auth_ms"]["n"], r["begun"]), (0, 30, 0))
        self.assertEqual(relay.server.connections, 30)

    def test_sessions_that_end_are_made_anew(self):
        status, r, _ = self.bench("--count", 40, "--sessions", 2, close_after=5)
        self.assertEqual((status, r["accepted"], r["delivered"]), (0, r["begun"] - r["broken"], r["accepted"]))
        self.assertGreater(r["broken"], 3)


if __name__ == "__main__":
    program = unittest.main(exit=False, warnings="ignore", verbosity=int(os.environ.get("V", "0")) + 1)
    bad = len(program.result.failures) + len(program.result.errors)
    print("UNIT tests/bench/bench_run_test.py: %d passed, %d failed" % (program.result.testsRun - bad, bad))
    sys.exit(bad != 0)
