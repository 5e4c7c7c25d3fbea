# SPDX-License-Identifier: Apache-2.0
"""Tenants that send with credentials of their own, and tenants and users in test mode."""
import json
import re
import unittest

from tests.support import mail
from tests.support.base import EVIDENCE, marker, wait_until
from tests.support.case import ProxyCase, queued_id
from tests.support.standin import SendGrid, Smarthost


def new_key():
    import secrets
    return EVIDENCE.secret(secrets.token_hex(32))


class Case(ProxyCase):
    KEY = new_key()
    SETTINGS = {"credentials": {"key": KEY}}

    @classmethod
    def providers(cls):
        # Two accounts at the same place: each stand-in takes its own key only.
        return {"sendgrid": SendGrid(), "other": SendGrid(), "sandbox": {"type": "sandbox"}}

    def send(self, user, to=("you@example.com",), **kw):
        word = marker()
        with self.proxy.session(user) as s:
            return queued_id(self.assertReply(s.mail(mail.plain(text=word + "\n", **kw), to=to), 250)), word

    def change(self, do):
        """What changes credentials, until qmgr knows."""
        do()
        self.proxy.await_changes()

    def states(self, ident, n=1):
        return dict(wait_until(lambda: (lambda rows: rows if len(rows) >= n else None)(self.cluster.sql(
            f"SELECT recipient, state FROM delivery WHERE message_id = '{ident}'")), 30, f"the end of {ident}"))


class Credentials(Case):
    def setUp(self):
        self.change(lambda: self.cluster.sql("DELETE FROM provider_credential"))

    def use(self, tenant, provider, key):
        self.change(lambda: self.proxy.ctl("credential", "set", tenant, provider, input=f"api_key: {key}\n"))

    def taken(self, provider, word):
        standin = self.provider[provider]
        with standin.lock:
            return [r for r in standin.accepted if word in str(r.payload)]

    def test_a_tenants_own_key_goes_before_the_settings(self):
        standin = self.provider["sendgrid"]
        self.proxy.tenant("own", "sendgrid")
        self.proxy.add_user("own@users.example", "own")
        mine = EVIDENCE.secret("SG.own-" + marker())
        self.use("own", "sendgrid", mine)
        listed = self.proxy.ctl("credential", "list", "--tenant", "own", json_out=True)
        self.assertEqual((listed["tenant"], listed["provider"], listed["sealed_with"]), ("own", "sendgrid", "credentials.key"))
        settings_key, standin.key = standin.key, mine
        try:
            ident, word = self.send("own@users.example")
            self.assertEqual(self.states(ident), {"you@example.com": "sent"})
            self.assertEqual(len(self.taken("sendgrid", word)), 1)
        finally:
            standin.key = settings_key
        self.assertNotIn(mine.encode(), self.cluster.sql("SELECT sealed FROM provider_credential")[0][0].encode())
        self.change(lambda: self.proxy.ctl("credential", "remove", "own", "sendgrid"))
        ident, word = self.send("own@users.example")
        self.assertEqual(self.states(ident), {"you@example.com": "sent"})

    def test_a_credential_that_does_not_open_waits_for_the_operator(self):
        self.proxy.tenant("moved", "sendgrid")
        self.proxy.tenant("thief", "sendgrid")
        self.proxy.add_user("thief@users.example", "thief")
        self.use("moved", "sendgrid", self.provider["sendgrid"].key)
        # Somebody with rights to the table gives the row to another tenant: it does not open there.
        self.change(lambda: self.cluster.sql(
            "UPDATE provider_credential SET tenant_id = (SELECT tenant_id FROM tenant WHERE name = 'thief')"
            " WHERE tenant_id = (SELECT tenant_id FROM tenant WHERE name = 'moved')"))
        mark = self.proxy.log.mark()
        ident, word = self.send("thief@users.example")
        event = self.proxy.log.wait("deliver.call.end", since=mark, message=ident)
        self.assertEqual(event["outcome"], "provider-fault")
        self.assertIn("belongs to another tenant", event["reason"])
        self.assertEqual(self.taken("sendgrid", word), [])
        self.use("thief", "sendgrid", self.provider["sendgrid"].key)
        self.assertEqual(self.states(ident), {"you@example.com": "sent"})

    def test_a_new_key_takes_over_without_a_pause(self):
        self.proxy.tenant("rotated", "sendgrid")
        self.proxy.add_user("rotated@users.example", "rotated")
        self.use("rotated", "sendgrid", self.provider["sendgrid"].key)
        first, second = self.proxy.settings["credentials"]["key"], new_key()
        self.proxy.settings["credentials"] = {"key": second, "old_key": first}
        self.proxy.write_settings()
        self.assertTrue(self.proxy.reload())
        try:
            ident, _ = self.send("rotated@users.example")
            self.assertEqual(self.states(ident), {"you@example.com": "sent"})
            self.assertRegex(self.proxy.ctl("credential", "rotate").stdout, r"sealed [1-9]\d* credentials")
            self.proxy.settings["credentials"] = {"key": second}
            self.proxy.write_settings()
            self.assertTrue(self.proxy.reload())
            ident, _ = self.send("rotated@users.example")
            self.assertEqual(self.states(ident), {"you@example.com": "sent"})
        finally:
            self.proxy.settings["credentials"] = {"key": second, "old_key": first}
            self.proxy.write_settings()
            self.proxy.reload()

    def test_what_is_wrong_is_said_and_not_shown(self):
        def refused(text, *args, status=65):
            done = self.proxy.ctl("credential", *args, input=text, check=False)
            self.assertEqual(done.returncode, status, done.stderr)
            self.assertNotIn("SG.typed", done.stderr)
            return done.stderr
        self.assertIn("colon", refused("SG.typed\n", "set", "tenant-other", "other"))
        self.assertIn("endpoint", refused("endpoint: https://SG.typed\n", "set", "tenant-other", "other"))
        self.assertIn("no such tenant", refused("api_key: SG.typed\n", "set", "nobody", "other"))
        self.assertIn("no such provider", refused("api_key: SG.typed\n", "set", "tenant-other", "nothing"))
        self.assertIn("no credential", refused("", "remove", "tenant-other", "other"))
        self.assertRegex(self.proxy.ctl("credential", "key").stdout, re.compile(r"\A[0-9a-f]{64}\n\Z"))


