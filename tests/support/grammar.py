# SPDX-License-Identifier: Apache-2.0
"""Random SMTP sessions: mostly right, often wrong, always the same for the same seed."""
import base64

NAMES = ["client.test", "[127.0.0.1]", "[IPv6:::1]", "", " ", "a" * 300, "x\ty", "\u00fc.example", "-", "a b c"]
MAILBOXES = ["a@example.com", "b@example.net", "", "@", "a@", "\"q q\"@example.com", "@r.example:c@example.com", "x" * 70 + "@e.example",
             "\u03b4@\u03b4.example", "a@[127.0.0.1]", "a\x01@example.com", "<>", "a@example.com>", "\"", "a@" + "b." * 200 + "c"]
PARAMETERS = ["SIZE=10", "SIZE=99999999999999999999", "SIZE=", "BODY=8BITMIME", "BODY=x", "SMTPUTF8", "RET=HDRS", "ENVID=a+2Bb", "ENVID=+",
              "AUTH=<>", "NOTIFY=NEVER", "NOTIFY=SUCCESS,NEVER", "ORCPT=rfc822;a@b.example", "ORCPT=x", "=", "X", "X=" + "y" * 700]
VERBS = ["NOOP", "RSET", "HELP", "VRFY", "EXPN", "DATA", "STARTTLS", "AUTH", "BDAT", "MAIL", "RCPT", "EHLO", "HELO", "ETRN", "\0", "",
         "Q\x00UIT", "*", "."]
TEXTS = [b"Subject: x\r\n\r\nbody\r\n", b".", b"..\r\n", b"\r\n", b"\n.\n", b"\r.\r", b"\n.\r\n", b"\r\n.\n", b"\x00", b"\xff" * 100,
         b"A: " + b"x" * 2000 + b"\r\n", b"Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\n\r\n--a--\r\n", b"--\r\n" * 50,
         b"MAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.net>\r\nDATA\r\n"]


def command(r, user, password):
    """One command, its data with it."""
    kind = r.randrange(12)
    parameters = " ".join(r.sample(PARAMETERS, r.choice((0, 0, 0, 1, 2))))
    if kind <= 1:
        line = f"MAIL FROM:<{r.choice(MAILBOXES)}> {parameters}".strip()
    elif kind <= 3:
        line = f"RCPT TO:<{r.choice(MAILBOXES)}> {parameters}".strip()
    elif kind == 4:
        line = f"{r.choice(('EHLO', 'HELO'))} {r.choice(NAMES)}"
    elif kind == 5:
        text = b"".join(r.choice(TEXTS) for _ in range(r.randrange(6)))
        return b"DATA\r\n" + text + r.choice((b"\r\n.\r\n", b"\r\n.\r\n", b""))
    elif kind == 6:
        data = r.randbytes(r.choice((0, 1, 100, 5000)))
        said = r.choice((len(data), len(data), len(data) + 5, max(0, len(data) - 5), "x", -1, 2 ** 64))
        return f"BDAT {said}{r.choice(('', ' LAST', ' last', ' X'))}\r\n".encode() + data
    elif kind == 7:
        words = [f"\0{user}\0{password}", f"\0{user}\0wrong", "", "\0", "\0\0\0", "x" * 3000]
        answer = base64.b64encode(r.choice(words).encode()).decode()
        line = f"AUTH {r.choice(('PLAIN', 'plain', 'LOGIN', 'EXTERNAL', 'X', ''))} {r.choice((answer, answer, '', '=', '*', '!'))}"
        line += r.choice(("", "\r\n" + answer, "\r\n*", "\r\n" + answer + "\r\n" + answer))
    elif kind == 8:
        return r.randbytes(r.randrange(200)) + r.choice((b"\r\n", b"", b"\n", b"\r"))
    else:
        line = r.choice(VERBS) + r.choice(("", "", " x", " 1 2 3", " " * 600, "\t"))
    raw = line.encode("utf-8", "surrogateescape")
    if r.randrange(8) == 0 and raw:    # an octet of it becomes another
        i = r.randrange(len(raw))
        raw = raw[:i] + r.randbytes(1) + raw[i + 1:]
    return raw + r.choice((b"\r\n",) * 9 + (b"\n",))


def session(r, user, password):
    """The writes of a client after EHLO: commands, cut anywhere."""
    octets = b"".join(command(r, user, password) for _ in range(r.randrange(1, 25)))
    cuts = sorted(r.randrange(len(octets) + 1) for _ in range(r.randrange(4)))
    return [octets[a:b] for a, b in zip([0, *cuts], [*cuts, len(octets)]) if a < b]
