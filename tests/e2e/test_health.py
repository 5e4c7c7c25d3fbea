# SPDX-License-Identifier: Apache-2.0
"""Providers that fail, want less, are suspended or used up: who gets messages then, and when again; and that one tenant's
flood delays no other's mail."""
import threading
import time
import unittest

from tests.support import mail
from tests.support.base import marker, patience, wait_until
from tests.support.case import ProxyCase, queued_id
from tests.support.cluster import free_port
from tests.support.standin import Fault, Mailgun, Resend, SendGrid, Ses, Smarthost


class Limited(SendGrid):
    """With more in its row of the settings."""

    def __init__(self, **row):
        super().__init__()
        self.row = row

    def settings(self):
        return super().settings() | self.row


class HealthCase(ProxyCase):
    def send(self, provider="main", n=1):
        """The words of new messages, one session."""
        words = []
        with self.proxy.session(self.user[provider]) as s:
            for _ in range(n):
                words.append(marker())
                queued_id(self.assertReply(s.mail(mail.plain(text=words[-1] + "\n")), 250))
        return words

    def taken(self, words, provider="main"):
        """When the stand-in took which of them."""
        standin = self.provider[provider]
        with standin.lock:
            return {w: r.received_at for r in standin.accepted for w in words if w in str(r.payload)}

    def arrive(self, words, provider="main", timeout=40):
        self.provider[provider].wait_for(
            lambda: all(any(w in str(r.payload) for r in self.provider[provider].accepted) for w in words), timeout,
            f"{len(words)} messages")

    def row(self, provider="main"):
        rows = self.proxy.ctl("provider", "list", json_out=True)
        return next(r for r in (rows if isinstance(rows, list) else [rows]) if r["provider"] == provider)

    def until(self, state, provider="main", timeout=15):
        return wait_until(lambda: (r := self.row(provider))["state"] == state and r, timeout, f"{provider} to be {state}")

    def up(self, provider="main"):
        return self.proxy.metric("provider_up", provider=provider)


