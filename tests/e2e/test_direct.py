# SPDX-License-Identifier: Apache-2.0
"""The direct modes with the real programs: the provider's answer is the client's; without a database; users in the
settings and at Cakemail; and nothing is sent twice that was answered once, whoever is killed."""
import os
import random
import re
import signal
import threading
import time
import unittest
from collections import Counter

from tests.support import mail
from tests.support.base import PROGRAM_CTL, Authority, Scratch, password, run, wait_until
from tests.support.cakemail import Cakemail
from tests.support.case import ProxyCase, queued_id
from tests.support.proxy import Proxy
from tests.support.standin import Fault, SendGrid

DIRECT = {"submission": {"address": "127.0.0.1", "port": 0, "tls": "starttls", "mode": "direct"},
          "submissions": {"address": "127.0.0.1", "port": 0, "tls": "implicit", "mode": "direct"}}


def hash_of(secret):
    scratch = Scratch("hash")
    try:
        config = scratch.path / "main.yaml"
        config.write_text("listeners: {}\n")
        done = run(PROGRAM_CTL, "-c", config, "user", "hash", input=secret + "\n", check=True)
        return re.search(r"\$y\$\S+", done.stdout).group(0)
    finally:
        scratch.close()


class Alone(unittest.TestCase):
    """No Postgres at all."""

    @classmethod
    def setUpClass(cls):
        cls.scratch = Scratch("alone")
        cls.addClassCleanup(cls.scratch.close)
        cls.sendgrid, cls.other = SendGrid(), SendGrid()
        cls.addClassCleanup(cls.sendgrid.close)
        cls.addClassCleanup(cls.other.close)
        cls.secret = password("smtp")
        settings = {
            "listeners": DIRECT,
            "database": {"host": "", "name": "smtp_proxy"},
            "gate": {"users": "settings"},
            "users": {"app@one.example": {"password": hash_of(cls.secret), "tenant": "one"},
                      "app@two.example": {"password": hash_of(cls.secret), "tenant": "two"}},
            "tenants": {"two": {"provider": "other"}},
        }
        cls.proxy = Proxy(None, {"sendgrid": cls.sendgrid, "other": cls.other, "file": "file"}, settings,
                          authority=Authority(cls.scratch.path))
        cls.addClassCleanup(cls.proxy.close)
        cls.proxy.passwords = {"app@one.example": cls.secret, "app@two.example": cls.secret}
        cls.proxy.start()

    def tearDown(self):
        for provider in (self.sendgrid, self.other):
            provider.behave()

    def session(self, user="app@one.example", **kw):
        session = self.proxy.session(user, **kw)
        self.addCleanup(session.close)
        return session

    def send(self, session=None, **kw):
        return (session or self.session()).mail(mail.plain(**kw))

    def test_the_provider_has_it_when_the_client_reads_250(self):
        before = len(self.sendgrid.accepted)
        reply = self.send()
        self.assertEqual(reply.code, 250, reply)
        record = self.sendgrid.accepted[before]
        self.assertEqual(reply.text.split()[-1], record.provider_id)
        self.assertIn("Message accepted for delivery: ", reply.text)

    def test_a_tenant_has_the_provider_of_the_settings(self):
        before = len(self.other.accepted)
        self.assertEqual(self.send(self.session("app@two.example")).code, 250)
        self.assertEqual(len(self.other.accepted), before + 1)

    def test_each_answer_has_its_reply(self):
        session = self.session()
        for fault, code, words in (
                (Fault(status=400, body=b'{"errors":[{"message":"no such sender"}]}'), 550, "no such sender"),
                (Fault(status=429), 451, "Rate limit exceeded"),
                (Fault(status=500), 451, "Temporary failure"),
                (Fault(status=401), 451, "Temporary failure"),
                (Fault(reset_after=True), 451, "Service temporarily unavailable")):
            with self.subTest(fault=fault):
                self.sendgrid.misbehave(fault)
                reply = self.send(session)
                self.assertEqual(reply.code, code, reply)
                self.assertIn(words, reply.text)
                self.assertNotIn("SG.", reply.text)
        self.assertEqual(self.send(session).code, 250)

    def test_a_large_message(self):
        before = len(self.sendgrid.accepted)
        self.assertEqual(self.session().mail(mail.plain(text="x" * 70 + "\n" + ("z" * 70 + "\n") * 5000)).code, 250)
        self.assertEqual(len(self.sendgrid.accepted), before + 1)

    def test_a_wrong_password(self):
        session = self.proxy.smtp()
        self.addCleanup(session.close)
        self.assertEqual(session.auth("app@one.example", "wrong").code, 535)
        self.assertEqual(session.auth("nobody@one.example", self.secret).code, 535)

    def test_it_is_ready_and_its_queue_is_empty(self):
        status, text = wait_until(lambda: (r := self.proxy.http("/health/ready"))[0] == 200 and r, 30, "ready")
        self.assertEqual((status, text), (200, '{"status":"ready"}\n'))
        self.assertEqual(self.proxy.metric("queue_depth"), 0)

    def test_its_status_is_silent_about_databases(self):
        shown = self.proxy.ctl("status").stdout
        self.assertIn("in the queue", shown)
        self.assertNotIn("database", shown)

    def test_commands_that_need_a_database_say_so(self):
        for words in (("queue", "list"), ("user", "list"), ("db", "migrate"), ("message", "show", "x")):
            done = self.proxy.ctl(*words, check=False)
            self.assertNotEqual(done.returncode, 0)
        done = self.proxy.ctl("queue", "list", check=False)
        self.assertIn("there is no database: database.host is empty", done.stderr)

    def test_a_reload_changes_the_users_at_once(self):
        self.session()
        settings = self.proxy.settings
        old = settings["users"]["app@one.example"]["password"]
        settings["users"]["app@one.example"]["password"] = hash_of("another")
        self.proxy.write_settings()
        self.assertTrue(self.proxy.reload())
        try:
            session = self.proxy.smtp()
            self.addCleanup(session.close)
            self.assertEqual(session.auth("app@one.example", self.secret).code, 535)
            self.assertEqual(session.auth("app@one.example", "another").code, 235)
        finally:
            settings["users"]["app@one.example"]["password"] = old
            self.proxy.write_settings()
            self.proxy.reload()

    def test_children_that_die_are_replaced(self):
        for role in ("qmgr", "gate", "deliver", "smtpd"):
            mark = self.proxy.log.mark()
            os.kill(self.proxy.child(role), signal.SIGKILL)
            self.proxy.log.wait("master.child.ready", 20, mark, child=role)
        wait_until(lambda: self.send().code == 250, 30, "a 250")


