# SPDX-License-Identifier: Apache-2.0
"""Clients that mean harm, or are broken: after each kind of them the front serves a normal message, no process has ended,
and nothing of them is left open.
"""
import itertools
import os
import random
import re
import select
import socket
import ssl
import struct
import subprocess
import threading
import time
import unittest

from tests.support import grammar, mail
from tests.support.base import SANITIZED, marker, patience, wait_until
from tests.support.case import ProxyCase, queued_id
from tests.support.smtp import Smtp

REPLIES = re.compile(rb"(?:(\d{3})-[ -~]*\r\n)*\d{3}(?: [ -~]*)?\r\n")


def reset(sock):
    """Closes with RST instead of FIN."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def half_close(sock):
    """Sends FIN; ssl's own shutdown() would forget the keys as well."""
    socket.socket.shutdown(sock, socket.SHUT_WR)


def memory(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return int(re.search(r"^VmRSS:\s+(\d+)", f.read(), re.M)[1])


class Hostile(ProxyCase):
    SETTINGS = {"smtpd": {"workers": 1, "message_size": "4MiB", "max_errors": 20},
                "listeners": {"balanced": {"address": "127.0.0.1", "port": 0, "proxy_networks": "127.0.0.0/8"},
                              "direct": {"address": "127.0.0.1", "port": 0, "mode": "direct"}}}

    @classmethod
    def providers(cls):
        return {"file": "file"}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.name = cls.user["file"]
        cls.password = cls.proxy.passwords[cls.name]
        with cls.proxy.session(cls.name) as s:
            s.mail(mail.plain())
        cls.smtpd = cls.proxy.child("smtpd")
        cls.memory = memory(cls.smtpd)
        cls.open = len(cls.sockets())

    @classmethod
    def sockets(cls):
        found = []
        for fd in os.listdir(f"/proc/{cls.smtpd}/fd"):
            try:
                found.append(os.readlink(f"/proc/{cls.smtpd}/fd/{fd}"))
            except OSError:
                pass
        return found

    def tearDown(self):
        """After each: a normal message, the same process, and no more descriptors than before."""
        word = marker()
        eml = self.eml(self.session("file").mail(mail.plain(text=word)))
        self.assertIn(word.encode(), eml)
        self.doCleanups()
        self.assertEqual(self.proxy.log.all("master.child.ended"), [])
        wait_until(lambda: len(self.sockets()) <= self.open, 20, "the connections to be closed")
        if not SANITIZED:
            self.assertLess(memory(self.smtpd) - self.memory, 100 * 1024, "smtpd has grown by 100 MiB")
        super().tearDown()

    def eml(self, reply):
        ident = queued_id(self.assertReply(reply, 250))
        return wait_until(lambda: next(iter(self.proxy.out.glob(f"*{ident}*.eml")), None), 20,
                          f"the .eml of {ident}").read_bytes()

    def raw(self, tls="none"):
        port = self.proxy.port_implicit if tls == "implicit" else self.proxy.port
        sock = socket.create_connection(("127.0.0.1", port), patience(20))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.addCleanup(sock.close)
        return sock

    def stage(self, name):
        """A session that has come so far."""
        s = self.smtp(tls="none" if name in ("connected", "hello", "starttls") else "starttls", ehlo=name != "connected")
        if name == "starttls":
            self.assertReply(s.command("STARTTLS"), 220)
        commands = [("MAIL FROM:<a@example.com>", 250), ("RCPT TO:<b@example.net>", 250), ("DATA", 354)]
        done = {"login": 0, "mail": 1, "rcpt": 2, "mid-chunk": 2, "data": 3, "mid-data": 3, "after-dot": 3}
        if name == "auth-asked":
            self.assertReply(s.command("AUTH PLAIN"), 334)
        if name in done:
            s.login(self.name, self.password)
            for line, code in commands[:done[name]]:
                self.assertReply(s.command(line), code)
        if name == "mid-chunk":
            s.send(b"BDAT 1000\r\nSubject: part of it\r\n")
        elif name == "mid-data":
            s.send(b"Subject: half of it\r\n\r\n" + b"x" * 5000)
        elif name == "after-dot":
            s.send(b"Subject: all of it\r\n\r\nx\r\n.\r\n")
        return s

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
        """Writes without end and reads the replies meanwhile: {code: number}."""
        counts = {}

        def read():
            try:
                while True:
                    code = s.reply().code
                    counts[code] = counts.get(code, 0) + 1
                    if code in (221, 421):
                        return
            except (EOFError, OSError):
                pass
        reader = threading.Thread(target=read)
        reader.start()
        try:
            for _ in range(times):
                s.send(chunk)
            s.send(b"QUIT\r\n")
        except OSError:
            pass
        reader.join(patience(60))
        self.assertFalse(reader.is_alive())
        return counts

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
                     b"Received: x\r\n" * 20_000 + b"\r\nx\r\n", b"\r\n" * 500_000, b":\r\n" * 50_000, b"\r\n" + b"..\r\n" * 100_000):
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
                       b"RCPT TO:<b@exa" + octet + b"mple.net>\r\nEHLO c" + octet + b"d\r\n" + octet + b"\r\nNOO" + octet + b"P\r\n")
                codes = [s.reply().code for _ in range(8)]
                self.assertEqual([c // 100 for c in codes[1:5]], [5, 2, 2, 5], codes)
                self.assertTrue(all(c // 100 in (2, 5) for c in codes), codes)
            s.close()

    def test_octets_that_are_not_utf8(self):
        for junk in (b"\xc0\xaf", b"\xe0\x80\xaf", b"\xf0\x80\x80\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\x80", b"\xc3", b"\xff\xfe"):
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

    LINE_ENDS = (b"\n", b"\r", b"\r\n", b"\n\r", b"\r\r\n", b"\r\n\0", b"\0\r\n", b"\r\0\n", b"\x0b", b"\x0c", b"\x85", b"\xe2\x80\xa8",
                 b"\r\n ", b" \r\n", b"\n\n", b"\r\r")

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

    # connections that end

    STAGES = ("connected", "hello", "starttls", "tls", "auth-asked", "login", "mail", "rcpt", "mid-chunk", "data", "mid-data",
              "after-dot")

    def test_connections_that_are_reset_at_every_stage(self):
        for stage in self.STAGES:
            for _ in range(3):
                reset(self.stage(stage).sock)
        for _ in range(50):
            reset(self.raw())

    def test_connections_that_are_closed_at_every_stage(self):
        for stage in self.STAGES:
            for half in (b"", b"MAIL FR"):
                s = self.stage(stage)
                s.send(half)
                s.close()

    def test_connections_that_are_half_closed_at_every_stage(self):
        for stage in self.STAGES:
            for half in (b"", b"MAIL FR"):
                with self.subTest(stage=stage, half=half):
                    s = self.stage(stage)
                    s.send(half)
                    half_close(s.sock)
                    self.assertTrue(s.is_closed(), "it keeps the connection")

    def test_what_was_said_before_a_half_close_is_answered(self):
        s = self.stage("data")
        s.send(b"Subject: said in time\r\n\r\nx\r\n.\r\nQUIT\r\n")
        half_close(s.sock)
        self.assertIn(b"said in time", self.eml(s.reply()))
        self.assertReply(s.reply(), 221)

    def test_a_message_whose_sender_has_gone_comes_once_or_not_at_all(self):
        words = []
        for end in (reset, lambda sock: sock.close()):
            for _ in range(5):
                words.append(marker())
                s = self.stage("data")
                s.send(f"Subject: gone\r\n\r\n{words[-1]}\r\n.\r\n".encode())
                end(s.sock)
        self.session("file").mail(mail.plain())
        wait_until(lambda: self.proxy.depth() == 0, 20, "an empty queue")
        texts = [p.read_bytes() for p in self.proxy.out.glob("*.eml")]
        for word in words:
            self.assertLessEqual(sum(word.encode() in t for t in texts), 1)

    def test_a_thousand_connections_that_say_nothing(self):
        held = [self.raw() for _ in range(300)]
        self.assertReply(self.session("file").mail(mail.plain()), 250)
        for sock in held:
            reset(sock)
        for _ in range(700):
            self.raw().close()

    # pieces

    def test_octet_by_octet_through_the_handshake_and_the_session(self):
        sock = self.raw("implicit")
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        context = ssl.create_default_context(cafile=str(self.authority.ca_file))
        tls = context.wrap_bio(incoming, outgoing, server_hostname="localhost")

        def pump(action):
            while True:
                try:
                    result = action()
                except ssl.SSLWantReadError:
                    result = None
                for octet in outgoing.read():
                    sock.sendall(bytes([octet]))
                if result is not None:
                    return result
                data = sock.recv(65536)
                self.assertTrue(data)
                incoming.write(data)

        pump(lambda: tls.do_handshake() or True)
        self.assertTrue(pump(lambda: tls.read(500)).startswith(b"220"))
        login = ssl.base64.b64encode(f"\0{self.name}\0{self.password}".encode())
        for line, code in ((b"EHLO slow.test", b"250"), (b"AUTH PLAIN " + login, b"235"), (b"MAIL FROM:<a@example.com>", b"250"),
                           (b"RCPT TO:<b@example.net>", b"250"), (b"DATA", b"354"), (b"Subject: slow\r\n\r\n..x\r\n.", b"250")):
            for octet in line + b"\r\n":
                pump(lambda octet=octet: tls.write(bytes([octet])))
            self.assertTrue(pump(lambda: tls.read(2000)).startswith(code), line)

    # TLS

    def last_words(self, sock):
        """What a server says until it closes."""
        got = b""
        try:
            while more := sock.recv(65536):
                got += more
        except ConnectionError:
            pass
        return got

    def client_hello(self):
        outgoing = ssl.MemoryBIO()
        tls = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="localhost")
        try:
            tls.do_handshake()
        except ssl.SSLWantReadError:
            pass
        return outgoing.read()

    def test_garbage_instead_of_tls(self):
        r = random.Random(7)
        hello = self.client_hello()
        junk = [b"EHLO plain.text\r\n" * 20, b"GET / HTTP/1.0\r\n\r\n", b"\x80\x2e\x01\x00\x02" + b"\0" * 44, b"\0" * 1000, b"\xff" * 20_000,
                b"\x16\x03\x01\xff\xff" + b"\0" * 70_000, b"\x16\x03\x01\x00\x05\x01\xff\xff\xff\x00" * 50, b"\x15\x03\x03\x00\x02\x01\x00" * 500,
                b"\x18\x03\x02\x00\x03\x01\x40\x00", b"\x17\x03\x03\x00\x00" * 500, b"\x14\x03\x03\x00\x01\x01" * 500,
                hello[:5], hello[:50], hello[:-1], hello + hello, hello + r.randbytes(500), hello[:60] + r.randbytes(len(hello) - 60)]
        junk += [b"\x16\x03\x03" + struct.pack(">H", n) + r.randbytes(n) for n in (0, 1, 100, 16384)]
        junk += [r.randbytes(r.randrange(1, 2000)) for _ in range(60)]
        for i in range(60):    # a good hello with an octet or two of it changed
            bad = bytearray(hello)
            for _ in range(1 + i % 3):
                bad[r.randrange(len(bad))] = r.randrange(256)
            junk.append(bytes(bad))
        for text in junk:
            for start in ("implicit", "starttls"):
                sock = self.raw(start)
                if start == "starttls":
                    sock.recv(1000)
                    sock.sendall(b"STARTTLS\r\n")
                    while b"220 2" not in sock.recv(1000):
                        pass
                try:
                    sock.sendall(text)
                    half_close(sock)
                except OSError:
                    pass
                self.assertNotIn(b"250", self.last_words(sock))
                sock.close()

    def test_tls_where_smtp_is_spoken(self):
        sock = self.raw()
        self.assertTrue(sock.recv(1000).startswith(b"220"))
        sock.sendall(self.client_hello() + b"\r\n")
        half_close(sock)
        for line in self.last_words(sock).splitlines():
            self.assertRegex(line, rb"^[45]\d\d ")

    def openssl(self, version, letters):
        """openssl s_client, which asks for a renegotiation at `R` and for new keys at `K`."""
        run = subprocess.Popen(["openssl", "s_client", version, "-connect", f"127.0.0.1:{self.proxy.port_implicit}"],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        said = b""
        for what in letters:
            run.stdin.write(what + b"\n")
            run.stdin.flush()
        end = time.monotonic() + patience(3)
        while time.monotonic() < end and select.select([run.stdout], [], [], 0.3)[0]:
            more = os.read(run.stdout.fileno(), 65536)
            if not more:
                break
            said += more
        run.kill()
        run.communicate()
        return said

    def test_renegotiation_is_not_done(self):
        said = self.openssl("-tls1_2", [b"R"] * 3)
        self.assertIn(b"RENEGOTIATING", said)
        self.assertRegex(said, rb"no renegotiation|error|closed|:error:")
        self.openssl("-tls1_3", [b"K"] * 200)

    def test_garbage_instead_of_a_balancers_header(self):
        r = random.Random(9)
        signature = b"\r\n\r\n\0\r\nQUIT\n"
        good = signature + b"\x21\x11\0\x0c" + bytes((192, 0, 2, 1, 192, 0, 2, 2)) + b"\x04\x00\x02\x4b"
        junk = [b"", b"P", b"PROXY", b"PROXY \r\n", b"PROXY TCP4 1.2.3.4\r\n", b"PROXY TCP4 1.2.3.4 5.6.7.8 99999 1\r\n",
                b"PROXY TCP4 " + b"1" * 5000, b"PROXY TCP6 ::1 ::1 1 1 1\r\n", b"PROXY TCP4 1.2.3.4 5.6.7.8 1 1\n", b"EHLO a\r\n",
                b"\0" * 200, signature, signature[:-1], good[:-1], signature + b"\x21\x11\xff\xff" + b"\0" * 70_000,
                signature + b"\x31\x11\0\x0c" + b"\0" * 12, signature + b"\x21\x21\0\x01\0", signature + b"\x21\x31\0\xd8" + b"/" * 216]
        junk += [signature + r.randbytes(r.randrange(1, 600)) for _ in range(50)]
        junk += [r.randbytes(r.randrange(1, 300)) for _ in range(50)]
        for text in junk:
            with socket.create_connection(("127.0.0.1", self.proxy.ports["balanced"]), patience(20)) as sock:
                try:
                    sock.sendall(text)
                    half_close(sock)
                except OSError:
                    pass
                self.assertNotIn(b"250", self.last_words(sock))
        with socket.create_connection(("127.0.0.1", self.proxy.ports["balanced"]), patience(20)) as sock:
            sock.sendall(good)
            self.assertTrue(sock.recv(1000).startswith(b"220"))

    # at random

    SESSIONS = int(os.environ.get("SP_SESSIONS", "1000"))

    def random_session(self, seed):
        r = random.Random(seed)
        start = r.choice(("none", "implicit", "starttls", "login", "login", "login", "rcpt"))
        port = self.proxy.port_implicit if start == "implicit" else r.choice((self.proxy.port, self.proxy.ports["direct"]))
        is_in = start in ("login", "rcpt")
        s = Smtp(port, "starttls" if is_in else start, self.authority.ca_file, ehlo=is_in or r.random() < 0.8)
        try:
            if is_in:
                s.login(self.name, self.password)
            if start == "rcpt":
                s.send(b"MAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.net>\r\n")
            for piece in grammar.session(r, self.name, self.password):
                s.send(piece)
            if r.random() < 0.9:
                half_close(s.sock)
                if not s.is_closed():
                    return "it does not end"
            else:
                reset(s.sock)
        except TimeoutError:
            return "it hangs"
        except (OSError, EOFError):
            return None     # it was sent away while it still talked
        finally:
            s.close()
        rest = s.unread
        while rest and (found := REPLIES.match(rest)):
            rest = rest[found.end():]
        # After STARTTLS the rest is TLS' alert.
        return f"no replies: {rest!r}" if rest and rest[:1] != b"\x15" else None

    def test_random_sessions(self):
        seed = int(os.environ.get("SP_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 30)
        print(f"random sessions: SP_SEED={seed}", flush=True)
        wrong, seeds, lock = [], iter(range(seed, seed + self.SESSIONS)), threading.Lock()

        def work():
            while True:
                with lock:
                    one = next(seeds, None)
                if one is None:
                    return
                trouble = self.random_session(one)
                if trouble:
                    wrong.append(f"seed {one}: {trouble}")
        threads = [threading.Thread(target=work) for _ in range(8)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(wrong, [], f"SP_SEED={seed} SP_SESSIONS={self.SESSIONS}")


if __name__ == "__main__":
    unittest.main()
