# SPDX-License-Identifier: Apache-2.0
"""The edge of the front: who comes in, whose connection it is behind a load balancer, how long it may take, and how it
ends. Clients come from several addresses of 127.0.0.0/8."""
import os
import signal
import socket
import ssl
import struct
import time
import unittest

from tests.support import mail
from tests.support.base import patience, wait_until
from tests.support.case import ProxyCase, queued_id
from tests.support.smtp import Smtp

V2 = b"\r\n\r\n\0\r\nQUIT\n"
CLIENT = "198.51.100.3"
V1_HEADER = b"PROXY TCP4 198.51.100.3 203.0.113.1 56324 587\r\n"
V1_SIX = b"PROXY TCP6 2001:db8::7 2001:db8::1 56324 587\r\n"
V1_UNKNOWN = b"PROXY UNKNOWN\r\n"
V2_LOCAL = V2 + b"\x20\0\0\0"


def v2_header(tlvs=b""):
    addresses = socket.inet_aton(CLIENT) + socket.inet_aton("203.0.113.1") + struct.pack("!HH", 56324, 587)
    return V2 + b"\x21\x11" + struct.pack("!H", len(addresses) + len(tlvs)) + addresses + tlvs


class Edge(ProxyCase):
    BALANCER = "127.0.9.1"

    @classmethod
    def providers(cls):
        return {"file": "file"}

    def connect(self, source="127.0.0.1", port=None):
        sock = socket.create_connection(("127.0.0.1", port or self.proxy.port), patience(20), source_address=(source, 0))
        self.addCleanup(sock.close)
        return sock

    def first_words(self, sock):
        """All up to the end of the first line, or of the connection."""
        words = b""
        try:
            while b"\n" not in words:
                more = sock.recv(4096)
                if not more:
                    break
                words += more
        except ConnectionError:
            pass
        return words


