# SPDX-License-Identifier: Apache-2.0
"""A private ACME authority: Debian's pebble, and pebble-challtestsrv, which tells it what is in the DNS. What pebble has
issued and who its accounts are it forgets when it stops, its own keys too.
"""
import atexit
import base64
import json
import os
import secrets
import signal
import socket
import ssl
import subprocess
import urllib.error
import urllib.request

from tests.support.base import EVIDENCE, Scratch, free_port, patience, wait_until

EAB_KEY_ID = "kid-1"


def _call(url, context=None, body=None):
    """(status, bytes)"""
    data = None if body is None else json.dumps(body).encode()
    try:
        with urllib.request.urlopen(url, data, timeout=patience(10), context=context) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as e:
        return e.code, e.read()


class Dns:
    """pebble-challtestsrv as a name server, TCP and UDP on one port: every name has the address 127.0.0.1 and no other,
    until a test says otherwise. Names end with a dot."""

    def __init__(self):
        self.port = free_port()
        self.management = free_port()
        self.file = open(EVIDENCE.file("challtestsrv"), "wb")
        self.process = subprocess.Popen(
            ["pebble-challtestsrv", "-defaultIPv4", "127.0.0.1", "-defaultIPv6", "", "-dns01", f"127.0.0.1:{self.port}",
             "-http01", "", "-https01", "", "-tlsalpn01", "", "-management", f"127.0.0.1:{self.management}"],
            stdout=self.file, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        atexit.register(self.close)     # also when the tests are interrupted
        try:
            wait_until(self._is_there, 20, "pebble-challtestsrv")
        except BaseException:
            self.close()
            raise

    def _is_there(self):
        for port in (self.management, self.port):
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
            except OSError:
                if self.process.poll() is not None:
                    raise AssertionError("pebble-challtestsrv ended") from None
                return False
        return True

    @property
    def url(self):
        """Of its management, for hooks: POST /set-txt and /clear-txt with {"host": ..., "value": ...}."""
        return f"http://127.0.0.1:{self.management}"

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def tell(self, path, **body):
        status, answer = _call(f"{self.url}/{path}", body=body)
        assert status == 200, (path, body, status, answer)
        return answer

    def set_txt(self, name, value):
        """One more value, beside those that are there."""
        self.tell("set-txt", host=name, value=value)

    def clear_txt(self, name):
        self.tell("clear-txt", host=name)

    def add_a(self, name, *addresses):
        self.tell("add-a", host=name, addresses=list(addresses))

    def clear_a(self, name):
        self.tell("clear-a", host=name)

    def set_default(self, address):
        """IPv4, for names that have none of their own; empty: they are not known."""
        self.tell("set-default-ipv4", ip=address)

    def servfail(self, name, yes=True):
        self.tell("set-servfail" if yes else "clear-servfail", host=name)

    def asked(self, name):
        """The questions for that name since the last forget(): the types as numbers (16: TXT)."""
        questions = json.loads(self.tell("dns-request-history", host=name.rstrip(".")) or b"[]") or []
        return [q["Question"]["Qtype"] for q in questions]

    def forget(self, name):
        self.tell("clear-request-history", host=name.rstrip("."), type="dns")

    def txt(self, name):
        """The values of a TXT record, as a name server gives them."""
        question = b"".join(bytes([len(part)]) + part.encode() for part in name.split("."))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.settimeout(patience(5))
            s.sendto(bytes.fromhex("123401000001000000000000") + question + bytes.fromhex("00100001"), ("127.0.0.1", self.port))
            answer = s.recv(4096)
        values = []
        for part in answer.split(question + bytes.fromhex("00100001"))[2:]:
            values.append(part[7:7 + part[6]].decode())     # behind the time to live and the length
        return values

    def hook(self, directory):
        """A program for acme.dns_hook. challtestsrv can only forget all values of a name, so it keeps them in a file."""
        path = directory / "dns-hook"
        (directory / "dns-records").mkdir()
        (directory / "dns-records").chmod(0o777)
        path.write_text(f"""#!/bin/sh
cd {directory}/dns-records || exit 1
exec 9>lock || exit 1
flock 9
touch "$2" || exit 1
case $1 in
add) echo "$3" >> "$2" ;;
remove) grep -vxF -e "$3" "$2" > new; mv new "$2" ;;
*) exit 64 ;;
esac
tell() {{ curl -sSf -d "{{\\"host\\":\\"$2.\\",\\"value\\":\\"$3\\"}}" {self.url}/$1; }}
tell clear-txt "$2" || exit 1
while read -r value; do tell set-txt "$2" "$value" || exit 1; done < "$2"
""")
        path.chmod(0o755)
        return str(path)

    def close(self):
        atexit.unregister(self.close)
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(patience(10))
        self.file.close()


class Pebble:
    """Asks for challenges at http_port and alpn_port of the addresses that `dns` tells.

    eab         an account needs an external account binding: the key identifier EAB_KEY_ID and self.eab_key
    validity    seconds that certificates live (pebble's own are five years)
    reject      of a hundred good nonces so many are refused
    sleep       seconds that a validation may take, at random; 0: none, None: pebble's own (up to 15)
    chains      so many alternate chains beside the first one; `length`: intermediate certificates in each
    reuse       of a hundred authorizations that are still good so many are used again
    """

    def __init__(self, authority, dns=None, http_port=None, alpn_port=None, eab=False, validity=90 * 86400, ocsp_url="", reject=5, sleep=0,
                 chains=0, length=1, reuse=0, blocked=()):
        self.scratch = Scratch("pebble")
        self.dns = dns or Dns()
        self._own_dns = dns is None
        self.authority = authority
        self.http_port = http_port or free_port()
        self.alpn_port = alpn_port or free_port()
        self.port = free_port()
        self.management = free_port()
        self.eab_key = ""
        chain, key = authority.issue("pebble", end=365 * 86400)
        for name, text in (("cert.pem", chain), ("key.pem", key)):
            (self.scratch.path / name).write_text(text)
        config = {"listenAddress": f"127.0.0.1:{self.port}", "managementListenAddress": f"127.0.0.1:{self.management}",
                  "certificate": str(self.scratch.path / "cert.pem"), "privateKey": str(self.scratch.path / "key.pem"),
                  "httpPort": self.http_port, "tlsPort": self.alpn_port, "ocspResponderURL": ocsp_url,
                  "externalAccountBindingRequired": eab, "domainBlocklist": list(blocked),
                  "certificateValidityPeriod": validity}
        if eab:
            self.eab_key = EVIDENCE.secret(base64.urlsafe_b64encode(secrets.token_bytes(48)).decode())
            config["externalAccountMACKeys"] = {EAB_KEY_ID: self.eab_key}
        (self.scratch.path / "config.json").write_text(json.dumps({"pebble": config}))
        self.environment = {"PEBBLE_WFE_NONCEREJECT": str(reject), "PEBBLE_AUTHZREUSE": str(reuse),
                            "PEBBLE_ALTERNATE_ROOTS": str(chains), "PEBBLE_CHAIN_LENGTH": str(length)}
        if sleep == 0:
            self.environment["PEBBLE_VA_NOSLEEP"] = "1"
        elif sleep:
            self.environment["PEBBLE_VA_SLEEPTIME"] = str(sleep)
        self.context = ssl.create_default_context(cafile=str(authority.ca_file))
        self.process = None
        self.file = None
        atexit.register(self.close)
        self.start()

    def __enter__(self):
        return self

    def __exit__(self, *args):
        self.close()

    @property
    def url(self):
        """Of the directory."""
        return f"https://localhost:{self.port}/dir"

    def settings(self):
        """The section `acme` for certificates from here. The waits of dns-01 are a test's own matter."""
        rows = {"directory": self.url, "agree_to_terms": True, "ca_file": str(self.authority.ca_file),
                "http_address": "127.0.0.1", "http_port": self.http_port,
                "alpn_address": "127.0.0.1", "alpn_port": self.alpn_port}
        return rows | ({"eab_key_id": EAB_KEY_ID, "eab_key": self.eab_key} if self.eab_key else {})

    def start(self):
        """Also after a stop(): another authority at the same place, which knows nothing of before."""
        self.file = open(EVIDENCE.file("pebble"), "wb")
        self.process = subprocess.Popen(
            ["pebble", "-config", str(self.scratch.path / "config.json"), "-dnsserver", self.dns.address, "-strict"],
            stdout=self.file, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, cwd=self.scratch.path,
            env=os.environ | self.environment)
        try:
            wait_until(self._is_there, 20, "pebble")
        except BaseException:
            self.close()
            raise

    def _is_there(self):
        try:
            return _call(self.url, self.context)[0] == 200 and self.manage("roots/0")
        except OSError:
            if self.process.poll() is not None:
                raise AssertionError(f"pebble ended; see {self.file.name}") from None
            return False

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(patience(10))
        self.file.close()

    def pause(self):
        """It stands still: connections are made, and nothing is answered."""
        self.process.send_signal(signal.SIGSTOP)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)

    def close(self):
        atexit.unregister(self.close)
        self.resume()
        self.stop()
        if self._own_dns:
            self.dns.close()
        self.scratch.close()

    # what only an authority for tests tells

    def manage(self, path):
        status, body = _call(f"https://localhost:{self.management}/{path}", self.context)
        assert status == 200, (path, status, body)
        return body.decode()

    def root(self, n=0):
        """The certificate that chains end at, as PEM; n: of an alternate chain."""
        return self.manage(f"roots/{n}")

    def intermediate(self, n=0):
        return self.manage(f"intermediates/{n}")

    def intermediate_key(self, n=0):
        return self.manage(f"intermediate-keys/{n}")

    def status(self, serial):
        """{"Certificate", "Status": "Valid" or "Revoked", "Reason", ...}; the serial in hexadecimal. None: not from here."""
        status, body = _call(f"https://localhost:{self.management}/cert-status-by-serial/{serial}", self.context)
        return json.loads(body) if status == 200 else None
