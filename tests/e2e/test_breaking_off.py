# SPDX-License-Identifier: Apache-2.0
"""Clients that break off wherever they are, while gate and qmgr die: no descriptor and no counted connection stays behind."""
import os
import random
import signal
import socket
import struct
import unittest

from tests.support import mail
from tests.support.base import wait_until
from tests.support.case import ProxyCase
from tests.support.standin import SendGrid

ADDRESS = "127.0.0.9"
MOST = 6


class BreakingOff(ProxyCase):
    # A message of some megabytes is written to disk.
    SETTINGS = {"smtpd": {"workers": 1, "memory": "1MiB"},
                "deliver": {"agents": 1},
                "direct": {"deadline": "100ms"},
                "listeners": {"submission": {"address": "127.0.0.1", "port": 0, "tls": "starttls", "mode": "direct-then-queue"},
                              "submissions": {"address": "127.0.0.1", "port": 0, "tls": "implicit", "mode": "direct"}},
                "limits": {"allow": "127.0.1.0/24 ::1", "connections_per_address": MOST, "mails_per_address": 1000000}}

    @classmethod
    def providers(cls):
        return {"sendgrid": SendGrid()}

    def descriptors(self, role):
        """What is not our own talk, whose sockets change with each process that dies."""
        found = []
        for fd in os.listdir(f"/proc/{self.proxy.child(role)}/fd"):
            try:
                found.append(os.readlink(f"/proc/{self.proxy.child(role)}/fd/{fd}"))
            except OSError:
                pass
        return len(found), sum("memfd:message" in f or "deleted" in f and "/smtpd/" in f for f in found)

    def break_off(self, rng):
        """A session up to somewhere."""
        tls = rng.choice(("starttls", "implicit"))
        s = self.proxy.smtp(tls=tls, source=ADDRESS)
        large = mail.plain(text=("z" * 70 + "\n") * rng.choice((10, 3000, 40000)))
        steps = [lambda: s.login(self.user["sendgrid"], self.proxy.passwords[self.user["sendgrid"]]),
                 lambda: s.command("MAIL FROM:<sender@example.com>"), lambda: s.command("RCPT TO:<rcpt@example.net>"),
                 rng.choice((lambda: s.command("DATA"), lambda: s.send("BDAT 5000000\r\n"))),
                 lambda: s.send(large[:len(large) // 2]), lambda: s.send(large[len(large) // 2:]),
                 lambda: s.send(".\r\n")]
        # Also before an answer: to a login, to MAIL, to the message.
        unread = rng.choice((lambda: s.send("AUTH PLAIN AGEAYg==\r\n"), lambda: s.send("MAIL FROM:<a@example.com>\r\n"), lambda: None))
        try:
            for step in steps[:rng.randrange(len(steps) + 1)]:
                step()
            unread()
        finally:
            if rng.random() < 0.5:
                s.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            s.close()

    def test_nothing_stays_behind(self):
        rng = random.Random(11)
        self.provider["sendgrid"].latency = 0.1
        with self.session("sendgrid") as s:
            self.assertEqual(s.mail(mail.plain()).code, 250)
        before = {role: wait_until(lambda role=role: self.descriptors(role), 20, role) for role in ("smtpd", "qmgr")}
        for i in range(150):
            try:
                self.break_off(rng)
            except (OSError, EOFError, AssertionError):
                pass        # refused, or cut by one that died
            if i % 30 == 15:
                os.kill(self.proxy.child(rng.choice(("gate", "qmgr"))), signal.SIGKILL)
        self.provider["sendgrid"].latency = 0
        self.proxy.wait_ready()
        wait_until(lambda: self.proxy.depth() == 0, 30, "an empty queue")
        for role, (n, files) in before.items():
            wait_until(lambda: self.descriptors(role)[1] == 0 and self.descriptors(role)[0] <= n, 60,
                       f"{role} with {n} descriptors, not {self.descriptors(role)}")

        def refused():
            with self.proxy.smtp(tls="none", ehlo=False, source=ADDRESS) as one:
                return one.greeting.code == 421

        for _ in range(3):      # the places are exactly there, also for the next gate
            wait_until(lambda: self.proxy.metric("smtp_active_connections") == 0, 30, "no connection")
            held = [self.smtp(tls="none", ehlo=False, source=ADDRESS) for _ in range(MOST)]
            self.assertEqual([s.greeting.code for s in held], [220] * MOST)
            wait_until(refused, 20, "a refusal")
            mark = self.proxy.log.mark()
            os.kill(self.proxy.child("gate"), signal.SIGKILL)
            self.proxy.log.wait("master.child.ready", 20, mark, child="gate")
            wait_until(refused, 20, "a refusal by the next gate")
            for one in held:
                one.close()


if __name__ == "__main__":
    unittest.main()
