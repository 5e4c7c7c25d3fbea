# SPDX-License-Identifier: Apache-2.0
"""The frame of the tests with hostile clients: sessions that stop at a stage, and what must be as before after each."""
import os
import re
import socket
import ssl
import struct

from tests.support import mail
from tests.support.base import SANITIZED, marker, patience, wait_until
from tests.support.case import ProxyCase, queued_id


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


class Stages(ProxyCase):
    """Sessions that have come so far and no farther."""

    STAGES = ("connected", "hello", "starttls", "tls", "auth-asked", "login", "mail", "rcpt", "mid-chunk", "data", "mid-data",
              "after-dot")

    @classmethod
    def providers(cls):
        return {"file": "file"}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.name = cls.user["file"]
        cls.password = cls.proxy.passwords[cls.name]

    def stage(self, name):
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

    def client_hello(self):
        outgoing = ssl.MemoryBIO()
        tls = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="localhost")
        try:
            tls.do_handshake()
        except ssl.SSLWantReadError:
            pass
        return outgoing.read()


class Watched(Stages):
    """After each test the front serves a normal message, no process has ended, and nothing of the clients is left."""

    SETTINGS = {"smtpd": {"workers": 1, "message_size": "4MiB", "max_errors": 20},
                "listeners": {"balanced": {"address": "127.0.0.1", "port": 0, "proxy_networks": "127.0.0.0/8"},
                              "direct": {"address": "127.0.0.1", "port": 0, "mode": "direct"}}}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
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
