"""A plug in the manner of Tasmota on paho-mqtt: python mqtt_plug.py SOCKET

Reads one word per line: `says WORD`, `telemetry JSON`, `deaf`, `obstinate`, `obedient`, `dies`, and answers
each with one line. Its will says Offline; a plug that is deaf reports nothing, one that is obstinate stays as it
is.
"""

import os
import queue
import sys

import paho.mqtt.client as mqtt

PATIENCE = 60
ready, commands = queue.Queue(), queue.Queue()
mood = "obedient"
state = "OFF"


def publish(topic, payload, retain=False):
    client.publish(topic, payload, qos=1, retain=retain).wait_for_publish(PATIENCE)


def obey(_client, _userdata, message):
    global state
    commands.put(f"{message.topic} {message.payload.decode()} retain={int(message.retain)}")
    if mood == "obedient":
        state = message.payload.decode()
    if mood != "deaf":
        client.publish("stat/plug/POWER", state, qos=1)


client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="plug", transport="unix")
client.on_connect = lambda c, u, flags, code, props: c.subscribe("cmnd/plug/#", qos=1)
client.on_subscribe = lambda c, u, mid, codes, props: ready.put(codes)
client.on_message = obey
client.will_set("tele/plug/LWT", "Offline", qos=1, retain=True)
client.connect(sys.argv[1], keepalive=30)
client.loop_start()
ready.get(timeout=PATIENCE)
publish("tele/plug/LWT", "Online", retain=True)
print("ready", flush=True)
for line in sys.stdin:
    word, _, rest = line.strip().partition(" ")
    if word == "says":
        state = rest
        publish("stat/plug/POWER", state)
    elif word == "telemetry":
        publish("tele/plug/SENSOR", rest)
    elif word == "commanded":
        print(commands.get(timeout=PATIENCE), flush=True)
        continue
    elif word == "dies":
        # Without a DISCONNECT, so that the broker publishes the will.
        os._exit(0)
    else:
        mood = word
    print("done", flush=True)
