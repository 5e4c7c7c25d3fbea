# SPDX-License-Identifier: Apache-2.0
"""What a message may consist of, what leaves of it, and what all messages together may take."""
import os
import stat
import unittest
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY

from tests.support import mail
from tests.support.base import wait_until
from tests.support.case import ProxyCase, queued_id


class Arriving(ProxyCase):
    @classmethod
    def providers(cls):
        return {"file": "file"}

    def eml(self, reply):
        ident = queued_id(self.assertReply(reply, 250))
        return wait_until(lambda: next(iter(self.proxy.out.glob(f"*{ident}*.eml")), None), 20,
                          f"the .eml of {ident}").read_bytes()


def with_attachments(*sizes):
    m = EmailMessage(policy=SMTP_POLICY)
    m["From"], m["To"], m["Subject"] = "sender@example.com", "rcpt@example.net", "files"
    m["Date"], m["Message-ID"] = "Fri, 21 Nov 2025 10:00:00 +0000", "<files@example.com>"
    m.set_content("text\n")
    for i, size in enumerate(sizes):
        m.add_attachment(mail.blob(i, size), "application", "pdf", filename=f"{i}.pdf")
    return m.as_bytes()


def nested(depth):
    """So many multiparts within each other, and a text."""
    text = b"Content-Type: text/plain\r\n\r\nin the middle\r\n"
    for i in range(depth):
        text = (b'Content-Type: multipart/mixed; boundary="b%d"\r\n\r\n--b%d\r\n' % (i, i)) + text + (b"--b%d--\r\n" % i)
    return b"Subject: nested\r\n" + text


class Structure(Arriving):
    SETTINGS = {"smtpd": {"workers": 1, "header_size": "4KiB", "header_fields": 20, "mime_depth": 3,
                          "attachment_size": "20KiB", "attachments_size": "30KiB"}}

    def refused(self, message, code, status, token):
        s = self.session("file")
        since = self.proxy.log.mark()
        reply = self.assertReply(s.mail(message), code, status)
        self.proxy.log.wait("smtpd.reply.refused", since=since, reply=token)
        self.assertReply(s.mail(mail.plain()), 250)
        return reply.text

    def test_a_header_beyond_the_limit_is_552(self):
        text = self.refused(b"X-Long: " + b"y" * 60 + b"\r\n " + b"z" * 4030 + b"\r\n\r\nbody\r\n", 552, "5.3.4", "HEADER_TOO_LARGE")
        self.assertIn("4096", text)
        self.assertReply(self.session("file").mail(b"X-Long: " + b"y" * 900 + b"\r\n\r\n" + b"body\r\n" * 3000), 250)

    def test_fields_beyond_the_limit_are_554(self):
        text = self.refused(b"X: y\r\n" * 21 + b"\r\nbody\r\n", 554, "5.6.0", "TOO_MANY_FIELDS")
        self.assertIn("20", text)
        self.assertReply(self.session("file").mail(b"X: y\r\n" * 20 + b"\r\nX: y\r\n"), 250)

    def test_parts_beyond_the_depth_are_554(self):
        text = self.refused(nested(4), 554, "5.6.0", "MIME_TOO_DEEP")
        self.assertIn("3", text)
        self.assertReply(self.session("file").mail(nested(3)), 250)

    def test_attachments_beyond_the_limits_are_552(self):
        text = self.refused(with_attachments(20481), 552, "5.3.4", "ATTACHMENT_TOO_LARGE")
        self.assertIn("20480", text)
        text = self.refused(with_attachments(20000, 10721), 552, "5.3.4", "ATTACHMENTS_TOO_LARGE")
        self.assertIn("30720", text)
        self.assertReply(self.session("file").mail(with_attachments(20480, 10240)), 250)

    def test_chunks_are_measured_too(self):
        s = self.session("file")
        message = with_attachments(25000)
        s.command("MAIL FROM:<a@example.com>")
        s.command("RCPT TO:<b@example.net>")
        s.send(b"BDAT %d LAST\r\n" % len(message) + message)
        self.assertReply(s.reply(), 552, "5.3.4")

    # what leaves

    def test_blind_recipients_stay_here(self):
        message = (b"Return-Path: <liar@example.com>\r\nBcc: hidden@example.org,\r\n also@example.org\r\nFrom: a@example.com\r\n"
                   b"bcc : third@example.org\r\nX-Odd :  kept\t\r\nTo: b@example.net\r\nResent-Bcc: fourth@example.org\r\n"
                   b"Date: Fri, 21 Nov 2025 10:00:00 +0000\r\nMessage-ID: <m@example.com>\r\n\r\nBcc: in the body\r\n")
        raw = self.eml(self.session("file").mail(message, to=("b@example.net", "hidden@example.org")))
        raw = raw[raw.index(b"Received: "):] # before it are the provider's own fields
        self.assertEqual(raw[raw.index(b"From: a@"):], b"From: a@example.com\r\nX-Odd :  kept\t\r\nTo: b@example.net\r\n"
                                     b"Date: Fri, 21 Nov 2025 10:00:00 +0000\r\nMessage-ID: <m@example.com>\r\n\r\nBcc: in the body\r\n")
        self.assertNotIn(b"example.org", raw)
        self.assertNotIn(b"liar", raw)

    def test_blind_recipients_stay_here_however_their_field_is_written(self):
        message = (b"From: a@example.com\r\nBcc\r\n : one@example.org\r\nTo: b@example.net\r\nbCC \t\r\n\t\r\n :\r\n two@example.org\r\n"
                   b"Subject\r\n : kept\r\nResent-Bcc\t: three@example.org\r\n\r\nbody\r\n")
        raw = self.eml(self.session("file").mail(message, to=("b@example.net", "one@example.org")))
        self.assertTrue(raw.endswith(b"From: a@example.com\r\nTo: b@example.net\r\nSubject: kept\r\n\r\nbody\r\n"), raw)
        self.assertNotIn(b"example.org", raw[raw.index(b"Received: "):])


