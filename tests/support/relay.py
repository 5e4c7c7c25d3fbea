# SPDX-License-Identifier: Apache-2.0
"""A TCP relay in front of a server: it can be slow, swallow what comes, or cut every connection."""
import socket
import threading
import time


class Relay:
    def __init__(self, port):
        self.target = port
        self.delay = 0.0                # seconds, of each piece in each direction
        self.is_deaf = False            # what comes goes nowhere, and no end is told
        self._lock = threading.Lock()
        self._open = set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                near.close()
                continue
            with self._lock:
                self._open |= {near, far}
            for pair in ((near, far), (far, near)):
                threading.Thread(target=self._carry, args=pair, daemon=True).start()

    def _carry(self, source, target):
        try:
            while data := source.recv(65536):
                if self.delay:
                    time.sleep(self.delay)
                if not self.is_deaf:
                    target.sendall(data)
        except OSError:
            pass
        if not self.is_deaf:
            self._end({source, target})

    def _end(self, sockets):
        for one in sockets:
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            one.close()
        with self._lock:
            self._open -= sockets

    def cut(self):
        with self._lock:
            found = set(self._open)
        self._end(found)

    def close(self):
        self._listener.close()
        self.cut()
