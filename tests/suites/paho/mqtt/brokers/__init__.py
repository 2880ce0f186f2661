"""The broker of paho's tests is running already, on the port that SUITE_PORT names."""

import os
import types


class _Socket:
    @staticmethod
    def getsockname():
        return "127.0.0.1", int(os.environ["SUITE_PORT"])


def run(config=None):
    """Nothing to start."""


_server = types.SimpleNamespace(socket=_Socket, shutdown=lambda: None)
listeners = types.SimpleNamespace(TCPListeners=types.SimpleNamespace(server=_server))
