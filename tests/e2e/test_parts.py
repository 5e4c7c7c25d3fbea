# SPDX-License-Identifier: Apache-2.0
"""Recipients that fare differently: each has a fate of its own, in the database, in what operators see, and in what they
do about it; and messages that go by several calls."""
import time

from tests.support import mail
from tests.support.base import marker, wait_until
from tests.support.case import ProxyCase, queued_id
from tests.support.standin import Smarthost

GOOD, NOBODY, LATER = "good@example.com", "refuse-550-5.1.1@example.com", "refuse-450-4.2.1@example.com"


class PartsCase(ProxyCase):
    # A recipient that is refused says nothing of the provider.
    SETTINGS = {"deliver": {"agents": 1}, "queue": {"retry_first": "1s", "max_attempts": 3}}
    EACH = 0

    @classmethod
    def providers(cls):
        chain, key = (str(cls.authority.file(pem)) for pem in cls.authority.issue("smarthost", names="DNS:localhost, IP:127.0.0.1"))
        cls.SETTINGS = {**cls.SETTINGS, "deliver": {**cls.SETTINGS["deliver"], "ca_file": str(cls.authority.ca_file)}}
        return {"host": Host(cls.EACH, tls=(chain, key), ca_host="localhost")}

    def send(self, to):
        """(id, word) of a new message."""
        word = marker()
        with self.proxy.session(self.user["host"]) as s:
            return queued_id(self.assertReply(s.mail(mail.plain(text=word + "\n"), to=list(to)), 250)), word

    def arrives(self, word, n=1):
        host = self.provider["host"]
        host.wait_for(lambda: sum(word.encode() in r.raw for r in host.accepted) >= n, 30, word)
        return [r for r in host.accepted if word.encode() in r.raw]

    def deliveries(self, ident):
        return [tuple(row) for row in self.cluster.sql(
            f"SELECT recipient, state FROM delivery WHERE message_id = '{ident}' ORDER BY recipient")]


class Host(Smarthost):
    def __init__(self, each, **kw):
        self.each = each
        super().__init__(**kw)

    def settings(self):
        return {**super().settings(), "recipients_per_call": self.each}


