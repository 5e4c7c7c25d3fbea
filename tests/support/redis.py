# SPDX-License-Identifier: Apache-2.0
"""A private Redis that can be killed and started again; it keeps nothing."""
import socket
import subprocess

from tests.support.base import Scratch

PASSWORD = "redis-secret-0317"


class Redis:
    def __init__(self):
        self.scratch = Scratch("redis")
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        self.process = None
        self.start()

    @property
    def url(self):
        return f"redis://:{PASSWORD}@127.0.0.1:{self.port}/2"

    def start(self):
        self.process = subprocess.Popen(["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "",
                                         "--appendonly", "no", "--requirepass", PASSWORD, "--dir", str(self.scratch.path)],
                                        stdout=subprocess.PIPE, text=True)
        for line in self.process.stdout:
            if "Ready to accept connections" in line:
                return
        raise AssertionError("redis-server did not start")

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def flush(self):
        with socket.create_connection(("127.0.0.1", self.port)) as s:
            s.sendall(f"AUTH {PASSWORD}\r\nFLUSHALL\r\n".encode())
            answer = b""
            while answer.count(b"\r\n") < 2:
                answer += s.recv(100)
        if answer != b"+OK\r\n+OK\r\n":
            raise AssertionError(answer)

    def close(self):
        if self.process.poll() is None:
            self.kill()
        self.scratch.close()
