# SPDX-License-Identifier: Apache-2.0
"""Connections that end, stop or drip at every stage, TLS that is none, balancers that are none, and sessions at random."""
import base64
import concurrent.futures
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
from tests.support.base import marker, patience, wait_until
from tests.support.hostile import Stages, Watched, half_close, reset
from tests.support.smtp import Smtp

REPLIES = re.compile(rb"(?:(\d{3})-[ -~]*\r\n)*\d{3}(?: [ -~]*)?\r\n")


class Connections(Watched):
    # connections that end

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
        login = base64.b64encode(f"\0{self.name}\0{self.password}".encode())
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

    def test_garbage_instead_of_tls(self):
        r = random.Random(7)
        hello = self.client_hello()
        junk = [b"EHLO plain.text\r\n" * 20, b"GET / HTTP/1.0\r\n\r\n", b"\x80\x2e\x01\x00\x02" + b"\0" * 44, b"\0" * 1000,
                b"\xff" * 20_000,
                b"\x16\x03\x01\xff\xff" + b"\0" * 70_000, b"\x16\x03\x01\x00\x05\x01\xff\xff\xff\x00" * 50,
                b"\x15\x03\x03\x00\x02\x01\x00" * 500,
                b"\x18\x03\x02\x00\x03\x01\x40\x00", b"\x17\x03\x03\x00\x00" * 500, b"\x14\x03\x03\x00\x01\x01" * 500,
                hello[:5], hello[:50], hello[:-1], hello + hello, hello + r.randbytes(500),
                hello[:60] + r.randbytes(len(hello) - 60)]
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

    def openssl(self, version, letter, answer, times=1):
        """openssl s_client, which asks for a renegotiation at `R` and for new keys at `K`: what it said until it ended, or had
        said `answer` so often. One letter after the other, because of what it reads at once it looks at the first only."""
        run = subprocess.Popen(["openssl", "s_client", version, "-connect", f"127.0.0.1:{self.proxy.port_implicit}"],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        said, asked, end = b"", 0, time.monotonic() + patience(20)
        while len(re.findall(answer, said)) < times and time.monotonic() < end:
            if asked == len(re.findall(answer, said)):
                asked += 1
                run.stdin.write(letter + b"\n")
                run.stdin.flush()
            if select.select([run.stdout], [], [], 0.3)[0]:
                more = os.read(run.stdout.fileno(), 65536)
                if not more:
                    break
                said += more
        run.kill()
        run.communicate()
        return said

    def test_renegotiation_is_not_done(self):
        refusal = rb"no renegotiation|:error:|closed"
        said = self.openssl("-tls1_2", b"R", refusal)
        self.assertIn(b"RENEGOTIATING", said)
        self.assertRegex(said, refusal)
        self.openssl("-tls1_3", b"K", rb"KEYUPDATE", 200)

    def test_garbage_instead_of_a_balancers_header(self):
        r = random.Random(9)
        signature = b"\r\n\r\n\0\r\nQUIT\n"
        good = signature + b"\x21\x11\0\x0c" + bytes((192, 0, 2, 1, 192, 0, 2, 2)) + b"\x04\x00\x02\x4b"
        junk = [b"", b"P", b"PROXY", b"PROXY \r\n", b"PROXY TCP4 1.2.3.4\r\n", b"PROXY TCP4 1.2.3.4 5.6.7.8 99999 1\r\n",
                b"PROXY TCP4 " + b"1" * 5000, b"PROXY TCP6 ::1 ::1 1 1 1\r\n", b"PROXY TCP4 1.2.3.4 5.6.7.8 1 1\n", b"EHLO a\r\n",
                b"\0" * 200, signature, signature[:-1], good[:-1], signature + b"\x21\x11\xff\xff" + b"\0" * 70_000,
                signature + b"\x31\x11\0\x0c" + b"\0" * 12, signature + b"\x21\x21\0\x01\0",
                signature + b"\x21\x31\0\xd8" + b"/" * 216]
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


class Stalled(Stages):
    """Clients that stop, or hardly go on, with times so short that a test can wait for them."""

    SETTINGS = {"smtpd": {"workers": 1, "command_timeout": "1s", "data_timeout": "1s", "min_rate": "1KiB"}}

    # What is said drop by drop: no stage is the farther for it.
    DROPS = {"connected": b"E", "hello": b"N", "tls": b"N", "login": b"N", "mail": b"R", "rcpt": b"D", "auth-asked": b"A"}

    def in_all_stages(self, play):
        """All at the same time: each takes its second or two."""
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            jobs = {stage: pool.submit(play, self.stage(stage), stage) for stage in self.STAGES}
        for stage, job in jobs.items():
            with self.subTest(stage=stage):
                job.result()

    def stop(self, s, stage):
        begin = time.monotonic()
        self.assertTrue(s.is_closed(), "it keeps the connection")
        self.assertLess(time.monotonic() - begin, patience(8))
        if stage != "starttls":     # there is no speaking there
            self.assertIn(b"421 ", s.unread)

    def drip(self, s, stage):
        """An octet every tenth of a second, until the server closes."""
        begin = time.monotonic()
        text = self.client_hello()[:300] if stage == "starttls" else self.DROPS.get(stage, b"x")
        try:
            for octet in itertools.cycle(text):
                s.sock.sendall(bytes([octet]))
                if select.select([s.sock], [], [], 0.1)[0] and not s.sock.recv(4096):
                    return
                self.assertLess(time.monotonic() - begin, patience(10), "it keeps the connection")
        except TimeoutError:
            self.fail("it keeps the connection")
        except OSError:
            pass

    def test_who_stops_is_sent_away_at_every_stage(self):
        self.in_all_stages(self.stop)

    def test_who_drips_is_sent_away_at_every_stage(self):
        self.in_all_stages(self.drip)

    def test_half_a_handshake_is_not_waited_for(self):
        for text in (b"", self.client_hello()[:100]):
            with socket.create_connection(("127.0.0.1", self.proxy.port_implicit), patience(20)) as sock:
                sock.sendall(text)
                self.assertNotIn(b"220", b"".join(iter(lambda sock=sock: sock.recv(1000), b"")))

    def tearDown(self):
        self.assertReply(self.session("file").mail(mail.plain()), 250)
        self.assertEqual(self.proxy.log.all("master.child.ended"), [])
        super().tearDown()


if __name__ == "__main__":
    unittest.main()
