# SPDX-License-Identifier: Apache-2.0
"""Messages for the tests, and what must come out of them at the other end, part by part."""
import base64
import email
import email.policy
import email.utils
import hashlib
import random
from email.message import EmailMessage

SMTP_POLICY = email.policy.SMTP.clone(max_line_length=78)


def blob(seed, size):
    return random.Random(seed).randbytes(size)


def plain(subject="Test", text="Hello\n", load_id=None, sender="sender@example.com", to="rcpt@example.net"):
    """A small text message as bytes with CRLF lines."""
    m = EmailMessage(policy=SMTP_POLICY)
    m["From"], m["To"], m["Subject"] = sender, to, subject
    m["Date"] = email.utils.formatdate(0)
    m["Message-ID"] = email.utils.make_msgid(domain="example.com")
    if load_id is not None:
        m["X-Load-ID"] = str(load_id)
    m.set_content(text)
    return m.as_bytes()


def rich(word, sender="sender@example.com", size=30000):
    """Text, HTML with an inline image, two attachments (one named outside ASCII), Cc, Reply-To, own headers."""
    m = EmailMessage(policy=SMTP_POLICY)
    m["From"] = f"Zoë Sender <{sender}>"
    m["To"] = "First Person <first@example.net>, second@example.net"
    m["Cc"] = "Ærlig Ven <copy@example.org>"
    m["Reply-To"] = "answers@example.com"
    m["Subject"] = f"Prüfung {word} – with a subject that is long enough to be folded over several lines of it"
    m["Date"] = "Fri, 21 Nov 2025 10:00:00 +0000"
    m["Message-ID"] = f"<{word}@example.com>"
    m["X-Campaign"] = "autumn-7"
    m["List-Unsubscribe"] = "<https://example.com/u/1>"
    m.set_content(f"Grüße, {word}\n\n.a line that begins with a dot\nlast line\n")
    m.add_alternative(f"<html><body><p>Grüße, <b>{word}</b></p><img src='cid:logo@example.com'></body></html>\n",
                      subtype="html")
    m.get_payload()[1].add_related(blob(1, 700), "image", "png", cid="<logo@example.com>",
                                   filename="logo.png", disposition="inline")
    m.add_attachment(blob(2, size), "application", "pdf", filename="report.pdf")
    m.add_attachment("a;b\nü;2\n".encode(), "text", "csv", filename="übersicht.csv")
    return m.as_bytes()


RICH_RECIPIENTS = ["first@example.net", "second@example.net", "copy@example.org", "hidden@example.org"]


def parts(raw):
    """[(type, file name, disposition, content id, sha256 of the decoded content)] of the leaves of a message. Text
    is compared as text, so that another charset or line end is no difference."""
    found = []
    for part in email.message_from_bytes(raw, policy=email.policy.default).walk():
        if part.is_multipart():
            continue
        content = part.get_payload(decode=True) or b""
        if part.get_content_maintype() == "text":
            text = content.decode(part.get_content_charset() or "utf-8")
            content = text.replace("\r\n", "\n").rstrip("\n").encode()
        found.append((part.get_content_type(), part.get_filename(), part.get_content_disposition(),
                      (part["Content-ID"] or "").strip("<>"), hashlib.sha256(content).hexdigest()))
    return found


def header(raw, name):
    return email.message_from_bytes(raw, policy=email.policy.default)[name]


def received(raw):
    return email.message_from_bytes(raw, policy=email.policy.default).get_all("Received") or []


def sha(data):
    return hashlib.sha256(data).hexdigest()


def unbase64(text):
    return base64.b64decode(text, validate=True)


def has_lone_newline(raw):
    """A CR or LF that is not part of a CRLF."""
    rest = raw.replace(b"\r\n", b"")
    return b"\r" in rest or b"\n" in rest
