# SPDX-License-Identifier: Apache-2.0
"""What an ACME authority checks of a request: JSON Web Signatures by ECDSA P-256 (RFC 7515, RFC 7518), with the command
openssl, for Python's own library has no elliptic curves."""
import base64
import hashlib
import hmac
import json
import pathlib
import subprocess
import tempfile


def encode(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode(text):
    """Strictly: RFC 7515 has no padding, and no other letters."""
    if "=" in text or any(c in text for c in "+/ \r\n"):
        raise ValueError(f"not base64url: {text[:40]!r}")
    data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if encode(data) != text:
        raise ValueError(f"not the shortest base64url: {text[:40]!r}")
    return data


def thumbprint(jwk):
    """RFC 7638"""
    return encode(hashlib.sha256(json.dumps({k: jwk[k] for k in ("crv", "kty", "x", "y")},
                                            separators=(",", ":")).encode()).digest())


def public_key(jwk):
    """SubjectPublicKeyInfo, as DER."""
    if jwk.get("kty") != "EC" or jwk.get("crv") != "P-256":
        raise ValueError("the key is no EC P-256 key")
    if set(jwk) - {"kty", "crv", "x", "y"}:
        raise ValueError(f"members of the key that do not belong there: {sorted(jwk)}")
    x, y = decode(jwk["x"]), decode(jwk["y"])
    if len(x) != 32 or len(y) != 32:
        raise ValueError("a coordinate has not 32 octets")
    return bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d030107034200") + b"\x04" + x + y


def _integer(raw):
    raw = raw.lstrip(b"\0") or b"\0"
    if raw[0] & 0x80:
        raw = b"\0" + raw
    return b"\x02" + bytes([len(raw)]) + raw


def verify(jwk, signed, signature):
    """Raises ValueError."""
    if len(signature) != 64:
        raise ValueError("an ES256 signature has 64 octets")
    numbers = _integer(signature[:32]) + _integer(signature[32:])
    with tempfile.TemporaryDirectory(prefix="sp-jws-") as name:
        path = pathlib.Path(name)
        (path / "key").write_bytes(public_key(jwk))
        (path / "signature").write_bytes(b"\x30" + bytes([len(numbers)]) + numbers)
        done = subprocess.run(["openssl", "dgst", "-sha256", "-verify", "key", "-keyform", "DER", "-signature", "signature"],
                              cwd=path, input=signed, capture_output=True, check=False)
    if done.returncode != 0:
        raise ValueError("the signature is wrong")


def parts(body):
    """(header, payload as bytes, what is signed, signature) of the flattened JSON serialization."""
    jws = json.loads(body)
    if set(jws) != {"protected", "payload", "signature"}:
        raise ValueError(f"members of the JWS: {sorted(jws)}")
    return (json.loads(decode(jws["protected"])), decode(jws["payload"]),
            f"{jws['protected']}.{jws['payload']}".encode(), decode(jws["signature"]))


def verify_binding(binding, key_id, key, jwk, url):
    """The external account binding (RFC 8555, 7.3.4); `key`: bytes. Raises ValueError."""
    header, payload, signed, signature = parts(json.dumps(binding))
    if header != {"alg": "HS256", "kid": key_id, "url": url}:
        raise ValueError(f"the binding's header: {header}")
    if json.loads(payload) != jwk:
        raise ValueError("the binding is for another key")
    if not hmac.compare_digest(hmac.digest(key, signed, "sha256"), signature):
        raise ValueError("the binding's signature is wrong")
