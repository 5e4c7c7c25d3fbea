# SPDX-License-Identifier: Apache-2.0
"""A stand-in for an ACME authority (RFC 8555) that checks every request, has renewal information (RFC 9773) and profiles, and
talks nonsense at any step when told to. What a good client gets from it is good; a real authority is tests.support.pebble.

	with AcmeAuthority(authority) as ca:
		ca.misbehave("new-order", Nonsense(problem="rateLimited", headers={"Retry-After": "3600"}))
		...
		ca.asked                # (monotonic time, step, payload, status)
		ca.issued               # what it gave away
		ca.violations           # requests that a real authority would have refused: should be empty
"""
import dataclasses
import json
import re
import secrets
import subprocess
import time
import urllib.request

from tests.support.base import EVIDENCE, patience
from tests.support.standin import jws
from tests.support.standin.server import StandIn

ERROR = "urn:ietf:params:acme:error:"
FOREVER = 10**9


@dataclasses.dataclass
class Nonsense:
    """What becomes of an answer. With problem, a status of 400 or more, hang or reset nothing is done of what was asked; else
    it is done, and the answer is distorted."""
    problem: str = ""               # an error of RFC 8555, 6.7
    detail: str = "told to fail"
    status: int = 0
    headers: dict = dataclasses.field(default_factory=dict)     # a value None: without that header
    body: bytes | None = None
    type: str | None = None         # Content-Type
    edit: object = None             # called with the JSON object of the answer; what it returns is answered
    truncate: bool = False          # half of the body, and a Content-Length that fits
    cut: bool = False               # half of the body, and then the end of the connection
    endless: bool = False           # a body without an end
    nonce: str | None = None        # instead of a good one; "": none
    latency: float = 0.0
    hang: bool = False
    reset: bool = False

    def is_refusal(self):
        return bool(self.problem or self.status >= 400 or self.hang or self.reset)


class Problem(Exception):
    def __init__(self, status, kind, detail):
        super().__init__(detail)
        self.status = status
        self.kind = kind
        self.detail = detail


class Answer:
    def __init__(self, body=b"", status=200, kind="application/json", **headers):
        self.body = body
        self.status = status
        self.kind = kind
        self.headers = {k.replace("_", "-"): v for k, v in headers.items()}


