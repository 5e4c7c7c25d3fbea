# SPDX-License-Identifier: Apache-2.0
"""The frame of a test class about certificates by ACME: an authority, and a smtp-proxy without a certificate of its own that
gets its certificates there. No database: nothing is queued.
"""
import datetime
import pathlib
import socket
import ssl
import subprocess
import unittest

from tests.support.base import EVIDENCE, Authority, Scratch, patience, wait_until
from tests.support.pebble import Pebble
from tests.support.proxy import Proxy


DIRECT = {"address": "127.0.0.1", "port": 0, "tls": "starttls", "mode": "direct"}
# Nobody logs in, but a service without users is warned of.
PASSWORD = "$y$j9T$4TEDUpN/Rm25N9RZLCoVEVwNNIpo.Q/GtukTNxDikf7$Q0VDUkZGXF72MgRr.ypSro0U.h721hCDgwTBFXXf6O0"
TIMES = ("not_before", "not_after", "renew_at", "last_success", "last_error_at", "next_try", "ocsp_until")


class Acme:
    """A smtp-proxy that gets certificates: `certificates` as in main.yaml, `from: acme` is added. `ca` has settings() for
    the section acme: a Pebble or a stand-in."""

    def __init__(self, ca, certificates, settings=None, authority=None, cluster=None, **kw):
        self.ca = ca
        self.secrets = {v for k, v in ca.settings().items() if k == "eab_key"}
        sections = {"acme": ca.settings() | {"dns_wait": "0s"}, "smtpd": {"workers": 1},
                    "listeners": {"submission": DIRECT, "submissions": DIRECT | {"tls": "implicit"}},
                    "database": {"host": ""}, "gate": {"users": "settings"}, "users": {"nobody@users.example": {"password": PASSWORD}},
                    "certificates": {k: {"from": "acme"} | v for k, v in certificates.items()}}
        if cluster:
            del sections["listeners"], sections["database"], sections["gate"], sections["users"]
        for section, rows in (settings or {}).items():
            sections.setdefault(section, {}).update(rows)
        self.proxy = Proxy(cluster, {"file": "file"}, sections, authority=authority or ca.authority, **kw)
        self.proxy.settings["tls"] |= {"certificate_file": "", "key_file": ""}
        for key, rows in self.proxy.settings["acme"].items():
            if key in ("eab_key", "dns_key") and rows:
                EVIDENCE.secret(rows)
        self.proxy.write_settings()

    def start(self):
        self.proxy.start()
        return self

    def close(self):
        self.note_secrets()
        self.proxy.close()

    def note_secrets(self):
        """The private keys in the store are known to the search for secrets from now on: self.secrets."""
        for path in self.store("").rglob("*.pem"):
            key, _, _ = path.read_text().partition("-----END ")
            # Short and first lines are the same in many keys.
            self.secrets |= {EVIDENCE.secret(line) for line in key.splitlines()[2:] if len(line) > 40}

    def __getattr__(self, name):
        return getattr(self.proxy, name)

    # what is kept

    def store(self, key):
        return pathlib.Path(self.proxy.settings["instance"]["state_dir"]) / "certs" / key

    def pem(self, key):
        """Key and chain, or None."""
        try:
            return (self.store(key) / "tls.pem").read_text()
        except FileNotFoundError:
            return None

    def history(self, key):
        return sorted(p.name for p in (self.store(key) / "history").glob("*.pem"))

    # what is known

    def certificates(self):
        """{key: row} of `cert list`, with times in seconds since 1970; 0: none."""
        rows = self.proxy.ctl("cert", "list", json_out=True)
        for row in (rows := rows if isinstance(rows, list) else [rows]):
            row |= {name: seconds(row[name]) for name in TIMES}
        return {row["key"]: row for row in rows}

    def row(self, key):
        return self.certificates()[key]

    def await_row(self, key, condition, timeout=30, what=None):
        """The row of `cert list` when the condition holds for it."""
        last = {}

        def look():
            last.update(self.row(key))
            return condition(last)
        try:
            wait_until(look, timeout, what or f"the state of {key}", 0.1)
        except AssertionError as e:
            raise AssertionError(f"{e}: {last}\n" + "\n".join(self.proxy.log.lines[-15:])) from None
        return last

    def await_valid(self, key, timeout=60, other_than=None):
        """The row when a certificate is there (with another serial number than that one)."""
        return self.await_row(key, lambda r: r["state"] == "valid" and r["serial"] and r["serial"] != other_than, timeout,
                              f"a certificate {key}")

    def renew(self, key, **kw):
        """Not while it is being renewed already: that would be refused."""
        self.await_row(key, lambda row: row["state"] != "renewing", 60)
        return self.proxy.ctl("cert", "renew", key, **kw)

    # what clients see

    def served(self, name=None, roots=None, port=None, ciphers=None):
        """The certificate that a client is shown, as PEM; with roots (PEM) it must be good for the name."""
        context = ssl.create_default_context(cadata=roots) if roots else ssl._create_unverified_context()
        if ciphers:
            context.set_ciphers(ciphers)
            context.maximum_version = ssl.TLSVersion.TLSv1_2
        with socket.create_connection(("127.0.0.1", port or self.proxy.port_implicit), patience(10)) as sock:
            with context.wrap_socket(sock, server_hostname=name) as tls:
                return ssl.DER_cert_to_PEM_cert(tls.getpeercert(binary_form=True))

    def await_served(self, name, key=None, timeout=10):
        """Until the certificate of that key is what clients see who name this host."""
        wait_until(lambda: self.served(name) in (self.pem(key or name) or ""), timeout, f"{name} to be served", 0.05)

    def stapled(self, name, roots=None):
        """What `openssl s_client -status` says of the OCSP response: "good", "revoked", or None when there is none."""
        argv = ["openssl", "s_client", "-connect", f"127.0.0.1:{self.proxy.port_implicit}", "-servername", name, "-status"]
        done = subprocess.run(argv, input=b"QUIT\r\n", capture_output=True, timeout=patience(20), check=False)
        for line in done.stdout.decode(errors="replace").splitlines():
            if "Cert Status:" in line:
                return line.split(":")[1].strip()
        return None


