# SPDX-License-Identifier: Apache-2.0
"""A stand-in for an OCSP responder (RFC 6960, appendix A): the command openssl answers, with the key of the issuer."""
import base64
import pathlib
import re
import subprocess
import urllib.parse

from tests.support.standin.server import Refused, StandIn, Told


class OcspResponder(StandIn):
    """self.of(authority) or self.issuer(certificate, key) before it is asked. Who gives only a key has all certificates called good."""

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

    def check(self, method, path, headers, body):
        if method == "POST":
            if headers.get("content-type") != "application/ocsp-request":
                raise Refused(415, f"Content-Type {headers.get('content-type')}")
        else:
            body = base64.b64decode(urllib.parse.unquote(path.rsplit("/", 1)[-1]))
        with self.lock:
            (self.directory / "asked").write_bytes(body)
            certificate, key, index = self.files
            if index.parent == self.directory:
                asked = subprocess.run(["openssl", "ocsp", "-reqin", "asked", "-req_text"], cwd=self.directory,
                                       capture_output=True, check=False)
                serial = re.search(r"Serial Number: ([0-9A-F]+)", asked.stdout.decode())
                if serial:
                    index.write_text(f"V\t401231235959Z\t\t{serial.group(1)}\tunknown\t/CN=x\n")
            done = subprocess.run(["openssl", "ocsp", "-index", index, "-rsigner", certificate, "-rkey", key, "-CA", certificate,
                                   "-reqin", "asked", "-respout", "answer", "-nmin", str(self.minutes)],
                                  cwd=self.directory, capture_output=True, check=False)
            if done.returncode != 0:
                raise Refused(400, done.stderr.decode())
            answer = (self.directory / "answer").read_bytes()
        raise Told(self.nudge(answer) if self.nudge else answer, headers={"Content-Type": "application/ocsp-response"})

    def error_body(self, status, text, **more):
        return text.encode()