class Recipients(unittest.TestCase):
    def test_more_than_one_call_takes(self):
        scratch = Scratch("recipients")
        self.addCleanup(scratch.close)
        sendgrid = SendGrid()
        self.addCleanup(sendgrid.close)
        secret = password("smtp")
        settings = {
            "listeners": DIRECT, "database": {"host": ""}, "gate": {"users": "settings"},
            "users": {"app@one.example": {"password": hash_of(secret)}},
        }
        proxy = Proxy(None, {"sendgrid": dict(sendgrid.settings(), recipients_per_call=2)}, settings,
                      authority=Authority(scratch.path))
        self.addCleanup(proxy.close)
        proxy.passwords = {"app@one.example": secret}
        proxy.start()
        session = proxy.session("app@one.example")
        self.addCleanup(session.close)
        to = [f"r{n}@example.net" for n in range(5)]
        reply = session.mail(mail.plain(), to=to)
        self.assertEqual(reply.code, 250, reply)
        self.assertEqual(len(sendgrid.accepted), 3)
        got = Counter(r["email"] for a in sendgrid.accepted for p in a.payload["personalizations"]
                      for kind in ("to", "cc", "bcc") for r in p.get(kind, []))
        for one in to:
            self.assertEqual(got[one], 1, got)
        # One of the calls fails: 250; all are refused: 550; all fail: 451.
        refusal = Fault(status=400, body=b'{"errors":[{"message":"not this one"}]}')
        sendgrid.misbehave(refusal, times=1)
        self.assertEqual(session.mail(mail.plain(), to=to).code, 250)
        failed = proxy.log.wait("qmgr.direct.failed")
        self.assertEqual((failed["part"] % 2, failed["reason"]), (0, "not this one"))
        sendgrid.misbehave(refusal, times=3)
        reply = session.mail(mail.plain(), to=to)
        self.assertEqual(reply.code, 550)
        self.assertIn("not this one", reply.text)
        sendgrid.behave()
        sendgrid.misbehave(refusal, times=2)
        sendgrid.misbehave(Fault(status=503), times=1)
        self.assertEqual(session.mail(mail.plain(), to=to).code, 451)


