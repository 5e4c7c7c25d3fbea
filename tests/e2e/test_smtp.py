# SPDX-License-Identifier: Apache-2.0
"""The SMTP front as a client sees it: what is offered when, what is refused how, and hostile bytes."""
import base64
import socket
import ssl
import unittest

from tests.support import mail
from tests.support.base import marker, patience, wait_until
from tests.support.case import ProxyCase, queued_id
from tests.support.smtp import Smtp


class Front(ProxyCase):
    SETTINGS = {"smtpd": {"workers": 1, "message_size": "64KiB", "recipients": 10, "max_errors": 5}}

    @classmethod
    def providers(cls):
        return {"file": "file"}

    def eml(self, reply):
        ident = queued_id(self.assertReply(reply, 250))
        return wait_until(lambda: next(iter(self.proxy.out.glob(f"*{ident}*.eml")), None), 20,
                          f"the .eml of {ident}").read_bytes()

    # before TLS

    def test_the_greeting_names_the_host(self):
        s = self.smtp(tls="none")
        self.assertReply(s.greeting, 220)
        self.assertIn("mail.test", s.greeting.text)
        self.assertIn("ESMTP", s.greeting.text)

    def test_before_tls_only_starttls_is_offered(self):
        s = self.smtp(tls="none")
        names = [c.split()[0] for c in s.capabilities]
        self.assertIn("STARTTLS", names)
        self.assertNotIn("AUTH", names)

    def test_before_tls_mail_and_auth_are_refused(self):
        s = self.smtp(tls="none")
        self.assertReply(s.command("MAIL FROM:<a@example.com>"), 530, "5.7.0")
        self.assertIn(s.command("AUTH PLAIN").code, (530, 538))

    def test_under_tls_everything_is_offered(self):
        s = self.smtp()
        names = {c.split()[0]: c for c in s.capabilities}
        self.assertNotIn("STARTTLS", names)
        for needed in ("PIPELINING", "8BITMIME", "ENHANCEDSTATUSCODES", "SIZE", "AUTH"):
            self.assertIn(needed, names)
        self.assertEqual(names["SIZE"], "SIZE 65536")
        self.assertEqual(set(names["AUTH"].split()[1:]), {"PLAIN", "LOGIN"})

    # extensions

    def test_the_extensions_are_offered(self):
        s = self.smtp()
        for needed in ("CHUNKING", "SMTPUTF8", "DSN", "LIMITS RCPTMAX=10"):
            self.assertIn(needed, s.capabilities)

    def test_a_message_in_chunks_arrives_as_it_was(self):
        s = self.session("file")
        message = b"From: a@example.com\r\nSubject: chunks\r\n\r\n.\r\nQUIT\r\n..\r\n" + b"x" * 3000
        self.assertReply(s.command("MAIL FROM:<a@example.com>"), 250)
        self.assertReply(s.command("RCPT TO:<b@example.net>"), 250)
        # all sent ahead, cut anywhere
        pieces = [message[:7], message[7:50], b"", message[50:]]
        s.send(b"".join(b"BDAT %d\r\n" % len(p) + p for p in pieces) + b"BDAT 0 LAST\r\n")
        for piece in pieces:
            reply = self.assertReply(s.reply(), 250, "2.0.0")
            self.assertIn(str(len(piece)), reply.text)
        stored = self.eml(s.reply())
        self.assertTrue(stored.endswith(b"\r\n\r\n.\r\nQUIT\r\n..\r\n" + b"x" * 3000 + b"\r\n"), stored[-100:])

    def test_the_octets_of_refused_chunks_are_no_commands(self):
        s = self.session("file")
        s.send(b"BDAT 6\r\nQUIT\r\nBDAT 6 LAST\r\nQUIT\r\nMAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.net>\r\n")
        self.assertEqual([r.code for r in s.replies(4)], [503, 503, 250, 250])
        octets = b"QUIT\r\n" * 15000
        s.send(b"BDAT %d\r\n" % len(octets) + octets + b"BDAT 6 LAST\r\nQUIT\r\nNOOP\r\n")
        self.assertEqual([r.code for r in s.replies(3)], [552, 552, 250])

    def test_utf8_addresses_and_report_parameters_go_to_the_queue(self):
        s = self.session("file")
        self.assertReply(s.command("MAIL FROM:<m\xfcller@example.com>"), 553, "5.6.7")
        self.assertReply(s.command("MAIL FROM:<m\xfcller@b\xfccher.example> SMTPUTF8 RET=HDRS ENVID=QQ+2B1"), 250)
        self.assertReply(s.command("RCPT TO:<\u7530@\u4f8b.example> NOTIFY=delay,success ORCPT=rfc822;b@example.net"), 250)
        self.assertReply(s.command("DATA"), 354)
        reply = s.data(mail.plain())
        stored = self.eml(reply)
        self.assertIn("with UTF8SMTPSA id".encode(), stored)
        self.assertIn("for <\u7530@\u4f8b.example>;".encode(), stored)
        kept = self.cluster.one("SELECT concat(mail_from, '|', replace(dsn, E'\\n', '|')) FROM message "
                                f"WHERE message_id = '{queued_id(reply)}'")
        self.assertEqual(kept, "m\xfcller@b\xfccher.example|RET=HDRS ENVID=QQ+2B1|"
                               "0 NOTIFY=SUCCESS,DELAY ORCPT=rfc822;b@example.net|")

    def test_a_refusal_has_one_name_in_log_metric_and_manual(self):
        mark = self.proxy.log.mark()
        before = self.proxy.metric("smtp_replies_total", reply="BAD_SENDER")
        s = self.session("file")
        self.assertReply(s.command("MAIL FROM:<no address>"), 501, "5.1.7")
        event = self.proxy.log.wait("smtpd.reply.refused", since=mark, reply="BAD_SENDER")
        self.assertEqual(event["code"], 501)
        self.assertEqual(self.proxy.metric("smtp_replies_total", reply="BAD_SENDER"), before + 1)
        told = self.proxy.ctl("reply", "bad_sender", json_out=True)
        self.assertEqual((told["code"], told["status"], told["token"]), (501, "5.1.7", "BAD_SENDER"))
        self.assertIn("RFC 5321", self.proxy.ctl("reply", "501 5.1.7").stdout)
        self.assertEqual(self.proxy.ctl("reply", "NONE", check=False).returncode, 65)
        self.assertTrue(all(str(t["code"]).startswith("4") for t in self.proxy.ctl("reply", "4", json_out=True)))

    def test_what_follows_starttls_in_clear_is_thrown_away(self):
        s = self.smtp(tls="none")
        s.send(b"STARTTLS\r\nNOOP\r\nRSET\r\nVRFY injected\r\n")
        self.assertReply(s.reply(), 220)
        self.assertEqual(s.unread, b"")
        s.wrap()
        self.assertReply(s.command("EHLO after.tls"), 250)
        self.assertReply(s.command("NOOP"), 250)

    def test_starttls_forgets_what_was_said_before(self):
        s = self.smtp(tls="none")
        s.starttls()
        self.assertIn(s.command("MAIL FROM:<a@example.com>").code, (503, 530))

    def test_starttls_twice_is_refused(self):
        s = self.smtp()
        self.assertIn(s.command("STARTTLS").code, (502, 503, 554))

    def test_old_tls_is_refused(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
        with socket.create_connection(("127.0.0.1", self.proxy.port_implicit), patience(10)) as sock:
            with self.assertRaises((ssl.SSLError, ConnectionError)):
                context.wrap_socket(sock)

    def test_tls_1_2_and_1_3_are_spoken(self):
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context = ssl.create_default_context(cafile=str(self.authority.ca_file))
            context.minimum_version = context.maximum_version = version
            with socket.create_connection(("127.0.0.1", self.proxy.port_implicit), patience(10)) as sock:
                with context.wrap_socket(sock, server_hostname="localhost") as tls:
                    self.assertTrue(tls.recv(100).startswith(b"220 "))

    def test_garbage_instead_of_a_handshake_costs_only_its_connection(self):
        failures = self.proxy.metric("smtp_tls_failures_total")
        with socket.create_connection(("127.0.0.1", self.proxy.port_implicit), patience(10)) as sock:
            sock.sendall(b"EHLO plain.client\r\n" * 50)
            try:
                while sock.recv(4096):
                    pass
            except ConnectionError:
                pass
        self.assertReply(self.smtp(tls="implicit").command("NOOP"), 250)
        wait_until(lambda: self.proxy.metric("smtp_tls_failures_total") == failures + 1, 10, "that it is counted")

    # credentials

    def test_mail_without_auth_is_530(self):
        self.assertReply(self.smtp().command("MAIL FROM:<a@example.com>"), 530, "5.7.0")

    def test_bad_credentials_are_535(self):
        good = self.user["file"]
        for user, word in ((good, "wrong"), ("nobody@users.example", "wrong"), (good, ""), ("", "")):
            for mechanism in ("PLAIN", "LOGIN"):
                with self.subTest(user=user, mechanism=mechanism):
                    reply = self.smtp().auth(user, word, mechanism)
                    self.assertIn(reply.code, (535, 501))
                    if user and word:
                        self.assertReply(reply, 535, "5.7.8")

    def test_a_session_may_log_in_after_a_mistake(self):
        s = self.smtp()
        self.assertReply(s.auth(self.user["file"], "wrong"), 535)
        self.assertReply(s.auth(self.user["file"], self.proxy.passwords[self.user["file"]]), 235, "2.7.0")

    def test_auth_login_and_plain_without_initial_response(self):
        user, word = self.user["file"], self.proxy.passwords[self.user["file"]]
        self.assertReply(self.smtp().auth(user, word, "LOGIN"), 235)
        s = self.smtp()
        self.assertReply(s.command("AUTH PLAIN"), 334)
        self.assertReply(s.command(base64.b64encode(f"\0{user}\0{word}".encode())), 235)
        s = self.smtp()
        self.assertReply(s.command(b"AUTH LOGIN " + base64.b64encode(user.encode())), 334)
        self.assertReply(s.command(base64.b64encode(word.encode())), 235)

    def test_auth_mistakes(self):
        s = self.smtp()
        self.assertReply(s.command("AUTH CRAM-MD5"), 504)
        self.assertReply(s.command("AUTH PLAIN"), 334)
        self.assertReply(s.command("*"), 501)
        self.assertReply(s.command("AUTH PLAIN !!!!"), 501)
        self.assertReply(s.command("AUTH"), 501)

    def test_auth_twice_and_inside_a_transaction_is_503(self):
        s = self.session("file")
        self.assertReply(s.auth("x", "y"), 503)
        self.assertReply(s.command("MAIL FROM:<a@example.com>"), 250)
        self.assertReply(s.command("AUTH PLAIN"), 503)

    def test_a_disabled_user_is_refused_within_seconds(self):
        word = self.proxy.add_user("gone@users.example", "tenant-file")
        self.assertReply(self.smtp().auth("gone@users.example", word), 235)
        self.proxy.ctl("user", "disable", "gone@users.example")
        wait_until(lambda: self.smtp().auth("gone@users.example", word).code == 535, 15, "535 after disable", 0.3)

    # the order of commands

    def test_commands_out_of_order_are_503(self):
        s = self.session("file")
        self.assertReply(s.command("RCPT TO:<b@example.net>"), 503)
        self.assertReply(s.command("DATA"), 503)
        self.assertReply(s.command("MAIL FROM:<a@example.com>"), 250, "2.1.0")
        self.assertReply(s.command("MAIL FROM:<a@example.com>"), 503)
        self.assertReply(s.command("RSET"), 250)
        self.assertReply(s.command("RCPT TO:<b@example.net>"), 503)

    def test_the_small_commands(self):
        s = self.session("file")
        self.assertReply(s.command("NOOP"), 250)
        self.assertReply(s.command("noop anything at all"), 250)
        self.assertReply(s.command("VRFY somebody"), 252)
        self.assertReply(s.command("HELP"), 214)
        self.assertReply(s.command("HELO old.client"), 250)
        self.assertReply(s.command("FROBNICATE now"), 500)
        self.assertReply(s.quit(), 221, "2.0.0")

    def test_bad_addresses_and_parameters(self):
        for line, codes in (("MAIL FROM:<a@>", (501, 553)), ("MAIL FROM:a b", (501, 553)), ("MAIL", (501,)),
                            ("MAIL FROM:<a@example.com> FUNNY=1", (504, 555)), ("MAIL FROM:<a@example.com> SIZE=x", (501,)),
                            ("MAIL FROM:<a@example.com> BODY=NONE", (501, 504))):
            with self.subTest(line=line):
                self.assertIn(self.session("file").command(line).code, codes)
        s = self.session("file")
        s.command("MAIL FROM:<a@example.com>")
        self.assertIn(s.command("RCPT TO:<>").code, (501, 550, 553))
        self.assertReply(s.command("RCPT TO:<b@example.net>"), 250, "2.1.5")

    def test_too_many_errors_end_the_session(self):
        s = self.session("file")
        codes = [s.command("WHAT").code for _ in range(5)]
        self.assertEqual(codes[:4], [500] * 4)
        if codes[4] != 421:
            self.assertReply(s.reply(), 421)
        self.assertTrue(s.is_closed())

    # limits

    def test_a_declared_size_over_the_limit_is_552(self):
        s = self.session("file")
        self.assertReply(s.command("MAIL FROM:<a@example.com> SIZE=65537"), 552, "5.3.4")
        self.assertReply(s.command("MAIL FROM:<a@example.com> SIZE=65536"), 250)

    def test_a_message_over_the_limit_is_552_and_the_session_lives(self):
        s = self.session("file")
        big = mail.plain(text=("y" * 70 + "\n") * 1200)
        self.assertReply(s.mail(big), 552, "5.3.4")
        self.assertReply(s.mail(mail.plain()), 250)

    def test_one_recipient_too_many_is_452_and_the_others_get_it(self):
        s = self.session("file")
        s.command("MAIL FROM:<a@example.com>")
        codes = [s.command(f"RCPT TO:<r{i}@example.net>").code for i in range(12)]
        self.assertEqual(codes, [250] * 10 + [452] * 2)
        self.assertReply(s.command("DATA"), 354)
        self.assertReply(s.data(mail.plain()), 250)

    def test_a_line_that_is_too_long_is_500_and_the_session_lives(self):
        s = self.session("file")
        self.assertReply(s.command("NOOP " + "x" * 20000), 500)
        self.assertReply(s.command("NOOP"), 250)

    # pipelining

    def test_a_pipelined_group_is_answered_in_order(self):
        s = self.session("file")
        s.send(b"MAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.net>\r\nRCPT TO:<c@example.net>\r\nDATA\r\n")
        self.assertEqual([r.code for r in s.replies(4)], [250, 250, 250, 354])
        s.send(b"Subject: x\r\n\r\n1\r\n.\r\nMAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.net>\r\nDATA\r\n")
        self.assertEqual([r.code for r in s.replies(4)], [250, 250, 250, 354])
        self.assertReply(s.data(b"Subject: x\r\n\r\n2\r\n"), 250)

    def test_pipelined_data_without_a_recipient_is_refused(self):
        s = self.session("file")
        s.send(b"MAIL FROM:<a@example.com>\r\nRCPT TO:<>\r\nDATA\r\nNOOP\r\n")
        codes = [r.code for r in s.replies(4)]
        self.assertEqual(codes[0], 250)
        self.assertIn(codes[2], (503, 554))
        self.assertEqual(codes[3], 250)

    def test_bytes_one_by_one_are_understood(self):
        s = self.session("file")
        for byte in b"MAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.net>\r\nDATA\r\nSubject: x\r\n\r\n.x\r\n.\r\n":
            s.send(bytes([byte]))
        self.assertEqual([r.code for r in s.replies(4)], [250, 250, 354, 250])

    # CR and LF

    def test_a_bare_newline_in_a_command_is_500(self):
        for line in (b"NOOP\nRSET\r\n", b"NOOP x\ry\r\n", b"MAIL FROM:<a@example.com>\nRCPT TO:<b@example.net>\r\n"):
            with self.subTest(line=line):
                s = self.session("file")
                s.send(line)
                self.assertReply(s.reply(), 500)
                self.assertReply(s.command("NOOP"), 250)

    def test_only_crlf_dot_crlf_ends_a_message(self):
        smuggled = b"MAIL FROM:<evil@example.com>\r\nRCPT TO:<victim@example.net>\r\nDATA\r\nSubject: smuggled\r\n\r\nx"
        for end in (b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r\n.\r", b"\r.\r\n", b"\n.\r", b"\r\n\x00.\r\n"):
            with self.subTest(end=end):
                s = self.session("file")
                s.command("MAIL FROM:<a@example.com>")
                s.command("RCPT TO:<b@example.net>")
                self.assertReply(s.command("DATA"), 354)
                s.send(b"Subject: outer\r\n\r\nbefore" + end + smuggled + b"\r\n.\r\n")
                eml = self.eml(s.reply())
                self.assertIn(b"smuggled", eml)
                self.assertFalse(mail.has_lone_newline(eml), eml)
                self.assertReply(s.command("NOOP"), 250)
                self.assertEqual(s.unread, b"")

    def test_bare_newlines_in_a_message_are_repaired(self):
        s = self.session("file")
        s.command("MAIL FROM:<a@example.com>")
        s.command("RCPT TO:<b@example.net>")
        s.command("DATA")
        s.send(b"Subject: x\nX-A: 1\r\n\r\none\ntwo\rthree\r\r\nfour\n\nfive\r\n.\r\n")
        eml = self.eml(s.reply())
        self.assertFalse(mail.has_lone_newline(eml))
        self.assertTrue(eml.endswith(b"Subject: x\r\nX-A: 1\r\n\r\none\r\ntwo three \r\nfour\r\n\r\nfive\r\n"), eml)

    def test_hostile_bytes_cost_at_most_the_connection(self):
        for junk in (b"\x00" * 5000 + b"\r\n", bytes(range(256)) * 40 + b"\r\n", b"\r\n" * 50, b"\xff\xfe" * 1000 + b"\r\n",
                     b"EHLO " + b"\x80" * 400 + b"\r\n", b"MAIL FROM:<" + b"a" * 5000, b"AUTH PLAIN " + b"A" * 100000 + b"\r\n"):
            s = self.smtp()
            try:
                s.send(junk)
                s.sock.shutdown(socket.SHUT_WR)
            except OSError:
                pass
            s.close()
        self.assertReply(self.session("file").mail(mail.plain()), 250)
        self.assertEqual(self.proxy.log.all("master.child.ended"), [])

    def test_a_client_that_goes_away_in_its_message_leaves_nothing(self):
        before = set(self.proxy.out.glob("*.eml"))
        word = marker()
        s = self.session("file")
        s.command("MAIL FROM:<a@example.com>")
        s.command("RCPT TO:<b@example.net>")
        s.command("DATA")
        s.send(b"Subject: half\r\n\r\n" + word.encode() + b"\r\n")
        s.close()
        self.assertReply(self.session("file").mail(mail.plain()), 250)
        new = wait_until(lambda: set(self.proxy.out.glob("*.eml")) - before, 20, "the whole message")
        self.assertFalse(any(word.encode() in p.read_bytes() for p in new))
        self.assertEqual(len(new), 1)


class Strict(ProxyCase):
    """With the settings the other way round."""

    SETTINGS = {"smtpd": {"workers": 1, "bare_newline": "refuse", "command_timeout": "1s", "data_timeout": "1s",
                          "empty_hello": True},
                "limits": {"connections": 3},
                "tls": {"min_version": "1.3"}}

    @classmethod
    def providers(cls):
        return {"file": "file"}

    def test_bare_newlines_in_a_message_can_be_refused(self):
        for text in (b"Subject: x\r\n\r\na\nb\r\n", b"Subject: x\r\n\r\na\rb\r\n"):
            s = self.session("file")
            self.assertReply(s.mail(text), 550, "5.6.11")
            self.assertReply(s.mail(mail.plain()), 250)
            s.quit()

    def test_a_hello_without_a_name_can_be_taken(self):
        s = self.smtp(ehlo=False, tls="none")
        self.assertReply(s.command("EHLO"), 250)
        self.assertReply(s.command("HELO "), 250)

    def test_an_idle_session_ends_with_421(self):
        s = self.smtp()
        self.assertReply(s.reply(), 421, "4.4.2")
        self.assertTrue(s.is_closed())

    def test_a_stalled_message_ends_with_421(self):
        s = self.session("file")
        s.command("MAIL FROM:<a@example.com>")
        s.command("RCPT TO:<b@example.net>")
        s.command("DATA")
        s.send(b"Subject: half")
        self.assertReply(s.reply(), 421, "4.4.2")
        self.assertTrue(s.is_closed())

    def test_a_stalled_handshake_ends(self):
        with socket.create_connection(("127.0.0.1", self.proxy.port_implicit), patience(20)) as sock:
            sock.settimeout(patience(20))
            sock.sendall(b"\x16\x03\x01")
            self.assertEqual(sock.recv(1), b"")

    def test_one_session_too_many_is_421(self):
        held = []
        try:
            for _ in range(3):
                held.append(Smtp(self.proxy.port, tls="none"))
            with Smtp(self.proxy.port, tls="none", ehlo=False) as s:
                self.assertReply(s.greeting, 421)
        finally:
            for s in held:
                s.close()

    def test_tls_1_2_can_be_refused(self):
        context = ssl.create_default_context(cafile=str(self.authority.ca_file))
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        with socket.create_connection(("127.0.0.1", self.proxy.port_implicit), patience(10)) as sock:
            with self.assertRaises((ssl.SSLError, ConnectionError)):
                context.wrap_socket(sock, server_hostname="localhost")


if __name__ == "__main__":
    unittest.main()
