# SPDX-License-Identifier: Apache-2.0
"""Real mail clients send through a real smtp-proxy, by STARTTLS and by TLS from the first octet, logging in and verifying
the certificate; what arrives at the `file` provider is taken apart and compared with what was to be sent.

	python3 -m tests.clients.check_clients [--keep DIRECTORY] [CLIENT...]

--keep writes what each client sent, without what was added on the way: tests/support/corpus.py has such a directory.

`make check-clients` installs them first (build-aux/packages, use `clients`, and Nodemailer from npm). A client that is not
there is a failure. The last line is `check-clients: N passed, M failed`.
"""
import argparse
import email
import email.policy
import os
import pathlib
import re
import secrets
import shutil
import subprocess
import sys
import time
from email.message import EmailMessage

from tests.support import mail
from tests.support.base import BUILD, SOURCE, Scratch, patience, wait_until
from tests.support.cluster import Cluster
from tests.support.proxy import Proxy

HERE = SOURCE / "tests" / "clients"
USER = "client@users.example"
FROM, TO, CC, BCC = "sender@example.com", ["first@example.net", "second@example.net"], "copy@example.org", "hidden@example.org"
CID = "logo@example.com"
FILE_NAME = "Übersicht – été.pdf"
WORK = pathlib.Path(os.environ.get("SP_BUILD", BUILD)) / "check-clients"
JAVA = "/usr/share/java/jakarta-mail.jar:/usr/share/java/jakarta-activation.jar"


class Content:
    """What is to be sent, as files for the clients; one token for each client and port."""

    def __init__(self, directory, token):
        self.directory, self.token = directory, token
        directory.mkdir(parents=True)
        self.subject = f"Prüfung {token} – žluťoučký kůň, 日本語 and more, so that it is folded over lines"
        self.text = f"Grüße, {token}\n\n.a line that begins with a dot\n..and with two\nThen 日本語\n\nlast line\n"
        self.html = (f"<html><body><p>Grüße, <b>{token}</b></p>\n<p>.</p>\n.dot\n<img src=\"cid:{CID}\" alt=\"Logo\">"
                     "</body></html>\n")
        self.image = b"\x89PNG\r\n\x1a\n" + mail.blob(token + "image", 3001)
        self.attachment = b"%PDF-1.4\n" + mail.blob(token, 5011)
        for name, data in (("subject.txt", self.subject), ("text.txt", self.text), ("body.html", self.html)):
            (directory / name).write_text(data, encoding="utf-8")
        (directory / "logo.png").write_bytes(self.image)
        (directory / "attachment.pdf").write_bytes(self.attachment)
        (directory / FILE_NAME).write_bytes(self.attachment)
        self.eml = directory / "message.eml"
        self.eml.write_bytes(self.message())

    def message(self):
        m = EmailMessage(policy=mail.SMTP_POLICY)
        m["From"], m["To"], m["Cc"], m["Subject"] = f"Zoë Sender <{FROM}>", ", ".join(TO), CC, self.subject
        m["Date"], m["Message-ID"] = email.utils.formatdate(), email.utils.make_msgid(domain="example.com")
        m.set_content(self.text)
        m.add_alternative(self.html, subtype="html")
        m.get_payload()[1].add_related(self.image, "image", "png", cid=f"<{CID}>", filename="logo.png", disposition="inline")
        m.add_attachment(self.attachment, "application", "pdf", filename=FILE_NAME)
        return m.as_bytes()


# ---- the clients: each a function of (environment, content, is it TLS from the first octet) that gives the command, and
# the file for its standard input or None


def script(*command):
    return lambda env, content, implicit: (command, None)


def java(env, content, implicit):
    store = WORK / f"trust-{os.getpid()}.p12"
    if not store.exists():
        subprocess.run(["keytool", "-importcert", "-noprompt", "-alias", "ca", "-file", env["SP_CA"], "-keystore", str(store),
                        "-storetype", "PKCS12", "-storepass", "changeit"], check=True, capture_output=True)
    return (["java", "-Djavax.net.ssl.trustStore=" + str(store), "-Djavax.net.ssl.trustStorePassword=changeit",
             "-Dfile.encoding=UTF-8", "-cp", JAVA, HERE / "JakartaMail.java"], None)


