# SPDX-License-Identifier: Apache-2.0
"""Who may come in and how much: connections by address, failed logins and bans, mails by address, user and tenant, what
a user may, and what an operator sees and does about it. The clients are addresses of 127.0.0.0/8."""
import os
import signal
import time
import unittest

from tests.support import mail
from tests.support.base import wait_until
from tests.support.case import ProxyCase


class LimitsCase(ProxyCase):
    SETTINGS = {"smtpd": {"workers": 2},
                "limits": {"allow": "127.0.1.0/24 ::1", "connections_per_address": 3, "failed_logins": 3,
                           "mails_per_address": 1000000}}

    @classmethod
    def providers(cls):
        return {"file": "file"}

    def ctl(self, *args, **kw):
        return self.proxy.ctl(*args, **kw)

    def greeting(self, source):
        """The code of the first reply; the connection stays open until the end of the test."""
        return self.smtp(tls="none", ehlo=False, source=source).greeting.code

    def open(self, source):
        return self.smtp(source=source)

    def fail(self, source, user=None, times=1):
        """So many failed logins, each on a connection of its own; the last reply."""
        for i in range(times):
            with self.proxy.smtp(source=source) as s:
                reply = s.auth(user or self.user["file"], f"wrong-{i}")
        return reply

    def mail(self, session):
        return session.command("MAIL FROM:<sender@example.com>")

    def send(self, session):
        return session.mail(mail.plain())


class Connections(LimitsCase):
    def test_an_address_has_so_many_connections(self):
        limited = self.proxy.metric("gate_limited_total")
        mine = [self.open("127.0.0.2") for _ in range(3)]
        refused = self.smtp(tls="none", ehlo=False, source="127.0.0.2")
        self.assertReply(refused.greeting, 421, "4.7.0")
        self.assertTrue(refused.is_closed())
        self.assertEqual(self.greeting("127.0.0.3"), 220)
        self.assertEqual(self.proxy.metric("gate_limited_total"), limited + 1)
        mine[0].quit()
        wait_until(lambda: self.greeting("127.0.0.2") == 220, 10, "a place again")

    def test_allowed_networks_are_not_limited(self):
        self.assertEqual({self.greeting("127.0.1.5") for _ in range(10)}, {220})

    def test_a_smtpd_that_dies_gives_its_connections_back(self):
        held = [self.open("127.0.0.4") for _ in range(3)]
        self.assertEqual(self.greeting("127.0.0.4"), 421)
        for pid in [p for p, name in self.proxy.children().items() if name == "smtpd"]:
            os.kill(pid, signal.SIGKILL)
        for s in held:
            self.assertTrue(s.is_closed())

        def works():
            try:
                return self.greeting("127.0.0.4") == 220
            except (OSError, EOFError):
                return False
        wait_until(works, 20, "connections after all workers died")

    def test_a_new_gate_counts_those_who_are_in_and_lets_them_send(self):
        held = [self.open("127.0.0.5") for _ in range(3)]
        held[0].login(self.user["file"], self.proxy.passwords[self.user["file"]])
        self.assertReply(self.send(held[0]), 250)
        gate = self.proxy.child("gate")
        os.kill(gate, signal.SIGKILL)
        wait_until(lambda: any(n == "gate" and p != gate for p, n in self.proxy.children().items()), 20, "a new gate")
        wait_until(lambda: self.greeting("127.0.0.5") == 421, 10, "that the three are counted")
        self.assertReply(self.send(held[0]), 250)