class Fates(PartsCase):
    def rows(self, ident, table, columns):
        return self.cluster.sql(f"SELECT {columns} FROM {table} WHERE message_id = '{ident}' ORDER BY part")

    def state(self, ident):
        return self.proxy.ctl("message", "show", ident, json_out=True)[0]["state"]

    def test_each_recipient_has_its_own(self):
        ident, word = self.send(to=(NOBODY, GOOD, LATER))
        found = self.arrives(word)
        self.assertEqual([r[0] for r in found[0].recipients], [GOOD])
        wait_until(lambda: self.rows(ident, "dead_letter", "part"), 20, "a dead letter")
        self.assertEqual(self.rows(ident, "dead_letter", "part, recipients, code, status, attempts"),
                         [["0", "{0}", "550", "5.1.1", "1"]])
        # The third is tried three times in all, the others once.
        wait_until(lambda: len(self.rows(ident, "dead_letter", "part")) == 2, 40, "the other dead letter")
        self.assertEqual(self.rows(ident, "dead_letter", "part, recipients, code, attempts")[1], ["2", "{2}", "450", "3"])
        self.assertEqual(self.deliveries(ident), sorted([(GOOD, "sent"), (NOBODY, "failed"), (LATER, "failed")]))
        self.assertEqual(self.rows(ident, "queue", "part"), [])
        self.assertEqual(len(self.arrives(word)), 1)
        self.assertEqual(self.state(ident), "dead, sent")
        history = [row for row in self.proxy.ctl("message", "show", ident, json_out=True)[1:] if row["part"] is not None]
        self.assertEqual(sorted((row["attempt"], row["what"]) for row in history if row["what"] in ("transient", "dead")),
                         [(1, "dead"), (1, "transient"), (2, "transient"), (3, "dead")])
        for row in history:
            if row["what"] == "transient":
                self.assertIn(f"<{LATER}>", row["detail"])
                self.assertEqual((row["provider"], row["code"]), ("host", 450))
        shown = self.proxy.ctl("dead", "show", ident).stdout
        self.assertIn(NOBODY, shown)
        self.assertIn(LATER, shown)
        self.assertNotIn("To: " + GOOD, shown)

    def test_a_dead_letter_is_sent_again_to_those_it_is_about(self):
        ident, word = self.send(to=(GOOD, NOBODY))
        wait_until(lambda: self.rows(ident, "dead_letter", "part"), 20, "a dead letter")
        self.proxy.ctl("dead", "retry", ident, "--reset")
        wait_until(lambda: self.rows(ident, "dead_letter", "part, attempts") == [["1001", "1"]], 20, "refused again")
        self.assertEqual(len(self.arrives(word)), 1, "it was sent to who had it")
        self.assertEqual(self.deliveries(ident), sorted([(GOOD, "sent"), (NOBODY, "failed")]))
        done = self.proxy.ctl("dead", "retry", "--tenant", "tenant-host", "--code", "550", "--provider", "host")
        self.assertIn("in the queue again", done.stdout)
        wait_until(lambda: self.rows(ident, "dead_letter", "part, attempts") == [["2001", "2"]], 20, "refused again")
        self.check_filters(ident)
        for wrong in ((), (ident, "--all"), (ident, "--since", "1h"), ("--code", "x"), ("--since", "noon"), ("--until", "2026-13-01")):
            self.assertNotEqual(self.proxy.ctl("dead", "retry", *wrong, check=False).returncode, 0, wrong)
        self.assertIn("0 dead letters", self.proxy.ctl("dead", "retry", "--code", "999").stdout)

    def check_filters(self, ident):
        """Of a dead letter that the provider `host` answered 550 a moment ago."""
        year = time.gmtime().tm_year
        meet = (("--provider", "host"), ("--code", "550"), ("--since", "1h"), ("--since", f"{year - 1}-12-31T23:59"), ("--until", "0s"),
                ("--until", f"{year + 1}-01-01T00:00:00Z"), ("--reason", "5.1.1*TOLD to"), ("--reason", "refuse*", "--tenant", "tenant-host"))
        miss = (("--provider", "nohost"), ("--code", "551"), ("--since", f"{year + 1}-01-01"), ("--until", "1h"),
                ("--reason", "%"), ("--reason", "5_1"), ("--since", "1h", "--code", "551"))
        for which, is_met in [(w, True) for w in meet] + [(w, False) for w in miss]:
            found = self.proxy.ctl("dead", "list", *which).stdout
            (self.assertIn if is_met else self.assertNotIn)(ident, found, which)
        for which in miss:
            self.assertIn("0 dead letters", self.proxy.ctl("dead", "retry", *which).stdout, which)
        self.assertIn("in the queue again", self.proxy.ctl("dead", "retry", *(word for which in meet[:3] for word in which),
                                                           "--reason", "told").stdout)
        wait_until(lambda: self.rows(ident, "dead_letter", "part, attempts") == [["3001", "3"]], 20, "refused again")

    def test_operators_see_and_hold_what_is_left(self):
        ident, _ = self.send(to=(LATER, GOOD, NOBODY))
        wait_until(lambda: self.rows(ident, "queue", "recipients") == [["{0}"]], 20, "the first attempt")
        self.proxy.ctl("queue", "hold", ident)
        shown = self.proxy.ctl("queue", "show", ident, json_out=True)
        self.assertEqual((shown["is_held"], shown["to"], shown["part"]), (True, LATER, 0))
        listed = self.proxy.ctl("queue", "list", "--tenant", "tenant-host", json_out=True)
        self.assertIn((ident, 1, 0), [(row["message_id"], row["recipients"], row["part"]) for row in
                                      (listed if isinstance(listed, list) else [listed])])
        self.assertEqual(self.state(ident), "held, dead, sent")
        self.proxy.ctl("queue", "release", ident)
        wait_until(lambda: len(self.rows(ident, "dead_letter", "part")) == 2, 40, "the end")


class Calls(PartsCase):
    """A provider that takes one recipient a call."""

    EACH = 1

    def test_each_call_is_a_part_with_attempts_of_its_own(self):
        to = ["a@example.com", LATER, "c@example.com", NOBODY, "e@example.com"]
        ident, word = self.send(to=to)
        found = self.arrives(word, n=3)
        self.assertEqual(sorted(r[0] for one in found for r in one.recipients), [to[0], to[2], to[4]])
        wait_until(lambda: self.cluster.sql(f"SELECT part, attempts FROM dead_letter WHERE message_id = '{ident}' ORDER BY part")
                   == [["1", "3"], ["3", "1"]], 40, "two dead letters")
        self.assertEqual(self.deliveries(ident), sorted((one, "sent" if one in (to[0], to[2], to[4]) else "failed") for one in to))
        shown = self.proxy.ctl("message", "show", ident).stdout
        self.assertIn("into 5 parts", shown)
        self.assertEqual(len(self.arrives(word)), 3)

