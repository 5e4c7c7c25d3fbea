# SPDX-License-Identifier: Apache-2.0
"""A provider behind HTTP/2 over TLS that ends its connections as servers do that are being replaced: with GOAWAY
(RFC 9113, 6.8). What a request must look like is SendGrid's.
"""
import secrets
import socket
import ssl
import sys
import threading
import time

# Debian's python3-h2 is plain Python; the python3 that comes first on the path may be another one.
sys.path.append("/usr/lib/python3/dist-packages")

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions

from tests.support.standin.sendgrid import SendGrid
from tests.support.standin.server import Accepted


class Http2(SendGrid):
    """`goodbyes`: what happens to the next requests, one each. "refuse": GOAWAY that does not count it in, and the end of
    the connection; "answer": it is answered, and GOAWAY; "silence": it is taken, GOAWAY, and the end without an answer.
    """

    def __init__(self, tls):
        super().__init__()
        self.goodbyes = []
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(*tls)
        self.context.set_alpn_protocols(["h2"])
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.url = f"https://localhost:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._listen, daemon=True).start()

    def close(self):
        super().close()
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()

    def _listen(self):
        while not self.closing.is_set():
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            with self.lock:
                self.connections += 1
            threading.Thread(target=self._connection, args=(client,), daemon=True).start()

    def _connection(self, client):
        try:
            with self.context.wrap_socket(client, server_side=True) as s:
                Conversation(self, s).run()
        except (OSError, h2.exceptions.ProtocolError):
            pass                # the other side may go at any moment

    def take(self, headers, body):
        """(status, headers, body) of the answer."""
        payload = self.check(headers[":method"], headers[":path"], headers, body)
        record = Accepted(0, payload, headers, self.load_id(payload), secrets.token_urlsafe(16), time.monotonic())
        with self.lock:
            record.number = len(self.accepted)
            self.accepted.append(record)
            self.lock.notify_all()
        return self.success(record)

    def goodbye(self):
        with self.lock:
            return self.goodbyes.pop(0) if self.goodbyes else None


class Conversation:
    def __init__(self, provider, s):
        self.provider, self.socket = provider, s
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        self.requests = {}      # stream: [headers, body]
        self.last = 0           # the last stream that was worked on

    def run(self):
        self.h2.initiate_connection()
        self.flush()
        while data := self.socket.recv(65536):
            for event in self.h2.receive_data(data):
                if not self.on_event(event):
                    self.flush()
                    return
            self.flush()

    def flush(self):
        self.socket.sendall(self.h2.data_to_send())

    def on_event(self, event):
        """False: the connection ends."""
        if isinstance(event, h2.events.RequestReceived):
            self.requests[event.stream_id] = [dict(event.headers), b""]
        elif isinstance(event, h2.events.DataReceived):
            self.requests[event.stream_id][1] += event.data
            self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            return self.serve(event.stream_id)
        return True

    def serve(self, stream):
        goodbye = self.provider.goodbye()
        if goodbye == "refuse":
            self.h2.close_connection(h2.errors.ErrorCodes.NO_ERROR, last_stream_id=self.last)
            return False
        self.last = stream
        headers, body = self.requests.pop(stream)
        status, more, answer = self.provider.take(headers, body)
        if goodbye != "silence":
            self.h2.send_headers(stream, [(":status", str(status)), *((k.lower(), v) for k, v in more.items())])
            self.h2.send_data(stream, answer, end_stream=True)
        if goodbye is not None:
            self.h2.close_connection(h2.errors.ErrorCodes.NO_ERROR, last_stream_id=stream)
        return goodbye is None
