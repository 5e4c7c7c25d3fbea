# SPDX-License-Identifier: Apache-2.0
"""A stand-in for a smarthost: an SMTP server that holds its clients to the RFCs, remembers every message octet by octet,
and misbehaves when told to.

	with Smarthost(tls=authority.issue("host")) as host:
		host.misbehave(Reply("final", "451 4.3.0 Later"), times=1)
		host.wait(1)
		host.accepted[0].recipients
		host.violations       # what a strict server would have complained about: should be empty

A recipient whose local part is refuse-CODE-STATUS ("refuse-550-5.1.1") is refused so.
"""
import base64
import dataclasses
import itertools
import re
import secrets
import socket
import ssl
import struct
import threading
import time

from tests.support.base import EVIDENCE, patience

EVERYTHING = ("PIPELINING", "8BITMIME", "SMTPUTF8", "DSN", "ENHANCEDSTATUSCODES", "SIZE 30000000", "AUTH PLAIN LOGIN")


@dataclasses.dataclass
class Reply:
    """How to misbehave, and where: greeting, ehlo, helo, starttls, auth, mail, rcpt, data, content (in the middle of it),
    final, rset, noop."""
    at: str
    say: str | bytes = ""           # instead of the usual reply; bytes as they are
    latency: float = 0.0            # before it
    hang: bool = False              # never answer
    reset: bool = False             # RST instead of an answer
    close: bool = False             # end the connection, after the answer if there is one
    take: bool = False              # final: the message counts as taken
    piecemeal: float = 0.0          # between the octets of the answer


@dataclasses.dataclass
class Delivered:
    number: int
    connection: int
    mail_from: str
    parameters: list                # of MAIL
    recipients: list                # [(address, [parameters])], the accepted ones
    raw: bytes                      # the message, dots unstuffed
    provider_id: str
    received_at: float
    tls: str | None
    user: str | None
    answered_at: float | None = None
    payload: dict = dataclasses.field(default_factory=dict)     # as HTTP stand-ins have it: nothing


class Gone(Exception):
    pass


class Smarthost:
    def __init__(self, tls=None, implicit=False, offers=EVERYTHING, host="127.0.0.1", user="relay-user", ca_host=None,
                 limit=None):
        """tls: (chain file, key file). offers without STARTTLS, which follows from tls. limit: messages a connection."""
        self.offers = list(offers)
        self.implicit = implicit
        self.has_tls = tls is not None
        self.name = ca_host or host
        self.user = user
        self.key = EVIDENCE.secret(secrets.token_urlsafe(24)) if user else ""
        self.limit = limit
        self.lock = threading.Condition()
        self.accepted = []
        self.violations = []
        self.connections = 0
        self.sessions = set()       # open ones
        self.quits = 0
        self.commands = []          # (connection, line)
        self.rules = []             # [reply, how often still, predicate]
        self.latency = 0.0          # before every final answer
        self.closing = threading.Event()
        self.context = None
        if tls:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(*tls)
        self.listener = socket.create_server((host, 0), backlog=512)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._listen, daemon=True).start()

    @property
    def open(self):
        return len(self.sessions)

    def hang_up(self):
        """Ends the connections that are kept for the next message."""
        with self.lock:
            for session in self.sessions:
                # Not its own shutdown(): the session's thread reads from it.
                try:
                    socket.socket.shutdown(session.socket, socket.SHUT_RDWR)
                except OSError:
                    pass            # the other side was first
        self.wait_for(lambda: self.open == 0)

    def settings(self):
        return {"type": "smtp", "host": self.name, "port": self.port, "user": self.user, "password": self.key,
                "tls": "implicit" if self.implicit else "starttls" if self.has_tls else "off"}

    def __enter__(self):
        return self

    def __exit__(self, *args):
        self.close()

    def close(self):
        self.closing.set()
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()

    def misbehave(self, reply, times=1, when=None):
        """The next `times` times that this point is reached (and when(line) holds)."""
        with self.lock:
            self.rules.append([reply, times, when])

    def behave(self):
        with self.lock:
            self.rules.clear()

    def wait(self, n, timeout=20):
        self.wait_for(lambda: len(self.accepted) >= n, timeout, f"{n} messages at the smarthost")

    def wait_for(self, condition, timeout=20, what="the smarthost"):
        with self.lock:
            if not self.lock.wait_for(condition, patience(timeout)):
                raise AssertionError(f"waited in vain for {what}: {len(self.accepted)} accepted, {self.connections} "
                                     f"connections, the last commands {self.commands[-8:]}")

    def violation(self, text):
        with self.lock:
            self.violations.append(text)
            self.lock.notify_all()

    def rule(self, at, line):
        with self.lock:
            for rule in self.rules:
                if rule[0].at == at and rule[1] > 0 and (rule[2] is None or rule[2](line)):
                    rule[1] -= 1
                    return rule[0]
        return None

    def _listen(self):
        for number in itertools.count(1):
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            session = Session(self, number, connection)
            with self.lock:
                self.connections += 1
                self.sessions.add(session)
                self.lock.notify_all()
            threading.Thread(target=self._serve, args=(session,), daemon=True).start()

    def _serve(self, session):
        try:
            session.run()
        except (OSError, Gone):
            pass                    # the other side may die at any moment
        finally:
            try:
                session.socket.close()
            except OSError:
                pass
            with self.lock:
                self.sessions.discard(session)
                self.lock.notify_all()


