# SPDX-License-Identifier: Apache-2.0
"""The main road: a message in by SMTP, through the queue, out through each kind of provider, compared part by part."""
import email
import email.policy
import shutil
import time
import unittest

from tests.support import mail
from tests.support.base import marker, run, wait_until
from tests.support.case import ProxyCase, queued_id


class Road(ProxyCase):
    def send(self, provider, message, to=("rcpt@example.net",), **kw):
        with self.proxy.session(self.user[provider], **kw) as s:
            return queued_id(self.assertReply(s.mail(message, to=to), 250, "2.0.0"))

    def at(self, provider, word, timeout=20):
        """The record of the message whose raw form or payload holds the word."""
        standin = self.provider[provider]
        find = lambda: next((r for r in standin.accepted  # noqa: E731
                             if word in str(r.payload) or word.encode() in r.raw), None)
        standin.wait_for(find, timeout, f"the message {word}")
        return find()

    def eml(self, message_id):
        path = wait_until(lambda: next(iter(self.proxy.out.glob(f"*{message_id}*.eml")), None), 20,
                          f"the .eml of {message_id}")
        return path.read_bytes()

    # SendGrid

    def test_a_rich_message_reaches_sendgrid_part_by_part(self):
        word = marker()
        raw = mail.rich(word)
        self.send("sendgrid", raw, mail.RICH_RECIPIENTS)
        m = self.at("sendgrid", word).payload
        self.assertEqual(m["from"], {"email": "sender@example.com", "name": "Zoë Sender"})
        person = m["personalizations"][0]
        self.assertEqual(len(m["personalizations"]), 1)
        self.assertEqual([a["email"] for a in person["to"]], ["first@example.net", "second@example.net"])
        self.assertEqual(person["to"][0]["name"], "First Person")
        self.assertEqual(person["cc"], [{"email": "copy@example.org", "name": "Ærlig Ven"}])
        self.assertEqual([a["email"] for a in person["bcc"]], ["hidden@example.org"])
        self.assertEqual(m["reply_to"]["email"], "answers@example.com")
        self.assertEqual(m["subject"], mail.header(raw, "Subject"))
        self.assertEqual([c["type"] for c in m["content"]], ["text/plain", "text/html"])
        text = m["content"][0]["value"].replace("\r\n", "\n")
        self.assertEqual(text.rstrip("\n"), f"Grüße, {word}\n\n.a line that begins with a dot\nlast line")
        self.assertIn(f"Grüße, <b>{word}</b>", m["content"][1]["value"])
        sent = {p[1]: p for p in mail.parts(raw) if p[1]}
        got = {a["filename"]: a for a in m["attachments"]}
        self.assertEqual(set(got), set(sent))
        for name, (kind, _, disposition, cid, sha) in sent.items():
            self.assertEqual(got[name]["type"], kind)
            self.assertEqual(got[name]["disposition"], disposition)
            self.assertEqual(got[name].get("content_id", ""), cid)
            if not kind.startswith("text/"):
                self.assertEqual(mail.sha(mail.unbase64(got[name]["content"])), sha, name)
        self.assertEqual(mail.unbase64(got["übersicht.csv"]["content"]).decode("utf-8").replace("\r\n", "\n"),
                         "a;b\nü;2\n")
        headers = {k.lower(): v for k, v in m["headers"].items()}
        self.assertEqual(headers["x-campaign"], "autumn-7")
        self.assertEqual(headers["list-unsubscribe"], "<https://example.com/u/1>")

    def test_each_recipient_gets_it_once_however_often_it_is_named(self):
        word = marker()
        self.send("sendgrid", mail.plain(text=word + "\n", to="a@example.net, A@example.net"),
                  ["a@example.net", "b@example.net", "a@example.net"])
        person = self.at("sendgrid", word).payload["personalizations"][0]
        everybody = [a["email"].lower() for f in ("to", "cc", "bcc") for a in person.get(f, [])]
        self.assertEqual(sorted(everybody), ["a@example.net", "b@example.net"])

    def test_only_envelope_recipients_get_it(self):
        word = marker()
        self.send("sendgrid", mail.plain(text=word + "\n", to="a@example.net, not-now@example.net"),
                  ["a@example.net"])
        person = self.at("sendgrid", word).payload["personalizations"][0]
        self.assertEqual([a["email"] for f in ("to", "cc", "bcc") for a in person.get(f, [])], ["a@example.net"])

    def test_a_message_without_subject_and_text_reaches_sendgrid(self):
        word = marker()
        self.send("sendgrid", f"From: a@example.com\r\nTo: b@example.net\r\nX-Word: {word}\r\n\r\n".encode())
        self.assertEqual(self.at("sendgrid", word).payload["from"]["email"], "a@example.com")

    def test_a_message_in_latin_1_reaches_sendgrid_as_utf_8(self):
        word = marker()
        raw = (f"From: a@example.com\r\nTo: rcpt@example.net\r\nSubject: =?iso-8859-1?q?gr=FC=DFe?=\r\n"
               f"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=iso-8859-1\r\n"
               f"Content-Transfer-Encoding: 8bit\r\n\r\n{word} f\xfcr\r\n").encode("latin-1")
        self.send("sendgrid", raw)
        m = self.at("sendgrid", word).payload
        self.assertEqual(m["subject"], "grüße")
        self.assertEqual(m["content"][0]["value"].rstrip(), f"{word} für")

    def test_malformed_mime_is_delivered_as_well_as_it_can_be(self):
        word = marker()
        raw = (f"From: a@example.com\r\nTo: rcpt@example.net\r\nSubject: odd\r\nMIME-Version: 1.0\r\n"
               f"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\nContent-Type: text/plain\r\n\r\n{word}\r\n"
               f"--x\r\nContent-Type: image/png; name=a.png\r\nContent-Transfer-Encoding: base64\r\n\r\n%%%=\r\n"
               f"no end\r\n").encode()
        self.send("sendgrid", raw)
        self.assertIn(word, self.at("sendgrid", word).payload["content"][0]["value"])

    # SES

    def test_a_rich_message_reaches_ses_as_it_was(self):
        word = marker()
        raw = mail.rich(word)
        ident = self.send("ses", raw, mail.RICH_RECIPIENTS, tls="implicit")
        record = self.at("ses", word)
        destination = record.payload["Destination"]
        self.assertEqual(sorted(a for v in destination.values() for a in v), sorted(mail.RICH_RECIPIENTS))
        self.assertEqual(mail.parts(record.raw), mail.parts(raw))
        for name in ("From", "To", "Cc", "Subject", "Reply-To", "X-Campaign"):
            self.assertEqual(mail.header(record.raw, name), mail.header(raw, name))
        self.assertTrue(any(ident in r for r in mail.received(record.raw)), "the Received field names the id")

    def test_a_bcc_field_never_leaves(self):
        word = marker()
        self.send("ses", mail.plain(text=word + "\n").replace(b"To:", b"Bcc: secret@example.org\r\nTo:", 1),
                  ["rcpt@example.net", "secret@example.org"])
        self.assertNotIn(b"secret@example.org", self.at("ses", word).raw)

    # file

    def test_a_rich_message_becomes_an_eml_file(self):
        raw = mail.rich(marker())
        ident = self.send("file", raw, mail.RICH_RECIPIENTS)
        eml = self.eml(ident)
        self.assertEqual(mail.parts(eml), mail.parts(raw))
        self.assertIn(raw, eml, "the message as it came, below what was put above it")
        received = mail.received(eml)
        self.assertEqual(len(received), 1)
        self.assertIn(ident, received[0])
        self.assertIn("ESMTPSA", received[0])

    def test_a_received_field_names_what_happened(self):
        with self.proxy.session(self.user["file"]) as s:
            s.ehlo("my.host.test")
            ident = queued_id(self.assertReply(s.mail(mail.plain(text=marker() + "\n")), 250))
        field = mail.received(self.eml(ident))[0]
        self.assertIn("my.host.test", field)
        self.assertIn("127.0.0.1", field)
        self.assertIn("mail.test", field)

    def test_leading_dots_and_odd_lines_arrive_unchanged(self):
        body = b".\r\n..\r\n...dots\r\n\r\n.\r\ntext\r\n " + b"x" * 900 + b"\r\n"
        raw = b"From: a@example.com\r\nTo: b@example.net\r\nSubject: dots\r\n\r\n" + body
        self.assertTrue(self.eml(self.send("file", raw)).endswith(raw))

    def test_large_messages_arrive_whole(self):
        for provider, size in (("file", 5 << 20), ("sendgrid", 3 << 20), ("ses", 3 << 20), ("file", 65 << 10)):
            with self.subTest(provider=provider, size=size):
                word = marker()
                raw = mail.rich(word, size=size)
                ident = self.send(provider, raw, mail.RICH_RECIPIENTS)
                sha = mail.sha(mail.blob(2, size))
                if provider == "file":
                    self.assertIn(raw, self.eml(ident))
                elif provider == "ses":
                    self.assertEqual(mail.parts(self.at("ses", word).raw), mail.parts(raw))
                else:
                    got = self.at("sendgrid", word).payload["attachments"]
                    pdf = next(a for a in got if a["filename"] == "report.pdf")
                    self.assertEqual(mail.sha(mail.unbase64(pdf["content"])), sha)

    def test_eight_bit_and_null_reverse_path(self):
        raw = "From: a@example.com\r\nSubject: 8\r\n\r\ngrüße\r\n".encode()
        with self.proxy.session(self.user["file"]) as s:
            self.assertReply(s.command("MAIL FROM:<> BODY=8BITMIME"), 250)
            self.assertReply(s.command("RCPT TO:<b@example.net>"), 250)
            self.assertReply(s.command("DATA"), 354)
            ident = queued_id(self.assertReply(s.data(raw), 250))
        self.assertTrue(self.eml(ident).endswith(raw))

    # many, and other clients

    def test_many_messages_in_one_session_arrive_once_each(self):
        words = [marker() for _ in range(40)]
        with self.proxy.session(self.user["sendgrid"]) as s:
            for word in words:
                self.assertReply(s.mail(mail.plain(text=word + "\n")), 250)
        for word in words:
            self.at("sendgrid", word)
        wait_until(lambda: self.proxy.depth() == 0, 20, "an empty queue")
        texts = [str(r.payload) for r in self.provider["sendgrid"].accepted]
        self.assertEqual([sum(word in t for t in texts) for word in words], [1] * len(words))

    def test_a_hundred_recipients(self):
        word = marker()
        to = [f"r{i}@example.net" for i in range(100)]
        ident = self.send("sendgrid", mail.plain(text=word + "\n"), to)
        everybody = [a["email"] for person in self.at("sendgrid", word).payload["personalizations"]
                     for f in ("to", "cc", "bcc") for a in person.get(f, [])]
        self.assertEqual(sorted(everybody), sorted(to))
        rows = wait_until(lambda: self.cluster.sql(
            f"SELECT recipient, state FROM delivery WHERE message_id = '{ident}'"), 20, "the delivery rows")
        self.assertEqual(sorted(r for r, _ in rows), sorted(to))
        self.assertEqual({s for _, s in rows}, {"sent"})

    def test_ses_takes_more_recipients_than_one_call_may_have_or_says_so(self):
        # The API takes 50 a message: a message for 60 must reach all 60, or become a dead letter that says why.
        word = marker()
        to = [f"r{i}@example.net" for i in range(60)]
        ident = self.send("ses", mail.plain(text=word + "\n"), to)
        states = wait_until(lambda: self.cluster.sql(
            f"SELECT state, count(*) FROM delivery WHERE message_id = '{ident}' GROUP BY 1"), 20, "the delivery rows")
        self.assertIn(states, ([["sent", "60"]], [["failed", "60"]]))

    def test_smtplib_and_curl_are_served(self):
        word = marker()
        with self.proxy.smtplib(self.user["sendgrid"]) as s:
            s.sendmail("sender@example.com", ["rcpt@example.net"], mail.plain(text=word + "\n"))
        self.at("sendgrid", word)
        with self.proxy.smtplib(self.user["sendgrid"], tls="implicit") as s:
            s.sendmail("sender@example.com", ["rcpt@example.net"], mail.plain(text=word + "-2\n"))
        self.at("sendgrid", word + "-2")
        if not shutil.which("curl"):
            return
        user = self.user["file"]
        path = self.scratch.path / "curl.eml"
        path.write_bytes(mail.plain(text=marker() + "\n"))
        options = self.scratch.path / "curl.conf"
        options.write_text(f'user = "{user}:{self.proxy.passwords[user]}"\n')
        for url, more in ((f"smtp://localhost:{self.proxy.port}", ["--ssl-reqd"]),
                          (f"smtps://localhost:{self.proxy.port_implicit}", [])):
            before = set(self.proxy.out.iterdir())
            done = run("curl", "-sS", "-4", "--config", options, url, *more, "--cacert", self.authority.ca_file,
                       "--mail-from", "sender@example.com", "--mail-rcpt", "rcpt@example.net", "--upload-file", path)
            self.assertEqual(done.returncode, 0, done.stderr)
            wait_until(lambda: set(self.proxy.out.glob("*.eml")) - before, 20, "curl's message")

    def test_the_trace_of_a_message_tells_every_step(self):
        word = marker()
        ident = self.send("sendgrid", mail.plain(text=word + "\n"))
        record = self.at("sendgrid", word)
        wait_until(lambda: self.cluster.sql(f"SELECT 1 FROM delivery WHERE message_id = '{ident}'"), 20, "the row")
        text = self.proxy.ctl("message", "show", ident).stdout
        for needed in (ident, "rcpt@example.net", "sendgrid", "sent", record.provider_id):
            self.assertIn(needed, text)
        trace = self.proxy.ctl("message", "show", ident, json_out=True)
        self.assertIn(record.provider_id, str(trace))
        self.assertNotIn(word, text)

    def test_it_takes_less_than_a_second_from_end_to_end(self):
        word = marker()
        begin = time.monotonic()
        self.send("sendgrid", mail.plain(text=word + "\n"))
        self.assertLess(self.at("sendgrid", word).received_at - begin, 2.0)


class Unprivileged(ProxyCase):
    """The same as an ordinary user: nothing needs root but the change of users."""

    UNPRIVILEGED = True

    @classmethod
    def providers(cls):
        return {"file": "file"}

    def test_a_message_goes_all_the_way(self):
        raw = mail.rich(marker())
        with self.proxy.session(self.user["file"]) as s:
            ident = queued_id(self.assertReply(s.mail(raw), 250))
        path = wait_until(lambda: next(iter(self.proxy.out.glob(f"*{ident}*.eml")), None), 20, "the file")
        self.assertEqual(mail.parts(path.read_bytes()), mail.parts(raw))
        self.assertIsNotNone(email.message_from_bytes(path.read_bytes(), policy=email.policy.default)["Received"])


if __name__ == "__main__":
    unittest.main()
