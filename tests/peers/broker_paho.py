"""Drives a broker with paho-mqtt: python broker_paho.py HOST PORT 3.1|3.1.1|5 [websockets]

Every check waits for what it expects with a limit and fails with its own name; nothing sleeps.
"""

import queue
import socket
import sys

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

HOST, PORT, VERSION = sys.argv[1], int(sys.argv[2]), sys.argv[3]
TRANSPORT = sys.argv[4] if len(sys.argv) > 4 else "tcp"
PROTOCOL = {"3.1": mqtt.MQTTv31, "3.1.1": mqtt.MQTTv311, "5": mqtt.MQTTv5}[VERSION]
V5 = PROTOCOL == mqtt.MQTTv5
PATIENCE = 30


class Peer:
    """A client whose callbacks end in queues."""

    def __init__(self, name, keep=False, will=None):
        arguments = {} if V5 else {"clean_session": not keep}
        self.client = mqtt.Client(
            mqtt.CallbackAPIVersion.VERSION2, client_id=name, protocol=PROTOCOL, transport=TRANSPORT, **arguments
        )
        self.connected, self.ended, self.messages, self.acks = (queue.Queue() for _ in range(4))
        self.client.on_connect = lambda c, u, flags, code, props: self.connected.put((flags, code))
        self.client.on_disconnect = lambda c, u, flags, code, props: self.ended.put(code)
        self.client.on_message = lambda c, u, message: self.messages.put(message)
        self.client.on_subscribe = lambda c, u, mid, codes, props: self.acks.put(codes)
        self.client.on_unsubscribe = lambda c, u, mid, codes, props: self.acks.put(codes)
        # Reconnecting by itself would hide a connection that the broker ended.
        self.client._reconnect_on_failure = False
        if will:
            self.client.will_set(*will)
        options = {}
        if V5:
            options["clean_start"] = not keep
            if keep:
                options["properties"] = Properties(PacketTypes.CONNECT)
                options["properties"].SessionExpiryInterval = 600
        self.client.connect(HOST, PORT, keepalive=30, **options)
        self.client.loop_start()
        self.flags, code = self.connected.get(timeout=PATIENCE)
        assert not code.is_failure, code

    def subscribe(self, *args, **kwargs):
        self.client.subscribe(*args, **kwargs)
        codes = self.acks.get(timeout=PATIENCE)
        return [code.value for code in codes]

    def unsubscribe(self, topic):
        self.client.unsubscribe(topic)
        self.acks.get(timeout=PATIENCE)

    def publish(self, topic, payload, **kwargs):
        self.client.publish(topic, payload, **kwargs).wait_for_publish(PATIENCE)

    def get(self):
        return self.messages.get(timeout=PATIENCE)

    def nothing_left(self, own_topic):
        """What was published before this arrives before it."""
        self.subscribe(own_topic, 0)
        self.publish(own_topic, "last", qos=1)
        message = self.get()
        assert message.topic == own_topic, message.topic
        self.unsubscribe(own_topic)

    def stop(self):
        self.client.disconnect()
        self.ended.get(timeout=PATIENCE)
        self.client.loop_stop()


def every_qos():
    a, b = Peer("a"), Peer("b")
    for wanted in range(3):
        assert a.subscribe("qos/+", wanted) == [wanted]
        for sent in range(3):
            b.publish(f"qos/{sent}", f"{wanted}{sent}", qos=sent)
            message = a.get()
            assert (message.payload, message.qos) == (f"{wanted}{sent}".encode(), min(wanted, sent))
    a.nothing_left("own/a")
    a.stop(), b.stop()


def many_in_flight():
    a, b = Peer("a"), Peer("b")
    a.subscribe("many", 2)
    infos = [b.client.publish("many", str(n), qos=2) for n in range(500)]
    for info in infos:
        info.wait_for_publish(PATIENCE)
    assert [int(a.get().payload) for _ in range(500)] == list(range(500))
    a.stop(), b.stop()