class Session:
    def __init__(self, host, number, connection):
        connection.settimeout(180)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.host = host
        self.number = number
        self.socket = connection
        self.input = b""
        self.output = []
        self.user = None
        self.tls = None
        self.hello = False
        self.taken = 0
        self.reset()

    def reset(self):
        self.mail = None
        self.parameters = []
        self.recipients = []

    # bytes

    def more(self):
        data = self.socket.recv(65536)
        if not data:
            raise Gone
        self.input += data

    def line(self):
        while b"\n" not in self.input:
            if len(self.input) > 20000:
                self.host.violation("a line that does not end")
                raise Gone
            self.more()
        line, self.input = self.input.split(b"\n", 1)
        if not line.endswith(b"\r") or b"\r" in line[:-1]:
            self.host.violation(f"a command that does not end with CRLF: {line[:80]!r}")
        return line.rstrip(b"\r").decode("utf-8", "replace")

    def send(self, data):
        self.socket.sendall(data)

    def say(self, at, usual, line=""):
        """The usual answer, or what the rule says. True: it was the usual one (or only late)."""
        rule = self.host.rule(at, line)
        if rule is None:
            self.output.append(usual.encode() + b"\r\n")
            if "PIPELINING" not in self.host.offers or b"\n" not in self.input:
                self.flush()
            return True
        self.flush()
        return self.misbehave(rule, usual)

    def flush(self):
        data, self.output = b"".join(self.output), []
        if data:
            self.send(data)

    def misbehave(self, rule, usual):
        if rule.latency:
            self.host.closing.wait(rule.latency)
        if rule.hang:
            self.socket.settimeout(0.2)
            while not self.host.closing.is_set():
                try:
                    if not self.socket.recv(65536):
                        raise Gone
                except TimeoutError:
                    pass
            raise Gone
        if rule.reset:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            raise Gone
        say = rule.say
        if not say and not rule.close:
            say = usual
        if say:
            data = say if isinstance(say, bytes) else say.encode() + b"\r\n"
            if rule.piecemeal:
                for i in range(len(data)):
                    self.send(data[i:i + 1])
                    time.sleep(rule.piecemeal)
            else:
                self.send(data)
        if rule.close:
            raise Gone
        return say == usual

    # the dialogue

    def secure(self):
        self.socket = self.host.context.wrap_socket(self.socket, server_side=True)
        self.tls = self.socket.version()

    def run(self):
        if self.host.implicit:
            self.secure()
        if not self.say("greeting", "220 smarthost.test ESMTP"):
            pass
        while True:
            line = self.line()
            with self.host.lock:
                secret = line.upper().startswith("AUTH PLAIN")
                self.host.commands.append((self.number, "AUTH PLAIN *" if secret else line))
            verb = line.split(" ", 1)[0].upper()
            handler = getattr(self, "on_" + verb.lower(), None)
            if handler is None:
                self.host.violation(f"an unknown command: {line[:80]!r}")
                self.say("unknown", "500 5.5.1 What?", line)
            elif handler(line) is False:
                return

    def on_ehlo(self, line):
        self.hello = True
        self.reset()
        offers = list(self.host.offers)
        if self.host.context and not self.tls:
            offers = [o for o in offers if not o.startswith("AUTH")] + ["STARTTLS"]
        lines = ["smarthost.test greets you", *offers]
        self.say("ehlo", "\r\n".join(f"250{'-' if i + 1 < len(lines) else ' '}{text}" for i, text in enumerate(lines)), line)

    def on_helo(self, line):
        self.hello = True
        self.say("helo", "250 smarthost.test", line)

    def on_starttls(self, line):
        if self.tls or not self.host.context:
            self.host.violation("STARTTLS where there is none")
        if self.say("starttls", "220 2.0.0 Go ahead", line):
            if self.input:
                self.host.violation(f"commands behind STARTTLS: {self.input[:80]!r}")
            self.secure()
            self.hello = False

    def on_auth(self, line):
        if not self.hello or self.user or (self.host.context and not self.tls):
            self.host.violation(f"AUTH out of place: hello {self.hello}, user {self.user}, TLS {self.tls}")
        words = line.split(" ")
        if words[1].upper() == "PLAIN":
            _, user, password = base64.b64decode(words[2]).decode().split("\0")
        else:
            self.say("auth-login", "334 VXNlcm5hbWU6", line)
            user = base64.b64decode(self.line()).decode()
            self.say("auth-user", "334 UGFzc3dvcmQ6", line)
            password = base64.b64decode(self.line()).decode()
        if (user, password) == (self.host.user, self.host.key):
            if self.say("auth", "235 2.7.0 Welcome", line):
                self.user = user
        else:
            self.say("auth", "535 5.7.8 Authentication credentials invalid", line)

    @staticmethod
    def path(line):
        """(address, parameters) of MAIL and RCPT."""
        found = re.fullmatch(r"(?:MAIL FROM|RCPT TO):<([^<>]*)>((?: [^ ]+)*)", line)
        return (found[1], found[2].split()) if found else None

    def on_mail(self, line):
        host, found = self.host, self.path(line)
        if not self.hello or self.mail is not None or found is None:
            host.violation(f"MAIL out of place or malformed: {line!r}")
        offered = {o.split()[0] for o in host.offers}
        known = {"SIZE": "SIZE", "BODY": "8BITMIME", "SMTPUTF8": "SMTPUTF8", "RET": "DSN", "ENVID": "DSN"}
        for parameter in found[1] if found else []:
            if known.get(parameter.split("=")[0]) not in offered:
                host.violation(f"a parameter that was not offered: {parameter}")
        if host.user and not self.user:
            host.violation("MAIL without a login")
        if host.limit is not None and self.taken >= host.limit:
            self.flush()
            self.send(b"421 4.7.0 Enough for this connection\r\n")
            raise Gone
        if self.say("mail", "250 2.1.0 Ok", line):
            self.mail, self.parameters = found

    def on_rcpt(self, line):
        found = self.path(line)
        if found is None:
            self.host.violation(f"RCPT is malformed: {line!r}")
        for parameter in found[1]:
            if parameter.split("=")[0] not in ("NOTIFY", "ORCPT") or "DSN" not in self.host.offers:
                self.host.violation(f"a parameter that was not offered: {parameter}")
        if self.mail is None:
            self.say("rcpt", "503 5.5.1 MAIL first", line)
            return
        refusal = re.match(r"refuse-(\d{3})-([\d.]+)@", found[0])
        if refusal:
            self.say("rcpt", f"{refusal[1]} {refusal[2]} <{found[0]}>: told to refuse", line)
        elif self.say("rcpt", "250 2.1.5 Ok", line):
            self.recipients.append(found)

    def on_data(self, line):
        if not self.recipients:
            self.say("data", "554 5.5.1 No valid recipients", line)
            return
        if not self.say("data", "354 End with a dot", line):
            return
        self.flush()
        wire = self.content()
        message = re.sub(rb"(^|\r\n)\.", rb"\1", wire)
        if re.search(rb"(?<!\r)\n|\r(?!\n)", message):
            self.host.violation("a bare CR or LF in the content")
        record = Delivered(0, self.number, self.mail, self.parameters, self.recipients, message,
                           secrets.token_hex(8), time.monotonic(), self.tls, self.user)
        rule = self.host.rule("final", line)
        if rule is None or rule.take or (not rule.say and not (rule.hang or rule.reset or rule.close)):
            with self.host.lock:
                record.number = len(self.host.accepted)
                self.host.accepted.append(record)
                self.host.lock.notify_all()
            self.taken += 1
        usual = f"250 2.0.0 Ok: queued as {record.provider_id}"
        self.reset()
        if self.host.latency:
            self.host.closing.wait(self.host.latency)
        if rule is None:
            self.send(usual.encode() + b"\r\n")
        else:
            self.misbehave(rule, usual)
        with self.host.lock:
            record.answered_at = time.monotonic()
            self.host.lock.notify_all()

    def content(self):
        """What stands before CRLF.CRLF, with its last CRLF."""
        data, seen = bytearray(self.input), 0
        while True:
            if data[:3] == b".\r\n":
                self.host.violation("an empty message to recipients")
                self.input = bytes(data[3:])
                return b""
            end = data.find(b"\r\n.\r\n", max(0, seen - 4))
            if end >= 0:
                self.input = bytes(data[end + 5:])
                return bytes(data[:end + 2])
            seen = len(data)
            rule = self.host.rule("content", "") if seen > 1000 else None
            if rule is not None:
                self.misbehave(rule, "250 2.0.0 Ok")
            more = self.socket.recv(65536)
            if not more:
                raise Gone
            data += more

    def on_rset(self, line):
        self.reset()
        self.say("rset", "250 2.0.0 Ok", line)

    def on_noop(self, line):
        self.say("noop", "250 2.0.0 Ok", line)

    def on_quit(self, line):
        with self.host.lock:
            self.host.quits += 1
            self.host.lock.notify_all()
        self.say("quit", "221 2.0.0 Bye", line)
        self.flush()
        return False
