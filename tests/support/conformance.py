# SPDX-License-Identifier: Apache-2.0
r"""Reads and plays the dialogues of tests/e2e/conformance/*.txt.

	= RFC5321-4.1.1.2 a name, which begins with the section that demands the behaviour
	@ STAGE		where it begins (below); login when not given
	C: LINE		the client sends it with CRLF; lines that follow each other are sent in one write
	B: BYTES	the same without CRLF
	S: CODES [STATUSES] [~REGEX]	the reply: alternatives by |, ? and * as in file names; the text is searched for REGEX
	HAS: WORD...	the last reply has a line that begins so
	HASNT: WORD	the last reply has no line that begins with this word
	WRITE		what was given so far goes in a write of its own
	TLS		the handshake
	CLOSED		the server closes
	SAME		the last reply names the id of the message that was queued before it;  OTHER: another one
	TO: ADDRESS...	the message that was queued last arrives, with exactly these recipients
	FROM: ADDRESS	and this sender
	HOLDS: BYTES	the arrived message contains it;  LACKS: it does not;  ENDS: it ends with it

`each STAGE` and lines make a template for the rows that follow: `= NAME | $1 | $2`; `each` alone ends it.
In what is sent: \r \n \t \0 \xHH \\; {{text*n}} repeats; ${user} ${password} ${b64:TEXT} (which may have the former in it).

Of every reply is checked beside that (RFC 2034, 4; RFC 5321, 4.2 and 4.5.3.1.5): its lines have one code, are at most 512
octets of printable ASCII, and all begin with an enhanced status code of the reply's class, but for greetings, answers to
EHLO and HELO, and 3xx. A dialogue that does not end with CLOSED is followed by NOOP, so nothing was said too much.
"""
import base64
import fnmatch
import re

from tests.support.base import SOURCE, wait_until

DIRECTORY = SOURCE / "tests" / "e2e" / "conformance"
STAGES = ("new", "connected", "implicit", "hello", "tls", "login", "mail", "rcpt", "data")


class Case:
    def __init__(self, group, name, stage, steps, line):
        self.group, self.name, self.stage, self.steps, self.line = group, name, stage, steps, line


def read(path):
    """The cases of a file, in order."""
    cases, template, case = [], None, None
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        where = f"{path.name}:{number}"
        if not line.strip() or line.startswith("#"):
            continue
        if line == "each" or line.startswith("each "):
            stage = line[5:] or None
            template, case = (Case(path.stem, "each", stage, [], number), None) if stage else (None, None)
        elif line.startswith("= "):
            name, *arguments = line[2:].split(" | ")
            case = Case(path.stem, name.strip(), "login", [], number)
            if template is not None:
                case.stage = re.sub(r"\$(\d)", lambda m: arguments[int(m[1]) - 1], template.stage)
                for what, text in template.steps:
                    case.steps.append((what, re.sub(r"\$(\d)", lambda m: arguments[int(m[1]) - 1], text)))
            if not re.match(r"RFC\d+-[\dA-G.]+ \S", case.name):
                raise ValueError(f"{where}: the name has no section")
            cases.append(case)
        elif line.startswith("@ "):
            case.stage = line[2:].strip()
        else:
            what, _, text = line.partition(":")
            if what not in ("C", "B", "S", "HAS", "HASNT", "WRITE", "TLS", "CLOSED", "SAME", "OTHER", "TO", "FROM", "HOLDS", "LACKS", "ENDS"):
                raise ValueError(f"{where}: {line!r}")
            (case or template).steps.append((what, text[1:] if text.startswith(" ") else text))
        if case is not None and case.stage not in STAGES:
            raise ValueError(f"{where}: no such stage")
    return cases


def all_groups():
    return {path.stem: read(path) for path in sorted(DIRECTORY.glob("*.txt"))}


def expand(text, words):
    """What is sent, as bytes."""
    text = re.sub(r"\{\{(.*?)\*(\d+)\}\}", lambda m: m[1] * int(m[2]), text)
    text = re.sub(r"\$\{(user|password)\}", lambda m: words[m[1]], text)
    raw = re.sub(rb"\\(x[0-9A-Fa-f]{2}|[rnt0\\])", _escape, text.encode())
    return re.sub(rb"\$\{b64:(.*?)\}", lambda m: base64.b64encode(m[1]), raw, flags=re.S)


def _escape(match):
    word = match[1]
    return bytes([int(word[1:], 16)]) if word[:1] == b"x" else {b"r": b"\r", b"n": b"\n", b"t": b"\t", b"0": b"\0",
                                                                 b"\\": b"\\"}[word]


def matches(value, patterns):
    return any(fnmatch.fnmatchcase(value, p) for p in patterns.split("|"))