class Balancer(Edge):
    """Both listeners take PROXY headers from one network; from elsewhere clients come directly."""
    SETTINGS = {"listeners": {"submission": {"address": "127.0.0.1", "port": 0, "tls": "starttls",
                                             "proxy_networks": "127.0.9.0/24"},
                              "submissions": {"address": "127.0.0.1", "port": 0, "tls": "implicit",
                                              "proxy_networks": "127.0.9.0/24"}},
                "smtpd": {"workers": 1, "proxy_timeout": "2s"}}

    def behind(self, header, tls="starttls", pieces=None):
        """A session as a balancer carries it: its header, in pieces, then the client."""
        sock = self.connect(self.BALANCER, self.proxy.port if tls == "starttls" else self.proxy.port_implicit)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)      # pieces stay pieces
        for piece in pieces or [header]:
            sock.sendall(piece)
            if pieces:
                time.sleep(0.01)
        return Smtp(None, tls, self.authority.ca_file, sock=sock)

    def end_of(self, client, mark):
        return self.proxy.log.wait("smtpd.session.end", 20, mark, client=client)

    def test_the_log_and_the_message_show_the_client_behind_the_balancer(self):
        for name, header, tls in (("v1", V1_HEADER, "starttls"), ("v2", v2_header(), "starttls"),
                                  ("v1 implicit", V1_HEADER, "implicit"), ("v2 implicit", v2_header(), "implicit"),
                                  ("v2 with more", v2_header(b"\x04\0\x08" + b"x" * 8 + b"\xea\0\1a"), "implicit")):
            with self.subTest(name):
                mark = self.proxy.log.mark()
                s = self.behind(header, tls)
                s.login(self.user["file"], self.proxy.passwords[self.user["file"]])
                ident = queued_id(self.assertReply(s.mail(mail.plain()), 250))
                eml = wait_until(lambda: next(iter(self.proxy.out.glob(f"*{ident}*.eml")), None), 20, "the message")
                self.assertIn(f"([{CLIENT}])".encode(), eml.read_bytes())
                self.assertReply(s.quit(), 221)
                self.end_of(CLIENT, mark)

    def test_an_IPv6_client(self):
        mark = self.proxy.log.mark()
        self.behind(V1_SIX).quit()
        self.end_of("2001:db8::7", mark)

    def test_a_header_that_says_nothing_leaves_the_balancers_address(self):
        for header in (V1_UNKNOWN, V2 + b"\x21\0\0\0", V2_LOCAL):
            with self.subTest(header):
                mark = self.proxy.log.mark()
                self.behind(header).quit()
                self.end_of(self.BALANCER, mark)

    def test_a_header_in_pieces_before_a_ClientHello(self):
        header = v2_header()
        for tls in ("starttls", "implicit"):
            for pieces in ([header[:5], header[5:16], header[16:20], header[20:]], [V1_HEADER[:20], V1_HEADER[20:]],
                           [bytes([b]) for b in V1_HEADER]):
                mark = self.proxy.log.mark()
                self.behind(None, tls, pieces).quit()
                self.end_of(CLIENT, mark)

    def test_a_header_and_a_ClientHello_in_one_packet(self):
        context = ssl.create_default_context(cafile=str(self.authority.ca_file))
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
        with self.assertRaises(ssl.SSLWantReadError):
            tls.do_handshake()
        sock = self.connect(self.BALANCER, self.proxy.port_implicit)
        sock.sendall(V1_HEADER + outgoing.read())
        while True:
            incoming.write(sock.recv(65536))
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                pass
        sock.sendall(outgoing.read())
        incoming.write(sock.recv(65536))
        while True:
            try:
                self.assertTrue(tls.read(100).startswith(b"220 "))
                break
            except ssl.SSLWantReadError:
                incoming.write(sock.recv(65536))

    def test_without_a_good_header_it_is_closed_and_the_log_says_why(self):
        cases = (("nothing comes", b"", "did not come in time"), ("half of one", b"PROXY TCP4 ", "not complete in time"),
                 ("none", b"EHLO client.test\r\n", "no PROXY header"),
                 ("a ClientHello", b"\x16\x03\x01\x02\x00\x01", "no PROXY header"),
                 ("a bad one", b"PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n", "version 1: not six words"))
        failures = self.proxy.metric("smtp_proxy_header_failures_total")
        for n, (name, sent, reason) in enumerate(cases):
            with self.subTest(name):
                time.sleep(1.1)     # one such line a second is written
                mark = self.proxy.log.mark()
                sock = self.connect(self.BALANCER)
                sock.sendall(sent)
                self.assertEqual(self.first_words(sock), b"")
                event = self.proxy.log.wait("smtpd.proxy.failed", 10, mark)
                self.assertEqual((event["balancer"], event["reason"]), (self.BALANCER, reason))
                self.assertIn("header_placement", event["text"])
                wait_until(lambda: self.proxy.metric("smtp_proxy_header_failures_total") == failures + n + 1, 10, "the metric")

    def test_health_checks_are_neither_logged_nor_counted(self):
        before = self.proxy.metric("smtp_connections_total")
        mark = self.proxy.log.mark()
        for _ in range(3):
            self.connect(self.BALANCER).close()                          # TCP alone
            self.connect(self.BALANCER, self.proxy.port_implicit).close()
            with self.connect(self.BALANCER) as sock:                    # with a LOCAL header, and a look at the greeting
                sock.sendall(V2_LOCAL)
                self.assertTrue(self.first_words(sock).startswith(b"220 "))
            with self.connect(self.BALANCER, self.proxy.port_implicit) as sock:
                sock.sendall(V2_LOCAL)
            with self.connect(self.BALANCER) as sock:                    # naming itself
                sock.sendall(b"PROXY TCP4 127.0.9.1 127.0.0.1 5000 587\r\n")
                self.assertTrue(self.first_words(sock).startswith(b"220 "))
        # A session that comes after them ends after them.
        self.behind(V1_HEADER).quit()
        self.end_of(CLIENT, mark)
        wait_until(lambda: self.proxy.metric("smtp_connections_total") == before + 1, 10, "the metric")
        self.assertEqual([e for e in self.proxy.log.events[mark:] if e.get("role", "").startswith("smtpd") and
                          e.get("client") != CLIENT and e["event"] != "smtpd.command"], [])

    def test_a_header_from_elsewhere_is_no_header(self):
        sock = self.connect("127.0.8.1")
        self.assertTrue(self.first_words(sock).startswith(b"220 "))
        sock.sendall(V1_HEADER)
        self.assertTrue(self.first_words(sock).startswith(b"500 "))

    def test_a_reload_changes_who_is_trusted(self):
        listener = self.proxy.settings["listeners"]["submission"]
        try:
            listener["proxy_networks"] = "127.0.7.1"
            self.proxy.write_settings()
            self.assertTrue(self.proxy.reload())
            self.assertTrue(self.first_words(self.connect(self.BALANCER)).startswith(b"220 "))
            sock = self.connect("127.0.7.1")
            sock.sendall(V1_HEADER)
            self.assertTrue(self.first_words(sock).startswith(b"220 "))
        finally:
            listener["proxy_networks"] = "127.0.9.0/24"
            self.proxy.write_settings()
            self.proxy.reload()