def seconds(stamp):
    return int(datetime.datetime.fromisoformat(stamp).timestamp()) if stamp else 0


def looked_at(pem):
    """{"serial", "issuer", "names", "key", "end" (seconds since 1970)} of the first certificate of the PEM."""
    done = subprocess.run(["openssl", "x509", "-noout", "-serial", "-issuer", "-enddate", "-text", "-nameopt", "RFC2253"],
                          input=pem.encode(), capture_output=True, check=True)
    found = {"names": [], "key": "", "ocsp": ""}
    for line in done.stdout.decode().splitlines():
        word, _, rest = line.strip().partition("=")
        if line.startswith("serial="):
            found["serial"] = rest.lower().lstrip("0")
        elif line.startswith("issuer="):
            found["issuer"] = rest.removeprefix("CN=")
        elif line.startswith("notAfter="):
            found["end"] = ssl.cert_time_to_seconds(rest)
        elif "DNS:" in line:
            found["names"] = sorted(part.strip().removeprefix("DNS:") for part in line.split(","))
        elif "Public Key Algorithm:" in line:
            found["key"] = {"id-ecPublicKey": "ecdsa", "rsaEncryption": "rsa"}[line.split(":")[1].strip()]
        elif "OCSP - URI:" in line:
            found["ocsp"] = line.split("URI:")[1].strip()
    return found


def certificates_of(pem):
    """Each certificate of a chain, as PEM."""
    end = "-----END CERTIFICATE-----\n"
    return ["-----BEGIN CERTIFICATE-----" + part.split("-----BEGIN CERTIFICATE-----")[1] + end
            for part in pem.split(end) if "-----BEGIN CERTIFICATE-----" in part]


class AcmeCase(unittest.TestCase):
    """Overridden by test classes: PEBBLE (its arguments), CERTIFICATES or certificates(), SETTINGS or
    settings(). self.ca, self.acme."""

    PEBBLE = {}
    CERTIFICATES = {}
    SETTINGS = {}
    START = True

    @classmethod
    def authority_for_tests(cls):
        """Another authority than pebble: a stand-in."""
        return Pebble(cls.tls_authority, **cls.PEBBLE)

    @classmethod
    def certificates(cls):
        """Asked when the authority is there."""
        return cls.CERTIFICATES

    @classmethod
    def settings(cls):
        return cls.SETTINGS

    @classmethod
    def setUpClass(cls):
        cls.scratch = Scratch("acme")
        cls.addClassCleanup(cls.scratch.close)
        cls.tls_authority = Authority(cls.scratch.path)
        cls.ca = cls.authority_for_tests()
        cls.addClassCleanup(cls.ca.close)
        cls.acme = Acme(cls.ca, cls.certificates(), cls.settings())
        cls.addClassCleanup(cls.acme.close)
        if cls.START:
            cls.acme.start()