class OwnServer(Case):
    @classmethod
    def providers(cls):
        return {"host": Smarthost()}

    def test_a_server_of_the_tenants_gets_nothing_of_the_operators_and_is_none_of_this_host(self):
        host = self.provider["host"]
        self.proxy.tenant("elsewhere", "host")
        self.proxy.add_user("elsewhere@users.example", "elsewhere")

        def set_to(text, check=True):
            return self.proxy.ctl("credential", "set", "elsewhere", "host", input=text, check=check)
        for text, words in ((f"port: {host.port}\n", "this machine"), ("host: localhost\n", "this machine"),
                            ("host: mx.example\n", "not encrypted"), ("password: guessed\n", "needs it")):
            done = set_to(text, check=False)
            self.assertEqual(done.returncode, 65, text)
            self.assertIn(words, done.stderr)
        # That the name leads here is seen when it is looked up.
        self.change(lambda: set_to(f"host: 127.1\nport: {host.port}\ntls: starttls\n"))
        mark = self.proxy.log.mark()
        ident, word = self.send("elsewhere@users.example")
        event = self.proxy.log.wait("deliver.call.end", since=mark, message=ident)
        self.assertEqual((event["outcome"], event["status"]), ("provider-fault", "4.7.1"))
        self.assertIn("stands for this machine", event["reason"])
        with host.lock:
            self.assertEqual(host.accepted, [])
        self.change(lambda: self.proxy.ctl("credential", "remove", "elsewhere", "host"))
        self.assertEqual(self.states(ident), {"you@example.com": "sent"})


class TestMode(Case):
    def test_nothing_of_a_tenant_in_test_mode_leaves(self):
        self.proxy.tenant("staging", "sendgrid")
        self.proxy.add_user("staging@users.example", "staging")
        self.proxy.ctl("tenant", "set", "staging", "--test", "on")
        self.proxy.await_changes()
        ident, word = self.send("staging@users.example", to=("you@example.com",))
        self.assertEqual(self.states(ident), {"you@example.com": "sent"})
        ident, _ = self.send("staging@users.example", to=("permanent@example.com",))
        self.assertEqual(self.states(ident), {"permanent@example.com": "failed"})
        standin = self.provider["sendgrid"]
        with standin.lock:
            self.assertEqual([r for r in standin.accepted if word in str(r.payload)], [])

    def test_who_was_taken_bounces_later(self):
        self.proxy.tenant("later", "sandbox")
        self.proxy.add_user("later@users.example", "later")
        ident, _ = self.send("later@users.example", to=("bounce-later+1@example.com", "you@example.com"))
        self.assertEqual(set(self.states(ident, 2).values()), {"sent"})
        wait_until(lambda: self.states(ident, 2) == {"bounce-later+1@example.com": "bounced", "you@example.com": "sent"}, 40,
                   "the bounce")
        rows = [json.loads(line) for line in self.proxy.ctl("--json", "message", "show", ident).stdout.splitlines()]
        self.assertEqual(rows[0]["state"], "bounced, sent")
        history = [(r["what"], r["code"]) for r in rows[1:] if "bounce-later" in r["detail"]]
        self.assertEqual(history, [("bounces-later", 550), ("sent", None), ("bounced", 550)])


if __name__ == "__main__":
    unittest.main()