def go(env, content, implicit):
    env |= {"SSL_CERT_FILE": env["SP_CA"], "GOCACHE": str(WORK / "go"), "GO111MODULE": "off"}
    return ["go", "run", HERE / "net_smtp.go"], None


def swaks(env, content, implicit):
    # The password is read from a prompt when it is not on the command line; a file keeps it off ps.
    rc = content.directory / "swaksrc"
    rc.write_text(f"auth-password {env['SP_PASSWORD']}\n")
    rc.chmod(0o600)
    return (["swaks", "--config", rc, "--server", env["SP_HOST"], "--port", env["SP_PORT"],
             "--tls-on-connect" if implicit else "--tls", "--tls-verify", "--tls-ca-path", env["SP_CA"],
             "--auth-user", env["SP_USER"], "--from", FROM, "--to", env["SP_RECIPIENTS"],
             "--data", "@" + str(content.eml), "--silent", "2"], None)


def msmtp(env, content, implicit):
    return (["msmtp", "--file=/dev/null", "--host=" + env["SP_HOST"], "--port=" + env["SP_PORT"], "--tls=on",
             "--tls-starttls=" + ("off" if implicit else "on"), "--tls-trust-file=" + env["SP_CA"], "--auth=on",
             "--user=" + USER, "--passwordeval=printenv SP_PASSWORD", "--from=" + FROM, "--",
             *env["SP_RECIPIENTS"].split(",")], content.eml)


def curl(env, content, implicit):
    rc = content.directory / "curlrc"
    rc.write_text(f"user = \"{USER}:{env['SP_PASSWORD']}\"\n" +
                  "".join(f"mail-rcpt = \"{r}\"\n" for r in env["SP_RECIPIENTS"].split(",")))
    rc.chmod(0o600)
    return (["curl", "-sS", "--config", rc, "--url", f"smtp{'s' if implicit else ''}://{env['SP_HOST']}:{env['SP_PORT']}",
             "--ssl-reqd", "--cacert", env["SP_CA"], "--mail-from", FROM, "--upload-file", content.eml], None)


def mutt(env, content, implicit):
    rc = content.directory / "muttrc"
    scheme = "smtps" if implicit else "smtp"
    rc.write_text(f"""set smtp_url="{scheme}://{USER}@{env['SP_HOST']}:{env['SP_PORT']}"
set smtp_pass="{env['SP_PASSWORD']}"
set ssl_force_tls=yes ssl_verify_host=yes ssl_verify_dates=yes ssl_ca_certificates_file="{env['SP_CA']}"
set from="{FROM}" realname="Zoë Sender" use_from=yes envelope_from_address="{FROM}" use_envelope_from=yes
set charset=utf-8 send_charset=utf-8 copy=no sendmail_wait=0 hostname=client.test
set send_multipart_alternative=yes send_multipart_alternative_filter="{HERE / 'mutt-html'}"
""", encoding="utf-8")
    rc.chmod(0o600)
    return (["mutt", "-n", "-F", rc, "-s", content.subject, "-c", CC, "-b", BCC,
             "-a", content.directory / FILE_NAME, content.directory / "logo.png", "--", *TO], content.directory / "text.txt")


def s_nail(env, content, implicit):
    rc = content.directory / "mailrc"
    user = USER.replace("@", "%40")
    scheme, more = ("smtps", "") if implicit else ("smtp", "set smtp-use-starttls\n")
    rc.write_text(f"""set v15-compat=yes
set mta={scheme}://{user}:{env['SP_PASSWORD']}@{env['SP_HOST']}:{env['SP_PORT']}
{more}set smtp-auth=plain tls-verify=strict tls-ca-file={env['SP_CA']} tls-ca-no-defaults
set ttycharset=utf-8 sendcharsets=utf-8 mime-encoding=quoted-printable hostname=client.test
set from={FROM}
""", encoding="utf-8")
    rc.chmod(0o600)
    env["MAILRC"] = str(rc)
    return (["s-nail", "-n", "-S", "sendwait", "-s", content.subject, "-c", CC, "-b", BCC,
             "-a", content.directory / "body.html", "-a", content.directory / "logo.png",
             "-a", content.directory / FILE_NAME, *TO], content.directory / "text.txt")


