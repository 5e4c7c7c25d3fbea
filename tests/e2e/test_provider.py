# SPDX-License-Identifier: Apache-2.0
"""Providers that misbehave: what is tried again, when, how often, and what becomes a dead letter."""
import json
import re
import socket
import subprocess
import time
import unittest

from tests.support import mail
from tests.support.base import Authority, Scratch, marker, wait_until
from tests.support.case import ProxyCase, queued_id
from tests.support.standin import Fault, SendGrid, Ses


class ProviderCase(ProxyCase):
    def send(self, provider="sendgrid", text=None, **kw):
        """(id, word) of a new message."""
        word = text or marker()
        with self.proxy.session(self.user[provider]) as s:
            return queued_id(self.assertReply(s.mail(mail.plain(text=word + "\n", **kw)), 250)), word

    def times(self, provider, word):
        """When the stand-in took the message, each time."""
        standin = self.provider[provider]
        with standin.lock:
            return [r.received_at for r in standin.accepted if word in str(r.payload) or word.encode() in r.raw]

    def arrives(self, provider, word, timeout=30):
        self.provider[provider].wait_for(lambda: any(word in str(r.payload) or word.encode() in r.raw
                                                     for r in self.provider[provider].accepted), timeout, word)

    def events(self, ident):
        return self.cluster.sql(f"SELECT kind, code, provider FROM event WHERE message_id = '{ident}' ORDER BY at")

    def state(self, ident, timeout=30):
        rows = wait_until(lambda: self.cluster.sql(
            f"SELECT DISTINCT state FROM delivery WHERE message_id = '{ident}'"), timeout, f"the end of {ident}")
        return rows[0][0]

    def counts(self, name, n, **labels):
        """Waits until a counter says n."""
        wait_until(lambda: self.proxy.metric(name, **labels) == n, 10, f"{name}{labels} to be {n}")

    def only(self, word):
        return lambda payload: word in json.dumps(payload)


