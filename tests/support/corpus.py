# SPDX-License-Identifier: Apache-2.0
"""Messages of every kind that is met, written here octet by octet, each with what must come out of it.

A message is made from a description, never taken apart again: what is expected is known without any parser. messages()
gives each as a Sample; its wanted pieces are Texts and Files. A broken message has words that must arrive somewhere.
"""
import base64
import dataclasses
import pathlib
import quopri
import random
import re
import tempfile

from tests.clients.check_clients import FILE_NAME, Content

CRLF = b"\r\n"


@dataclasses.dataclass
class Text:
    type: str
    text: str                       # lines end with \n; the one at the end does not count


@dataclasses.dataclass
class File:
    type: str
    name: str | None                # None: it has none, any will do
    content: bytes
    cid: str = ""                   # shown within the html
    any_type: bool = False          # the type cannot be told as it is


@dataclasses.dataclass
class Sample:
    name: str
    raw: bytes
    subject: str | None = None      # None: not looked at
    from_name: str | None = None
    wanted: list = dataclasses.field(default_factory=list)
    words: list = dataclasses.field(default_factory=list)
    is_whole: bool = False          # in pieces it would be another message: a provider that wants pieces does not get it


# How a body travels.

def qp(data):
    text = quopri.encodestring(data.replace(b"\r\n", b"\n"), quotetabs=False)
    return b"quoted-printable", CRLF.join(text.split(b"\n"))


