# SPDX-License-Identifier: Apache-2.0
"""A stand-in for the Cakemail API's token endpoint, as its clients know it: POST /token with a form."""
import json
import urllib.parse
from tests.support.standin import Refused, StandIn


class Cakemail(StandIn):
    """`users` are those it knows; `second_factor` those of whom it wants a code too."""

    def __init__(self, users, second_factor=(), **kw):
        super().__init__(**kw)
        self.users = dict(users)
        self.second_factor = set(second_factor)
        self.refused = 0

    def check(self, method, path, headers, body):
        if (method, path) != ("POST", "/token"):
            raise Refused(404, f"{method} {path}")
        if headers.get("content-type") != "application/x-www-form-urlencoded":
            raise Refused(400, "not a form")
        form = urllib.parse.parse_qs(body.decode("ascii"), keep_blank_values=True, strict_parsing=True)
        if form.get("grant_type") != ["password"] or set(form) != {"grant_type", "username", "password"}:
            raise Refused(422, f"the fields {sorted(form)}")
        return {k: v[0] for k, v in form.items()}

    def serve(self, request):
        return super().serve(request)

    def error_body(self, status, text, **_):
        return json.dumps({"detail": [{"msg": text}]}).encode()

    def load_id(self, payload):
        return None

    def raw(self, payload):
        return b""

    def success(self, record):
        name, password = record.payload["username"], record.payload["password"]
        if self.users.get(name) != password:
            with self.lock:
                self.refused += 1
            return 401, {}, self.error_body(401, "bad credentials")
        if name in self.second_factor:
            return 401, {}, json.dumps({"challenge": "c", "detail": [{"msg": "code"}]}).encode()
        return 200, {}, json.dumps({"access_token": "secret-token", "token_type": "bearer", "expires_in": 3600,
                                    "refresh_token": "secret-refresh", "accounts": [1]}).encode()