class Misbehaving(ProviderCase):
    SETTINGS = {"deliver": {"call_timeout": "2s"}, "queue": {"retry_first": "1s", "max_attempts": 3}}

    @classmethod
    def providers(cls):
        return {"sendgrid": SendGrid(), "ses": Ses(token=True)}

    def retried(self, fault, provider="sendgrid", kind="transient", least=0.4, most=15, code=None):
        """One attempt gets the fault, the next is taken: the events, and the seconds between."""
        standin = self.provider[provider]
        word = marker()
        first = []

        def mine(payload):
            if word in json.dumps(payload) or word.encode() in standin.raw(payload):
                if not first:
                    first.append(time.monotonic())
                return True
            return False
        standin.misbehave(fault, 1, mine)
        ident, _ = self.send(provider, word)
        standin.wait_for(lambda: any(r.answered_at and first and r.received_at > first[0] + 0.05 and
                                     (word in str(r.payload) or word.encode() in r.raw) for r in standin.accepted),
                         most + 15, f"{fault} to be followed by another attempt")
        gap = self.times(provider, word)[-1] - first[0]
        self.assertEqual(self.state(ident), "sent")
        self.assertGreaterEqual(gap, least)
        self.assertLess(gap, most + 10)
        events = self.events(ident)
        self.assertEqual(len(events), 1, events)
        self.assertEqual(events[0][0], kind)
        if code is not None:
            self.assertEqual(events[0][1], str(code))
        return ident, gap

    def test_429_with_retry_after_waits_that_long(self):
        _, gap = self.retried(Fault(status=429, headers={"Retry-After": "4"}), code=429, least=4, most=10)
        self.assertGreaterEqual(gap, 4.0)

    def test_429_without_retry_after_is_tried_again(self):
        self.retried(Fault(status=429), code=429)

    def test_429_from_ses_is_tried_again(self):
        self.retried(Fault(status=429, headers={"x-amzn-ErrorType": "TooManyRequestsException"}), "ses", code=429)

    def test_a_ses_throttle_with_status_400_is_tried_again(self):
        self.retried(Fault(status=400, headers={"x-amzn-ErrorType": "ThrottlingException:http://x/"},
                           body=b'{"message":"Maximum sending rate exceeded."}'), "ses", code=400)

    def test_5xx_is_tried_again(self):
        self.retried(Fault(status=503), code=503)
        self.retried(Fault(status=500), "ses", code=500)

    def test_a_refused_key_is_the_providers_fault_and_bounces_nothing(self):
        self.retried(Fault(status=401), kind="provider-fault", code=401)
        self.retried(Fault(status=403, headers={"x-amzn-ErrorType": "AccessDeniedException"}), "ses",
                     kind="provider-fault", code=403)

    def test_a_connection_cut_before_the_request_is_tried_again(self):
        self.provider["sendgrid"].misbehave(Fault(reset_before=True), 2)
        _, word = self.send()
        self.arrives("sendgrid", word)

    def test_an_answer_that_never_comes_is_unknown_and_tried_again(self):
        before = self.proxy.metric("messages_unknown_total", provider="sendgrid")
        ident, _ = self.retried(Fault(hang=True), kind="unknown", least=2)
        # The log has it under the session that brought the message.
        told = self.proxy.log.wait("qmgr.message.deferred", message=ident)
        self.assertEqual((told["class"], told["provider"]), ("unknown", "sendgrid"))
        self.assertEqual(told["session"], self.cluster.one(f"SELECT session FROM message WHERE message_id = '{ident}'"))
        self.counts("messages_unknown_total", before + 1, provider="sendgrid")

    def test_a_connection_cut_after_the_request_is_unknown(self):
        self.retried(Fault(reset_after=True), kind="unknown")
        self.retried(Fault(reset_after=True), "ses", kind="unknown")

    def test_a_slow_answer_is_awaited(self):
        self.provider["sendgrid"].misbehave(Fault(slow=1.0), 1)
        ident, word = self.send()
        self.assertEqual(self.state(ident), "sent")
        self.assertEqual(len(self.times("sendgrid", word)), 1)

    def strange(self, provider, fault):
        """(id, word) of a message that the provider takes with a strange answer, once it is settled."""
        standin, word = self.provider[provider], marker()
        standin.misbehave(fault, 1, lambda p: word in json.dumps(p) or word.encode() in standin.raw(p))
        ident, _ = self.send(provider, word)
        self.assertEqual(self.state(ident), "sent")
        return ident, word

    def test_accepted_with_a_strange_answer_is_never_sent_again(self):
        # SendGrid's word is the status; its body is empty and its id may be missing.
        for fault in (Fault(body=b"x" * 200000), Fault(headers={"X-Message-Id": "y" * 5000})):
            with self.subTest(body=(fault.body or b"")[:20]):
                _, word = self.strange("sendgrid", fault)
                self.assertEqual(len(self.times("sendgrid", word)), 1)

    def test_200_without_a_message_id_is_no_answer_of_ses(self):
        # A middlebox may have said it: what became of the message is unknown.
        for body in (b"{not json", b"[1,2]", b'{"MessageId":7}', b"", b"[" * 50000, b"<html>ok</html>"):
            with self.subTest(body=body[:20]):
                ident, _ = self.strange("ses", Fault(body=body))
                self.assertEqual([k for k, _, _ in self.events(ident)], ["unknown"])

    def test_a_huge_answer_costs_neither_memory_nor_the_agent(self):
        before = len(self.proxy.log.all("master.child.ended"))
        word = marker()
        self.provider["sendgrid"].misbehave(Fault(status=400, body=b'{"errors":[{"message":"' + b"z" * (20 << 20)), 1,
                                            self.only(word))
        ident, _ = self.send(text=word)
        self.state(ident)
        self.assertEqual(len(self.proxy.log.all("master.child.ended")), before)

    def test_strange_errors_have_a_clear_class(self):
        for body in (b"", b"<html>no</html>", b"{", b"\x00\xff" * 100, b'{"errors":{}}', b'{"errors":[[[]]]}', b"null"):
            with self.subTest(body=body[:20]):
                word = marker()
                self.provider["sendgrid"].misbehave(Fault(status=400, body=body), 1, self.only(word))
                ident, _ = self.send(text=word)
                self.assertEqual(self.state(ident), "failed")

    def test_max_attempts_end_in_the_dead_letter_store(self):
        word, dead = marker(), self.proxy.metric("dlq_messages_total", reason="expired")
        self.provider["sendgrid"].misbehave(Fault(status=503), 3, self.only(word))
        ident, _ = self.send(text=word)
        self.assertEqual(self.state(ident, 40), "failed")
        self.counts("dlq_messages_total", dead + 1, reason="expired")
        self.assertEqual([k for k, _, _ in self.events(ident)].count("transient"), 2)
        self.assertEqual(self.cluster.one(f"SELECT attempts FROM dead_letter WHERE message_id = '{ident}'"), "3")

    def test_the_wait_doubles(self):
        word = marker()
        at = []

        def mine(payload):
            if word in json.dumps(payload):
                at.append(time.monotonic())
                return True
            return False
        self.provider["sendgrid"].misbehave(Fault(status=503), 2, mine)
        ident, _ = self.send(text=word)
        self.assertEqual(self.state(ident, 40), "sent")
        last = self.times("sendgrid", word)[0]
        first, second = at[1] - at[0], last - at[1]
        self.assertGreater(first, 0.4)
        self.assertGreater(second, 0.9)
        self.assertLess(first, 6)
        self.assertLess(second, 10)