class Bans(LimitsCase):
    def banned(self):
        found = self.ctl("ban", "list", json_out=True)
        return {one["address"]: one for one in (found if isinstance(found, list) else [found])}

    def test_failed_logins_ban_and_the_operator_sees_why_and_lifts(self):
        mark = self.proxy.log.mark()
        before = self.proxy.metric("gate_bans_total")
        self.assertReply(self.fail("127.0.0.20", times=2), 535)
        with self.proxy.smtp(source="127.0.0.20") as last:
            self.assertReply(last.auth("secret-in-the-wrong-field", "wrong"), 535)
            self.assertReply(last.reply(), 421, "4.7.0")
            self.assertTrue(last.is_closed())
        refused = self.smtp(tls="none", ehlo=False, source="127.0.0.20")
        self.assertReply(refused.greeting, 421, "4.7.0")
        self.assertTrue(refused.is_closed())
        self.assertEqual(self.greeting("127.0.0.21"), 220)

        event = self.proxy.log.wait("gate.address.banned", since=mark, client="127.0.0.20")
        self.assertEqual(event["seconds"], 3600)
        self.assertEqual(len(self.proxy.log.all("gate.auth.refused", since=mark, client="127.0.0.20")), 3)
        self.assertNotIn("secret-in-the-wrong-field", "\n".join(self.proxy.log.lines))
        self.assertEqual(self.proxy.metric("gate_bans_total"), before + 1)

        self.assertIn("127.0.0.20", self.banned())
        self.assertIn(self.user["file"], self.banned()["127.0.0.20"]["reason"])
        why = self.ctl("ban", "why", "127.0.0.20", json_out=True)
        self.assertTrue(why["banned"])
        self.assertEqual([f["why"] for f in why["failures"]], ["wrong password", "wrong password", "unknown user"])
        self.assertEqual([f["user"] for f in why["failures"]], [self.user["file"], self.user["file"], ""])
        self.assertIn("wrong password", self.ctl("ban", "why", "127.0.0.20").stdout)

        self.assertIn("not banned any more", self.ctl("ban", "lift", "127.0.0.20").stdout)
        self.assertNotIn("127.0.0.20", self.banned())
        self.assertEqual(self.greeting("127.0.0.20"), 220)
        self.assertReply(self.fail("127.0.0.20"), 535)

    def test_an_open_session_of_a_banned_address_cannot_log_in(self):
        s = self.open("127.0.0.22")
        self.fail("127.0.0.22", times=3)
        self.assertReply(s.auth(self.user["file"], self.proxy.passwords[self.user["file"]]), 535)
        self.assertReply(s.reply(), 421, "4.7.0")
        self.assertTrue(s.is_closed())

    def test_a_session_that_is_logged_in_goes_on(self):
        s = self.open("127.0.0.23").login(self.user["file"], self.proxy.passwords[self.user["file"]])
        self.addCleanup(s.close)
        self.fail("127.0.0.23", times=3)
        self.assertEqual(self.greeting("127.0.0.23"), 421)
        self.assertReply(self.send(s), 250)

    def test_allowed_networks_are_never_banned(self):
        self.assertReply(self.fail("127.0.1.6", times=5), 535)
        self.assertEqual(self.greeting("127.0.1.6"), 220)
        self.assertIn("limits.allow", self.ctl("ban", "add", "127.0.1.6", check=False).stderr)

    def test_an_operator_bans_for_a_time(self):
        self.ctl("ban", "add", "127.0.0.24", "--time", "1h", "--reason", "sends \"spam\"")
        self.assertEqual(self.greeting("127.0.0.24"), 421)
        self.assertIn(': sends "spam"', self.banned()["127.0.0.24"]["reason"])
        self.assertTrue(self.banned()["127.0.0.24"]["reason"].startswith("by "))
        self.ctl("ban", "add", "127.0.0.25", "--time", "1s")
        wait_until(lambda: self.greeting("127.0.0.25") == 220, 15, "the end of the ban")
        self.ctl("ban", "add", "2001:db8::25")
        self.assertIn("2001:db8::/64", self.banned())
        for words in (("why",), ("why", "localhost"), ("lift", "192.0.2.0/24"), ("add", "192.0.2.1", "--time", "0"),
                      ("add", "192.0.2.1", "--time", "31d"), ("add", "192.0.2.1", "--reason", "a\nb")):
            self.assertIn(self.ctl("ban", *words, check=False).returncode, (64, 65), words)


class ShortBans(LimitsCase):
    SETTINGS = {"smtpd": {"workers": 1},
                "limits": {"allow": "", "failed_logins": 2, "failed_login_time": "1s", "ban_time": "1s"}}

    def test_a_ban_ends_after_its_time(self):
        mark = self.proxy.log.mark()

        def banned():
            try:
                self.fail("127.0.0.26")
            except (OSError, EOFError):
                pass        # it was sent away, before its line in the log was read
            return self.proxy.log.find("gate.address.banned", mark)
        # The second may turn between two of them.
        wait_until(banned, 20, "a ban")
        self.assertEqual(self.proxy.log.wait("gate.address.banned", since=mark)["seconds"], 1)
        wait_until(lambda: self.greeting("127.0.0.26") == 220, 15, "the end of the ban")

    def test_failures_are_counted_within_their_time(self):
        for _ in range(4):
            begin = time.time()
            self.assertReply(self.fail("127.0.0.27"), 535)
            wait_until(lambda: time.time() > begin + 2, 10, "another span")
        self.assertEqual(self.greeting("127.0.0.27"), 220)


