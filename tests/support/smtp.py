# SPDX-License-Identifier: Apache-2.0
"""A small SMTP client that sends exactly the bytes it is told to, for what smtplib would put right."""
import base64
import re
import socket
import ssl

from tests.support.base import patience


class Reply:
    def __init__(self, lines):
        self.lines = lines
        self.code = int(lines[0][:3])
        self.text = "\n".join(line[4:] for line in lines)

    @property
    def status(self):
        """The enhanced status code, or ''."""
        found = re.match(r"([245]\.\d{1,3}\.\d{1,3})(?: |$)", self.text)
        return found.group(1) if found else ""

    def __repr__(self):
        return f"<{self.code} {self.text!r}>"


class Smtp:
    """`with Smtp(port, tls="starttls", ca=...) as s:` has greeted, said EHLO and has TLS."""

    def __init__(self, port, tls="starttls", ca=None, host="127.0.0.1", timeout=20, ehlo=True, source=None, greet=True,
                 sock=None):
        """`sock`: a connection that is open already."""
        self.timeout = patience(timeout)
        self.sock = sock or socket.create_connection((host, port), self.timeout,
                                                     source_address=(source, 0) if source else None)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.ca = ca
        self.unread = b""
        self.capabilities = []
        if tls == "implicit":
            self.wrap()
        self.greeting = self.reply() if greet else None
        if tls == "starttls":
            self.command("EHLO client.test")
            self.starttls()
        if ehlo and greet and self.greeting.code == 220:
            self.ehlo()

    def __enter__(self):
        return self

    def __exit__(self, *args):
        self.close()

    def close(self):
        self.sock.close()

    def context(self):
        context = ssl.create_default_context(cafile=str(self.ca) if self.ca else None)
        if not self.ca:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context

    def wrap(self):
        self.sock = self.context().wrap_socket(self.sock, server_hostname="localhost")

    def send(self, data):
        self.sock.sendall(data if isinstance(data, bytes) else data.encode())

    def line(self):
        while b"\r\n" not in self.unread:
            more = self.sock.recv(65536)
            if not more:
                raise EOFError(f"the server closed; unread: {self.unread!r}")
            self.unread += more
        line, self.unread = self.unread.split(b"\r\n", 1)
        return line.decode("ascii")

    def reply(self):
        lines = []
        while True:
            line = self.line()
            if not re.match(r"\d{3}[ -]|\d{3}$", line):
                raise AssertionError(f"not a reply: {line!r}")
            lines.append(line)
            if line[3:4] != "-":
                break
        if len({one[:3] for one in lines}) != 1:
            raise AssertionError(f"codes differ: {lines!r}")
        return Reply(lines)

    def replies(self, n):
        return [self.reply() for _ in range(n)]

    def is_closed(self):
        """Reads to the end; True when the server has closed (what came before is in unread)."""
        try:
            while True:
                more = self.sock.recv(65536)
                if not more:
                    return True
                self.unread += more
        except ConnectionError:
            return True
        except TimeoutError:
            return False

    def command(self, line):
        self.send((line if isinstance(line, bytes) else line.encode()) + b"\r\n")
        return self.reply()

    def ehlo(self, name="client.test"):
        reply = self.command(f"EHLO {name}")
        self.capabilities = reply.text.split("\n")[1:]
        return reply

    def starttls(self):
        reply = self.command("STARTTLS")
        assert reply.code == 220, reply
        self.wrap()

    def auth(self, user, password, mechanism="PLAIN"):
        b64 = lambda s: base64.b64encode(s.encode()).decode()  # noqa: E731
        if mechanism == "PLAIN":
            return self.command("AUTH PLAIN " + b64(f"\0{user}\0{password}"))
        reply = self.command("AUTH LOGIN")
        if reply.code != 334:
            return reply
        reply = self.command(b64(user))
        return self.command(b64(password)) if reply.code == 334 else reply

    def login(self, user, password):
        reply = self.auth(user, password)
        assert reply.code == 235, reply
        return self

    def mail(self, message, sender="sender@example.com", to=("rcpt@example.net",)):
        """A whole message; the last reply. The message is bytes with CRLF lines."""
        reply = self.command(f"MAIL FROM:<{sender}>")
        if reply.code != 250:
            return reply
        for one in to:
            reply = self.command(f"RCPT TO:<{one}>")
            if reply.code != 250:
                return reply
        reply = self.command("DATA")
        if reply.code != 354:
            return reply
        return self.data(message)

    def data(self, message):
        stuffed = re.sub(rb"(?m)^\.", b"..", message)
        self.send(stuffed + (b"" if stuffed.endswith(b"\r\n") else b"\r\n") + b".\r\n")
        return self.reply()

    def quit(self):
        reply = self.command("QUIT")
        self.close()
        return reply