class AcmeAuthority(StandIn):
    """`authority` signs what is issued, and the certificate of the server itself.

    http_port       where http-01 is asked, at 127.0.0.1; the other ways are believed
    eab             an account needs an external account binding
    profiles        {name: days that its certificates live}
    ocsp_url        is named in the certificates
    """

    def __init__(self, authority, http_port=0, eab=False, profiles=None, ocsp_url=""):
        self.authority = authority
        chain, key = authority.issue("acme", end=365 * 86400)
        super().__init__(tls=(authority.file(chain), authority.file(key)))
        self.http_port = http_port
        self.profiles = profiles or {}
        self.ocsp_url = ocsp_url
        self.eab_key = EVIDENCE.secret(jws.encode(secrets.token_bytes(32))) if eab else ""
        self.nonces = set()
        self.faults = []            # [step, fault, how often still]
        self.asked = []
        self.issued = []
        self.accounts = {}          # path: jwk
        self.orders = []
        # What may be changed by tests
        self.polls = 0              # so often an authorization, and an order after it, is told to be at work
        self.retry_after = None     # goes with these
        self.invalid = None         # (error, detail): how every authorization ends
        self.life = 90 * 86400      # seconds
        self.leaf = {}              # names, start, end of the next certificates, instead of the right ones
        self.chain = None           # called with the certificate, gives the whole answer
        self.links = []             # Link header of certificates
        self.window = None          # (start, end) of what should be renewed, in seconds from now; None: at its end
        self.explanation = ""
        self.has_ari = True

    def settings(self):
        rows = {"directory": f"{self.url}/dir", "agree_to_terms": True, "ca_file": str(self.authority.ca_file),
                "http_address": "127.0.0.1", "http_port": self.http_port, "alpn_address": "127.0.0.1", "alpn_port": 0}
        return rows | ({"eab_key_id": "kid-1", "eab_key": self.eab_key} if self.eab_key else {})

    def misbehave(self, step, fault, times=1):
        """Steps: directory, new-nonce, new-account, new-order, authorization, challenge, finalize, order, certificate, revoke,
        key-change, renewal-info, account; or any."""
        with self.lock:
            self.faults.append([step, fault, times])

    def behave(self):
        with self.lock:
            self.faults.clear()
            self.polls, self.retry_after, self.invalid, self.leaf, self.chain, self.links = 0, None, None, {}, None, []

    def count(self, step, since=0):
        with self.lock:
            return sum(1 for entry in self.asked[since:] if entry[1] == step)

    def wait_asked(self, step, times=1, since=0, timeout=20):
        return self.wait_for(lambda: sum(1 for e in self.asked[since:] if e[1] == step) >= times, timeout, f"{times} {step}")

    # requests

    def serve(self, request):
        path = request.path
        step = self._step(path)
        with self.lock:
            self.requests += 1
            rule = next((r for r in self.faults if r[0] in (step, "any") and r[2] > 0), None)
            if rule:
                rule[2] -= 1
        fault = rule[1] if rule else Nonsense()
        body = request.rfile.read(int(request.headers.get("Content-Length", "0")))
        payload = None
        if fault.latency:
            self.closing.wait(fault.latency)
        try:
            if request.command == "POST":
                account, jwk, payload = self._opened(request, path, step, body)
            if fault.hang:
                self._note(step, payload, 0)
                return self._hang(request)
            if fault.reset:
                self._note(step, payload, 0)
                return self._reset(request)
            if fault.problem:
                raise Problem(fault.status or 400, fault.problem, fault.detail)
            if fault.is_refusal():
                answer = Answer(b'{"detail": "told to fail"}', fault.status, "application/problem+json")
            elif request.command == "POST":
                with self.lock:
                    answer = self._post(step, path, payload, account, jwk)
            else:
                answer = self._get(step, path, request.command)
        except Problem as e:
            answer = Answer(json.dumps({"type": ERROR + e.kind, "detail": e.detail, "status": e.status}).encode(), e.status,
                            "application/problem+json")
        except (ValueError, KeyError, TypeError) as e:
            answer = self._violated(f"{step}: {e!r}")
        self._note(step, payload, answer.status)
        return self._write(request, answer, fault)

    def _note(self, step, payload, status):
        with self.lock:
            self.asked.append((time.monotonic(), step, payload, status))
            self.lock.notify_all()

    def _violated(self, text):
        with self.lock:
            self.violations.append(text)
        return Answer(json.dumps({"type": ERROR + "malformed", "detail": text, "status": 400}).encode(), 400,
                      "application/problem+json")

    @staticmethod
    def _step(path):
        word = path.split("/")[1]
        return {"dir": "directory", "acct": "account", "authz": "authorization", "chall": "challenge",
                "cert": "certificate"}.get(word, word)

    def _nonce(self):
        nonce = secrets.token_urlsafe(16)
        with self.lock:
            self.nonces.add(nonce)
        return nonce

    def _write(self, request, answer, fault):
        body = answer.body
        if fault.edit:
            body = json.dumps(fault.edit(json.loads(body))).encode()
        if fault.body is not None:
            body = fault.body
        whole = len(body)
        if fault.truncate or fault.cut:
            body = body[:whole // 2]
        headers = {"Content-Type": answer.kind, "Content-Length": str(whole if fault.cut else len(body)),
                   "Link": f'<{self.url}/dir>;rel="index"', "Cache-Control": "no-store"}
        if request.command != "GET" or request.path == "/new-nonce":
            headers["Replay-Nonce"] = self._nonce() if fault.nonce is None else fault.nonce or None
        headers |= answer.headers
        if fault.type is not None:
            headers["Content-Type"] = fault.type
        if fault.endless:
            headers["Content-Length"] = None
        headers |= fault.headers
        status = fault.status or answer.status
        lines = [f"HTTP/1.1 {status} Said"]
        for name, value in headers.items():
            lines += [f"{name}: {v}" for v in (value if isinstance(value, list) else [value]) if v is not None]
        request.connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        if request.command != "HEAD":
            request.connection.sendall(body)
        while fault.endless and not self.closing.is_set():
            request.connection.sendall(b" " * 65536)
        if fault.cut or fault.endless:
            request.close_connection = True

    def _opened(self, request, path, step, body):
        """(the account's path or None, its key, payload) of a signed request; raises Problem or ValueError."""
        if request.headers.get("Content-Type") != "application/jose+json":
            raise ValueError(f"Content-Type {request.headers.get('Content-Type')}")
        if not request.headers.get("User-Agent"):
            raise ValueError("no User-Agent (RFC 8555, 6.1)")
        header, payload, signed, signature = jws.parts(body)
        if set(header) not in ({"alg", "nonce", "url", "jwk"}, {"alg", "nonce", "url", "kid"}):
            raise ValueError(f"the protected header: {sorted(header)}")
        if header["alg"] != "ES256" or header["url"] != self.url + path:
            raise ValueError(f"alg or url: {header}")
        with self.lock:
            good = header["nonce"] in self.nonces
            self.nonces.discard(header["nonce"])
        if not good:
            raise Problem(400, "badNonce", "no such nonce")
        if (step == "new-account") != ("jwk" in header):
            raise ValueError(f"{step} signed with {'jwk' if 'jwk' in header else 'kid'}")
        account = None
        if "kid" in header:
            account = header["kid"].removeprefix(self.url)
            with self.lock:
                if account not in self.accounts:
                    raise Problem(400, "accountDoesNotExist", "no such account")
                header["jwk"] = self.accounts[account]
        jws.verify(header["jwk"], signed, signature)
        if payload == b"":
            return account, header["jwk"], None
        return account, header["jwk"], json.loads(payload)

    # what it offers

    def _get(self, step, path, method):
        if step == "directory":
            meta = {"termsOfService": f"{self.url}/terms", "website": self.url}
            if self.eab_key:
                meta["externalAccountRequired"] = True
            if self.profiles:
                meta["profiles"] = {name: f"{self.url}/profile/{name}" for name in self.profiles}
            offered = {"newNonce": "new-nonce", "newAccount": "new-account", "newOrder": "new-order", "revokeCert": "revoke",
                       "keyChange": "key-change"} | ({"renewalInfo": "renewal-info"} if self.has_ari else {})
            return Answer(json.dumps({k: f"{self.url}/{v}" for k, v in offered.items()} | {"meta": meta}).encode())
        if step == "new-nonce":
            return Answer(status=200 if method == "HEAD" else 204, kind="text/plain")
        if step == "renewal-info":
            return self._renewal_info(path.split("/")[2])
        if step == "certificate" or method != "GET":
            raise Problem(405, "malformed", "method not allowed")
        raise Problem(404, "malformed", "not found")

    def _post(self, step, path, payload, account, jwk):
        number = int(path.split("/")[2]) if path.count("/") > 1 else -1
        if step in ("authorization", "order", "certificate") and payload is not None:
            raise ValueError("POST-as-GET has an empty payload")
        if step == "new-account":
            return self._new_account(payload, jwk)
        if step == "key-change":
            return self._key_change(payload, account)
        if step == "new-order":
            return self._new_order(payload, account)
        if step == "authorization":
            return self._authorization(self.orders[number], int(path.split("/")[3]))
        if step == "challenge":
            return self._challenge(self.orders[number], *path.split("/")[3:5], payload, jwk)
        if step == "order":
            return self._order(self.orders[number])
        if step == "finalize":
            return self._finalize(self.orders[number], payload)
        if step == "certificate":
            pem = self.orders[number]["pem"]
            whole = self.chain(pem) if self.chain else pem + self.authority.ca_file.read_text()
            return Answer(whole.encode(), kind="application/pem-certificate-chain",
                          **({"Link": self.links} if self.links else {}))
        if step == "revoke":
            return self._revoke(payload)
        if step == "account":
            if payload is not None and set(payload) != {"contact"}:
                raise ValueError(f"a change of an account: {payload}")
            return Answer(b'{"status": "valid"}')
        raise Problem(404, "malformed", "not found")

    # accounts

    def _new_account(self, payload, jwk):
        found = next((path for path, key in self.accounts.items() if key == jwk), None)
        if found:
            return Answer(b'{"status": "valid"}', Location=self.url + found)
        if payload.get("onlyReturnExisting"):
            raise Problem(400, "accountDoesNotExist", "no such account")
        if payload.get("termsOfServiceAgreed") is not True:
            raise Problem(403, "userActionRequired", "the terms of service were not agreed to")
        if any(not c.startswith("mailto:") for c in payload.get("contact", [])):
            raise ValueError(f"contact {payload['contact']}")
        if self.eab_key:
            if "externalAccountBinding" not in payload:
                raise Problem(403, "externalAccountRequired", "an external account binding is required")
            jws.verify_binding(payload["externalAccountBinding"], "kid-1", jws.decode(self.eab_key), jwk,
                               f"{self.url}/new-account")
        path = f"/acct/{len(self.accounts) + 1}"
        self.accounts[path] = jwk
        return Answer(b'{"status": "valid"}', 201, Location=self.url + path)

    def _key_change(self, payload, account):
        header, inner, signed, signature = jws.parts(json.dumps(payload))
        inner = json.loads(inner)
        if set(header) != {"alg", "jwk", "url"} or header["url"] != f"{self.url}/key-change":
            raise ValueError(f"the inner header: {header}")
        jws.verify(header["jwk"], signed, signature)
        if inner != {"account": self.url + account, "oldKey": self.accounts[account]}:
            raise ValueError(f"the inner payload: {inner}")
        if header["jwk"] in self.accounts.values():
            raise Problem(409, "malformed", "the key is another account's")
        self.accounts[account] = header["jwk"]
        return Answer(b'{"status": "valid"}')

    # orders

    def _new_order(self, payload, account):
        names = [i["value"] for i in payload["identifiers"]]
        if any(i["type"] != "dns" for i in payload["identifiers"]) or not names or len(set(names)) != len(names):
            raise ValueError(f"identifiers {payload['identifiers']}")
        profile = payload.get("profile")
        if profile is not None and profile not in self.profiles:
            raise Problem(400, "invalidProfile", f"no profile {profile}")
        replaces = payload.get("replaces")
        if replaces is not None:
            before = next((c for c in self.issued if c["id"] == replaces), None)
            if before is None:
                raise ValueError(f"replaces {replaces}, which is not from here")
            if any(c["replaces"] == replaces for c in self.issued):
                raise Problem(409, "alreadyReplaced", "it has been replaced already")
        number = len(self.orders)
        self.orders.append({
            "number": number, "account": account, "names": names, "profile": profile, "replaces": replaces, "status": "pending",
            "polls": self.polls, "authorizations": [{"name": n.removeprefix("*."), "wildcard": n.startswith("*."),
                                                     "status": "pending", "error": None, "kind": None, "polls": 0,
                                                     "token": secrets.token_urlsafe(24)} for n in names]})
        return self._order(self.orders[number], 201, Location=f"{self.url}/order/{number}")

    def _order(self, order, status=200, **headers):
        if order["status"] == "pending":
            states = {a["status"] for a in order["authorizations"]}
            order["status"] = "invalid" if "invalid" in states else "ready" if states == {"valid"} else "pending"
        elif order["status"] == "processing":
            order["polls"] -= 1
            if order["polls"] < 0:
                order["status"] = "valid"
        number = order["number"]
        told = {"status": order["status"], "expires": _stamp(time.time() + 86400),
                "identifiers": [{"type": "dns", "value": n} for n in order["names"]],
                "authorizations": [f"{self.url}/authz/{number}/{i}" for i in range(len(order["names"]))],
                "finalize": f"{self.url}/finalize/{number}"}
        if order["profile"]:
            told["profile"] = order["profile"]
        if order["status"] == "valid":
            told["certificate"] = f"{self.url}/cert/{number}"
        if order["status"] == "processing" and self.retry_after is not None:
            headers["Retry_After"] = self.retry_after
        return Answer(json.dumps(told).encode(), status, **headers)

    def _challenges(self, order, i):
        one = order["authorizations"][i]
        for kind in ("dns-01",) if one["wildcard"] else ("http-01", "dns-01", "tls-alpn-01"):
            status = one["status"]
            if kind != one["kind"]:
                status = "pending"
            elif status == "pending":
                status = "processing"
            told = {"type": kind, "url": f"{self.url}/chall/{order['number']}/{i}/{kind}", "status": status, "token": one["token"]}
            if one["error"] and kind == one["kind"]:
                told["error"] = {"type": ERROR + one["error"][0], "detail": one["error"][1], "status": 403}
            yield told

    def _authorization(self, order, i):
        one = order["authorizations"][i]
        headers = {}
        if one["kind"] and one["status"] == "pending":
            one["polls"] -= 1
            if one["polls"] < 0:
                one["status"] = "invalid" if one["error"] else "valid"
            elif self.retry_after is not None:
                headers["Retry_After"] = self.retry_after
        told = {"identifier": {"type": "dns", "value": one["name"]}, "status": one["status"],
                "expires": _stamp(time.time() + 86400), "challenges": list(self._challenges(order, i))}
        if one["wildcard"]:
            told["wildcard"] = True
        return Answer(json.dumps(told).encode(), **headers)

    def _challenge(self, order, i, kind, payload, jwk):
        one = order["authorizations"][int(i)]
        if payload is not None:
            if payload != {}:
                raise ValueError(f"a challenge's payload: {payload}")
            if one["kind"] is None:
                one["kind"], one["polls"] = kind, self.polls
                one["error"] = self.invalid or self._looked_for(one, kind, jwk)
        told = next(c for c in self._challenges(order, int(i)) if c["type"] == kind)
        return Answer(json.dumps(told).encode(), Link=f'<{self.url}/authz/{order["number"]}/{i}>;rel="up"')

    def _looked_for(self, one, kind, jwk):
        """None, or what is wrong with what is shown."""
        if kind != "http-01" or not self.http_port:
            return None
        asked = urllib.request.Request(f"http://127.0.0.1:{self.http_port}/.well-known/acme-challenge/{one['token']}",
                                       headers={"Host": one["name"]})
        try:
            with urllib.request.urlopen(asked, timeout=patience(5)) as answer:
                said = answer.read().decode().rstrip()
        except OSError as e:
            return "connection", str(e)
        want = f"{one['token']}.{jws.thumbprint(jwk)}"
        return None if said == want else ("unauthorized", f"{said!r} is not {want!r}")

    def _finalize(self, order, payload):
        self._order(order)
        if order["status"] != "ready":
            raise Problem(403, "orderNotReady", f"the order is {order['status']}")
        text, key = _request(jws.decode(payload["csr"]))
        names = re.findall(r"DNS:([^,\s]+)", text)
        if sorted(names) != sorted(order["names"]):
            raise Problem(400, "badCSR", f"{names} instead of {order['names']}")
        if key in {jws.public_key(jwk) for jwk in self.accounts.values()}:
            raise ValueError("the certificate has the account's key")
        if any(key == c["key"] for c in self.issued):
            raise ValueError("a key was used again")
        self._issue(order, jws.decode(payload["csr"]), key)
        order["status"] = "processing"
        return self._order(order)

    def _issue(self, order, csr, key):
        leaf = {"names": order["names"], "start": -3600, "end": self.profiles.get(order["profile"], 0) * 86400 or self.life} | self.leaf
        more = f"authorityInfoAccess = OCSP;URI:{self.ocsp_url}\n" if self.ocsp_url else ""
        order["pem"] = self.authority.sign(csr, ", ".join(f"DNS:{n}" for n in leaf["names"]), leaf["start"], leaf["end"], more=more)
        self.issued.append({"pem": order["pem"], "names": order["names"], "profile": order["profile"], "key": key,
                            "replaces": order["replaces"], "id": renewal_id(order["pem"]), "revoked": None})

    # after it

    def _revoke(self, payload):
        der = jws.decode(payload["certificate"])
        found = next((c for c in self.issued if _der(c["pem"]) == der), None)
        if found is None:
            raise Problem(404, "malformed", "not from here")
        if found["revoked"] is not None:
            raise Problem(400, "alreadyRevoked", "it is revoked already")
        found["revoked"] = payload.get("reason", 0)
        self.authority.revoke(found["pem"])
        return Answer()

    def _renewal_info(self, ident):
        with self.lock:
            found = next((c for c in self.issued if c["id"] == ident), None)
        if found is None:
            with self.lock:
                self.violations.append(f"renewal-info of {ident}, which is not from here")
            raise Problem(404, "malformed", "not from here")
        start, end = self.window or (self.life * 2 // 3, self.life * 2 // 3 + 86400)
        told = {"suggestedWindow": {"start": _stamp(time.time() + start), "end": _stamp(time.time() + end)}}
        if self.explanation:
            told["explanationURL"] = self.explanation
        return Answer(json.dumps(told).encode(), Retry_After="21600")


def _stamp(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def _openssl(*args, data):
    done = subprocess.run(["openssl", *args], input=data, capture_output=True, check=False)
    if done.returncode != 0:
        raise ValueError(f"openssl {args[0]}: {done.stderr.decode()[:200]}")
    return done.stdout


def _request(der):
    """(as text, public key as DER) of a request whose signature is good."""
    text = _openssl("req", "-inform", "DER", "-verify", "-noout", "-text", data=der).decode()
    key = _openssl("req", "-inform", "DER", "-noout", "-pubkey", data=der)
    return text, _openssl("pkey", "-pubin", "-outform", "DER", data=key)


def _der(pem):
    return _openssl("x509", "-outform", "DER", data=pem.encode())


def renewal_id(pem):
    """RFC 9773, 4.1"""
    text = _openssl("x509", "-noout", "-ext", "authorityKeyIdentifier", "-serial", data=pem.encode()).decode()
    key = re.search(r"((?:[0-9A-F]{2}:){19}[0-9A-F]{2})", text).group(1)
    serial = bytes.fromhex(re.search(r"serial=([0-9A-F]+)", text).group(1))
    if serial[0] & 0x80:
        serial = b"\0" + serial
    return f"{jws.encode(bytes.fromhex(key.replace(':', '')))}.{jws.encode(serial)}"