def b64(data):
    return b"base64", CRLF.join(base64.b64encode(data)[i:i + 76] for i in range(0, (len(data) + 2) // 3 * 4, 76))


def seven(data):
    return b"7bit", data


def eight(data):
    return b"8bit", data


def part(type_, data, how=b64, headers=(), charset=None, params=""):
    """The octets of a body part: its fields, an empty line, its content."""
    encoding, body = how(data)
    content_type = type_ + (f"; charset={charset}" if charset else "") + params
    lines = [b"Content-Type: " + content_type.encode(), b"Content-Transfer-Encoding: " + encoding, *headers]
    return CRLF.join(lines) + CRLF + CRLF + body


def multi(subtype, *parts, boundary=None, params="", prologue=b"", epilogue=b""):
    boundary = boundary or f"=_{subtype}-{random.Random(len(parts[0]) + len(subtype)).getrandbits(60):x}"
    mark = b"--" + boundary.encode()
    body = prologue + b"".join(mark + CRLF + p + CRLF for p in parts) + mark + b"--" + CRLF + epilogue
    return f"Content-Type: multipart/{subtype}; boundary=\"{boundary}\"{params}".encode() + CRLF + CRLF + body


def words_q(text, charset="utf-8"):
    """RFC 2047, Q, in words of at most 75 characters."""
    out, word = [], b""
    for char in text:
        piece = "".join(chr(b) if chr(b).isascii() and chr(b).isalnum() else "_" if b == 32 else f"={b:02X}"
                        for b in char.encode(charset)).encode()
        if len(word) + len(piece) > 50:
            out.append(word)
            word = b""
        word += piece
    out.append(word)
    return b"\r\n ".join(b"=?" + charset.encode() + b"?Q?" + w + b"?=" for w in out)


def words_b(text, charset="utf-8"):
    chunks = [text[i:i + 12] for i in range(0, len(text), 12)]
    return b"\r\n ".join(b"=?" + charset.encode() + b"?B?" + base64.b64encode(c.encode(charset)) + b"?=" for c in chunks)


def message(entity, subject=b"Test", sender=b"Sender <sender@example.com>", extra=()):
    fields = [b"From: " + sender, b"To: rcpt@example.net"]
    if subject is not None:
        fields.append(b"Subject: " + subject)
    fields += [b"Date: Fri, 21 Nov 2025 10:00:00 +0000", b"Message-ID: <corpus@example.com>", *extra, b"MIME-Version: 1.0"]
    return CRLF.join(fields) + CRLF + entity


def lines(text):
    """Text as it is sent: CRLF lines."""
    return text.replace("\n", "\r\n")


PNG = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==")
PDF = b"%PDF-1.4\n" + random.Random(4).randbytes(900) + b"\n%%EOF\n"
ICS = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nMETHOD:REQUEST\r\nBEGIN:VEVENT\r\nUID:1@x\r\nSUMMARY:Besprechung\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"

# Charset, the name that Python has for it when it is another, and words that it can write.
CHARSETS = [
    ("us-ascii", None, "plain old words\nand another line\n"),
    ("utf-8", None, "Grüße, Ελληνικά, кириллица, 日本語, \U0001f600\n"),
    ("UTF-8", None, "Großbuchstaben im Namen des Zeichensatzes\n"),
    ("iso-8859-1", None, "Grüße und Küsse, ça va bien\n"),
    ("iso-8859-2", None, "Příliš žluťoučký kůň\n"),
    ("iso-8859-5", None, "Съешь же ещё этих мягких\n"),
    ("iso-8859-7", None, "Ξεσκεπάζω την ψυχοφθόρα\n"),
    ("iso-8859-8", None, "שלום עולם\n"),
    ("iso-8859-9", None, "Fahiş bluz güvenç\n"),
    ("iso-8859-15", None, "Preis: 12 € bei Œuvre\n"),
    ("windows-1250", None, "Zażółć gęślą jaźń\n"),
    ("windows-1251", None, "Широкая электрификация\n"),
    ("windows-1252", None, "“Quoted” – dash … and €\n"),
    ("windows-1253", None, "Καλημέρα κόσμε\n"),
    ("windows-1254", None, "Öğretmenim çok şık\n"),
    ("windows-1256", None, "مرحبا بالعالم\n"),
    ("windows-1257", None, "Įlinkdama fechtuotojo\n"),
    ("koi8-r", None, "Чушь: гид вёз кэб\n"),
    ("koi8-u", None, "Їхав єврей ґанком\n"),
    ("iso-2022-jp", None, "こんにちは世界\n"),
    ("shift_jis", None, "日本語のテキスト\n"),
    ("euc-jp", None, "日本語のメール\n"),
    ("gb2312", None, "简体中文邮件\n"),
    ("gbk", None, "简体中文與繁體\n"),
    ("gb18030", None, "中文 €\n"),
    ("big5", None, "繁體中文郵件\n"),
    ("euc-kr", None, "안녕하세요 세계\n"),
    ("ks_c_5601-1987", "euc-kr", "한국어 메일\n"),
    ("tis-620", None, "สวัสดีชาวโลก\n"),
    ("utf-16be", "utf-16-be", "sechzehn Bit: ü\n"),
    ("utf-16le", "utf-16-le", "sechzehn Bit: ß\n"),
    ("utf-7", None, "sieben Bit: £\n"),
]


def charsets():
    for name, codec, text in CHARSETS:
        data = lines(text).encode(codec or name)
        hows = [b64, qp] + ([eight] if b"\0" not in data else [])
        if name.startswith("utf-16"):
            hows = [b64]
        for how in hows:
            yield Sample(f"text in {name} by {how(b'')[0].decode()}",
                         message(part("text/plain", data, how, charset=name)), wanted=[Text("text/plain", text)])
        if name in ("utf-8", "iso-8859-1", "windows-1252", "koi8-r", "shift_jis", "gb18030", "iso-2022-jp", "euc-kr"):
            html = f"<p>{text}</p>"
            yield Sample(f"html and text in {name}", message(multi(
                "alternative", part("text/plain", data, qp, charset=f'"{name}"'),
                part("text/html", lines(html).encode(codec or name), b64, charset=name))),
                wanted=[Text("text/plain", text), Text("text/html", html)])
            yield Sample(f"subject in {name}, Q", message(part("text/plain", b"x\r\n"), words_q(text.strip(), name)),
                         subject=text.strip(), wanted=[Text("text/plain", "x")])
            yield Sample(f"subject in {name}, B", message(part("text/plain", b"x\r\n"), words_b(text.strip(), name)),
                         subject=text.strip(), wanted=[Text("text/plain", "x")])
            yield Sample(f"sender's name in {name}", message(
                part("text/plain", b"x\r\n"), sender=words_b(text.strip(), name) + b" <sender@example.com>"),
                from_name=text.strip(), wanted=[Text("text/plain", "x")])


# What a file may be called, as the field says it.
NAMES = [
    ("a plain name", b'Content-Disposition: attachment; filename="report.pdf"', "report.pdf"),
    ("a token", b"Content-Disposition: attachment; filename=report.pdf", "report.pdf"),
    ("blanks", b'Content-Disposition: attachment; filename="my report (1).pdf"', "my report (1).pdf"),
    ("quotes", b'Content-Disposition: attachment; filename="a \\"b\\" c.pdf"', 'a "b" c.pdf'),
    ("RFC 2231, utf-8", b"Content-Disposition: attachment; filename*=utf-8''%C3%BCbersicht%20%E2%82%AC.pdf", "übersicht €.pdf"),
    ("RFC 2231, latin1", b"Content-Disposition: attachment; filename*=iso-8859-1'de'%FCbersicht.pdf", "übersicht.pdf"),
    ("RFC 2231, continued", b"Content-Disposition: attachment; filename*0*=utf-8''%C3%BCber;\r\n filename*1*=sicht%20;\r\n filename*2=\"2025.pdf\"",
     "übersicht 2025.pdf"),
    ("RFC 2231, plain parts", b'Content-Disposition: attachment; filename*0="a-long-";\r\n filename*1="name.pdf"', "a-long-name.pdf"),
    ("RFC 2047 in quotes", b'Content-Disposition: attachment; filename="=?utf-8?Q?=C3=BCbersicht.pdf?="', "übersicht.pdf"),
    ("RFC 2047, B", b'Content-Disposition: attachment; filename="=?utf-8?B?w7xiZXJzaWNodC5wZGY=?="', "übersicht.pdf"),
    ("RFC 2047, two words", b'Content-Disposition: attachment; filename="=?utf-8?B?w7xiZXI=?=\r\n =?utf-8?B?c2ljaHQucGRm?="', "übersicht.pdf"),
    ("raw utf-8", b'Content-Disposition: attachment; filename="' + "übersicht.pdf".encode() + b'"', "übersicht.pdf"),
    ("emoji", b"Content-Disposition: attachment; filename*=utf-8''%F0%9F%98%80.pdf", "\U0001f600.pdf"),
    ("in Content-Type only", b"Content-Disposition: attachment", "typed.pdf"),
    ("upper case words", b'CONTENT-DISPOSITION: ATTACHMENT; FILENAME="report.pdf"', "report.pdf"),
    ("a folded field", b'Content-Disposition: attachment;\r\n\tfilename="folded.pdf"', "folded.pdf"),
    ("a comment", b'Content-Disposition: attachment (as a file); filename="comment.pdf"', "comment.pdf"),
]


def names():
    for name, field, expected in NAMES:
        params = '; name="typed.pdf"' if name == "in Content-Type only" else ""
        yield Sample(f"a file's name: {name}", message(multi(
            "mixed", part("text/plain", b"see the file\r\n", seven),
            part("application/pdf", PDF, b64, [field], params=params))),
            wanted=[Text("text/plain", "see the file"), File("application/pdf", expected, PDF)])
    yield Sample("a file without a name", message(multi(
        "mixed", part("text/plain", b"x\r\n", seven), part("application/pdf", PDF, b64, [b"Content-Disposition: attachment"]))),
        wanted=[Text("text/plain", "x"), File("application/pdf", None, PDF)])


# Content types of files.
FILES = [("image/jpeg", "a.jpg"), ("image/png", "a.png"), ("image/gif", "a.gif"), ("image/svg+xml", "a.svg"),
         ("application/pdf", "a.pdf"), ("application/zip", "a.zip"), ("application/octet-stream", "a.bin"),
         ("application/msword", "a.doc"),
         ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "a.xlsx"), ("application/json", "a.json"),
         ("application/xml", "a.xml"), ("audio/mpeg", "a.mp3"), ("video/mp4", "a.mp4"), ("font/woff2", "a.woff2"),
         ("application/x-unheard-of", "a.xyz"), ("application/pgp-keys", "a.asc"), ("text/csv", "a.csv"),
         ("text/x-diff", "a.diff"), ("text/vcard", "a.vcf"), ("text/html", "a.html"), ("text/plain", "a.txt")]


def files():
    for n, (type_, name) in enumerate(FILES):
        data = b"one;two\r\n\xc3\xa9;4\r\n" if type_.startswith("text/") else random.Random(n).randbytes(300 + 57 * n)
        charset = "utf-8" if type_.startswith("text/") else None
        yield Sample(f"a file of type {type_}", message(multi(
            "mixed", part("text/plain", b"a file\r\n", seven),
            part(type_, data, b64, [b'Content-Disposition: attachment; filename="' + name.encode() + b'"'], charset=charset))),
            wanted=[Text("text/plain", "a file"), File(type_, name, data)])
    for size in (0, 1, 2, 3, 57, 58, 8191, 65536, 200000):
        data = random.Random(size).randbytes(size)
        yield Sample(f"a file of {size} octets", message(multi(
            "mixed", part("text/plain", b"a file\r\n", seven),
            part("application/octet-stream", data, b64, [b'Content-Disposition: attachment; filename="f.bin"']))),
            wanted=[Text("text/plain", "a file")] + ([File("application/octet-stream", "f.bin", data)] if size else []))
    many = [part("text/plain", b"many\r\n", seven)] + [
        part("application/octet-stream", random.Random(i).randbytes(99), b64,
             [b'Content-Disposition: attachment; filename="%d.bin"' % i]) for i in range(40)]
    yield Sample("forty files", message(multi("mixed", *many)), wanted=[Text("text/plain", "many")] + [
        File("application/octet-stream", f"{i}.bin", random.Random(i).randbytes(99)) for i in range(40)])


def picture(cid=b"logo@example.com", more=b"inline"):
    return part("image/png", PNG, b64, [b"Content-ID: <" + cid + b">", b'Content-Disposition: ' + more + b'; filename="logo.png"'])


def structures():
    text, html = part("text/plain", b"words\r\n", seven), part("text/html", b"<p>words <img src='cid:logo@example.com'></p>\r\n", qp)
    said = [Text("text/plain", "words"), Text("text/html", "<p>words <img src='cid:logo@example.com'></p>")]
    shown = File("image/png", "logo.png", PNG, "logo@example.com")
    pdf, wanted_pdf = part("application/pdf", PDF, b64, [b'Content-Disposition: attachment; filename="r.pdf"']), File("application/pdf", "r.pdf", PDF)
    both = multi("alternative", text, html)

    yield Sample("text alone", message(text), wanted=said[:1])
    yield Sample("html alone", message(html), wanted=said[1:])
    yield Sample("text and html", message(both), wanted=said)
    yield Sample("html before text", message(multi("alternative", html, text)), wanted=said)
    yield Sample("related in alternative", message(multi("alternative", text, multi("related", html, picture()))), wanted=said + [shown])
    yield Sample("alternative in related", message(multi("related", both, picture(), params='; type="multipart/alternative"')),
                 wanted=said + [shown])
    yield Sample("all in mixed", message(multi("mixed", multi("related", both, picture()), pdf)), wanted=said + [shown, wanted_pdf])
    yield Sample("mixed in mixed", message(multi("mixed", multi("mixed", both, pdf), pdf)), wanted=said + [wanted_pdf, wanted_pdf])
    yield Sample("html and its picture", message(multi("related", html, picture())), wanted=said[1:] + [shown])
    yield Sample("a picture that is said to be attached", message(multi("mixed", html, picture(more=b"attachment"))), wanted=said[1:] + [shown])
    yield Sample("a picture without disposition", message(multi("related", html, part("image/png", PNG, b64, [
        b"Content-ID: <logo@example.com>"], params='; name="logo.png"'))), wanted=said[1:] + [shown])
    two = part("text/html", b"<img src='cid:a@x'><img src='cid:b@x'>\r\n", seven)
    yield Sample("two pictures", message(multi("related", two, picture(b"a@x"), picture(b"b@x"))), wanted=[
        Text("text/html", "<img src='cid:a@x'><img src='cid:b@x'>"), File("image/png", "logo.png", PNG, "a@x"),
        File("image/png", "logo.png", PNG, "b@x")])
    yield Sample("a picture alone", message(part("image/png", PNG, b64, [b'Content-Disposition: attachment; filename="p.png"'])),
                 wanted=[File("image/png", "p.png", PNG)])
    yield Sample("a file alone in mixed", message(multi("mixed", pdf)), wanted=[wanted_pdf])
    yield Sample("text, file, text", message(multi("mixed", text, pdf, part("text/plain", b"footer\r\n", seven))),
                 wanted=[Text("text/plain", "words\nfooter"), wanted_pdf])
    calendar = part("text/calendar", ICS.encode(), eight, charset="utf-8", params="; method=REQUEST")
    yield Sample("an invitation among the alternatives", message(multi("alternative", text, html, calendar)),
                 wanted=said + [Text("text/calendar", ICS.replace("\r\n", "\n"))])
    attached = part("text/calendar", ICS.encode(), b64, [b'Content-Disposition: attachment; filename="invite.ics"'], charset="utf-8",
                    params="; method=REQUEST")
    yield Sample("an invitation that is attached", message(multi("mixed", both, attached)),
                 wanted=said + [File("text/calendar", "invite.ics", ICS.encode())])
    amp = part("text/x-amp-html", b"<html amp4email></html>\r\n", seven)
    yield Sample("AMP among the alternatives", message(multi("alternative", text, amp, html)),
                 wanted=said + [Text("text/x-amp-html", "<html amp4email></html>")])
    inner = message(both, subject=b"the inner one")
    yield Sample("a message that is attached", message(multi("mixed", text, b"Content-Type: message/rfc822\r\n"
                 b'Content-Disposition: attachment; filename="inner.eml"\r\n\r\n' + inner)),
                 wanted=said[:1] + [File("message/rfc822", "inner.eml", inner.rstrip())])
    digest = multi("digest", *[b"\r\n" + message(part("text/plain", b"n%d\r\n" % i, seven), subject=b"digest %d" % i) for i in range(3)])
    yield Sample("a digest", message(multi("mixed", text, digest)), words=[b"words", b"digest 0", b"digest 1", b"digest 2"])
    report = multi("report", text, b"Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; reporting-word\r\n",
                   b"Content-Type: message/rfc822\r\n\r\n" + inner, params="; report-type=delivery-status")
    yield Sample("a delivery report", message(report), words=[b"words", b"reporting-word", b"the inner one"])
    signed = multi("signed", both, part("application/pgp-signature", b"-----BEGIN PGP SIGNATURE-----\r\nsignature-word\r\n", seven,
                   [b'Content-Disposition: attachment; filename="signature.asc"']), params='; protocol="application/pgp-signature"')
    yield Sample("a signed message", message(signed), words=[b"words", b"signature-word"], is_whole=True)
    encrypted = multi("encrypted", part("application/pgp-encrypted", b"Version: 1\r\n", seven),
                      part("application/octet-stream", b"-----BEGIN PGP MESSAGE-----\r\ncipher-word\r\n", seven,
                           [b'Content-Disposition: inline; filename="encrypted.asc"']), params='; protocol="application/pgp-encrypted"')
    yield Sample("an encrypted message", message(encrypted), words=[b"Version: 1", b"cipher-word"], is_whole=True)
    deep = text
    for i in range(9):
        deep = multi("mixed", deep, boundary=f"deep-{i}")
    yield Sample("ten deep", message(deep), wanted=said[:1])
    flowed = "a long line that was \nflowed over two\n>quoted \n>text\n-- \nsignature\n"
    yield Sample("format=flowed", message(part("text/plain", lines(flowed).encode(), seven, charset="us-ascii", params="; format=flowed")),
                 wanted=[Text("text/plain", flowed)])
    yield Sample("format=flowed, delsp", message(part("text/plain", lines(flowed).encode(), qp, charset="us-ascii",
                 params="; format=flowed; delsp=yes")), wanted=[Text("text/plain", flowed)])
    yield Sample("words before and behind the parts", message(multi("mixed", text, pdf, prologue=b"This is a multi-part message.\r\n",
                 epilogue=b"behind\r\n")), wanted=said[:1] + [wanted_pdf])
    yield Sample("dots at the begin of lines", message(part("text/plain", b".\r\n..\r\n.x\r\n", seven)), wanted=[Text("text/plain", ".\n..\n.x")])
    yield Sample("a line that looks like a boundary", message(multi("mixed", part("text/plain", b"--not-a-boundary\r\n--\r\n", seven),
                 boundary="real")), wanted=[Text("text/plain", "--not-a-boundary\n--")])
    yield Sample("blanks at line ends", message(part("text/plain", b"a \r\nb\t\r\n \r\nc\r\n", qp)), wanted=[Text("text/plain", "a \nb\t\n \nc")])
    yield Sample("a very long line", message(part("text/html", b"<p>" + b"word " * 4000 + b"</p>\r\n", qp)),
                 wanted=[Text("text/html", "<p>" + "word " * 4000 + "</p>")])
    yield Sample("no MIME at all", b"From: sender@example.com\r\nTo: rcpt@example.net\r\nSubject: old\r\n\r\nold words\r\n",
                 subject="old", wanted=[Text("text/plain", "old words")])
    for name, value, expected in (("an empty subject", b"", None), ("no subject", None, None), ("a folded subject", b"one\r\n two", "one two"),
                                  ("a long subject", b"word " * 120 + b"end", "word " * 120 + "end"),
                                  ("words side by side", b"=?utf-8?Q?=C3=A9?= =?utf-8?Q?=C3=A8?=", "éè"),
                                  ("a word between", b"=?utf-8?Q?=C3=A9?= and =?iso-8859-1?Q?=E8?=", "é and è"),
                                  ("raw utf-8 in the subject", "Grüße".encode(), "Grüße")):
        yield Sample(name, message(text, subject=value), subject=expected, wanted=said[:1])
    for name, value, expected in (("a quoted name", b'"Doe, Jane" <sender@example.com>', "Doe, Jane"),
                                  ("a comment as name", b"sender@example.com (Jane Doe)", None),
                                  ("raw utf-8 in the name", "Zoë <sender@example.com>".encode(), "Zoë"),
                                  ("no name", b"sender@example.com", None)):
        yield Sample(name, message(text, sender=value), from_name=expected, wanted=said[:1])


def broken():
    """Nothing of these is right, and their words must arrive all the same."""
    text = b"Content-Type: text/plain\r\n\r\n"
    yield Sample("no last boundary", message(b'Content-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\n' + text + b"first-word\r\n--b\r\n"
                 + text + b"last-word\r\n"), words=[b"first-word", b"last-word"])
    yield Sample("a boundary that never comes", message(b'Content-Type: multipart/mixed; boundary="b"\r\n\r\nonly-word\r\n'), words=[b"only-word"])
    yield Sample("no boundary parameter", message(b"Content-Type: multipart/mixed\r\n\r\n--b\r\n" + text + b"lost-word\r\n--b--\r\n"), words=[b"lost-word"])
    yield Sample("the same boundary twice", message(b'Content-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\nContent-Type: multipart/alternative; boundary="b"\r\n\r\n--b\r\n'
                 + text + b"inner-word\r\n--b--\r\n--b--\r\n"), words=[b"inner-word"])
    yield Sample("a part without empty line", message(b'Content-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\nheadless-word\r\n--b--\r\n'), words=[b"headless-word"])
    yield Sample("base64 with rubbish in it", message(b"Content-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\ncmVhZ!!\x7fGFibGUt\r\n??d29yZA==\r\n"),
                 words=[b"readable-word"])
    yield Sample("base64 that breaks off", message(b"Content-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\ncmVhZGFibGUtd29yZCBhbmQ\r\n"),
                 words=[b"readable-word and"])
    yield Sample("quoted-printable that is none", message(b"Content-Type: text/plain\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n100=% of =ZZ words=\r\n"),
                 words=[b"100", b"words"])
    yield Sample("an encoding that nobody knows", message(b"Content-Type: text/plain\r\nContent-Transfer-Encoding: x-unheard\r\n\r\nunheard-word\r\n"), words=[b"unheard-word"])
    yield Sample("a charset that nobody knows", message(b"Content-Type: text/plain; charset=x-unheard\r\nContent-Transfer-Encoding: 8bit\r\n\r\nunheard-word \xe9\xc3\xa9\r\n"),
                 words=[b"unheard-word"])
    yield Sample("a type that is none", message(b"Content-Type: nonsense\r\n\r\nuntyped-word\r\n"), words=[b"untyped-word"])
    yield Sample("an empty type", message(b"Content-Type:\r\n\r\nempty-word\r\n"), words=[b"empty-word"])
    yield Sample("two types", message(b"Content-Type: text/plain\r\nContent-Type: text/html\r\n\r\ntwice-word\r\n"), words=[b"twice-word"])
    yield Sample("latin1 that says nothing of it", message(b"\r\nCaf\xe9 silent-word\r\n"), words=[b"silent-word"])
    yield Sample("latin1 that says utf-8", message(b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nCaf\xe9 wrong-word\r\n"), words=[b"wrong-word"])
    yield Sample("eight bits in seven", message(b"Content-Type: text/plain; charset=us-ascii\r\nContent-Transfer-Encoding: 7bit\r\n\r\nCaf\xc3\xa9 eighth-word\r\n"), words=[b"eighth-word"])
    yield Sample("a NUL in the text", message(b"Content-Type: text/plain\r\n\r\nbefore-word\0after-word\r\n"), words=[b"before-word", b"after-word"])
    yield Sample("an empty body", message(b"Content-Type: text/plain\r\n\r\n"), wanted=[])
    yield Sample("no body", message(b"Content-Type: text/plain\r\n").rstrip() + b"\r\n", wanted=[])
    yield Sample("a multipart in base64", message(b'Content-Type: multipart/mixed; boundary="b"\r\nContent-Transfer-Encoding: base64\r\n\r\n--b\r\n' + text + b"coded-word\r\n--b--\r\n"),
                 words=[b"coded-word"])
    yield Sample("an attached message in base64", message(multi("mixed", part("text/plain", b"outer-word\r\n", seven),
                 part("message/rfc822", b"Subject: coded\r\n\r\ninner-word\r\n", b64, [b'Content-Disposition: attachment; filename="m.eml"']))),
                 words=[b"outer-word", b"inner-word"])
    yield Sample("an unclosed quote", message(b'Content-Type: text/plain; charset="utf-8\r\n\r\nquoted-word\r\n'), words=[b"quoted-word"])
    yield Sample("ten multiparts in one another", message(_deep(10)), words=[b"deep-word"])


def _deep(n):
    entity = part("text/plain", b"deep-word\r\n", seven)
    for i in range(n - 1):
        entity = multi("mixed", entity, boundary=f"d{i}")
    return entity


def from_clients():
    """What real mail clients made of one message (tests/clients/check_clients.py --keep)."""
    for path in sorted((pathlib.Path(__file__).parent / "corpus_clients").glob("*.eml")):
        client, token = path.name.split(".")[:2]
        raw = path.read_bytes()
        with tempfile.TemporaryDirectory() as scratch:
            content = Content(pathlib.Path(scratch) / token, token)
        # s-nail gives every file a content id, and shows none.
        cid = None if client == "s-nail" else re.search(rb"(?mi)^Content-ID:\s*<([^>]+)>", raw)
        html = content.html if cid is None else content.html.replace("cid:logo@example.com", "cid:" + cid[1].decode())
        image = File("image/png", "logo.png", content.image, cid[1].decode() if cid else "")
        wanted = [Text("text/plain", content.text), image, File("application/pdf", FILE_NAME, content.attachment)]
        # One that knows no alternatives has the html as a file.
        if client == "s-nail":
            wanted.append(File("text/html", "body.html", content.html.encode()))
        else:
            wanted.append(Text("text/html", html))
        yield Sample(f"a message of {client}", raw, subject=content.subject, wanted=wanted)


def messages():
    return [*charsets(), *names(), *files(), *structures(), *broken(), *from_clients()]


if __name__ == "__main__":
    print(len(messages()))