class Player:
    """Plays one case against a proxy; `test` is the unittest.TestCase that fails when it goes wrong."""

    def __init__(self, test, proxy, user):
        self.test, self.proxy, self.user = test, proxy, user
        self.words = {"user": user, "password": proxy.passwords[user]}
        self.session = None
        self.reply = None
        self.queued = None
        self.before = None      # what was queued before that
        self.path = None
        self.verbs = []         # of what was sent in the last write

    def play(self, case):
        where = f"conformance/{case.group}.txt:{case.line}: {case.name}"
        self.begin(case.stage)
        pending, closed = [], False
        for what, text in [*case.steps, ("", "")]:
            if what in ("C", "B"):
                pending.append(expand(text, self.words) + (b"\r\n" if what == "C" else b""))
                continue
            if pending:
                self.verbs = [raw[:4].upper() for raw in pending]
                self.session.send(b"".join(pending))
                pending = []
            if what == "S":
                self.expect(text, where)
            elif what == "TLS":
                self.session.wrap()
            elif what == "CLOSED":
                self.test.assertTrue(self.session.is_closed(), where + ": it does not close")
                self.test.assertEqual(self.session.unread, b"", where)
                closed = True
            elif what in ("SAME", "OTHER"):
                self.test.assertIsNotNone(self.before, where)
                self.test.assertEqual(self.queued == self.before, what == "SAME", f"{where}: {self.before} {self.queued}")
            elif what and what != "WRITE":
                self.look(what, text, where)
        if not closed:
            self.verbs = []
            self.session.send(b"NOOP\r\n")
            self.expect("250", where + ": the NOOP at the end")

    def begin(self, stage):
        after = lambda s: STAGES.index(stage) >= STAGES.index(s)  # noqa: E731
        tls = "implicit" if stage == "implicit" else "starttls" if after("tls") else "none"
        self.session = self.proxy.smtp(tls, ehlo=after("hello"), greet=stage != "new")
        self.test.addCleanup(self.session.close)
        if after("login"):
            self.session.login(self.user, self.words["password"])
        for name, line, code in (("mail", "MAIL FROM:<sender@example.com>", 250),
                                 ("rcpt", "RCPT TO:<rcpt@example.net>", 250), ("data", "DATA", 354)):
            if after(name):
                reply = self.session.command(line)
                self.test.assertEqual(reply.code, code, reply)

    def expect(self, text, where):
        found = re.fullmatch(r"(\S+)(?: (?!~)(\S+))?(?: ~(.*))?", text)
        codes, statuses, pattern = found.groups()
        self.reply = self.session.reply()
        said = f"{where}: {text!r} was due, not {self.reply}"
        self.check_form(where)
        self.test.assertTrue(matches(str(self.reply.code), codes), said)
        if statuses:
            self.test.assertTrue(matches(self.reply.status, statuses), said)
        if pattern:
            self.test.assertRegex(self.reply.text, pattern, said)
        words = self.reply.text.split()
        if self.reply.code == 250 and "queued" in words:
            self.before, self.queued, self.path = self.queued, words[-1], None

    def check_form(self, where):
        verb = self.verbs.pop(0) if self.verbs else b""
        for line in self.reply.lines:
            self.test.assertRegex(line, r"\A\d{3}(?:[ -][ -~]*)?\Z", f"{where}: {self.reply}")
            self.test.assertLessEqual(len(line), 510, f"{where}: {self.reply}")
        if self.reply.code // 100 == 3 or self.reply.code == 220 and verb != b"STAR" or verb in (b"EHLO", b"HELO"):
            return
        for line in self.reply.lines:
            self.test.assertRegex(line[4:], rf"\A{str(self.reply.code)[0]}\.\d{{1,3}}\.\d{{1,3}}(?: |\Z)",
                                  f"{where}: RFC 2034: {self.reply}")

    def arrived(self, where):
        self.test.assertIsNotNone(self.queued, where + ": nothing was queued")
        if self.path is None:
            self.path = wait_until(lambda: next(iter(self.proxy.out.glob(f"*{self.queued}*.eml")), None), 20,
                                   f"{where}: the message {self.queued}")
        return self.path.read_bytes()

    def look(self, what, text, where):
        if what in ("HAS", "HASNT"):
            lines = [line[4:] for line in self.reply.lines]
            there = any(line == text or line.startswith(text + " ") for line in lines)
            self.test.assertEqual(there, what == "HAS", f"{where}: {what} {text}: {lines}")
            return
        eml = self.arrived(where)
        if what in ("TO", "FROM"):
            head = eml.replace(b"\r\n ", b" ")
            found = re.search(rb"^X-Envelope-" + what.encode() + rb": (.*)\r$", head, re.M | re.I)[1].decode()
            addresses = re.findall(r"<([^>]*)>", found)
            self.test.assertEqual(sorted(addresses), sorted(text.split()) or [""], where)
            return
        raw = expand(text, self.words)
        if what == "HOLDS":
            self.test.assertIn(raw, eml, where)
        elif what == "LACKS":
            self.test.assertNotIn(raw, eml, where)
        else:
            self.test.assertTrue(eml.endswith(raw), f"{where}: it ends with {eml[-len(raw) - 40:]!r}")