def retained():
    a = Peer("a")
    a.publish("kept/1", "one", qos=1, retain=True)
    a.publish("kept/2", "two", qos=2, retain=True)
    a.publish("kept/2", "", qos=1, retain=True)
    b = Peer("b")
    b.subscribe("kept/#", 1)
    message = b.get()
    assert (message.topic, message.payload, message.retain) == ("kept/1", b"one", True)
    b.nothing_left("own/b")
    a.publish("kept/1", "", qos=1, retain=True)
    a.stop(), b.stop()


def session_kept():
    a = Peer("keeper", keep=True)
    assert not a.flags.session_present
    a.subscribe("away", 1)
    a.stop()
    b = Peer("b")
    for n in range(20):
        b.publish("away", str(n), qos=1)
    a = Peer("keeper", keep=True)
    assert VERSION == "3.1" or a.flags.session_present
    assert [int(a.get().payload) for _ in range(20)] == list(range(20))
    a.stop()
    Peer("keeper").stop()
    b.stop()


def exactly_once_across_a_cut():
    """Both directions: the socket is cut in the middle of the exchanges, and each message arrives once."""
    watcher = Peer("watcher")
    watcher.subscribe("cut/up", 2)
    a = Peer("cutter", keep=True)
    a.subscribe("cut/down", 2)
    infos = []
    for n in range(100):
        infos.append(a.client.publish("cut/up", str(n), qos=2))
        watcher.client.publish("cut/down", str(n), qos=2)
        if n in (30, 60, 90):
            wire = a.client.socket()
            getattr(wire, "_socket", wire).shutdown(socket.SHUT_RDWR)
            a.ended.get(timeout=PATIENCE)
            a.client.reconnect()
            a.client.loop_start()
            flags, code = a.connected.get(timeout=PATIENCE)
            assert not code.is_failure and (VERSION == "3.1" or flags.session_present), (flags, code)
    for info in infos:
        info.wait_for_publish(PATIENCE)
    assert [int(watcher.get().payload) for _ in range(100)] == list(range(100))
    assert [int(a.get().payload) for _ in range(100)] == list(range(100))
    a.nothing_left("own/cutter"), watcher.nothing_left("own/watcher")
    a.stop(), watcher.stop()
    Peer("cutter").stop()


def takeover_and_will():
    watcher = Peer("watcher")
    watcher.subscribe("will", 1)
    first = Peer("same", will=("will", "gone", 1, False))
    second = Peer("same")
    code = first.ended.get(timeout=PATIENCE)
    assert not V5 or code.value == 0x8E, code
    assert watcher.get().payload == b"gone"
    first.client.loop_stop()
    second.stop(), watcher.stop()


def options_and_properties():
    a, b = Peer("a"), Peer("b")
    assert a.subscribe("own", options=SubscribeOptions(qos=1, noLocal=True)) == [1]
    assert b.subscribe("own", 1) == [1]
    properties = Properties(PacketTypes.PUBLISH)
    properties.ContentType = "text/plain"
    properties.ResponseTopic = "answers"
    properties.CorrelationData = b"42"
    properties.UserProperty = [("k", "1"), ("k", "2")]
    properties.MessageExpiryInterval = 100
    a.publish("own", "x", qos=1, properties=properties)
    got = b.get().properties
    assert (got.ContentType, got.ResponseTopic, got.CorrelationData) == ("text/plain", "answers", b"42")
    assert got.UserProperty == [("k", "1"), ("k", "2")], got.UserProperty
    assert got.MessageExpiryInterval == 100
    a.nothing_left("own/a")
    identified = Properties(PacketTypes.SUBSCRIBE)
    identified.SubscriptionIdentifier = 300
    a.subscribe("named/#", 1, properties=identified)
    b.publish("named/x", "y", qos=1)
    assert a.get().properties.SubscriptionIdentifier == [300]
    alias = Properties(PacketTypes.PUBLISH)
    alias.TopicAlias = 5
    b.publish("named/alias", "1", qos=1, properties=alias)
    b.publish("", "2", qos=1, properties=alias)
    assert [a.get().topic for _ in range(2)] == ["named/alias"] * 2
    a.stop(), b.stop()


checks = [every_qos, many_in_flight, retained, session_kept, exactly_once_across_a_cut, takeover_and_will]
if V5:
    checks.append(options_and_properties)
for check in checks:
    check()
    print(f"{check.__name__}: ok", flush=True)
print("all passed")
