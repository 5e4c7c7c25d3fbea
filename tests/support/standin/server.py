# SPDX-License-Identifier: Apache-2.0
"""What all stand-ins share: the server, the record of what was taken, and the faults."""
import dataclasses
import json
import secrets
import socket
import ssl
import struct
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.support.base import patience


@dataclasses.dataclass
class Fault:
    """How to misbehave: answer with a status instead of accepting, and when or how to break."""
    status: int = 0                 # 0: accept the message as usual
    headers: dict = dataclasses.field(default_factory=dict)
    body: bytes | None = None       # instead of the usual one
    latency: float = 0.0            # before the answer
    hang: bool = False              # never answer (until the stand-in closes)
    reset_before: bool = False      # cut the connection before the body is read
    reset_after: bool = False       # take the message, then cut instead of answering
    slow: float = 0.0               # seconds over which the answer's bytes are spread


@dataclasses.dataclass
class Accepted:
    """A message the stand-in took. answered_at is None until the whole answer was written."""
    number: int
    payload: dict
    headers: dict
    load_id: str | None
    provider_id: str
    received_at: float              # time.monotonic(), body complete
    answered_at: float | None = None
    raw: bytes = b""                # the message itself, where the provider takes it as it is


@dataclasses.dataclass
class Pieces:
    """What a recipient would see of a message that was told in pieces."""
    subject: str
    from_name: str
    texts: list                     # (type, text)
    files: list                     # (name, type, content id or "" when it is not shown within the html, octets)


class Refused(Exception):
    """The request is not good: the provider's status and words. What else it says goes to error_body() too."""

    def __init__(self, status, text, **more):
        super().__init__(text)
        self.status = status
        self.text = text
        self.more = more


class Told(Exception):
    """The request was good and is no message (a check of the key, a token): its answer."""

    def __init__(self, body, status=200, headers=None):
        super().__init__()
        self.status = status
        self.headers = headers or {}
        self.body = body if isinstance(body, bytes) else json.dumps(body).encode()