class AtCakemail(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch = Scratch("cakemail")
        cls.addClassCleanup(cls.scratch.close)
        cls.secret = password("cake+mail&=%")
        cls.authority = Authority(cls.scratch.path)
        chain, key = cls.authority.issue("cakemail")
        cls.cakemail = Cakemail({"user+1@cake.example": cls.secret, "mfa@cake.example": cls.secret},
                                second_factor=["mfa@cake.example"],
                                tls=(cls.authority.file(chain), cls.authority.file(key)))
        cls.addClassCleanup(cls.cakemail.close)
        settings = {
            "listeners": DIRECT, "database": {"host": ""},
            "gate": {"users": "cakemail", "cakemail_endpoint": cls.cakemail.url + "/", "cache_time": "1h",
                     "ca_file": str(cls.authority.ca_file), "cakemail_tenant": "cake"},
            "tenants": {"cake": {"provider": "file"}},
        }
        # The default is a provider that nobody answers for: what arrives went by the tenant's.
        cls.proxy = Proxy(None, {"nobody": {"type": "sendgrid", "api_key": "none", "endpoint": "http://127.0.0.1:1"},
                                 "file": "file"}, settings, authority=cls.authority)
        cls.addClassCleanup(cls.proxy.close)
        cls.proxy.start()

    def auth(self, user, secret):
        session = self.proxy.smtp()
        self.addCleanup(session.close)
        return session, session.auth(user, secret)

    def tearDown(self):
        self.cakemail.behave()
        self.assertEqual(self.cakemail.violations, [])

    def test_a_right_password_is_asked_for_once(self):
        session, reply = self.auth("user+1@cake.example", self.secret)
        self.assertEqual(reply.code, 235, reply)
        asked = self.cakemail.requests
        for _ in range(3):
            self.assertEqual(self.auth("user+1@cake.example", self.secret)[1].code, 235)
        self.assertEqual(self.cakemail.requests, asked)
        self.assertGreaterEqual(self.proxy.metric("gate_auth_cache_hits_total"), 3)
        sent = self.proxy.metric("messages_direct_total", provider="file")
        reply = session.mail(mail.plain())
        self.assertEqual(reply.code, 250, reply)
        self.assertEqual(self.proxy.metric("messages_direct_total", provider="file"), sent + 1)
        self.assertTrue(list(self.proxy.out.glob("*.eml")))
        self.assertEqual(self.proxy.http("/health/ready")[0], 200)

    def test_a_wrong_one_is_refused_and_not_remembered(self):
        for user, secret in (("user+1@cake.example", "wrong"), ("nobody@cake.example", self.secret),
                             ("mfa@cake.example", self.secret)):
            asked = self.cakemail.requests
            self.assertEqual(self.auth(user, secret)[1].code, 535)
            self.assertEqual(self.auth(user, secret)[1].code, 535)
            self.assertEqual(self.cakemail.requests, asked + 2)

    def test_troubles_are_tried_three_times(self):
        user = "user+1@cake.example"
        mark = self.proxy.reload()    # the cache is empty
        self.assertTrue(mark)
        self.cakemail.misbehave(Fault(status=503), times=2)
        asked = self.cakemail.requests
        self.assertEqual(self.auth(user, self.secret)[1].code, 235)
        self.assertEqual(self.cakemail.requests, asked + 3)
        self.proxy.reload()
        self.cakemail.misbehave(Fault(status=503), times=3)
        self.assertEqual(self.auth(user, self.secret)[1].code, 454)
        self.assertEqual(self.auth(user, self.secret)[1].code, 235)
        self.proxy.reload()
        self.cakemail.misbehave(Fault(reset_before=True), times=3)
        self.assertEqual(self.auth(user, self.secret)[1].code, 454)

    def test_no_secret_reaches_the_log(self):
        self.auth("user+1@cake.example", self.secret)
        text = "\n".join(self.proxy.log.lines)
        self.assertNotIn(self.secret, text)
        self.assertNotIn("secret-token", text)


class ThenQueue(ProxyCase):
    """direct-then-queue, with a database."""

    SETTINGS = {"listeners": {k: dict(v, mode="direct-then-queue") for k, v in DIRECT.items()},
                "direct": {"deadline": "500ms"}}

    @classmethod
    def providers(cls):
        return {"sendgrid": SendGrid()}

    def test_what_the_provider_takes_is_not_stored(self):
        sendgrid = self.provider["sendgrid"]
        before = len(sendgrid.accepted)
        reply = self.session("sendgrid").mail(mail.plain())
        self.assertEqual(reply.code, 250)
        self.assertEqual(reply.text.split()[-1], sendgrid.accepted[before].provider_id)

    def test_what_is_slow_is_queued_and_sent_once(self):
        sendgrid = self.provider["sendgrid"]
        before = len(sendgrid.accepted)
        sendgrid.misbehave(Fault(latency=2.0))
        reply = self.session("sendgrid").mail(mail.plain())
        self.assertEqual(reply.code, 250)
        self.assertIn("queued as", reply.text)
        shown = wait_until(lambda: "sent" in self.proxy.ctl("message", "show", queued_id(reply)).stdout, 20, "sent")
        self.assertTrue(shown)
        self.assertEqual(len(sendgrid.accepted), before + 1)

    def test_what_fails_is_queued_and_tried_again(self):
        sendgrid = self.provider["sendgrid"]
        before = len(sendgrid.accepted)
        sendgrid.misbehave(Fault(status=503))
        reply = self.session("sendgrid").mail(mail.plain())
        self.assertIn("queued as", reply.text)
        sendgrid.wait(before + 1)
        wait_until(lambda: self.proxy.metric("queue_depth") == 0, 20, "an empty queue")

    def test_what_is_refused_is_refused(self):
        sendgrid = self.provider["sendgrid"]
        sendgrid.misbehave(Fault(status=400, body=b'{"errors":[{"message":"bad"}]}'))
        self.assertEqual(self.session("sendgrid").mail(mail.plain()).code, 550)


class Killed(unittest.TestCase):
    """qmgr and the agents die under load; a message that was answered 250 is at the provider, once."""

    SECONDS = 12

    def setUp(self):
        self.scratch = Scratch("killed")
        self.addCleanup(self.scratch.close)
        self.sendgrid = SendGrid()
        self.addCleanup(self.sendgrid.close)
        self.sendgrid.latency = 0.02
        secret = password("smtp")
        settings = {"listeners": DIRECT, "database": {"host": ""}, "gate": {"users": "settings"},
                    "users": {"app@one.example": {"password": hash_of(secret)}}}
        self.proxy = Proxy(None, {"sendgrid": self.sendgrid}, settings, authority=Authority(self.scratch.path))
        self.addCleanup(self.proxy.close)
        self.proxy.passwords = {"app@one.example": secret}
        self.proxy.start()
        self.replies = {}
        self.stop = threading.Event()

    def client(self, number):
        session, n = None, 0
        while not self.stop.is_set():
            n += 1
            load_id = f"C{number}-{n}"
            try:
                if session is None:
                    session = self.proxy.session("app@one.example", timeout=90)
                self.replies[load_id] = session.mail(mail.plain(load_id=load_id, to=f"{load_id}@example.net"),
                                                     to=[f"{load_id}@example.net"]).code
            except (OSError, EOFError, AssertionError, ValueError):
                self.replies.setdefault(load_id, 0)
                session = None
                self.stop.wait(0.1)
        if session is not None:
            session.close()

    def test_nothing_that_was_answered_is_there_twice(self):
        clients = [threading.Thread(target=self.client, args=(n,), daemon=True) for n in range(6)]
        rng = random.Random(7)
        for one in clients:
            one.start()
        end = time.monotonic() + self.SECONDS
        kills = Counter()
        while time.monotonic() < end:
            time.sleep(rng.uniform(0.3, 1.2))
            role = rng.choice(("qmgr", "qmgr", "deliver"))
            pids = [p for p, name in self.proxy.children().items() if name == role]
            if pids:
                os.kill(rng.choice(pids), signal.SIGKILL)
                kills[role] += 1
        self.stop.set()
        for one in clients:
            one.join(100)
        counts = Counter(a.load_id for a in self.sendgrid.accepted)
        taken = [k for k, code in self.replies.items() if code == 250]
        self.assertGreater(len(taken), 100)
        self.assertEqual([k for k in taken if counts[k] != 1], [], kills)
        self.assertTrue(kills["qmgr"] and kills["deliver"])


if __name__ == "__main__":
    unittest.main()
