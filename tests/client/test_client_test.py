#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""test-client against a scripted SMTP server: what it says, its exit status, what goes over the wire.

Run by make check with TEST_CLIENT set or from the build directory. Standard library only.
"""
import base64
import contextlib
import email
import email.policy
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import unittest

SRC = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
CLIENT = os.path.abspath(os.environ.get("TEST_CLIENT", "client/test-client"))
USER, PASSWORD = "tenant1@example.com", "s3cret with spaces \u00e9"


class Server:
    """One SMTP server on a port of its own; behaviour by keyword, observations in lists."""

    def __init__(self, certs, tls="starttls", auth="PLAIN LOGIN", pipelining=True, ehlo=True,
                 offers=(), replies=None, close_after=0, greeting="220 test ready", address="127.0.0.1", stall=None):
        self.tls, self.auth, self.pipelining, self.ehlo = tls, auth, pipelining, ehlo
        self.offers, self.replies = list(offers), dict(replies or {})
        self.close_after, self.greeting, self.stall = close_after, greeting, stall
        self.connections, self.commands, self.messages, self.mechanisms = 0, [], [], []
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certs + "/server.pem")
        self.listener = socket.create_server((address, 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()

    def accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self.serve, args=(sock,), daemon=True).start()

    def serve(self, sock):
        try:
            if self.tls == "implicit":
                sock = self.context.wrap_socket(sock, server_side=True)
            self.session(sock)
        except (OSError, ValueError):
            pass

    def session(self, sock):
        with contextlib.ExitStack() as stack:
            self.dialogue(sock, stack)

    def dialogue(self, sock, stack):
        stack.enter_context(sock)
        lines, n_messages = stack.enter_context(sock.makefile("rb")), 0

        def say(text):
            sock.sendall(text.encode() + b"\r\n")

        def answer(verb, fallback):
            text = self.replies.get(verb, fallback)
            if callable(text):
                text = text()
            say(text)
            return text[:1]

        say(self.greeting)
        taken = 0
        while True:
            line = lines.readline()
            if not line.endswith(b"\n"):
                return
            if not line.endswith(b"\r\n"):
                raise ValueError("a bare LF")
            text = line[:-2].decode()
            verb = text.split(" ")[0].upper()
            self.commands.append(text if verb != "AUTH" else "AUTH")
            if verb == self.stall:
                time.sleep(30)
            if verb == "EHLO":
                if not self.ehlo:
                    say("502 what?")
                    continue
                offers = ["test", "SIZE 1000000", *self.offers] + (["PIPELINING"] if self.pipelining else [])
                if self.tls == "starttls" and not isinstance(sock, ssl.SSLSocket):
                    offers.append("STARTTLS")
                elif self.auth:
                    offers.append("AUTH " + self.auth)
                say("\r\n".join("250%s%s" % ("-" if o is not offers[-1] else " ", o) for o in offers))
            elif verb == "STARTTLS":
                if answer(verb, "220 go") == "2":
                    sock = stack.enter_context(self.context.wrap_socket(sock, server_side=True))
                    lines = stack.enter_context(sock.makefile("rb"))
            elif verb == "AUTH":
                self.authenticate(text, say, lines)
            elif verb == "MAIL":
                if self.close_after and n_messages == self.close_after:
                    say("421 4.3.2 closing")
                    return
                taken = 0
                answer(verb, "250 2.1.0 ok")
            elif verb == "RCPT":
                taken += answer(re.search("<(.*?)>", text)[1] if re.search("<(.*?)>", text)[1] in self.replies
                                else verb, "250 2.1.5 ok") == "2"
            elif verb == "DATA":
                if (self.replies.get(verb) or ("354" if taken else "554 5.5.1 no valid recipients"))[0] != "3":
                    answer(verb, "554 5.5.1 no valid recipients")
                    continue
                say("354 go")
                data = bytearray()
                while not data.endswith(b"\r\n.\r\n") and data != b".\r\n":
                    got = lines.readline()
                    if not got:
                        return
                    data += got
                self.messages.append(bytes(data))
                n_messages += 1
                answer("message", "250 2.0.0 Ok: queued as 42")
            elif verb == "QUIT":
                say("221 bye")
                return
            else:
                answer(verb, "250 ok")

    def authenticate(self, text, say, lines):
        mechanism = text.split(" ")[1].upper()
        self.mechanisms.append(mechanism)
        if mechanism not in self.auth.split(" ") or "!" + mechanism in self.auth:
            say("504 5.5.4 unknown mechanism")
            return
        if mechanism == "PLAIN":
            good = base64.b64decode(text.split(" ")[2]) == ("\0%s\0%s" % (USER, PASSWORD)).encode()
        else:
            say("334 VXNlcm5hbWU6")
            user = base64.b64decode(lines.readline())
            say("334 UGFzc3dvcmQ6")
            good = (user, base64.b64decode(lines.readline())) == (USER.encode(), PASSWORD.encode())
        if "AUTH" in self.replies:
            say(self.replies["AUTH"])
        else:
            say("235 2.7.0 welcome" if good else "535 5.7.8 Authentication failed")


class ClientTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dir = tempfile.TemporaryDirectory()
        cls.certs = cls.dir.name + "/certs"
        subprocess.run([SRC + "/contrib/dev-certificates", "--ecdsa", cls.certs], check=True,
                       stdout=subprocess.DEVNULL)

    @classmethod
    def tearDownClass(cls):
        cls.dir.cleanup()

    def run_client(self, *arguments, server=None, trust=True, env=None, stdin=None, host="localhost"):
        command = [CLIENT, *arguments]
        if server:
            command += ["--host", host, "--port", str(server.port), "--tls", server.tls]
            if trust:
                command += ["--ca", self.certs + "/ca.crt"]
        run = subprocess.run(command, capture_output=True, timeout=60, input=stdin,
                             env={**os.environ, "TEST_CLIENT_PASSWORD": "", **(env or {})} if env else None)
        run.out, run.err = run.stdout.decode(), run.stderr.decode()
        self.assertNotIn(PASSWORD, run.out + run.err)
        return run

    def expect(self, run, status, *texts):
        self.assertEqual(run.returncode, status, run.out + run.err)
        for text in texts:
            self.assertIn(text, run.out + run.err)

    def server(self, **how):
        server = Server(self.certs, **how)
        self.addCleanup(server.listener.close)
        return server

    # ---- connecting

    def test_starttls_with_insecure_sends(self):
        server = self.server()
        run = self.run_client("send", "--insecure", "--from", "test@example.com", "--to", "user@example.com",
                              "--subject", "Test", "--body", "Hello", server=server, trust=False)
        self.expect(run, 0, "Email sent successfully: 250 2.0.0 Ok: queued as 42")
        self.assertIn("STARTTLS", server.commands)
        self.assertIn("MAIL FROM:<test@example.com> SIZE=%d" % len(server.messages[0]), server.commands)
        self.assertIn("RCPT TO:<user@example.com>", server.commands)
        self.assertEqual(server.commands[-1], "QUIT")
        message = email.message_from_bytes(server.messages[0], policy=email.policy.default)
        self.assertEqual((message["Subject"], message["From"], message["To"]),
                         ("Test", "test@example.com", "user@example.com"))
        self.assertEqual(message.get_content().split(), ["Hello", "."])

    def test_implicit_tls_sends(self):
        server = self.server(tls="implicit")
        self.expect(self.run_client("send", server=server), 0)
        self.assertNotIn("STARTTLS", server.commands)

    def test_no_tls_sends(self):
        self.expect(self.run_client("send", server=self.server(tls="none"), trust=False), 0)

    def test_an_untrusted_certificate_is_explained(self):
        server = self.server()
        run = self.run_client("send", server=server, trust=False)
        self.expect(run, 76, "is not trusted", "subject: ", "CN=localhost", "issuer: ",
                    "smtp-proxy development CA", "names:   localhost, 127.0.0.1, ::1", "valid:   20", " UTC to 20",
                    "--ca FILE", "--insecure")
        self.assertEqual(server.messages, [])

    def test_a_certificate_for_another_name_is_refused(self):
        server = self.server(address="127.0.0.2")
        self.expect(self.run_client("send", server=server, host="127.0.0.2"), 76, "is not trusted", "mismatch")

    def test_no_server_is_69(self):
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        self.expect(self.run_client("send", "--host", "127.0.0.1", "--port", str(port)), 69,
                    "cannot connect to 127.0.0.1:%d" % port)

    def test_an_unknown_name_is_69(self):
        self.expect(self.run_client("send", "--host", "no-such-host.invalid"), 69, "no-such-host.invalid")

    def test_starttls_that_is_not_offered_is_said(self):
        server = self.server(tls="none")
        self.expect(self.run_client("send", "--host", "127.0.0.1", "--port", str(server.port)), 69,
                    "does not offer STARTTLS")

    def test_something_that_is_not_smtp_is_76(self):
        self.expect(self.run_client("send", server=self.server(greeting="HTTP/1.1 400 Bad Request")), 76,
                    "not an SMTP reply")

    def test_tls_with_a_plain_server_is_76(self):
        server = self.server(tls="none")
        self.expect(self.run_client("send", "--host", "localhost", "--port", str(server.port), "--tls", "implicit"),
                    76, "TLS handshake with localhost")

    def test_a_silent_server_is_75(self):
        server = self.server(stall="MAIL", tls="none")
        began = time.time()
        self.expect(self.run_client("send", "--timeout", "1", server=server, trust=False), 75, "no answer within 1 s")
        self.assertLess(time.time() - began, 15)

    def test_421_is_75(self):
        self.expect(self.run_client("send", server=self.server(greeting="421 4.3.2 too busy")), 75, "too busy")

    def test_a_554_greeting_is_69(self):
        self.expect(self.run_client("send", server=self.server(greeting="554 5.7.1 go away")), 69, "go away")

    def test_helo_when_ehlo_is_unknown(self):
        server = self.server(tls="none", ehlo=False)
        self.expect(self.run_client("send", server=server, trust=False), 0)
        self.assertTrue(server.commands[1].startswith("HELO "))

    # ---- AUTH

    def test_auth_plain(self):
        server = self.server()
        self.expect(self.run_client("send", "--user", USER, "--password", PASSWORD, "--verbose", server=server), 0,
                    "> AUTH PLAIN ********", "< 235 2.7.0 welcome")
        self.assertEqual(server.mechanisms, ["PLAIN"])
        self.assertTrue([c for c in server.commands if c.startswith("MAIL FROM:<%s>" % USER)])

    def test_auth_login_when_it_is_all_there_is(self):
        server = self.server(auth="LOGIN")
        self.expect(self.run_client("send", "--user", USER, "--password", PASSWORD, "--verbose", server=server), 0)
        self.assertEqual(server.mechanisms, ["LOGIN"])

    def test_auth_login_after_plain_is_refused_as_a_mechanism(self):
        server = self.server(auth="PLAIN LOGIN !PLAIN")
        self.expect(self.run_client("send", "--user", USER, "--password", PASSWORD, server=server), 0)
        self.assertEqual(server.mechanisms, ["PLAIN", "LOGIN"])

    def test_a_wrong_password_is_77(self):
        server = self.server()
        run = self.run_client("send", "--user", USER, "--password", "wrongpassword", server=server)
        self.expect(run, 77, "SMTP AUTH failed: 535 5.7.8 Authentication failed")
        self.assertNotIn("wrongpassword", run.err)

    def test_a_temporary_auth_failure_is_75(self):
        server = self.server(replies={"AUTH": "454 4.7.0 try later"})
        self.expect(self.run_client("send", "--user", USER, "--password", PASSWORD, server=server), 75,
                    "SMTP AUTH failed: 454")

    def test_auth_that_is_not_offered_is_said(self):
        self.expect(self.run_client("send", "--user", USER, "--password", "x", server=self.server(auth="")), 69,
                    "SMTP AUTH failed", "offers neither")

    def test_the_password_from_file_environment_and_standard_input(self):
        server = self.server()
        path = self.dir.name + "/password"
        with open(path, "w") as f:
            f.write(PASSWORD + "\n")
        self.expect(self.run_client("send", "--user", USER, "--password-file", path, server=server), 0)
        self.expect(self.run_client("send", "--user", USER, server=server, env={"TEST_CLIENT_PASSWORD": PASSWORD}), 0)
        self.expect(self.run_client("send", "--user", USER, "--password-file", "-", server=server,
                                    stdin=(PASSWORD + "\n").encode()), 0)
        self.assertEqual(len(server.messages), 3)

    def test_the_password_leaves_the_process_list(self):
        for how in (["--password", PASSWORD], ["--password=" + PASSWORD]):
            server = self.server(stall="MAIL", tls="none")
            run = subprocess.Popen([CLIENT, "send", "--user", USER, *how, "--tls", "none", "--port", str(server.port)],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                while not [c for c in server.commands if c.startswith("MAIL")]:
                    self.assertIsNone(run.poll())
                    time.sleep(0.01)
                with open("/proc/%d/cmdline" % run.pid, "rb") as f:
                    self.assertNotIn(PASSWORD.encode(), f.read())
            finally:
                run.kill()
                run.wait()

    # ---- answers to a message

    def test_refusals_have_their_status(self):
        for replies, status, text in (
                ({"MAIL": "550 5.7.1 not you"}, 65, "MAIL refused: 550 5.7.1 not you"),
                ({"RCPT": "550 5.1.1 nobody"}, 65, "RCPT refused: 550 5.1.1 nobody"),
                ({"RCPT": "450 4.2.1 later"}, 75, "RCPT refused: 450 4.2.1 later"),
                ({"DATA": "451 4.3.0 later"}, 75, "DATA refused: 451 4.3.0 later"),
                ({"message": "552 5.3.4 too large"}, 65, "message refused: 552 5.3.4 too large"),
                ({"message": "451 4.3.0 no database"}, 75, "message refused: 451 4.3.0 no database")):
            for pipelining in (True, False):
                with self.subTest(text=text, pipelining=pipelining):
                    server = self.server(replies=replies, pipelining=pipelining)
                    self.expect(self.run_client("send", server=server), status, text)
                    self.assertEqual(server.commands[-1], "QUIT")

    def test_some_refused_recipients(self):
        server = self.server(replies={"b@example.org": "550 5.1.1 nobody"})
        run = self.run_client("send", "--to", "a@example.org,b@example.org", "--cc", "c@example.org", "--json",
                              server=server)
        self.assertEqual(run.returncode, 65)
        said = json.loads(run.out)
        self.assertTrue(said["sent"])
        self.assertEqual((said["recipients"], said["refused_recipients"]), (3, 1))
        self.assertEqual(len(server.messages), 1)

    def test_a_server_that_wants_data_for_nobody_gets_an_empty_message(self):
        server = self.server(replies={"RCPT": "550 5.1.1 nobody", "DATA": "354 go"})
        self.expect(self.run_client("send", server=server), 65, "RCPT refused")
        self.assertEqual(server.messages, [b".\r\n"])

    def test_json_says_it_all(self):
        said = json.loads(self.run_client("send", "--json", server=self.server()).out)
        self.assertEqual((said["sent"], said["code"], said["error"], said["status"]), (True, 250, None, 0))
        self.assertEqual(said["tls_version"], "TLSv1.3")
        self.assertGreater(said["tls_ms"], 0)

    # ---- messages

    def test_a_message_with_everything_is_read_back(self):
        server = self.server()
        path = self.dir.name + "/r\u00e9sum\u00e9 & \"more\".pdf"
        data = bytes(range(256)) * 40
        with open(path, "wb") as f:
            f.write(data)
        self.expect(self.run_client(
            "send", "--from", "Zo\u00eb <zoe@example.com>", "--to", "\"Last, First\" <a@example.org>, b@example.org",
            "--subject", "Gr\u00fc\u00dfe \U0001f600", "--body", "plain\n.\n..dots\n", "--html", "<p>h\u00e9</p>",
            "--attach", path, "--attach", self.certs + "/ca.crt", "--header", "X-Test: one", server=server), 0)
        self.assertTrue(server.messages[0].isascii())
        message = email.message_from_bytes(server.messages[0].replace(b"\r\n..", b"\r\n."),
                                           policy=email.policy.default)
        self.assertEqual(message["Subject"], "Gr\u00fc\u00dfe \U0001f600")
        self.assertEqual(message["From"].addresses[0].display_name, "Zo\u00eb")
        self.assertEqual([a.addr_spec for a in message["To"].addresses], ["a@example.org", "b@example.org"])
        self.assertEqual(message["X-Test"], "one")
        self.assertEqual(message.get_body(("plain",)).get_content().replace("\r\n", "\n"), "plain\n.\n..dots\n")
        self.assertEqual(message.get_body(("html",)).get_content().strip(), "<p>h\u00e9</p>")
        files = list(message.iter_attachments())
        self.assertEqual(files[0].get_filename(), os.path.basename(path))
        self.assertEqual(files[0].get_content_type(), "application/pdf")
        self.assertEqual(files[0].get_content(), data)
        self.assertEqual(len(files), 2)

    def test_eml_goes_as_it_is(self):
        server = self.server()
        path = self.dir.name + "/m.eml"
        with open(path, "wb") as f:
            f.write(b"Subject: raw\n\n.leading dot\r\nlast line without end")
        self.expect(self.run_client("send", "--eml", path, server=server), 0)
        self.expect(self.run_client("send", "--eml", "-", server=server, stdin=b"Subject: in\r\n\r\nx\r\n"), 0)
        self.assertEqual(server.messages, [
            b"Subject: raw\r\n\r\n..leading dot\r\nlast line without end\r\n.\r\n", b"Subject: in\r\n\r\nx\r\n.\r\n"])

    def test_a_large_message_arrives_whole(self):
        server = self.server()
        path = self.dir.name + "/large.bin"
        data = os.urandom(3 << 20)
        with open(path, "wb") as f:
            f.write(data)
        self.expect(self.run_client("send", "--attach", path, server=server), 0)
        message = email.message_from_bytes(server.messages[0], policy=email.policy.default)
        self.assertEqual(next(message.iter_attachments()).get_content(), data)

    def test_8_bit_content_and_addresses_are_announced(self):
        server = self.server(offers=["8BITMIME", "SMTPUTF8"])
        self.expect(self.run_client("send", "--eml", "-", "--to", "zo\u00eb@example.org", server=server,
                                    stdin="Subject: x\n\ncaf\u00e9\n".encode()), 0)
        mail = next(c for c in server.commands if c.startswith("MAIL"))
        self.assertIn(" BODY=8BITMIME", mail)
        self.assertIn(" SMTPUTF8", mail)
        self.expect(self.run_client("send", server=server), 0)
        mail = [c for c in server.commands if c.startswith("MAIL")][1]
        self.assertNotIn("8BITMIME", mail)
        self.assertNotIn("SMTPUTF8", mail)

    # ---- batch

    def test_batch_keeps_its_rate_and_says_how_it_gets_on(self):
        server = self.server()
        began = time.time()
        run = self.run_client("batch", "--insecure", "--user", USER, "--password", PASSWORD, "--count", "100",
                              "--rate", "100", server=server, trust=False)
        took = time.time() - began
        self.expect(run, 0, *("Sent %d/100 emails\n" % n for n in range(10, 101, 10)))
        self.expect(run, 0, "100 sent, 0 failed of 100", "MAIL to 250", "p95")
        self.assertTrue(0.98 < took < 10, took)
        self.assertEqual((server.connections, len(server.messages)), (1, 100))
        subjects = {email.message_from_bytes(m)["Subject"] for m in server.messages}
        self.assertEqual(subjects, {"Batch Test Email %d" % n for n in range(1, 101)})

    def test_batch_over_several_connections_with_recipients_in_turn(self):
        server = self.server()
        run = self.run_client("batch", "--count", "30", "--connections", "3", "--to", "a@example.org,b@example.org",
                              "--json", server=server)
        said = json.loads(run.out)
        self.assertEqual((run.returncode, said["sent"], said["failed"]), (0, 30, 0))
        self.assertEqual(said["message_ms"]["n"], 30)
        self.assertLessEqual(said["message_ms"]["p50"], said["message_ms"]["max"])
        self.assertEqual(server.connections, 3)
        self.assertEqual(sum("RCPT TO:<a@example.org>" == c for c in server.commands), 15)

    def test_batch_with_a_connection_for_each(self):
        server = self.server()
        self.expect(self.run_client("batch", "--count", "12", "--connections", "4", "--per-connection", server=server), 0)
        self.assertEqual((server.connections, len(server.messages)), (12, 12))
        self.assertEqual(server.commands.count("QUIT"), 12)

    def test_batch_goes_on_when_the_server_ends_a_session(self):
        server = self.server(close_after=5)
        self.expect(self.run_client("batch", "--count", "20", server=server), 0, "20 sent, 0 failed")
        self.assertEqual((server.connections, len(server.messages)), (4, 20))

    def test_batch_counts_what_is_refused(self):
        answers = iter(["250 ok", "550 5.7.1 no", "451 4.3.0 later"] * 4)
        server = self.server(replies={"message": lambda: next(answers)})
        run = self.run_client("batch", "--count", "12", "--json", server=server)
        self.assertEqual((json.loads(run.out)["sent"], json.loads(run.out)["failed"]), (4, 8))
        self.assertEqual(run.returncode, 65)

    def test_batch_gives_up_on_a_wrong_password(self):
        server = self.server()
        self.expect(self.run_client("batch", "--count", "50", "--user", USER, "--password", "wrong", server=server),
                    77, "SMTP AUTH failed")
        self.assertEqual(server.connections, 1)

    def test_batch_gives_up_when_nobody_is_there(self):
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        self.expect(self.run_client("batch", "--count", "50", "--host", "127.0.0.1", "--port", str(port)), 69,
                    "3 failed")

    def test_batch_fills_templates(self):
        server = self.server()
        self.expect(self.run_client("batch", "--count", "2", "--subject", "{n} of {count}", "--body", "{random}",
                                    "--header", "X-N: {n}", server=server), 0)
        messages = [email.message_from_bytes(m) for m in server.messages]
        self.assertEqual([m["Subject"] for m in messages], ["1 of 2", "2 of 2"])
        self.assertEqual([m["X-N"] for m in messages], ["1", "2"])
        self.assertEqual(len({m["Message-ID"] for m in messages}), 2)
        self.assertEqual(len({m.get_payload() for m in messages}), 2)

    def test_an_interrupted_batch_says_how_far_it_came(self):
        server = self.server()
        run = subprocess.Popen([CLIENT, "batch", "--count", "1000", "--rate", "50", "--ca", self.certs + "/ca.crt",
                                "--port", str(server.port)], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            while len(server.messages) < 3:
                self.assertIsNone(run.poll())
                time.sleep(0.01)
            run.send_signal(signal.SIGINT)
            out = run.communicate(timeout=20)[0].decode()
        finally:
            run.kill()
        self.assertEqual(run.returncode, 75)
        self.assertIn(" sent, 0 failed of 1000 in ", out)

    # ---- the command line

    def test_every_option_is_in_the_manual(self):
        with open(SRC + "/man/test-client.1", encoding="utf-8") as f:
            manual = f.read().replace("\\-", "-")
        options = re.findall(r"^  (--[a-z-]+)", self.run_client("--help").out, re.M)
        self.assertGreater(len(options), 20)
        for option in options:
            self.assertRegex(manual, r"(?m)^\.BR?I? .*" + option + r"\b")

    def test_usage_errors_are_64(self):
        for arguments, text in (
                ([], "send or batch"), (["post"], "post"), (["send", "--nonsense"], "--nonsense: no such option"),
                (["send", "--port", "0"], "not a port"), (["send", "--port"], "needs a value"),
                (["send", "--tls", "ssl"], "starttls, implicit, none"), (["send", "--to", "nobody"], "not an address"),
                (["send", "--user", "u", "--password-file", "/dev/null", "--count", "2"], "--count is for batch"),
                (["batch", "--rate", "x"], "not a number"), (["send", "--password", "x"], "needs --user"),
                (["send", "--header", "x"], "Name: value"), (["send", "--insecure=yes"], "takes no value"),
                (["send", "--subject", "a\r\nBcc: x@example.org"], "line break")):
            with self.subTest(arguments=arguments):
                self.expect(self.run_client(*arguments), 64, text)
        self.expect(self.run_client("send", "--attach", "/no/such/file"), 66, "/no/such/file")
        self.expect(self.run_client("send", "--user", "u"), 64, "needs --password")

    def test_help_and_version_are_0(self):
        self.expect(self.run_client("--help"), 0, "--per-connection", "Exit status")
        self.expect(self.run_client("send", "--help"), 0)
        self.expect(self.run_client("--version"), 0, "test-client 0.")


if __name__ == "__main__":
    program = unittest.main(exit=False, warnings="ignore", verbosity=int(os.environ.get("V", "0")) + 1)
    bad = len(program.result.failures) + len(program.result.errors)
    print("UNIT tests/client/test_client_test.py: %d passed, %d failed" % (program.result.testsRun - bad, bad))
    sys.exit(bad != 0)