class Doors(Edge):
    """One worker, few sessions."""
    SETTINGS = {"smtpd": {"workers": 1, "drain_time": "3s", "data_timeout": "2s", "min_rate": "1KiB"},
                "limits": {"connections": 4}}

    def test_one_connection_too_many_is_421_and_under_TLS_closed(self):
        wait_until(lambda: self.proxy.metric("smtp_active_connections") == 0, 10, "no session")
        held = [self.connect() for _ in range(4)]
        for sock in held:
            self.assertTrue(self.first_words(sock).startswith(b"220 "))
        mark = self.proxy.log.mark()
        self.assertTrue(self.first_words(self.connect()).startswith(b"421 4.3.2 "))
        self.assertEqual(self.first_words(self.connect(port=self.proxy.port_implicit)), b"")
        self.assertEqual(self.proxy.log.wait("smtpd.connection.refused", 10, mark)["reply"], "TOO_MANY_SESSIONS")
        for sock in held:
            sock.close()
        wait_until(lambda: self.first_words(self.connect()).startswith(b"220 "), 10, "a greeting")

    def test_the_end_of_a_session_says_how_far_it_came(self):
        cases = (("hello", b""), ("login", b"EHLO x\r\n"))
        for stage, words in cases:
            with self.subTest(stage):
                mark = self.proxy.log.mark()
                lost = self.proxy.metric("smtp_connections_lost_total")
                sock = self.connect("127.0.4.1")
                self.first_words(sock)
                sock.sendall(words)
                if words:
                    self.first_words(sock)
                sock.close()
                self.assertEqual(self.proxy.log.wait("smtpd.session.end", 10, mark, client="127.0.4.1")["stage"], stage)
                wait_until(lambda: self.proxy.metric("smtp_connections_lost_total") == lost + 1, 10, "the metric")
        mark = self.proxy.log.mark()
        s = self.session("file")
        for command in ("MAIL FROM:<a@example.com>", "RCPT TO:<b@example.net>", "DATA"):
            s.command(command)
        s.send(b"Subject: x\r\n")
        s.close()
        self.assertEqual(self.proxy.log.wait("smtpd.session.end", 10, mark, user=self.user["file"])["stage"], "data")

    def test_a_message_that_comes_too_slowly_is_421(self):
        s = self.session("file")
        for command in ("MAIL FROM:<a@example.com>", "RCPT TO:<b@example.net>", "DATA"):
            s.command(command)
        begin = time.monotonic()
        while time.monotonic() - begin < patience(20):
            try:
                s.send(b"x\r\n")
            except OSError:
                break
            s.sock.settimeout(0.2)
            try:
                self.assertReply(s.reply(), 421, "4.4.2")
                break
            except TimeoutError:
                pass
        self.assertLess(time.monotonic() - begin, patience(10))