# name: (what makes the command, the program that must be there, what it cannot do: html: as an alternative to the text,
# cid: an image in the text; both are files then)
CLIENTS = {
    "Nodemailer": (script("node", HERE / "nodemailer.js"), "node", ()),
    "Python smtplib": (script(sys.executable, HERE / "smtplib_client.py"), sys.executable, ()),
    "PHPMailer": (script("php", HERE / "phpmailer.php"), "php", ()),
    "Ruby Mail": (script("ruby", HERE / "mail.rb"), "ruby", ()),
    "ActionMailer": (script("ruby", HERE / "action_mailer.rb"), "ruby", ()),
    "Jakarta Mail": (java, "java", ()),
    "Go net/smtp": (go, "go", ()),
    "Perl Net::SMTP": (script("perl", HERE / "net_smtp.pl"), "perl", ()),
    "swaks": (swaks, "swaks", ()),
    "msmtp": (msmtp, "msmtp", ()),
    "curl": (curl, "curl", ()),
    # They attach files, and know no images within a text.
    "mutt": (mutt, "mutt", ("cid",)),
    "s-nail": (s_nail, "s-nail", ("cid", "html")),
}


# ---- what arrived


def same_text(got, wanted):
    """But for line ends: the mail gem's quoted-printable has a =0D before every CRLF."""
    return got.replace("\r", "").rstrip("\n") == wanted.rstrip("\n")


def differences(raw, content, cannot):
    """What is not as it was sent, in words."""
    m = email.message_from_bytes(raw, policy=email.policy.default)
    wrong = []
    leaves = [p for p in m.walk() if not p.is_multipart()]
    envelope = re.findall(r"<([^>]*)>", m["X-Envelope-To"])
    if sorted(envelope) != sorted([*TO, CC, BCC]):
        wrong.append(f"recipients {envelope}")
    if re.findall(r"<([^>]*)>", m["X-Envelope-From"]) != [FROM]:
        wrong.append(f"sender {m['X-Envelope-From']}")
    if m["Subject"] != content.subject:
        wrong.append(f"subject {m['Subject']!r}")
    if m["Bcc"] is not None:
        wrong.append("Bcc is told")
    for field in ("From", "Date", "Message-ID"):
        if len(m.get_all(field) or []) != 1:
            wrong.append(f"{field} {m.get_all(field)}")
    if FROM not in str(m["From"]) or "Zoë Sender" not in str(m["From"]) and "html" not in cannot:
        wrong.append(f"From {m['From']}")
    if not any(p.get_content_type() == "text/plain" and same_text(p.get_content(), content.text) for p in leaves):
        wrong.append("text")
    image = next((p for p in leaves if p.get_filename() == "logo.png"), None)
    cid = (image["Content-ID"] or "").strip("<> ") if image is not None else ""
    if image is None or image.get_content() != content.image:
        wrong.append("inline image")
    html = content.html if "cid" in cannot else content.html.replace(f"cid:{CID}", f"cid:{cid}")
    if not any(p.get_content_type() == "text/html" and same_text(p.get_content(), html) for p in leaves):
        wrong.append("HTML")
    if "html" not in cannot and not any(p.get_content_type() == "multipart/alternative" for p in m.walk()):
        wrong.append("no alternatives")
    attachment = next((p for p in leaves if p.get_filename() == FILE_NAME), None)
    if attachment is None:
        wrong.append(f"attachment's name: {[p.get_filename() for p in leaves]}")
    elif attachment.get_payload(decode=True) != content.attachment:
        wrong.append("attachment")
    return wrong