class Down(HealthCase):
    SETTINGS = {"health": {"probe_time": "2s", "open_time": "4s"}, "queue": {"retry_first": "1s", "max_attempts": 50}}

    @classmethod
    def providers(cls):
        return {"main": Limited(concurrency=1), "other": SendGrid()}

    def tearDown(self):
        super().tearDown()
        self.until("up")

    def test_three_failures_mark_it_down_and_a_probe_brings_it_back(self):
        opened = self.proxy.metric("provider_breaker_open_total", provider="main")
        mark = self.proxy.log.mark()
        self.provider["main"].misbehave(Fault(status=503), 3)
        words = self.send(n=6)
        line = self.proxy.log.wait("qmgr.provider.down", since=mark, provider="main")
        self.assertIn("one after the other", line["why"])
        wait_until(lambda: self.up() == 0, 10, "the gauge")
        self.assertEqual(self.proxy.metric("provider_breaker_open_total", provider="main"), opened + 1)
        self.assertEqual(self.taken(words), {})
        self.assertEqual(self.up("other"), 1)
        self.arrive(self.send("other"), "other")
        self.arrive(words)
        self.proxy.log.wait("qmgr.provider.up", since=mark, provider="main")
        wait_until(lambda: self.up() == 1, 10, "the gauge")
        self.assertEqual(len(self.proxy.log.all("qmgr.provider.down", since=mark)), 1)

    def test_mail_waits_while_it_is_down_however_long(self):
        self.provider["main"].misbehave(Fault(status=500), 10000)
        words = self.send(n=5)
        row = self.until("down")
        self.assertIn("told to fail", row["last_error"])
        with self.provider["main"].lock:
            before = self.provider["main"].requests
        time.sleep(5)
        with self.provider["main"].lock:
            self.assertLessEqual(self.provider["main"].requests - before, 4)
        self.assertEqual(self.cluster.one("SELECT count(*) FROM dead_letter"), "0")
        self.provider["main"].behave()
        self.arrive(words)

    def test_a_refused_key_stops_it_at_once(self):
        mark = self.proxy.log.mark()
        self.provider["main"].misbehave(Fault(status=401), 1)
        words = self.send(n=3)
        line = self.proxy.log.wait("qmgr.provider.credential_refused", since=mark, provider="main")
        self.assertEqual(line["level"], "error")
        self.assertIn("reload", line["mend"])
        self.assertEqual(self.taken(words), {})
        self.arrive(words)
        self.assertEqual(self.cluster.one("SELECT count(*) FROM dead_letter"), "0")

    def test_retry_after_of_one_call_holds_back_the_others(self):
        self.provider["main"].misbehave(Fault(status=429, headers={"Retry-After": "4"}), 1)
        mark, throttled = self.proxy.log.mark(), self.proxy.metric("provider_throttled_total", provider="main")
        words = self.send()
        self.proxy.log.wait("qmgr.provider.paused", since=mark, provider="main")
        begin = time.monotonic()
        words += self.send(n=3)
        self.arrive(words)
        self.assertGreaterEqual(min(self.taken(words).values()) - begin, 3)
        self.assertEqual(self.proxy.metric("provider_throttled_total", provider="main"), throttled + 1)
        self.assertEqual(self.proxy.log.all("qmgr.provider.down", since=mark), [])

    def test_suspended_by_an_operator_and_resumed(self):
        refused = self.proxy.ctl("provider", "suspend", "main", check=False)
        self.assertEqual(refused.returncode, 64)
        self.assertIn("--reason", refused.stderr)
        self.assertEqual(self.proxy.ctl("provider", "suspend", "nobody", "--reason", "x", check=False).returncode, 65)
        begin = time.monotonic()
        self.proxy.ctl("provider", "suspend", "main", "--reason", "they move house", "--time", "1h")
        row = self.until("suspended")
        self.assertLess(time.monotonic() - begin, patience(3))
        self.assertEqual(row["why"], "they move house")
        self.assertTrue(row["suspended_until"])
        words = self.send(n=2)
        self.arrive(self.send("other"), "other")
        self.assertEqual(self.taken(words), {})
        self.assertEqual(self.up(), 0)
        self.proxy.ctl("provider", "resume", "main")
        self.arrive(words)

    def test_a_suspension_ends_by_itself(self):
        self.proxy.ctl("provider", "suspend", "main", "--reason", "a moment", "--time", "3s")
        self.until("suspended")
        words = self.send()
        self.arrive(words)
        self.proxy.log.wait("qmgr.provider.suspension_over", provider="main")


    def test_asked_whether_it_is_there_and_takes_the_key(self):
        before = len(self.provider["main"].accepted)
        answers = self.proxy.ctl("provider", "test", "main", json_out=True)
        self.assertEqual([(a["agent"], a["is_good"], a["code"]) for a in answers], [(0, True, 200), (1, True, 200)])
        # It is told to refuse: each agent says so, and nothing else changes.
        self.provider["main"].misbehave(Fault(status=401), 2, checks=True)
        done = self.proxy.ctl("provider", "test", "main", check=False)
        self.assertEqual(done.returncode, 69)
        self.assertIn("401", done.stdout)
        self.provider["main"].misbehave(Fault(hang=True), 2, checks=True)
        done = self.proxy.ctl("provider", "test", "main", check=False)
        self.assertEqual(done.returncode, 69)
        self.assertEqual(self.row()["state"], "up")
        self.assertEqual(len(self.provider["main"].accepted), before)


class Kinds(HealthCase):
    """Each kind of provider is asked in its own way."""

    @classmethod
    def providers(cls):
        return {"sendgrid": SendGrid(), "ses": Ses(token=True), "mailgun": Mailgun(), "resend": Resend(),
                "smtp": Smarthost(), "file": "file"}

    def test_each_kind_says_that_it_is_there(self):
        for name in self.provider:
            with self.subTest(name):
                done = self.proxy.ctl("provider", "test", name, check=False)
                self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_one_that_is_not_there_is_said(self):
        self.proxy.settings["providers"]["gone"] = {"type": "smtp", "host": "127.0.0.1", "port": free_port(), "tls": "off"}
        self.proxy.write_settings()
        self.proxy.reload()
        done = self.proxy.ctl("provider", "test", "gone", check=False)
        self.assertEqual(done.returncode, 69)
        self.assertIn("refused", done.stdout)


