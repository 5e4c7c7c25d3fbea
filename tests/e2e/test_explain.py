# SPDX-License-Identifier: Apache-2.0
"""smtp-proxyctl explain: the way a message would go, what each provider would change, and the request without secrets."""
import json
import unittest

from tests.support import mail
from tests.support.case import ProxyCase
from tests.support.standin import SendGrid, Ses


class Explain(ProxyCase):
    @classmethod
    def providers(cls):
        return {"sendgrid": SendGrid(), "ses": Ses(token=True), "file": "file"}

    def file(self, raw):
        path = self.scratch.path / "message.eml"
        path.write_bytes(raw)
        path.chmod(0o644)
        return str(path)

    def explain(self, raw, *args, tenant="tenant-sendgrid", **kw):
        return self.proxy.ctl("explain", self.file(raw), *args, "--tenant", tenant, **kw)

    def test_the_request_is_shown_without_the_key(self):
        shown = self.explain(mail.rich("word-of-it")).stdout
        self.assertIn("By the tenant's provider, to first@example.net second@example.net copy@example.org", shown)
        self.assertIn("POST " + self.provider["sendgrid"].url + "/v3/mail/send", shown)
        self.assertIn("Authorization: (hidden)", shown)
        self.assertNotIn(self.provider["sendgrid"].key, shown)
        self.assertIn("octets more", shown)
        whole = self.explain(mail.rich("word-of-it"), "--whole").stdout
        body = json.loads(whole.rsplit("\n\n", 1)[1])
        self.assertEqual(body["subject"].split()[1], "word-of-it")
        self.assertEqual([a["filename"] for a in body["attachments"]], ["logo.png", "report.pdf", "übersicht.csv"])

    def test_of_ses_the_signature_and_the_token_are_hidden(self):
        shown = self.explain(mail.plain(), "--whole", tenant="tenant-ses").stdout
        self.assertIn("Authorization: (hidden)", shown)
        self.assertIn("X-Amz-Security-Token: (hidden)", shown)
        self.assertNotIn(self.provider["ses"].token, shown)
        self.assertNotIn(self.provider["ses"].secret_key, shown)

    def test_each_candidate_of_a_route_says_what_it_would_lose(self):
        self.proxy.ctl("route", "add", "tenant-file", "sendgrid > ses > file", "--recipient", "example.net")
        found = self.explain(mail.plain(), "first@example.net", "other@example.org", tenant="tenant-file", json_out=True)
        self.assertEqual([(f["recipients"], f["tier"], f["provider"]) for f in found],
                         [("first@example.net", 1, "sendgrid"), ("first@example.net", 2, "ses"), ("first@example.net", 3, "file"),
                          ("other@example.org", 1, "file")])
        # rcpt@example.net stands in To, and would get it by SendGrid's API: there it is not shown.
        self.assertIn("rcpt@example.net", found[0]["explanation"])
        self.assertRegex(found[0]["explanation"], "(?m)^note: ")
        self.assertIn("as it is", found[2]["explanation"])

    def test_what_a_provider_cannot_carry_is_said(self):
        found = self.explain(mail.plain(), "grüße@example.net", json_out=True)
        self.assertIn("5.6.7", found["explanation"])
        self.assertIn("beyond ASCII", found["verdict"])

    def test_nothing_is_sent(self):
        before = self.provider["sendgrid"].requests
        self.explain(mail.plain())
        self.assertEqual(self.provider["sendgrid"].requests, before)

    def test_what_is_missing_is_said(self):
        for args, status, word in ((("/nonexistent", "--tenant", "tenant-file"), 66, "nonexistent"),
                                   ((self.file(mail.plain()),), 64, "--tenant"),
                                   ((self.file(b"Subject: x\r\n\r\n"), "--tenant", "tenant-file"), 65, "no recipient")):
            done = self.proxy.ctl("explain", *args, check=False)
            self.assertEqual(done.returncode, status, done.stderr)
            self.assertIn(word, done.stderr)


if __name__ == "__main__":
    unittest.main()