class Check:
    def __init__(self, keep):
        self.keep = keep
        WORK.mkdir(parents=True, exist_ok=True)
        self.scratch = Scratch("clients")
        self.cluster = Cluster()
        self.proxy = Proxy(self.cluster, {"file": "file"})
        self.proxy.migrate()
        self.proxy.tenant("clients", "file")
        self.proxy.add_user(USER, "clients")
        self.proxy.start()
        self.results = []

    def close(self):
        self.proxy.close()
        self.cluster.close()
        self.scratch.close()

    def environment(self, content, implicit):
        return {**os.environ, "SP_HOST": "localhost", "SP_PORT": str(self.proxy.port_implicit if implicit else self.proxy.port),
                "SP_TLS": "implicit" if implicit else "starttls", "SP_USER": USER, "SP_PASSWORD": self.proxy.passwords[USER],
                "SP_CA": str(self.proxy.authority.ca_file), "SP_CONTENT": str(content.directory), "SP_EML": str(content.eml),
                "SP_FROM": FROM, "SP_TO": ",".join(TO), "SP_CC": CC, "SP_BCC": BCC,
                "SP_RECIPIENTS": ",".join([*TO, CC, BCC]), "SP_CID": CID, "SP_FILE_NAME": FILE_NAME,
                "NODE_PATH": str(WORK / "node_modules"), "HOME": str(content.directory), "LC_ALL": "C.UTF-8"}

    def arrived(self, token):
        """All files with the token in their subject; the token is ASCII, so that encoded words hold it in some form."""
        found = []
        for path in self.proxy.out.glob("*.eml"):
            raw = path.read_bytes()
            if token in str(email.message_from_bytes(raw, policy=email.policy.default)["Subject"]):
                found.append(raw)
        return found

    def send(self, name, implicit):
        command, program, cannot = CLIENTS[name]
        if shutil.which(str(program)) is None:
            return f"{program} is not installed"
        token = "token" + secrets.token_hex(6)
        content = Content(self.scratch.path / token, token)
        env = self.environment(content, implicit)
        argv, stdin = command(env, content, implicit)
        with open(stdin or os.devnull, "rb") as f:
            try:
                done = subprocess.run([str(a) for a in argv], stdin=f, capture_output=True, env=env, cwd=content.directory,
                                      timeout=patience(120), check=False)
            except subprocess.TimeoutExpired as e:
                return f"it does not end: {(e.stdout or b'').decode('utf-8', 'replace')[-600:]}"
        said = (done.stdout + done.stderr).decode("utf-8", "replace").replace(env["SP_PASSWORD"], "(hidden)")
        if done.returncode != 0:
            return f"exit {done.returncode}: {said.strip()[-600:]}"
        try:
            wait_until(lambda: self.arrived(token), 20, "the message")
            wait_until(lambda: self.proxy.depth() == 0, 20, "an empty queue")
        except AssertionError as e:
            return f"{e}; it said: {said.strip()[-600:]}"
        copies = self.arrived(token)
        if len(copies) != 1:
            return f"{len(copies)} copies"
        if self.keep is not None and not implicit:
            self.keep_copy(name, token, copies[0])
        return ", ".join(differences(copies[0], content, cannot))

    def keep_copy(self, name, token, raw):
        """The envelope (its fields are folded with a blank) and Received were added by us."""
        added = re.compile(rb"(?:X-Envelope-(?:From|To)|Received):[^\n]*\n(?:[ \t][^\n]*\n)*")
        while (found := added.match(raw)) is not None:
            raw = raw[found.end():]
        (self.keep / f"{name.replace(' ', '-').replace('/', '-').lower()}.{token}.eml").write_bytes(raw)

    def run(self, names):
        for name in names:
            for implicit in (False, True):
                begin = time.monotonic()
                trouble = self.send(name, implicit)
                self.results.append(not trouble)
                port = "465 TLS" if implicit else "587 STARTTLS"
                note = "".join(f", no {w}" for w in CLIENTS[name][2]) if not trouble else ""
                print(f"{name:16}  {port:12}  {'ok' if not trouble else 'FAILED'}{note}  ({time.monotonic() - begin:.1f} s)" +
                      (f"\n    {trouble}" if trouble else ""), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clients", nargs="*", metavar="CLIENT")
    parser.add_argument("--keep", type=pathlib.Path, metavar="DIRECTORY")
    args = parser.parse_args()
    unknown = [n for n in args.clients if n not in CLIENTS]
    if unknown:
        sys.exit(f"{unknown[0]}: no such client; there are: {', '.join(CLIENTS)}")
    check = Check(args.keep)
    try:
        check.run(args.clients or list(CLIENTS))
    finally:
        check.close()
    failed = check.results.count(False)
    print(f"check-clients: {len(check.results) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