class StandIn:
    """What the stand-ins share: the server, the record, the faults. A provider is a subclass with

    settings()      its row in the section `providers` of the settings
    check(method, path, headers, body)
                    the payload of a good message; raises Refused, or Told for what is no message
    success(record) status, headers and body of the answer to a message that was taken
    error_body(status, text, **more)
                    the body of a refusal, as the provider writes it
    load_id(payload), raw(payload)
                    the value of X-Load-ID; the message as MIME, or b"" where there is none
    pieces(payload) a Pieces, where the message is told in pieces
    """

    def __init__(self, tls=None):
        self.lock = threading.Condition()
        self.accepted = []
        self.violations = []
        self.requests = 0
        self.connections = 0
        self.rules = []             # [fault, how often still, predicate, of checks]
        self.answer_headers = {}    # go with every answer
        self.latency = 0.0
        self.closing = threading.Event()
        standin = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def setup(self):
                super().setup()
                self.connection.settimeout(120)
                with standin.lock:
                    standin.connections += 1

            def log_message(self, *args):
                pass

            def do_POST(self):
                standin.serve(self)

            def do_GET(self):
                standin.serve(self)

            def do_HEAD(self):
                standin.serve(self)

            def do_PUT(self):
                standin.serve(self)

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 1024
            block_on_close = False

            def handle_error(self, request, client_address):
                pass                # the other side may die at any moment: that is what the tests are about

        self.server = Server(("127.0.0.1", 0), Handler)
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True,
                                                     do_handshake_on_connect=False)
        self.port = self.server.server_address[1]
        self.url = f"http{'s' if tls else ''}://{'localhost' if tls else '127.0.0.1'}:{self.port}"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *args):
        self.close()

    def close(self):
        self.closing.set()
        self.server.shutdown()
        self.server.server_close()

    def misbehave(self, fault, times=1, when=None, checks=False):
        """The next `times` messages (for which when(payload) holds) get the fault; or the next requests that are none."""
        with self.lock:
            self.rules.append([fault, times, when, checks])

    def behave(self):
        with self.lock:
            self.rules.clear()

    def _fault(self, payload, is_check=False):
        with self.lock:
            for rule in self.rules:
                fault, left, when, checks = rule
                if left > 0 and checks == is_check and (when is None or when(payload)):
                    rule[1] -= 1
                    return fault
        return Fault()

    def wait(self, n, timeout=20):
        """Until n messages were accepted."""
        return self.wait_for(lambda: len(self.accepted) >= n, timeout, f"{n} messages at the provider")

    def wait_for(self, condition, timeout=20, what="the provider"):
        with self.lock:
            if not self.lock.wait_for(condition, patience(timeout)):
                raise AssertionError(f"waited in vain for {what}: {len(self.accepted)} accepted, "
                                     f"{self.requests} requests, violations {self.violations[:3]}")

    def serve(self, request):
        with self.lock:
            self.requests += 1
            self.lock.notify_all()
            early = next((r for r in self.rules if r[0].reset_before and r[1] > 0), None)
            if early:
                early[1] -= 1
        if early:
            return self._reset(request)
        length = int(request.headers.get("Content-Length", "0"))
        body = request.rfile.read(length)
        if len(body) != length:
            request.close_connection = True
            return None
        headers = {k.lower(): v for k, v in request.headers.items()}
        try:
            payload = self.check(request.command, request.path, headers, body)
        except Told as told:
            return self._tell(request, told)
        except Refused as refused:
            with self.lock:
                self.violations.append(f"{refused.status}: {refused.text}")
                self.lock.notify_all()
            return self._answer(request, Fault(), refused.status, {},
                                self.error_body(refused.status, refused.text, **refused.more))
        fault = self._fault(payload)
        if fault.status and not 200 <= fault.status < 300:
            return self._answer(request, fault, fault.status, fault.headers,
                                self.error_body(fault.status, "told to fail") if fault.body is None else fault.body)
        record = Accepted(0, payload, headers, self.load_id(payload), secrets.token_urlsafe(16), time.monotonic(),
                          raw=self.raw(payload))
        with self.lock:
            record.number = len(self.accepted)
            self.accepted.append(record)
            self.lock.notify_all()
        if fault.reset_after:
            return self._reset(request)
        if fault.hang:
            return self._hang(request)
        status, extra, answer = self.success(record)
        self._answer(request, fault, fault.status or status, extra | fault.headers,
                     answer if fault.body is None else fault.body)
        with self.lock:
            record.answered_at = time.monotonic()
            self.lock.notify_all()
        return None

    def _tell(self, request, told):
        fault = self._fault(None, is_check=True)
        if fault.hang:
            return self._hang(request)
        if fault.reset_after:
            return self._reset(request)
        body = told.body
        if fault.status and not 200 <= fault.status < 300:
            body = self.error_body(fault.status, "told to fail")
        return self._answer(request, fault, fault.status or told.status, told.headers | fault.headers,
                            body if fault.body is None else fault.body)

    def _hang(self, request):
        self.closing.wait(120)
        request.close_connection = True

    @staticmethod
    def _reset(request):
        # Linger 0: the kernel sends RST, as a crashed machine's neighbour sees it.
        request.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        request.close_connection = True
        request.connection.close()

    def _answer(self, request, fault, status, headers, body):
        wait = fault.latency or self.latency
        if wait:
            self.closing.wait(wait)
        head = f"HTTP/1.1 {status} Said\r\nContent-Length: {len(body)}\r\n"
        headers = {"Content-Type": "application/json"} | self.answer_headers | headers
        head += "".join(f"{k}: {v}\r\n" for k, v in headers.items())
        data = (head + "\r\n").encode() + body
        if fault.slow:
            step = max(1, len(data) // 20)
            for i in range(0, len(data), step):
                request.connection.sendall(data[i:i + step])
                self.closing.wait(fault.slow / 20)
        else:
            request.connection.sendall(data)