class Limits(Edge):
    """Three connections an address; 127.0.6.0/24 is never limited."""
    SETTINGS = {"smtpd": {"workers": 2}, "limits": {"allow": "127.0.6.0/24", "connections_per_address": 3}}

    def held(self, source, n):
        """n connections, one after the other, and what they were told."""
        socks, words = [], []
        for _ in range(n):
            socks.append(self.connect(source))
            words.append(self.first_words(socks[-1])[:9])
        return socks, words

    def test_connections_of_an_address_are_counted_for_all_workers(self):
        socks, words = self.held("127.0.5.1", 4)
        self.assertEqual(words, [b"220 mail."] * 3 + [b"421 4.7.0"])
        self.assertEqual(self.first_words(self.connect("127.0.5.1", self.proxy.port_implicit)), b"")
        self.assertEqual(self.held("127.0.5.2", 3)[1], [b"220 mail."] * 3)
        self.assertEqual(self.held("127.0.6.1", 6)[1], [b"220 mail."] * 6)
        for sock in socks:
            sock.close()
        wait_until(lambda: self.first_words(self.connect("127.0.5.1")).startswith(b"220 "), 10, "a greeting")

    def test_a_gate_that_hangs_or_dies_stops_no_mail(self):
        gate = self.proxy.child("gate")
        s = self.session("file", source="127.0.6.7")
        mark = self.proxy.log.mark()
        os.kill(gate, signal.SIGSTOP)
        try:
            self.assertReply(s.mail(mail.plain()), 250)
            self.assertEqual(self.held("127.0.5.21", 5)[1], [b"220 mail."] * 5)
            self.assertTrue(self.proxy.log.wait("smtpd.limits.off", 10, mark)["text"].startswith("gate does not answer"))
        finally:
            os.kill(gate, signal.SIGCONT)
        os.kill(gate, signal.SIGKILL)
        wait_until(lambda: self.proxy.child("gate") != gate, 20, "a new gate")
        # It is told of those that are in.
        wait_until(lambda: self.held("127.0.5.21", 1)[1] == [b"421 4.7.0"], 20, "the limit")


class Drain(Edge):
    SETTINGS = {"smtpd": {"workers": 1, "drain_time": "10s"}}

    def test_draining_lets_messages_finish_and_cuts_the_rest(self):
        log = self.proxy.log
        talking, silent, busy, stuck = self.smtp(), self.smtp(), self.session("file"), self.session("file")
        for s in (busy, stuck):
            for command in ("MAIL FROM:<a@example.com>", "RCPT TO:<b@example.net>", "DATA"):
                s.command(command)
        self.proxy.signal(signal.SIGTERM)
        self.assertEqual(log.wait("smtpd.drain.begun")["text"], "Entering connection draining mode")
        self.assertEqual(log.find("smtpd.drain.begun")["sessions"], 4)
        # Not before its next reply.
        self.assertReply(talking.command("NOOP"), 250)
        self.assertReply(talking.reply(), 421, "4.3.2")
        self.assertReply(silent.reply(), 421, "4.3.2")      # unasked, after a second
        self.assertReply(busy.data(mail.plain()), 250)
        self.assertReply(busy.reply(), 421, "4.3.2")
        cut = log.wait("smtpd.drain.cut")
        self.assertEqual((cut["text"], cut["sessions"]), ("Connection draining timed out", 1))
        self.assertReply(stuck.reply(), 421, "4.3.2")
        self.assertEqual(self.proxy.stop(), 0)
        self.assertIsNone(log.find("smtpd.drain.done"))
        # When nobody is left behind it is complete.
        self.proxy.start()
        self.proxy.stop()
        self.assertEqual(self.proxy.log.find("smtpd.drain.done")["text"], "Connection draining complete")


if __name__ == "__main__":
    unittest.main()
