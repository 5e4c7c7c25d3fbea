# SPDX-License-Identifier: Apache-2.0
"""The ground of the black-box tests: where the build is, scratch directories, the evidence that the search for
secrets reads afterwards, waiting for a condition, and certificates made on the spot.
"""
import atexit
import os
import pathlib
import pwd
import random
import re
import secrets
import shutil
import socket
import subprocess
import tempfile
import threading
import time

SOURCE = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("SP_BUILD", SOURCE / "build-test"))
IS_ROOT = os.geteuid() == 0
# Sanitizers need system calls of their own: such a build has no filter of calls.
SANITIZED = (BUILD / "config.h").is_file() and "#define SP_SANITIZE 1" in (BUILD / "config.h").read_text()
# A slow or shared machine gets more patience, not another result.
PATIENCE = float(os.environ.get("SP_PATIENCE", "1"))


def _within_reach(build):
    """The build, or, when it lies below a directory that is closed to the other users that the tests run programs as, a
    copy of its programs that is not."""
    if not IS_ROOT or all(p.stat().st_mode & 0o001 for p in (build, *build.parents) if p.is_dir()):
        return build
    copy = pathlib.Path(tempfile.mkdtemp(prefix="sp-programs-"))
    atexit.register(shutil.rmtree, copy, True)
    copy.chmod(0o755)
    for name in ("master/smtp-proxy", "ctl/smtp-proxyctl", "client/test-client", "smtpd/smtpd", "gate/gate", "qmgr/qmgr",
                 "deliver/deliver", "api/api", "cert-renewer/cert-renewer", "tests/cert-renewer/challenge_check",
                 "tests/cert-renewer/acme_driver"):
        if (build / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(build / name, copy / name)
    shutil.copytree(SOURCE / "sql", copy / "sql")
    return copy


BUILD = _within_reach(BUILD)
SQL = BUILD / "sql" if (BUILD / "sql" / "0001_queue.sql").is_file() else SOURCE / "sql"
PROGRAM_MASTER = BUILD / "master" / "smtp-proxy"
PROGRAM_CTL = BUILD / "ctl" / "smtp-proxyctl"
PROGRAM_CLIENT = BUILD / "client" / "test-client"


def patience(seconds):
    return seconds * PATIENCE


def ordinary_user():
    """Who runs Postgres when the tests run as root (it refuses to be root)."""
    return "postgres" if IS_ROOT else pwd.getpwuid(os.geteuid()).pw_name


def free_port():
    """A port that nobody has, TCP and UDP, for a server that cannot choose its own. Not one of those that the system gives to
    clients: one of theirs might have it when the server starts."""
    while True:
        port = random.randint(15000, 32000)
        try:
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                with socket.socket(socket.AF_INET, kind) as s:
                    s.bind(("0.0.0.0", port))
        except OSError:
            continue
        return port


class Scratch:
    """A directory of its own that other users may walk through, removed at the end."""

    def __init__(self, name):
        self.path = pathlib.Path(tempfile.mkdtemp(prefix=f"sp-{name}-"))
        self.path.chmod(0o711)
        atexit.register(self.close)

    def sub(self, name, mode=0o755, owner=None):
        path = self.path / name
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(mode)
        if owner and IS_ROOT:
            shutil.chown(path, owner, owner)
        return path

    def close(self):
        atexit.unregister(self.close)
        shutil.rmtree(self.path, ignore_errors=True)


def wait_until(condition, timeout=20, what="the condition", pause=0.02):
    """For what announces itself nowhere (a database row, /proc): asks until it is true. Events of the log are
    awaited by Log.wait instead."""
    end = time.monotonic() + patience(timeout)
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited {patience(timeout):.0f} s in vain for {what}")
        time.sleep(pause)


class Evidence:
    """Everything the programs said, and the texts that must not be in it. The texts are kept in a file that is
    not searched; the directory comes from SP_EVIDENCE so that one search at the end sees all test programs."""

    def __init__(self):
        self._lock = threading.Lock()
        self._own = None
        self.directory = pathlib.Path(os.environ["SP_EVIDENCE"]) if "SP_EVIDENCE" in os.environ else None
        if self.directory is None:
            self._own = Scratch("evidence")
            self.directory = self._own.path
        self.directory.mkdir(parents=True, exist_ok=True)

    def file(self, kind):
        return self.directory / f"{kind}-{os.getpid()}-{secrets.token_hex(4)}.txt"

    def output(self, kind, *texts):
        with open(self.file(kind), "wb") as f:
            for text in texts:
                f.write((text if isinstance(text, bytes) else text.encode()) + b"\n")

    def secret(self, text):
        """Remembers a text that must never be seen again; returns it."""
        with self._lock, open(self.directory / f"secrets-{os.getpid()}", "a", encoding="utf-8") as f:
            f.write(text + "\n")
        return text

    def secrets(self):
        found = set()
        for path in self.directory.glob("secrets-*"):
            found.update(line for line in path.read_text(encoding="utf-8").splitlines() if line)
        return found

    def leaks(self):
        """[(file, line number, secret)] for every secret that is in an output."""
        # In one pass, however many they are: tens of thousands in hundreds of megabytes.
        done = subprocess.run(["grep", "-aFnor", "--include=*.txt", "--null", "-f", "-", "."], cwd=self.directory,
                              input="".join(s + "\n" for s in self.secrets()).encode(), capture_output=True,
                              env={"PATH": os.environ["PATH"], "LC_ALL": "C"}, check=False)
        if done.returncode > 1 or done.stderr:
            raise AssertionError(done.stderr.decode())
        found = []
        for line in done.stdout.splitlines():
            name, rest = line.decode().split("\0", 1)
            number, word = rest.split(":", 1)
            found.append((name.removeprefix("./"), int(number), word))
        return sorted(found)


EVIDENCE = Evidence()


def password(words="pw"):
    """A new password, known to the search for secrets."""
    return EVIDENCE.secret(f"{words}-{secrets.token_urlsafe(15)}")


def marker():
    """A word for a message's content, known to the search for secrets."""
    return EVIDENCE.secret(f"content{secrets.token_hex(12)}")


def run(*argv, input=None, timeout=60, env=None, check=False, user=None):
    """Runs a program of ours, keeps what it says as evidence."""
    argv = [str(a) for a in argv]
    extra = {"user": user, "group": user, "extra_groups": []} if user and IS_ROOT else {}
    done = subprocess.run(argv, input=input, capture_output=True, text=True, timeout=patience(timeout),
                          env=env, check=False, errors="replace", **extra)
    EVIDENCE.output(pathlib.Path(argv[0]).name, done.stdout, done.stderr)
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(argv)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done


class Authority:
    """A certificate authority of our own; P-256, so that it is quick."""

    def __init__(self, directory, name="Test CA"):
        self.directory = pathlib.Path(directory)
        self.ca_file = self.directory / "ca.pem"
        self._n = 0
        self._openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-sha256",
                      "-days", "30", "-subj", f"/CN={name}", "-keyout", "ca.key", "-out", "ca.pem")
        (self.directory / "index.txt").touch()
        (self.directory / "ca.cnf").write_text(
            "[ca]\ndefault_ca = own\n[own]\nnew_certs_dir = .\ndatabase = index.txt\ndefault_md = sha256\n"
            "policy = any\nrand_serial = yes\nunique_subject = no\nprivate_key = ca.key\ncertificate = ca.pem\n"
            "[any]\ncommonName = supplied\n")

    def _openssl(self, *args):
        return subprocess.run(["openssl", *args], cwd=self.directory, check=True, capture_output=True)

    def issue(self, name, start=-86400, end=30 * 86400, names="DNS:localhost, IP:127.0.0.1", kind="ec",
              usage="serverAuth"):
        """A certificate: (chain as PEM, key as PEM). Times in seconds from now."""
        self._n += 1
        stem = f"issued{self._n}"
        key = ["rsa:2048"] if kind == "rsa" else ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
        self._openssl("req", "-new", "-newkey", *key, "-nodes", "-subj", f"/CN={name}", "-outform", "DER",
                      "-keyout", f"{stem}.key", "-out", f"{stem}.csr")
        chain = self.sign((self.directory / f"{stem}.csr").read_bytes(), names, start, end, name, usage)
        return chain, (self.directory / f"{stem}.key").read_text()

    def sign(self, request, names, start=-86400, end=30 * 86400, name="signed", usage="serverAuth", more=""):
        """The certificate (PEM) for somebody else's request (DER); `more`: lines of extensions."""
        self._n += 1
        stem = f"signed{self._n}"
        (self.directory / f"{stem}.csr").write_bytes(request)
        (self.directory / f"{stem}.ext").write_text(f"[x]\nsubjectAltName = {names}\nextendedKeyUsage = {usage}\n"
                                                    f"authorityKeyIdentifier = keyid\n{more}")
        stamp = [time.strftime("%y%m%d%H%M%SZ", time.gmtime(time.time() + t)) for t in (start, end)]
        self._openssl("ca", "-batch", "-notext", "-config", "ca.cnf", "-extfile", f"{stem}.ext", "-extensions", "x",
                      "-subj", f"/CN={name}", "-startdate", stamp[0], "-enddate", stamp[1], "-inform", "DER",
                      "-in", f"{stem}.csr", "-out", f"{stem}.pem")
        return (self.directory / f"{stem}.pem").read_text()

    def file(self, text):
        """A new file with this text, for tools that want one."""
        self._n += 1
        path = self.directory / f"file{self._n}"
        path.write_text(text)
        return path

    def revoke(self, chain):
        self._openssl("ca", "-config", "ca.cnf", "-revoke", str(self.file(chain)))

    def crl(self, days=1):
        """The revocation list, as PEM."""
        return self._openssl("ca", "-config", "ca.cnf", "-gencrl", "-crldays", str(days)).stdout.decode()

    def ocsp(self, chain, minutes=60):
        """The answer about a certificate that an OCSP responder would give now, as DER."""
        cert = self.file(chain)
        self._openssl("ocsp", "-issuer", "ca.pem", "-cert", str(cert), "-reqout", f"{cert}.request", "-no_nonce")
        self._openssl("ocsp", "-index", "index.txt", "-rsigner", "ca.pem", "-rkey", "ca.key", "-CA", "ca.pem",
                      "-reqin", f"{cert}.request", "-respout", f"{cert}.response", "-nmin", str(minutes))
        return pathlib.Path(f"{cert}.response").read_bytes()

    def ocsp_of_yesterday(self, chain):
        """An answer that was good until yesterday. openssl makes none, so a fresh one is made older and signed again."""
        # RFC 6960, 4.2.1: SEQUENCE { status, [0] SEQUENCE { type, OCTET STRING { SEQUENCE { data, algorithm, signature, ... } } } }
        status, wrapped = _der_members(_der_members(self.ocsp(chain))[0][1])
        kind, octets = _der_members(_der_members(wrapped[1])[0][1])
        data, algorithm, _signature, *more = _der_members(_der_members(octets[1])[0][1])
        yesterday = time.strftime("%Y%m%d%H%M%SZ", time.gmtime(time.time() - 86400)).encode()
        older = _der(data[0], re.sub(rb"(?<=\x18\x0f)\d{14}Z", yesterday, data[1]))
        signed = subprocess.run(["openssl", "dgst", "-sha256", "-sign", "ca.key"], cwd=self.directory, input=older, check=True,
                                capture_output=True).stdout
        basic = _der(0x30, older + _der(*algorithm) + _der(3, b"\0" + signed) + b"".join(_der(*m) for m in more))
        return _der(0x30, _der(*status) + _der(0xa0, _der(0x30, _der(*kind) + _der(4, basic))))


def _der_members(data):
    """[(tag, contents)]"""
    found = []
    while data:
        length, head = data[1], 2
        if length & 0x80:
            head += length & 0x7f
            length = int.from_bytes(data[2:head], "big")
        found.append((data[0], data[head:head + length]))
        data = data[head + length:]
    return found


def _der(tag, contents):
    n = len(contents)
    length = bytes([n]) if n < 128 else bytes([0x80 + (n.bit_length() + 7) // 8]) + n.to_bytes((n.bit_length() + 7) // 8, "big")
    return bytes([tag]) + length + contents