class DeadLetters(ProviderCase):
    SETTINGS = {"deliver": {"call_timeout": "2s"}, "queue": {"retry_first": "60s"}}

    @classmethod
    def providers(cls):
        return {"sendgrid": SendGrid(), "ses": Ses()}

    def dead(self, provider="sendgrid", **kw):
        word = marker()
        standin = self.provider[provider]
        standin.misbehave(Fault(status=400, **kw), 1, lambda p: word in json.dumps(p) or
                          word.encode() in standin.raw(p))
        ident, _ = self.send(provider, word)
        self.assertEqual(self.state(ident), "failed")
        return ident, word

    def test_a_permanent_answer_makes_a_dead_letter_that_can_be_sent_again(self):
        ident, word = self.dead(body=b'{"errors":[{"message":"the from address is odd","field":"from.email"}]}')
        self.assertEqual(self.times("sendgrid", word), [])
        self.assertIn(ident, self.proxy.ctl("dead", "list").stdout)
        shown = self.proxy.ctl("dead", "show", ident).stdout
        self.assertIn("the from address is odd", shown)
        self.assertNotIn(word, shown)
        self.assertIn(ident, json.dumps(self.proxy.ctl("dead", "list", json_out=True)))
        self.proxy.ctl("dead", "retry", ident)
        self.arrives("sendgrid", word)
        wait_until(lambda: self.cluster.sql(
            f"SELECT state FROM delivery WHERE message_id = '{ident}'") == [["sent"]], 20, "sent")
        self.assertNotIn(ident, self.proxy.ctl("dead", "list").stdout)
        self.assertEqual(len(self.times("sendgrid", word)), 1)
        trace = self.proxy.ctl("message", "show", ident).stdout
        self.assertIn("the from address is odd", trace)

    def test_dead_letters_and_sent_messages_are_counted(self):
        dead = self.proxy.metric("dlq_messages_total", reason="invalid_recipient")
        self.dead(body=b'{"errors":[{"message":"invalid recipient"}]}')
        self.counts("dlq_messages_total", dead + 1, reason="invalid_recipient")
        self.assertGreaterEqual(self.proxy.metric("messages_failed_total", provider="sendgrid"), 1)
        sent = {name: self.proxy.metric("messages_sent_total", provider=name) for name in self.provider}
        for name in self.provider:
            self.assertEqual(self.state(self.send(name)[0]), "sent")
            self.counts("messages_sent_total", sent[name] + 1, provider=name)

    def test_a_dead_letter_from_ses(self):
        ident, _ = self.dead("ses", headers={"x-amzn-ErrorType": "MessageRejected"},
                             body=b'{"message":"Invalid content."}')
        self.assertIn("Invalid content", self.proxy.ctl("dead", "show", ident).stdout)

    def test_ids_that_are_not_there_are_errors_with_a_status(self):
        for args in (("dead", "retry", "0190aaaa-0000-7000-8000-000000000000"), ("dead", "show", "nonsense"),
                     ("message", "show", "0190aaaa-0000-7000-8000-000000000000"), ("queue", "show", "x")):
            done = self.proxy.ctl(*args, check=False)
            self.assertNotEqual(done.returncode, 0, args)
            self.assertTrue(done.stderr.strip(), args)

    def test_the_queue_can_be_listed_and_flushed(self):
        word = marker()
        self.provider["sendgrid"].misbehave(Fault(status=503), 1, self.only(word))
        ident, _ = self.send(text=word)
        wait_until(lambda: self.events(ident), 20, "the first attempt")
        wait_until(lambda: self.cluster.one(f"SELECT attempts FROM queue WHERE message_id = '{ident}'") == "1", 20,
                   "the retry row")
        self.assertEqual(self.proxy.ctl("message", "show", ident, json_out=True)[0]["state"], "processing")
        self.assertIn(ident, self.proxy.ctl("queue", "list").stdout)
        self.assertIn(ident, json.dumps(self.proxy.ctl("queue", "list", json_out=True)))
        shown = self.proxy.ctl("queue", "show", ident).stdout
        self.assertIn("told to fail", shown)
        self.proxy.ctl("queue", "flush")
        self.arrives("sendgrid", word, 15)
        wait_until(lambda: self.proxy.depth() == 0, 15, "an empty queue")
        self.assertNotIn(ident, self.proxy.ctl("queue", "list").stdout)

    def test_a_held_message_waits_until_it_is_released(self):
        word = marker()
        self.provider["sendgrid"].misbehave(Fault(status=503), 1, self.only(word))
        ident, _ = self.send(text=word)
        row = f"FROM queue WHERE message_id = '{ident}'"
        wait_until(lambda: self.cluster.one(f"SELECT attempts {row}") == "1", 20, "the first attempt")
        self.proxy.ctl("queue", "hold", ident)
        # Due or not: while it is held it is not sent.
        self.cluster.sql(f"UPDATE queue SET due_at = now() WHERE message_id = '{ident}'")
        other = self.send()[1]
        self.arrives("sendgrid", other, 15)
        self.assertEqual(self.times("sendgrid", word), [])
        self.assertTrue(self.proxy.ctl("queue", "show", ident, json_out=True)["is_held"])
        self.proxy.ctl("queue", "release", ident)
        self.arrives("sendgrid", word, 15)

    def test_an_unknown_outcome_is_held_for_a_tenant_that_wants_it(self):
        self.cluster.sql("UPDATE tenant SET on_unknown = 'hold' WHERE name = 'tenant-ses'")
        standin = self.provider["ses"]
        self.proxy.await_changes()
        word = marker()
        standin.misbehave(Fault(reset_after=True), 1, lambda p: word.encode() in standin.raw(p))
        ident, _ = self.send("ses", word)
        wait_until(lambda: self.cluster.one(f"SELECT is_held FROM queue WHERE message_id = '{ident}'") == "t", 20,
                   "the message to be held")
        self.assertTrue(re.search(r"(?i)held", self.proxy.ctl("queue", "show", ident).stdout))
        self.assertEqual(len(self.times("ses", word)), 1)
        self.proxy.ctl("queue", "flush", ident)
        standin.wait_for(lambda: len([1 for r in standin.accepted if word.encode() in r.raw]) == 2, 15,
                         "the released message")
        self.cluster.sql("UPDATE tenant SET on_unknown = 'retry' WHERE name = 'tenant-ses'")


