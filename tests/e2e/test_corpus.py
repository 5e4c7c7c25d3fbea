# SPDX-License-Identifier: Apache-2.0
"""Every message of tests/support/corpus.py through the real programs to every kind of provider: what the stand-in received
is compared part by part with what the message was made of.
"""
import codecs
import email
import email.policy
import re
import unittest

from tests.support import corpus
from tests.support.base import wait_until
from tests.support.case import ProxyCase, queued_id
from tests.support.standin import CakemailApi, Mailgun, Postmark, Resend, SendGrid, Ses, Smarthost, SparkPost
from tests.support.standin.server import Pieces


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


def pieces_of(raw):
    """What another reader, Python's, finds in a message."""
    m = email.message_from_bytes(raw, policy=email.policy.default)
    texts, files = [], []
    for part in m.walk():
        if part.is_multipart():
            continue
        data = part.get_payload(decode=True) or b""
        if part.get_content_maintype() == "text":
            text = data.decode(codec_of(part), "replace").replace("\r\n", "\n").rstrip("\n")
            texts.append((part.get_content_type(), part.get_filename(), text))
        else:
            files.append((part.get_filename(), part.get_content_type(), part["Content-ID"], data.rstrip(b"\r\n")))
    # What is UTF-8 without saying so, this reader keeps as surrogates.
    names = [a.display_name.encode("utf-8", "surrogateescape").decode("utf-8", "replace") for a in m["From"].addresses]
    return Pieces(str(m["Subject"]), names, texts, files)


def codec_of(part):
    charset = (part.get_content_charset() or "utf-8").lower()
    try:
        codecs.lookup(charset)
    except LookupError:
        return "latin-1"
    return charset


class Corpus(ProxyCase):
    # Nothing of it may wait for the pace of a test machine.
    SETTINGS = {"smtpd": {"header_size": "1MiB"}}

    @classmethod
    def providers(cls):
        # Whoever is an author in the corpus is a sender there.
        authors = {a.decode("ascii", "ignore"): True for s in corpus.messages()
                   for a in re.findall(rb"[^\s<>@,;:\"()]+@[^\s<>@,;:\"()]+", s.raw.partition(b"\r\n\r\n")[0])}
        return {"cakemail": CakemailApi(senders=authors | {"sender@example.com": True}),
                "mailgun": Mailgun(), "postmark": Postmark(), "resend": Resend(), "sendgrid": SendGrid(), "ses": Ses(), "smtp": Smarthost(),
                "sparkpost": SparkPost()}

    def through(self, provider):
        """(sample, record) of all messages; None for one that the provider cannot carry, and that is a dead letter with a
        reason which says so: never a message with less in it."""
        samples = corpus.messages()
        self.assertGreaterEqual(len({sample.raw for sample in samples}), 200)
        standin, ids = self.provider[provider], []
        s = self.session(provider)
        for i, sample in enumerate(samples):
            reply = s.mail(b"X-Load-ID: %d\r\n" % i + sample.raw)
            self.assertEqual(reply.code, 250, f"{sample.name}: {reply}")
            ids.append(queued_id(reply))
        # Each message is a call: hundreds of them may take a while on a busy machine.
        wanted = ", ".join(f"'{i}'" for i in ids)
        fates = wait_until(lambda: (lambda rows: rows if len(rows) == len(ids) else None)(dict(self.cluster.sql(
            f"SELECT message_id, state || ' ' || status FROM delivery WHERE message_id IN ({wanted})"))), 180, "all of them")
        with standin.lock:
            found = {number_of(r): r for r in standin.accepted}
        lost = [f"{sample.name}: {fates[ids[i]]}" for i, sample in enumerate(samples)
                if (i in found) != fates[ids[i]].startswith("sent ") or i not in found and not fates[ids[i]].startswith("failed 5.6.")]
        self.assertEqual(lost, [])
        return [(sample, found.get(i)) for i, sample in enumerate(samples)]

    def check_pieces(self, sample, pieces, is_plain):
        """What is wrong with it, in words. is_plain: the provider has a text and an html only (another form of them is
        attached), takes no specials in a sender's name, and finds the type of a file out by itself.
        """
        wrong, texts, files = [], list(pieces.texts), list(pieces.files)
        if sample.subject is not None and pieces.subject != sample.subject:
            wrong.append(f"subject {pieces.subject!r}, not {sample.subject!r}")
        names = [sample.from_name] + ([re.sub(r"[,:]", "", sample.from_name)] if is_plain and sample.from_name else [])
        if sample.from_name is not None and pieces.from_name not in names:
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

    def told_in_pieces(self, provider, is_plain=False, is_refused=lambda sample: sample.is_whole):
        """is_refused: which samples it cannot carry."""
        standin, wrong = self.provider[provider], []
        for sample, record in self.through(provider):
            if (record is None) != is_refused(sample):
                wrong.append(f"{sample.name}: {'not sent' if record is None else 'sent'}")
            if record is not None:
                wrong += [f"{sample.name}: {w}" for w in self.check_pieces(sample, standin.pieces(record.payload), is_plain)]
        self.assertEqual(wrong, [], "\n".join(["", *wrong]))

    def as_it_is(self, provider):
        wrong = []
        for sample, record in self.through(provider):
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

    def test_cakemail(self):
        """It has nine kinds of files; what is shown within the HTML is a file like others."""
        standin, wrong = self.provider["cakemail"], []
        for sample, record in self.through("cakemail"):
            if record is None:
                continue
            pieces = standin.pieces(record.payload)
            # The content ids are gone; each file is compared with one that there was.
            there, files = [w for w in sample.wanted if isinstance(w, corpus.File)], []
            for name, type_, _, octets in pieces.files:
                was = next((w for w in there if w.name in (None, name) and same_octets(w.type, octets, w.content)), None)
                if was is not None:
                    there.remove(was)
                files.append((name, type_, was.cid if was else "", octets))
            pieces.files = files
            wrong += [f"{sample.name}: {w}" for w in self.check_pieces(sample, pieces, True)]
        self.assertEqual(wrong, [], "\n".join(["", *wrong]))

    def test_mailgun(self):
        self.as_it_is("mailgun")

    def test_postmark(self):
        # It takes no files whose names end in .bin.
        self.told_in_pieces("postmark", is_plain=True, is_refused=lambda sample: sample.is_whole or
                            re.search(rb'filename="[^"]*\.bin"', sample.raw) is not None)

    def test_resend(self):
        self.told_in_pieces("resend", is_plain=True)

    def test_sparkpost(self):
        """A message in ASCII is another one octet by octet; another reader finds the same in both."""
        wrong = []
        for sample, record in self.through("sparkpost"):
            before, after = pieces_of(sample.raw), pieces_of(record.payload["content"]["email_rfc822"].encode("ascii"))
            wrong += [f"{sample.name}: {getattr(after, what)!r}, not {getattr(before, what)!r}"[:300]
                      for what in ("subject", "from_name", "texts", "files") if getattr(before, what) != getattr(after, what)]
        self.assertEqual(wrong, [], "\n".join(["", *wrong]))

    def test_smtp(self):
        self.as_it_is("smtp")

    def test_sendgrid(self):
        self.told_in_pieces("sendgrid")

    def test_ses(self):
        self.as_it_is("ses")


if __name__ == "__main__":
    unittest.main()
