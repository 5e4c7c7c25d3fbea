# SPDX-License-Identifier: Apache-2.0
"""A private BIND that takes updates: zones with a key of their own, and what it has of them."""
import base64
import secrets
import socket
import subprocess

from tests.support.base import EVIDENCE, Scratch, free_port, patience, wait_until

CNAME, SOA, TXT = 5, 6, 16


def ask(address, name, kind):
    """(rcode, [data of the records of that kind in the answer]) by TCP; TXT as text."""
    question = b"".join(bytes([len(part)]) + part.encode() for part in name.split(".")) + b"\0" + kind.to_bytes(2, "big") + b"\0\1"
    message = b"\0\0\1\0\0\1\0\0\0\0\0\0" + question
    with socket.create_connection(address, patience(5)) as s:
        s.sendall(len(message).to_bytes(2, "big") + message)
        file = s.makefile("rb")
        answer = file.read(int.from_bytes(file.read(2), "big"))
    at, found = 12 + len(question), []
    for _ in range(int.from_bytes(answer[6:8], "big")):
        while answer[at] & 0xc0 != 0xc0 and answer[at] != 0:
            at += 1 + answer[at]
        at += 2 if answer[at] else 1
        size = int.from_bytes(answer[at + 8:at + 10], "big")
        data = answer[at + 10:at + 10 + size]
        if int.from_bytes(answer[at:at + 2], "big") == kind:
            found.append(data[1:].decode() if kind == TXT else data)
        at += 10 + size
    return answer[3] & 0xf, found


class Key:
    """A TSIG key; the secret is known to the search for secrets."""

    def __init__(self, name="acme-key", algorithm="hmac-sha256"):
        self.name, self.algorithm = name, algorithm
        self.secret = EVIDENCE.secret(base64.b64encode(secrets.token_bytes(32)).decode())

    def settings(self):
        """Rows of the section acme."""
        return {"dns_key_name": self.name, "dns_key": self.secret, "dns_key_algorithm": self.algorithm}

    def text(self):
        return f'key "{self.name}" {{ algorithm {self.algorithm}; secret "{self.secret}"; }};\n'


class Named:
    """zones    {"example.com": "further records, as in a zone file"}
    key      may change TXT records of all zones; None: whoever asks from this host may
    options  further lines of `options`
    """

    def __init__(self, zones, key=None, options=""):
        self.scratch = Scratch("named")
        self.port = free_port()
        policy = f'update-policy {{ grant "{key.name}" subdomain {{zone}}. TXT; }};' if key else "allow-update { 127.0.0.1; };"
        text = (f'options {{ directory "{self.scratch.path}"; listen-on port {self.port} {{ 127.0.0.1; }}; '
                f'listen-on-v6 {{ none; }}; recursion no; dnssec-validation no; pid-file none; notify no; '
                f'session-keyfile "{self.scratch.path}/session.key"; {options} }};\ncontrols {{ }};\n')
        text += key.text() if key else ""
        for zone, records in zones.items():
            (self.scratch.path / f"{zone}.zone").write_text(
                f"$TTL 60\n@ SOA ns.{zone}. admin.{zone}. 1 3600 600 86400 1\n@ NS ns.{zone}.\nns A 127.0.0.1\n{records}\n")
            text += f'zone "{zone}" {{ type primary; file "{zone}.zone"; {policy.replace("{zone}", zone)} }};\n'
        (self.scratch.path / "named.conf").write_text(text)
        self.file = open(EVIDENCE.file("named"), "wb")
        self.process = subprocess.Popen(["named", "-g", "-n", "1", "-c", str(self.scratch.path / "named.conf")],
                                        stdout=self.file, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        self.zone = next(iter(zones))
        try:
            wait_until(self._is_there, 30, "named")
        except BaseException:
            self.close()
            raise

    def _is_there(self):
        try:
            return ask(("127.0.0.1", self.port), self.zone, SOA)[0] == 0
        except OSError:
            if self.process.poll() is not None:
                raise AssertionError(f"named ended; see {self.file.name}") from None
            return False

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def txt(self, name):
        """The values of a TXT record, sorted."""
        return sorted(ask(("127.0.0.1", self.port), name, TXT)[1])

    def close(self):
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(patience(10))
        self.file.close()
        self.scratch.close()