class Part(HealthCase):
    SETTINGS = {"health": {"failures": 1000, "calls": 10, "window": "60s", "open_time": "3s"},
                "queue": {"retry_first": "1s", "max_attempts": 50}}

    @classmethod
    def providers(cls):
        return {"main": Limited(concurrency=1)}

    def test_more_than_the_half_failing_opens_it(self):
        count = iter(range(1000))
        self.provider["main"].misbehave(Fault(status=500), 7, lambda _: next(count) % 3 != 0)
        words = self.send(n=12)
        line = self.proxy.log.wait("qmgr.provider.down", provider="main")
        self.assertIn("too many of the last calls", line["why"])
        self.arrive(words)
        self.proxy.log.wait("qmgr.provider.up", provider="main")


class Budget(HealthCase):
    SETTINGS = {"queue": {"retry_first": "1s"}}

    @classmethod
    def providers(cls):
        return {"main": Limited(per_second=5), "daily": Limited(per_day=4, concurrency=2)}

    def test_calls_a_second_are_kept(self):
        words = self.send(n=16)
        self.arrive(words)
        times = sorted(self.taken(words).values())
        self.assertGreaterEqual(times[-1] - times[0], 2.7)

    def test_recipients_a_day_are_kept_over_restarts(self):
        words = self.send("daily", 7)
        self.provider["daily"].wait(4)
        row = self.until("used up", "daily")
        self.assertEqual((row["day"], row["month"], row["per_day"]), (4, 4, 4))
        self.assertIn("day", row["why"])
        wait_until(lambda: self.cluster.one("SELECT sum(recipients) FROM provider_use WHERE provider = 'daily'") == "4",
                   15, "the count in the table")
        self.proxy.stop()
        self.proxy.start()
        self.until("used up", "daily")
        self.assertEqual(len(self.taken(words, "daily")), 4)
        self.proxy.settings["providers"]["daily"]["per_day"] = 100
        self.proxy.write_settings()
        self.proxy.reload()
        self.arrive(words, "daily")


class Fairness(HealthCase):
    """A flood of one tenant through a provider of 50 ms and a few places."""
    FLOOD, FEW = 1500, 20
    SETTINGS = {"deliver": {"places": 8}}

    @classmethod
    def providers(cls):
        standin = Limited(concurrency=4)
        standin.latency = 0.05
        return {"main": standin}

    def test_a_flood_of_one_tenant_does_not_delay_the_others(self):
        self.proxy.tenant("small", "main")
        self.user["small"] = "small@users.example"
        self.proxy.add_user(self.user["small"], "small")
        standin = self.provider["main"]
        usual, standin.latency = standin.latency, 0.5      # a backlog, however slowly the flood comes in
        threads = [threading.Thread(target=self.send, args=("main", self.FLOOD // 3), daemon=True) for _ in range(3)]
        for t in threads:
            t.start()
        wait_until(lambda: self.proxy.depth() > 500, 60, "a backlog")
        standin.latency = usual
        accepted = {}
        with self.proxy.session(self.user["small"]) as s:
            for _ in range(self.FEW):
                word = marker()
                self.assertReply(s.mail(mail.plain(text=word + "\n")), 250)
                accepted[word] = time.monotonic()
                time.sleep(0.1)
        self.arrive(accepted)
        waiting = self.proxy.depth()
        for t in threads:
            t.join()
        late = sorted(self.taken(accepted)[w] - at for w, at in accepted.items())
        self.assertGreater(waiting, 100, "the flood was over before the others had sent")
        self.assertLess(late[int(len(late) * 0.95)], patience(1), late)


class SlowNeighbour(HealthCase):
    """A provider that answers slowly has much to do: another one's mail finds places at the agents all the same."""
    SETTINGS = {"deliver": {"places": 6}}

    @classmethod
    def providers(cls):
        slow = Limited(concurrency=1000)
        slow.latency = 8
        return {"slow": slow, "main": SendGrid()}

    def test_a_slow_provider_does_not_take_all_places(self):
        self.send("slow", 60)
        wait_until(lambda: self.row("slow")["in_flight"] >= 8, 20, "calls under way")
        begin = time.monotonic()
        words = self.send(n=10)
        self.arrive(words)
        self.assertLess(max(self.taken(words).values()) - begin, patience(3))
        self.assertLess(self.row("slow")["in_flight"], 12)


if __name__ == "__main__":
    unittest.main()
