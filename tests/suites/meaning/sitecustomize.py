"""Loaded by Python before a test of Mosquitto's suite: what a broker answers is compared by meaning.

The tests know Mosquitto's answers byte by byte. Other brokers may tell other limits in a CONNACK, say in words why
something failed, say goodbye before they close a connection, and choose between codes that mean the same.
"""

import importlib.abc
import importlib.util
import socket
import sys

# The server's limits, its keep-alive and the reason in words, with the sizes of what has a fixed one.
FREE = {0x11: 4, 0x13: 2, 0x1F: None, 0x21: 2, 0x22: 2, 0x24: 1, 0x25: 1, 0x27: 4, 0x28: 1, 0x29: 1, 0x2A: 1}
# A wrong password: bad user name or password, or not authorised. A broken packet: malformed, or a protocol error.
# A success: nobody subscribes, or (PUBCOMP) it was completed before.
EQUAL = {0x20: {5: 4, 0x87: 0x86}, 0xE0: {0x81: 0x82}, 0x40: {0x10: 0}, 0x50: {0x10: 0}, 0x70: {0x92: 0}}


def properties(section):
    """Those that another broker must send, too; sections are shorter than 128 bytes here."""
    at, found = 1, []
    while at < len(section):
        key, at = section[at], at + 1
        size = FREE.get(key)
        if size is None:
            size = 2 + int.from_bytes(section[at : at + 2], "big")
            if key == 0x26:
                size += 2 + int.from_bytes(section[at + size : at + size + 2], "big")
        if key not in FREE:
            found.append((key, section[at : at + size]))
        at += size
    return sorted(found)


def meaning(packet):
    kind, body = packet[0], packet[2:]
    code_at = {0x20: 1, 0xE0: 0}.get(kind, 2)
    code = body[code_at] if len(body) > code_at else 0
    code = EQUAL.get(kind, {}).get(code, code)
    return kind, body[:code_at], code, properties(body[code_at + 1 :])


def read(sock, count):
    got = b""
    receive = super(Connection, sock).recv if isinstance(sock, Connection) else sock.recv
    while len(got) < count and (more := receive(count - len(got))):
        got += more
    return got


def goodbye(packet):
    """Whether this tells that the connection ends, or does not begin."""
    at = {0x20: 3, 0xE0: 2}.get(packet[0])
    return at is not None and len(packet) > at and packet[at] > 0


class Connection(socket.socket):
    """For tests that read bytes themselves: a DISCONNECT that says why the connection ends counts as its end."""

    def recv(self, count, flags=0):
        got = super().recv(count, flags)
        return b"" if got[:1] == b"\xe0" else got


def patch(mosq_test):
    plain, connect = mosq_test.expect_packet, mosq_test.do_client_connect

    def do_client_connect(*arguments, **named):
        sock = connect(*arguments, **named)
        patience = sock.gettimeout()
        connection = Connection(fileno=sock.detach())
        connection.settimeout(patience)
        return connection

    mosq_test.do_client_connect = do_client_connect

    def expect_packet(sock, name, expected):
        compared = expected and (expected[0] & 0xF0 in (0x20, 0x40, 0x50, 0x60, 0x70, 0xE0)) and expected[1] < 128
        if expected and not compared:
            return plain(sock, name, expected)
        got = read(sock, 2)
        if len(got) == 2 and got[1] < 128:
            got += read(sock, got[1])
        if not expected and got and goodbye(got):
            got = read(sock, 1)
        if got and expected and meaning(got) == meaning(expected):
            return True
        if mosq_test.packet_matches(name, got, expected):
            return True
        raise mosq_test.TestError

    mosq_test.expect_packet = expect_packet


class Finder(importlib.abc.MetaPathFinder):
    """Patches the suite's own library once it is loaded."""

    def find_spec(self, name, path, target=None):
        if name != "mosq_test":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        load = spec.loader.exec_module

        def exec_module(module):
            load(module)
            patch(module)

        spec.loader.exec_module = exec_module
        return spec


sys.meta_path.insert(0, Finder())
