# SPDX-License-Identifier: Apache-2.0
"""Clients that say what nobody should: lengths, octets, line ends, and what is meant for somebody else's eyes."""
import collections
import itertools
import re
import select
import ssl
import time
import unittest

from tests.support import mail
from tests.support.base import patience
from tests.support.hostile import Watched, half_close


class Octets(Watched):
    # lengths

    def test_lines_of_a_megabyte(self):
        for prefix in (b"NOOP ", b"MAIL FROM:<", b"EHLO ", b"", b"AUTH PLAIN ", b"VRFY \xff", b"RCPT TO:<a@", b"\0"):
            with self.subTest(prefix=prefix):
                s = self.session("file")
                s.send(prefix + b"A" * 1_000_000 + b"\r\n")
                self.assertEqual(s.reply().code, 500)
                self.assertReply(s.command("NOOP"), 250)

    def test_a_line_that_never_ends(self):
        s = self.session("file")
        for _ in range(20):
            s.send(b"x" * 500_000)
        s.send(b"\r\n")
        self.assertReply(s.reply(), 500)

    def test_an_answer_to_auth_of_a_megabyte(self):
        for mechanism in ("PLAIN", "LOGIN"):
            s = self.smtp()
            self.assertReply(s.command(f"AUTH {mechanism}"), 334)
            s.send(b"QUFB" * 250_000 + b"\r\n")
            self.assertReply(s.reply(), 500)
            self.assertReply(s.auth(self.name, self.password), 235)

    def flood(self, s, chunk, times):
        """Writes without end and reads the replies meanwhile: {code: number}. Without threads: of two that use one
        connection Python's ssl gives the one what the other's call came to."""
        out, heard, end = memoryview(chunk * times + b"QUIT\r\n"), bytearray(), time.monotonic() + patience(60)
        s.sock.setblocking(False)
        while not re.search(rb"^[24]21 .*\r\n", heard[-1000:], re.MULTILINE):
            self.assertLess(time.monotonic(), end)
            select.select([s.sock], [s.sock] if out else [], [], 1)
            try:
                out = out[s.sock.send(out[:65536]):] if out else out
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                pass
            except OSError:
                out = out[:0]
            try:
                more = s.sock.recv(65536)
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                continue
            except OSError:
                break
            if not more:
                break
            heard += more
        return collections.Counter(int(line[:3]) for line in heard.splitlines())

    def test_a_hundred_thousand_recipients(self):
        s = self.session("file")
        self.assertReply(s.command("MAIL FROM:<a@example.com>"), 250)
        # Sixteen bits of a number that differs in each: the known ones are looked for.
        chunks = [b"".join(b"RCPT TO:<r%d@example.net>\r\n" % i for i in range(n, n + 1000)) for n in range(0, 100_000, 1000)]
        counts = {}
        for chunk in chunks:
            s.send(chunk)
            for reply in s.replies(1000):
                counts[reply.code] = counts.get(reply.code, 0) + 1
        self.assertEqual(counts, {250: 100, 452: 99_900})
        self.assertReply(s.command("DATA"), 354)
        self.assertEqual(self.eml(s.data(mail.plain())).count(b"@example.net>"), 100)

    def test_floods_of_commands(self):
        self.assertEqual(self.flood(self.session("file"), b"NOOP\r\n" * 1000, 50), {250: 50_000, 221: 1})
        counts = self.flood(self.session("file"), b"WHAT\r\n" * 1000, 50)
        self.assertEqual(counts.get(421), 1, counts)
        self.assertLessEqual(counts[500], 20)
        counts = self.flood(self.session("file"), b"\r\n" * 1000, 50)
        self.assertEqual(counts.get(421), 1, counts)

    def test_messages_that_are_all_header_or_all_one_line(self):
        line = b"x" * 1_000_000 + b"\r\n"
        for text in (line, b"X: " + line, b"Subject: x\r\n" + b" folded\r\n" * 50_000 + b"\r\nx\r\n", b"A: b\r\n" * 100_000,
                     b"Received: x\r\n" * 20_000 + b"\r\nx\r\n", b"\r\n" * 500_000, b":\r\n" * 50_000,
                     b"\r\n" + b"..\r\n" * 100_000):
            with self.subTest(text=text[:20]):
                s = self.session("file")
                for command, code in (("MAIL FROM:<a@example.com>", 250), ("RCPT TO:<b@example.net>", 250), ("DATA", 354)):
                    self.assertReply(s.command(command), code)
                s.send(text + b".\r\n")
                self.assertIn(s.reply().code, (250, 552, 554))
                self.assertReply(s.command("NOOP"), 250)

    def test_mime_without_end(self):
        nested = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (i, i) for i in range(5000))
        wrapped = b"Content-Type: message/rfc822\r\n\r\n" * 5000
        boundary = b"Content-Type: multipart/mixed; boundary=\"" + b"b" * 100_000 + b"\"\r\n\r\n--" + b"b" * 100_000 + b"\r\n\r\n"
        parts = b"Content-Type: multipart/mixed; boundary=a\r\n\r\n" + b"--a\r\n\r\n" * 100_000
        same = b"Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\n" * 5000
        for text in (nested, wrapped, boundary, parts, same):
            with self.subTest(text=text[:50]):
                self.assertIn(self.session("file").mail(b"MIME-Version: 1.0\r\n" + text).code, (250, 552, 554))

    # encodings

    def test_every_octet_in_every_command(self):
        for code in [*range(0, 32), *range(127, 256)]:
            if code in (10, 13):
                continue
            octet = bytes([code])
            s = self.session("file")
            with self.subTest(octet=octet):
                s.send(b"NOOP " + octet + b"\r\nMAIL FROM:<a" + octet + b"@example.com>\r\nRSET\r\nMAIL FROM:<a@example.com>\r\n"
                       b"RCPT TO:<b@exa" + octet + b"mple.net>\r\nEHLO c" + octet + b"d\r\n" + octet +
                       b"\r\nNOO" + octet + b"P\r\n")
                codes = [s.reply().code for _ in range(8)]
                self.assertEqual([c // 100 for c in codes[1:5]], [5, 2, 2, 5], codes)
                self.assertTrue(all(c // 100 in (2, 5) for c in codes), codes)
            s.close()

    def test_octets_that_are_not_utf8(self):
        for junk in (b"\xc0\xaf", b"\xe0\x80\xaf", b"\xf0\x80\x80\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\x80", b"\xc3",
                     b"\xff\xfe"):
            with self.subTest(junk=junk):
                s = self.session("file")
                self.assertEqual(s.command(b"MAIL FROM:<" + junk + b"@example.com>").code // 100, 5)
                self.assertEqual(s.command(b"MAIL FROM:<a@" + junk + b".example>").code // 100, 5)
                self.assertEqual(s.command(b"MAIL FROM:<" + junk + b"@example.com> SMTPUTF8").code // 100, 5)
                self.assertReply(s.command("MAIL FROM:<a@example.com>"), 250)

    def test_every_octet_in_a_message_arrives_or_is_refused(self):
        s = self.session("file")
        text = b"Subject: octets\r\n\r\n" + bytes(i for i in range(256) if i not in (10, 13)) + b"\r\nend\r\n"
        reply = s.mail(text)
        if reply.code == 250:
            self.assertTrue(self.eml(reply).endswith(text.split(b"\r\n\r\n", 1)[1]))
        else:
            self.assertEqual(reply.code // 100, 5)
        # In the header too.
        self.assertIn(s.mail(b"Sub\0ject: \0\r\nX\xff: \x80\r\n\0: \r\n\r\nx\r\n").code, (250, 550, 554))

    # line ends

    def smuggle(self, end):
        """A message with what another server might take for its end, and then a second one: the reply to it all."""
        s = self.session("file")
        for command, code in (("MAIL FROM:<a@example.com>", 250), ("RCPT TO:<b@example.net>", 250), ("DATA", 354)):
            self.assertReply(s.command(command), code)
        s.send(b"Subject: outer\r\n\r\nbefore" + end + b"MAIL FROM:<evil@example.com>\r\nRCPT TO:<victim@example.net>\r\nDATA\r\n"
               b"Subject: smuggled\r\n\r\nx\r\n.\r\n")
        reply = s.reply()
        self.assertReply(s.command("NOOP"), 250)
        self.assertEqual(s.unread, b"")
        s.close()
        return reply

    LINE_ENDS = (b"\n", b"\r", b"\r\n", b"\n\r", b"\r\r\n", b"\r\n\0", b"\0\r\n", b"\r\0\n", b"\x0b", b"\x0c", b"\x85",
                 b"\xe2\x80\xa8", b"\r\n ", b" \r\n", b"\n\n", b"\r\r")

    def ends(self):
        """All pairs of line ends around a dot, but for those with the true end of a message in them."""
        found = [a + b"." + b for a, b in itertools.product(self.LINE_ENDS, repeat=2)]
        return [e for e in found if b"\r\n.\r\n" not in e]

    def test_only_one_message_comes_out_of_one(self):
        before = set(self.proxy.out.glob("*.eml"))
        ends = self.ends()
        self.assertGreater(len(ends), 200)
        for end in ends:
            with self.subTest(end=end):
                eml = self.eml(self.smuggle(end))
                self.assertIn(b"X-Envelope-To: <b@example.net>\r\n", eml)
                self.assertIn(b"Subject: smuggled", eml)
                # Nor will the next server take it for two.
                self.assertFalse(mail.has_lone_newline(eml), eml)
        self.assertEqual(len(set(self.proxy.out.glob("*.eml")) - before), len(ends))

    def test_a_bare_newline_is_refused_when_it_is_to_be(self):
        self.proxy.settings["smtpd"]["bare_newline"] = "refuse"
        self.proxy.write_settings()
        self.assertTrue(self.proxy.reload())
        try:
            before = set(self.proxy.out.glob("*.eml"))
            n = 0
            for end in self.ends():
                is_bare = mail.has_lone_newline(end)
                with self.subTest(end=end):
                    reply = self.smuggle(end)
                    if is_bare:
                        self.assertReply(reply, 550, "5.6.11")
                    else:
                        self.eml(reply)
                        n += 1
            self.assertEqual(len(set(self.proxy.out.glob("*.eml")) - before), n)
        finally:
            self.proxy.settings["smtpd"]["bare_newline"] = "repair"
            self.proxy.write_settings()
            self.assertTrue(self.proxy.reload())

    def test_chunks_are_counted_and_nothing_else(self):
        inner = b"MAIL FROM:<evil@example.com>\r\nRCPT TO:<victim@example.net>\r\nBDAT 3 LAST\r\nx\r\n"
        for end in (b"\r\n.\r\n", b"\n.\n", b"\r.\r", b"BDAT 0 LAST\r\n", b"\0", b"\r\n.\r\nQUIT\r\n", b""):
            with self.subTest(end=end):
                before = set(self.proxy.out.glob("*.eml"))
                s = self.stage("rcpt")
                text = b"Subject: outer\r\n\r\nbefore" + end + inner
                s.send(b"BDAT %d\r\n%sBDAT 0 LAST\r\n" % (len(text), text))
                self.assertReply(s.reply(), 250)
                eml = self.eml(s.reply())
                self.assertIn(b"<evil@example.com>", eml)
                self.assertFalse(mail.has_lone_newline(eml), eml)
                self.assertReply(s.command("NOOP"), 250)
                self.assertEqual(len(set(self.proxy.out.glob("*.eml")) - before), 1)

    def test_chunks_without_number_or_without_end(self):
        s = self.stage("rcpt")
        for _ in range(20):
            s.send(b"BDAT 0\r\n" * 1000)
            self.assertEqual({r.code for r in s.replies(1000)}, {250})
        text = b"Subject: octet by octet\r\n\r\n" + b"x" * 500 + b"\r\n"
        s.send(b"".join(b"BDAT 1\r\n%c" % octet for octet in text) + b"BDAT 0 LAST\r\n")
        self.assertEqual({r.code for r in s.replies(len(text))}, {250})
        self.assertTrue(self.eml(s.reply()).endswith(text))
        for size in (2 ** 32, 2 ** 63, 2 ** 64 - 1, 2 ** 64, 10 ** 30):
            with self.subTest(size=size):
                s = self.stage("rcpt")
                try:
                    s.send(b"BDAT %d LAST\r\n" % size + b"RSET\r\nMAIL FROM:<a@example.com>\r\n" * 100_000)
                except OSError:
                    pass
                half_close(s.sock)
                s.is_closed()
                self.assertNotIn(b"250", s.unread)

    # injection

    def test_nothing_is_injected_into_the_header(self):
        for hello in ("a(b)c", "a;b", "x<y>z", "\"quoted\"", "a\\b", "a,b", "%0d%0aX-Evil:1", "=?utf-8?q?x?=", "a(" * 100):
            with self.subTest(hello=hello):
                s = self.session("file")
                self.assertReply(s.command(f"EHLO {hello}"), 250)
                head = self.eml(s.mail(b"Subject: x\r\n\r\nx\r\n")).split(b"\r\n\r\n")[0]
                self.assertNotIn(b"\nX-Evil", head)
                received = re.search(rb"^Received: (.*)", re.sub(rb"\r\n[ \t]", b" ", head), re.M)[1]
                self.assertEqual(received.count(b"("), received.count(b")"), received)
                self.assertEqual(received.count(b";"), 1, received)

    def test_newlines_within_credentials_and_parameters_stay_there(self):
        s = self.smtp()
        self.assertEqual(s.auth("evil\r\n{\"event\":\"forged\"}", "x\r\ny").code, 535)
        self.assertEqual(s.auth(f"{self.name}\n", self.password).code, 535)
        s.login(self.name, self.password)
        for line in ("MAIL FROM:<a@example.com> ENVID=x+0D+0AX-Evil:1", "MAIL FROM:<a@example.com> AUTH=x+0D+0AX-Evil:1"):
            s.command("RSET")
            if s.command(line).code == 250:
                self.assertReply(s.command("RCPT TO:<b@example.net>"), 250)
                self.assertReply(s.command("DATA"), 354)
                self.assertNotIn(b"\nX-Evil", self.eml(s.data(b"Subject: x\r\n\r\nx\r\n")))
        self.assertEqual(self.proxy.log.all("forged"), [])
        self.assertEqual(self.proxy.log.broken, [])

    def test_a_browser_is_sent_away(self):
        for verb in (b"GET / HTTP/1.1", b"POST / HTTP/1.1", b"CONNECT a:25 HTTP/1.1"):
            sock = self.raw()
            sock.sendall(verb + b"\r\nHost: localhost\r\n\r\nEHLO a\r\nMAIL FROM:<a@example.com>\r\n")
            got = b""
            while more := sock.recv(4096):
                got += more
            self.assertIn(b"\r\n421 ", got)
            self.assertNotIn(b"250", got)


if __name__ == "__main__":
    unittest.main()