class Pressure(Arriving):
    """One worker with little memory: what does not fit goes to files, and what does not fit there is refused."""

    SETTINGS = {"smtpd": {"workers": 1, "memory": "1MiB", "spill": "4MiB", "message_size": "3MiB", "attachment_size": "4MiB",
                          "attachments_size": "4MiB"}}

    def held(self):
        return (self.proxy.metric("smtp_receive_memory_bytes"), self.proxy.metric("smtp_receive_file_bytes"))

    def begin(self, s, message, size=None):
        self.assertReply(s.command("MAIL FROM:<a@example.com>" + (f" SIZE={size}" if size else "")), 250)
        self.assertReply(s.command("RCPT TO:<b@example.net>"), 250)
        self.assertReply(s.command("DATA"), 354)
        s.send(message)

    def test_large_messages_go_by_way_of_files_and_arrive_whole(self):
        messages = [with_attachments(1_000_000 + i) for i in range(3)]
        sessions = [self.session("file") for _ in messages]
        for s, message in zip(sessions, messages):
            self.begin(s, message[:1_100_000])
        wait_until(lambda: self.held()[1] > 3_000_000, 20, "the messages in files")
        self.assertLess(self.held()[0], 1 << 20)
        spill = self.proxy.scratch.path / "state" / "smtpd"
        self.assertEqual(os.listdir(spill), [], "the files have no names")
        self.assertEqual(stat.S_IMODE(spill.stat().st_mode), 0o700)
        # Small ones are served meanwhile; a file that there is no room for is refused before it is sent.
        other = self.session("file")
        self.assertReply(other.mail(mail.plain()), 250)
        self.assertReply(other.command("MAIL FROM:<a@example.com> SIZE=2000000"), 452, "4.3.1")
        self.assertReply(other.command("MAIL FROM:<a@example.com> SIZE=20000"), 250)
        for s, message in zip(sessions, messages):
            s.send(message[1_100_000:] + b".\r\n")
            raw = self.eml(s.reply())
            self.assertTrue(raw.endswith(b"\r\n" + message), raw[:500])
        wait_until(lambda: self.held() == (0, 0), 20, "nothing held")

    def test_beyond_the_files_a_message_is_452(self):
        first, second = self.session("file"), self.session("file")
        self.begin(first, with_attachments(2_000_000)[:2_600_000])
        wait_until(lambda: self.held()[1] > 2_500_000, 20, "the first message in a file")
        self.assertReply(second.mail(with_attachments(2_000_000)), 452, "4.3.1")
        self.assertReply(second.mail(mail.plain()), 250)
        first.send(b"\r\n.\r\n")
        self.assertReply(first.reply(), 250)
        wait_until(lambda: self.held() == (0, 0), 20, "nothing held")

    def test_a_client_that_leaves_frees_its_share(self):
        for _ in range(3):
            s = self.session("file")
            self.begin(s, with_attachments(1_500_000)[:1_800_000])
            wait_until(lambda: self.held()[1] > 1_500_000, 20, "the message in a file")
            s.close()
            wait_until(lambda: self.held() == (0, 0), 20, "nothing held")


if __name__ == "__main__":
    unittest.main()