class Mails(LimitsCase):
    SETTINGS = {"smtpd": {"workers": 1}, "limits": {"allow": "127.0.1.0/24", "mails_per_address": 5}}

    def login(self, name, source="127.0.1.1"):
        s = self.open(source).login(name, self.proxy.passwords[name])
        self.addCleanup(s.close)
        return s

    def new_user(self, tenant, name, *limits):
        if tenant not in self.ctl("tenant", "list").stdout:
            self.proxy.tenant(tenant, "file")
        self.proxy.add_user(name, tenant)
        if limits:
            self.ctl("user", "set", name, *limits)
        return name

    def test_an_address_sends_so_many_mails_a_minute(self):
        s = self.login(self.user["file"], "127.0.0.30")
        # The minute may turn in between, once.
        codes = [self.send(s).code for _ in range(11)]
        self.assertEqual(codes[:5], [250] * 5)
        self.assertIn(450, codes)
        self.assertReply(self.send(self.login(self.user["file"], "127.0.1.2")), 250)

    def test_a_users_and_a_tenants_limit(self):
        one = self.login(self.new_user("lim", "one@lim.example", "--per-month", "2"))
        two = self.login(self.new_user("lim", "two@lim.example"))
        self.assertReply(self.send(one), 250)
        self.assertReply(self.send(one), 250)
        mark = self.proxy.log.mark()
        self.assertReply(self.mail(one), 450, "4.7.1")
        event = self.proxy.log.wait("gate.mail.limited", since=mark)
        self.assertEqual((event["of"], event["in_a"], event["limit"], event["user"]),
                         ("user", "month", 2, "one@lim.example"))
        self.assertReply(self.send(two), 250)
        self.ctl("tenant", "set", "lim", "--per-day", "1", "--per-hour", "1000")
        wait_until(lambda: self.send(two).code == 450, 15, "that the changed limit holds")
        self.ctl("tenant", "set", "lim", "--per-day", "none", "--per-hour", "0")
        wait_until(lambda: self.send(two).code == 250, 15, "that there is none any more")
        self.ctl("user", "set", "one@lim.example", "--per-month", "0")
        wait_until(lambda: self.send(one).code == 250, 15, "that the user has none any more")

    def test_what_was_not_accepted_is_given_back(self):
        s = self.login(self.new_user("lim", "back@lim.example", "--per-month", "1"))
        for _ in range(3):
            self.assertReply(self.mail(s), 250)
            self.assertReply(s.command("RSET"), 250)
        self.assertReply(self.send(s), 250)
        self.assertReply(self.mail(s), 450, "4.7.1")

    def test_a_user_comes_from_its_networks_only(self):
        name = self.new_user("lim", "net@lim.example", "--networks", "127.0.1.8/32, 2001:db8::/32")
        self.login(name, "127.0.1.8")
        mark = self.proxy.log.mark()
        reply = self.open("127.0.1.9").auth(name, self.proxy.passwords[name])
        self.assertReply(reply, 535)
        self.assertEqual(self.proxy.log.wait("gate.auth.refused", since=mark)["why"], "not from its networks")
        self.ctl("user", "set", name, "--networks", "")
        wait_until(lambda: self.open("127.0.1.9").auth(name, self.proxy.passwords[name]).code == 235, 15,
                   "that it comes from anywhere")

    def test_lists_show_what_was_set_and_nonsense_is_refused(self):
        name = self.new_user("lim", "set@lim.example")
        pin = ":".join(["AB"] * 32)
        self.ctl("user", "set", name, "--senders", "@example.com a@b.example", "--networks", "10.0.0.0/8 192.0.2.7",
                 "--certificates", f"sha256:{pin},DNS:App.Example email:A@b.example", "--per-second", "3")
        shown = next(u for u in self.ctl("user", "list", json_out=True) if u["name"] == name)
        self.assertEqual(shown["senders"], "@example.com a@b.example")
        self.assertEqual(shown["networks"], "10.0.0.0/8 192.0.2.7/32")
        self.assertEqual(shown["certificates"], f"sha256:{'ab' * 32} dns:app.example email:a@b.example")
        self.assertEqual((shown["per_second"], shown["per_day"], shown["limits"]), (3, None, "3/second"))
        self.ctl("user", "set", name, "--senders", "")
        shown = next(u for u in self.ctl("user", "list", json_out=True) if u["name"] == name)
        self.assertEqual((shown["senders"], shown["per_second"]), ("", 3))
        self.ctl("tenant", "set", "lim", "--mode", "direct", "--per-minute", "600")
        shown = next(t for t in self.ctl("tenant", "list", json_out=True) if t["name"] == "lim")
        self.assertEqual((shown["mode"], shown["per_minute"], shown["limits"]), ("direct", 600, "600/minute"))
        self.ctl("tenant", "set", "lim", "--mode", "listener", "--per-minute", "none")
        for words in (("user", "set", name), ("user", "set", "nobody@lim.example", "--per-day", "1"),
                      ("user", "set", name, "--senders", "nonsense"), ("user", "set", name, "--senders", "a@"),
                      ("user", "set", name, "--networks", "10.0.0.1/8"), ("user", "set", name, "--networks", "here"),
                      ("user", "set", name, "--certificates", "sha256:ab"), ("user", "set", name, "--certificates", "x"),
                      ("user", "set", name, "--per-day", "-1"), ("user", "set", name, "--per-day", "many"),
                      ("tenant", "set", "lim", "--mode", "fast"), ("tenant", "set", "lim", "--per-day", "3000000000")):
            self.assertIn(self.ctl(*words, check=False).returncode, (64, 65), words)


if __name__ == "__main__":
    unittest.main()
