"""Logs in by SCRAM-SHA-256: python broker_scram.py HOST PORT USER PASSWORD

The proofs are scramp's, the properties paho's; only the framing is done here, since paho-mqtt knows no AUTH.
"""

import socket
import sys

from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from scramp import ScramClient

HOST, PORT, USER, PASSWORD = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
METHOD = "SCRAM-SHA-256"
CONNACK, AUTH, DISCONNECT = 0x20, 0xF0, 0xE0


def text(value):
    return len(value).to_bytes(2, "big") + value.encode()


class Peer:
    def __init__(self):
        self.socket = socket.create_connection((HOST, PORT), timeout=30)

    def send(self, first, body):
        assert len(body) < 16_384
        length = bytes([len(body)]) if len(body) < 128 else bytes([len(body) % 128 | 128, len(body) // 128])
        self.socket.sendall(bytes([first]) + length + body)

    def read(self, count):
        data = b""
        while len(data) < count:
            more = self.socket.recv(count - len(data))
            assert more, "the connection ended"
            data += more
        return data

    def packet(self):
        """First byte, reason code, and properties."""
        first, length, shift = self.read(1)[0], 0, 0
        while True:
            byte = self.read(1)[0]
            length |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                break
        body = self.read(length)
        at, kind = (1, PacketTypes.CONNACK) if first == CONNACK else (0, first >> 4)
        properties = Properties(kind)
        properties.unpack(body[at + 1 :])
        return first, body[at], properties

    def step(self, first, code, data):
        """Sends CONNECT or AUTH with a message of the method, and returns the answer's."""
        properties = Properties(PacketTypes.CONNECT if code is None else PacketTypes.AUTH)
        properties.AuthenticationMethod = METHOD
        properties.AuthenticationData = data.encode()
        if code is None:
            self.send(first, text("MQTT") + bytes([5, 2, 0, 60]) + properties.pack() + text("scram-peer"))
        else:
            self.send(first, bytes([code]) + properties.pack())
        return self.packet()

    def authenticate(self, password, first, code, success):
        """The whole exchange. Returns the code of the last packet."""
        client = ScramClient([METHOD], USER, password)
        kind, code, properties = self.step(first, code, client.get_client_first())
        assert (kind, code, properties.AuthenticationMethod) == (AUTH, 0x18, METHOD), (kind, code)
        client.set_server_first(properties.AuthenticationData.decode())
        kind, code, properties = self.step(AUTH, 0x18, client.get_client_final())
        if code == 0:
            assert (kind, properties.AuthenticationMethod) == (success, METHOD)
            # Proves that the server knows the password as well.
            client.set_server_final(properties.AuthenticationData.decode())
        return code


peer = Peer()
assert peer.authenticate(PASSWORD, 0x10, None, CONNACK) == 0
for _ in range(3):
    assert peer.authenticate(PASSWORD, AUTH, 0x19, AUTH) == 0
peer.send(0xC0, b"")
assert peer.read(2) == b"\xd0\x00"
code = peer.authenticate(PASSWORD + "x", AUTH, 0x19, AUTH)
assert code == 0x87, code
code = Peer().authenticate(PASSWORD + "x", 0x10, None, CONNACK)
assert code == 0x86, code
print("all passed")
