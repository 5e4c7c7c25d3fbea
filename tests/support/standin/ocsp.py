# SPDX-License-Identifier: Apache-2.0
"""A stand-in for an OCSP responder (RFC 6960, appendix A): the command openssl answers, with the key of the issuer."""
import base64
import pathlib
import subprocess
import urllib.parse

from tests.support.standin.server import Refused, StandIn, Told


class OcspResponder(StandIn):
    """self.of(authority) or self.issuer(certificate, key) before it is asked; of pebble's certificates know() each."""

    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(exist_ok=True)
        self.files = None           # issuer's certificate, key, index
        self.minutes = 60           # that an answer is good for
        self.nudge = None           # called with the answer, gives what is sent
        super().__init__()

    def of(self, authority):
        self.files = (authority.directory / "ca.pem", authority.directory / "ca.key", authority.directory / "index.txt")

    def issuer(self, certificate, key):
        self.files = tuple(self.directory / name for name in ("issuer.pem", "issuer.key", "index.txt"))
        self.files[0].write_text(certificate)
        self.files[1].write_text(key)
        self.files[2].touch()

    def know(self, serial, revoked=False):
        """A certificate, by its serial number in hexadecimal."""
        serial = serial.upper()
        serial = "0" * (len(serial) % 2) + serial
        lines = [line for line in self.files[2].read_text().splitlines() if f"\t{serial}\t" not in line]
        lines.append(f"{'R' if revoked else 'V'}\t401231235959Z\t{'260101000000Z' if revoked else ''}\t{serial}\tunknown\t/CN=x")
        self.files[2].write_text("\n".join(lines) + "\n")

    def check(self, method, path, headers, body):
        if method == "POST":
            if headers.get("content-type") != "application/ocsp-request":
                raise Refused(415, f"Content-Type {headers.get('content-type')}")
        else:
            body = base64.b64decode(urllib.parse.unquote(path.rsplit("/", 1)[-1]))
        with self.lock:
            (self.directory / "asked").write_bytes(body)
            certificate, key, index = self.files
            done = subprocess.run(["openssl", "ocsp", "-index", index, "-rsigner", certificate, "-rkey", key, "-CA", certificate,
                                   "-reqin", "asked", "-respout", "answer", "-nmin", str(self.minutes)],
                                  cwd=self.directory, capture_output=True, check=False)
            if done.returncode != 0:
                raise Refused(400, done.stderr.decode())
            answer = (self.directory / "answer").read_bytes()
        raise Told(self.nudge(answer) if self.nudge else answer, headers={"Content-Type": "application/ocsp-response"})

    def error_body(self, status, text, **more):
        return text.encode()
