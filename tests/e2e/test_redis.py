# SPDX-License-Identifier: Apache-2.0
"""Limits and bans of two hosts that share a Redis, and what happens when it is gone."""
import signal

from tests.support import mail
from tests.support.base import patience, wait_until
from tests.support.case import ProxyCase
from tests.support.proxy import Proxy
from tests.support.redis import PASSWORD, Redis


class Shared(ProxyCase):
    LIMITS = {"allow": "", "connections_per_address": 3, "failed_logins": 3, "mails_per_address": 1000000}
    START = False

    @classmethod
    def providers(cls):
        return {"file": "file"}

    @classmethod
    def setUpClass(cls):
        cls.redis = Redis()
        cls.addClassCleanup(cls.redis.close)
        cls.SETTINGS = {"smtpd": {"workers": 1}, "limits": cls.LIMITS, "redis": {"url": cls.redis.url}}
        super().setUpClass()
        cls.other = Proxy(cls.cluster, cls.provider, cls.SETTINGS, authority=cls.authority, name="other")
        cls.addClassCleanup(cls.other.close)
        cls.other.passwords = cls.proxy.passwords
        for host in (cls.proxy, cls.other):
            host.start()
            host.log.wait("gate.redis.up")

    def open(self, host, source):
        session = host.smtp(tls="none", ehlo=False, source=source)
        self.addCleanup(session.close)
        return session

    def fail(self, host, source):
        with host.smtp(source=source) as s:
            return s.auth(self.user["file"], "wrong").code

    def test_connections_are_counted_over_both_hosts(self):
        held = [self.open(host, "127.0.3.1") for host in (self.proxy, self.other, self.proxy)]
        self.assertEqual([s.greeting.code for s in held], [220] * 3)
        self.assertReply(self.open(self.other, "127.0.3.1").greeting, 421, "4.7.0")
        held[0].close()
        wait_until(lambda: self.open(self.other, "127.0.3.1").greeting.code == 220, 10, "a place again")

    def test_a_ban_holds_on_both_hosts(self):
        self.assertEqual([self.fail(h, "127.0.3.2") for h in (self.proxy, self.other)], [535, 535])
        self.fail(self.proxy, "127.0.3.2")
        wait_until(lambda: self.open(self.other, "127.0.3.2").greeting.code == 421, 10, "the ban on the other host")
        self.assertIn("127.0.3.2", self.other.ctl("ban", "list").stdout)
        self.other.ctl("ban", "lift", "127.0.3.2")
        wait_until(lambda: self.open(self.proxy, "127.0.3.2").greeting.code == 220, 10, "the ban lifted on the first")

    def test_without_redis_mail_goes_on_and_each_host_counts_for_itself(self):
        held = [self.open(self.proxy, "127.0.3.3") for _ in range(3)]
        marks = [h.log.mark() for h in (self.proxy, self.other)]
        self.redis.kill()
        try:
            for host, mark in zip((self.proxy, self.other), marks):
                host.log.wait("gate.redis.down", since=mark)
            self.assertEqual(self.proxy.metric("gate_redis_up"), 0)
            with self.other.session(self.user["file"], source="127.0.3.4") as s:
                self.assertReply(s.mail(mail.plain()), 250)
            # What was counted before still is.
            self.assertReply(self.open(self.proxy, "127.0.3.3").greeting, 421, "4.7.0")
            self.assertEqual(self.open(self.other, "127.0.3.3").greeting.code, 220)
            self.assertEqual([e["event"] for e in self.proxy.log.events[marks[0]:]].count("gate.redis.down"), 1)
        finally:
            self.redis.start()
        for host, mark in zip((self.proxy, self.other), marks):
            host.log.wait("gate.redis.up", 60, since=mark)
        # It is told what is held; the fourth is one too many on the other host too.
        self.assertEqual([s.greeting.code for s in held], [220] * 3)
        self.assertReply(self.open(self.other, "127.0.3.3").greeting, 421, "4.7.0")

    def test_a_redis_that_hangs_delays_mail_by_its_time_out_only(self):
        mark = self.proxy.log.mark()
        self.redis.process.send_signal(signal.SIGSTOP)
        try:
            with self.proxy.session(self.user["file"], source="127.0.3.5") as s:
                self.assertReply(s.mail(mail.plain()), 250)
            self.assertEqual(self.proxy.log.wait("gate.redis.down", since=mark)["why"], "no answer in time")
        finally:
            self.redis.process.send_signal(signal.SIGCONT)
        for host in (self.proxy, self.other):
            wait_until(lambda host=host: host.metric("gate_redis_up") == 1, patience(60), "Redis again")

    def test_the_password_is_in_no_log(self):
        for host in (self.proxy, self.other):
            self.assertFalse([line for line in host.log.lines if PASSWORD in line])