class OverTls(ProviderCase):
    """A provider behind TLS: its certificate is checked."""

    @classmethod
    def providers(cls):
        cls.ca_scratch = Scratch("tls")
        cls.addClassCleanup(cls.ca_scratch.close)
        standins = {}
        for name in ("good", "bad"):
            directory = cls.ca_scratch.sub(name)
            authority = Authority(directory, name)
            chain, key = authority.issue("localhost")
            (directory / "s.pem").write_text(chain)
            (directory / "s.key").write_text(key)
            standins[name] = SendGrid(tls=(directory / "s.pem", directory / "s.key"))
        cls.SETTINGS = {"deliver": {"ca_file": str(cls.ca_scratch.path / "good" / "ca.pem")},
                        "queue": {"retry_first": "1s"}}
        return standins

    def test_a_certificate_of_the_known_authority_is_trusted_and_another_is_not(self):
        _, word = self.send("good")
        self.arrives("good", word)
        ident, word = self.send("bad")
        events = wait_until(lambda: self.events(ident), 20, "the failed attempt")
        self.assertIn(events[0][0], ("transient", "provider-fault"))
        self.assertEqual(self.times("bad", word), [])


class OverHttp2(ProviderCase):
    """A provider that offers HTTP/2: the stand-in behind nghttpx, which speaks HTTP/2 to us and tells what it heard."""

    @classmethod
    def providers(cls):
        cls.scratch = Scratch("http2")
        cls.addClassCleanup(cls.scratch.close)
        authority = Authority(cls.scratch.path, "http2")
        chain, key = authority.issue("localhost")
        (cls.scratch.path / "s.pem").write_text(chain)
        (cls.scratch.path / "s.key").write_text(key)
        cls.SETTINGS = {"deliver": {"ca_file": str(cls.scratch.path / "ca.pem")}}
        standin = SendGrid()
        backend = standin.url.rsplit(":", 1)[1].strip("/")
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        cls.access = cls.scratch.path / "access.log"
        front = subprocess.Popen(
            ["nghttpx", "--conf=/dev/null", f"--frontend=127.0.0.1,{port}", f"--backend=127.0.0.1,{backend}", "--workers=1",
             f"--accesslog-file={cls.access}", "--accesslog-format=$request | $alpn | $status",
             f"--errorlog-file={cls.scratch.path / 'error.log'}",
             str(cls.scratch.path / "s.key"), str(cls.scratch.path / "s.pem")])
        cls.addClassCleanup(front.wait)
        cls.addClassCleanup(front.kill)

        def listens():
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return True
            except OSError:
                return False
        wait_until(listens, 20, "nghttpx")
        standin.settings = lambda: {"type": "sendgrid", "endpoint": f"https://localhost:{port}", "api_key": standin.key}
        return {"sendgrid": standin}

    def test_calls_go_by_http2_when_it_is_offered(self):
        words = [self.send()[1] for _ in range(20)]
        for word in words:
            self.arrives("sendgrid", word)
        lines = wait_until(lambda: (text := self.access.read_text().splitlines()) and len(text) >= 20 and text, 20,
                           "nghttpx's log")
        self.assertEqual(set(lines), {"POST /v3/mail/send HTTP/2 | h2 | 202"})


if __name__ == "__main__":
    unittest.main()
