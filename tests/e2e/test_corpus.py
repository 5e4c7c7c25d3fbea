# SPDX-License-Identifier: Apache-2.0
"""Every message of tests/support/corpus.py through the real programs to every kind of provider: what the stand-in received
is compared part by part with what the message was made of.
"""
import re
import time
import unittest

from tests.support import corpus, mail
from tests.support.base import patience
from tests.support.case import ProxyCase, queued_id
from tests.support.standin import Mailgun, Resend, SendGrid, Ses, Smarthost, SparkPost


def number_of(record):
    """The X-Load-ID that the message went out with."""
    found = re.search(rb"(?mi)^X-Load-ID: *(\d+)", record.raw)
    return int(found[1] if found else record.load_id)


def same_text(got, wanted):
    """But for line ends: the mail gem's quoted-printable has a =0D before every CRLF."""
    return got.replace("\r", "").rstrip("\n") == wanted.replace("\r", "").rstrip("\n")


def same_octets(type_, got, wanted):
    """But for the line ends of what is text."""
    if type_.startswith(("message/", "text/")):
        return got.replace(b"\r\n", b"\n").rstrip() == wanted.replace(b"\r\n", b"\n").rstrip()
    return got == wanted


class Corpus(ProxyCase):
    # Nothing of it may wait for the pace of a test machine.
    SETTINGS = {"smtpd": {"header_size": "1MiB"}}

    @classmethod
    def providers(cls):
        return {"mailgun": Mailgun(), "resend": Resend(), "sendgrid": SendGrid(), "ses": Ses(), "smtp": Smarthost(),
                "sparkpost": SparkPost()}

    def through(self, provider, samples):
        """(sample, record) of all of them."""
        standin = self.provider[provider]
        s = self.session(provider)
        for i, sample in enumerate(samples):
            reply = s.mail(b"X-Load-ID: %d\r\n" % i + sample.raw)
            self.assertEqual(reply.code, 250, f"{sample.name}: {reply}")
        # Each message is a call: hundreds of them may take a while on a busy machine.
        end = time.monotonic() + patience(120)
        while time.monotonic() < end:
            with standin.lock:
                found = {number_of(r): r for r in standin.accepted}
                if len(found) == len(samples):
                    break
                standin.lock.wait(1)
        missing = [sample.name for i, sample in enumerate(samples) if i not in found]
        self.assertEqual(missing, [])
        return [(sample, found[i]) for i, sample in enumerate(samples)]

    def check_pieces(self, sample, pieces, is_plain):
        """What is wrong with it, in words. is_plain: the provider has a text and an html only (another form of them is
        attached), takes no specials in a sender's name, and finds the type of a file out by itself.
        """
        wrong, texts, files = [], list(pieces.texts), list(pieces.files)
        if sample.subject is not None and pieces.subject != sample.subject:
            wrong.append(f"subject {pieces.subject!r}, not {sample.subject!r}")
        name = re.sub(r"[,:]", "", sample.from_name) if is_plain and sample.from_name else sample.from_name
        if name is not None and pieces.from_name != name:
            wrong.append(f"sender's name {pieces.from_name!r}, not {sample.from_name!r}")
        for want in sample.wanted:
            if is_plain and isinstance(want, corpus.Text) and want.type not in ("text/plain", "text/html"):
                want = corpus.File(want.type, None, want.text.replace("\n", "\r\n").encode())
            if isinstance(want, corpus.Text):
                found = next((t for t in texts if t[0] == want.type and same_text(t[1], want.text)), None)
                if found is None:
                    wrong.append(f"no {want.type} {want.text[:60]!r} in {[(t, x[:60]) for t, x in texts]!r}")
                else:
                    texts.remove(found)
                continue
            found = next((f for f in files if (want.name is None or f[0] == want.name) and
                          (is_plain or f[1] == want.type) and f[2] == want.cid and
                          same_octets(want.type, f[3], want.content)), None)
            if found is None:
                wrong.append(f"no file {want.name!r} of {want.type}, shown as {want.cid!r}, {len(want.content)} octets in "
                             f"{[(n, t, c, len(d)) for n, t, c, d in files]!r}")
            else:
                files.remove(found)
        everything = b"\n".join([t.encode() for _, t in pieces.texts] + [d for *_, d in pieces.files] +
                                [(pieces.subject or "").encode()])
        wrong += [f"{word!r} is lost" for word in sample.words if word not in everything]
        if sample.wanted and not sample.words:
            wrong += [f"a {t} that was not there: {x[:60]!r}" for t, x in texts if x.strip()]
        return wrong

    def told_in_pieces(self, provider, is_plain=False):
        standin, wrong = self.provider[provider], []
        samples = corpus.messages()
        for sample, record in self.through(provider, [s for s in samples if not s.is_whole]):
            wrong += [f"{sample.name}: {w}" for w in self.check_pieces(sample, standin.pieces(record.payload), is_plain)]
        self.assertEqual(wrong, [], "\n".join(["", *wrong]))

        self.not_in_pieces(provider, [s for s in samples if s.is_whole])

    def not_in_pieces(self, provider, samples):
        """The provider cannot carry them, and they have no other: dead letters with the reason."""
        s = self.session(provider)
        for sample in samples:
            mark = self.proxy.log.mark()
            ident = queued_id(self.assertReply(s.mail(sample.raw), 250))
            event = self.proxy.log.wait("qmgr.message.dead", since=mark, message=ident)
            self.assertTrue(event["status"].startswith("5.6."), event)

    def as_it_is(self, provider):
        wrong = []
        for sample, record in self.through(provider, corpus.messages()):
            header, _, body = sample.raw.partition(b"\r\n\r\n")
            got_header, _, got_body = record.raw.partition(b"\r\n\r\n")
            if got_body not in (body, body + b"\r\n"):
                wrong.append(f"{sample.name}: another body")
            fields = [f for f in header.split(b"\r\n") if f.strip()]
            names = [f.split(b":")[0] for f in fields]
            # Of two that may stand there once the first is kept.
            missing = [f for i, f in enumerate(fields) if f not in got_header and f.split(b":")[0] not in names[:i]]
            if missing:
                wrong.append(f"{sample.name}: without {missing!r}")
        self.assertEqual(wrong, [], "\n".join(["", *wrong]))

    def in_ascii(self, provider):
        """What is ASCII already is as it was; of the rest a reader finds the same."""
        wrong = []
        samples = corpus.messages()
        carried = [s for s in samples if s.raw.isascii() or not re.search(rb"(?i)multipart/signed", s.raw)]
        for sample, record in self.through(provider, carried):
            if sample.raw.isascii() and b"{{" not in sample.raw and b"\0" not in sample.raw:
                if not record.raw.endswith(sample.raw.partition(b"\r\n\r\n")[2].rstrip(b"\r\n")) and \
                        sample.raw.partition(b"\r\n\r\n")[2].rstrip(b"\r\n") not in record.raw:
                    wrong.append(f"{sample.name}: another body")
                continue
            try:
                before, after = mail.parts(sample.raw), mail.parts(record.raw)
            except (LookupError, UnicodeError, ValueError):
                continue                # not even Python reads it
            if [(p[0], p[2:]) for p in before] != [(p[0], p[2:]) for p in after]:
                wrong.append(f"{sample.name}: {after}, not {before}")
            if sample.subject is not None and str(mail.header(record.raw, "Subject")).split() != sample.subject.split():
                wrong.append(f"{sample.name}: subject {mail.header(record.raw, 'Subject')!r}, not {sample.subject!r}")
        self.assertEqual(wrong, [], "\n".join(["", *wrong]))

    def test_mailgun(self):
        self.as_it_is("mailgun")

    def test_resend(self):
        self.told_in_pieces("resend", is_plain=True)

    def test_smtp(self):
        self.as_it_is("smtp")

    def test_sendgrid(self):
        self.told_in_pieces("sendgrid")

    def test_ses(self):
        self.as_it_is("ses")

    def test_sparkpost(self):
        self.in_ascii("sparkpost")


if __name__ == "__main__":
    unittest.main()
