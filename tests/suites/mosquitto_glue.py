#!/usr/bin/env python3
"""Stands where Mosquitto's tests expect their broker: translates its arguments and configuration, becomes iogate.

A setting that iogate does not have goes into the file GLUE_NOTES: such a test says nothing about the protocol.
"""

import os
import sys
import tempfile

# What Mosquitto has unless something else is said, as far as its tests rely on it.
SETTINGS = {"topic-alias-maximum": 10, "receive-maximum": 20, "max-inflight": 20, "max-topic-levels": 128}
SAME = {
    "max_keepalive": ("max-keep-alive", "s"),
    "max_packet_size": ("max-packet", "B"),
    "max_inflight_messages": ("max-inflight", ""),
    "max_queued_messages": ("max-queue-messages", ""),
}
WITHOUT_EFFECT = ("log_type", "connection_messages", "per_listener_settings", "sys_interval")


def needs(what):
    with open(os.environ.get("GLUE_NOTES", os.devnull), "a") as notes:
        notes.write(what + "\n")
    sys.exit(3)


def translate(lines):
    """Returns the ports, whether clients need no login, and the settings."""
    ports, anonymous, settings = [], None, dict(SETTINGS)
    for line in filter(lambda line: line and not line.startswith("#"), map(str.strip, lines)):
        key, _, value = line.partition(" ")
        if key in ("port", "listener"):
            ports.append(value.split()[0])
            # With a listener of its own Mosquitto lets nobody in unless it is told to.
            anonymous = key == "port" if anonymous is None else anonymous
        elif key == "allow_anonymous":
            anonymous = value == "true"
        elif key == "password_file":
            settings["password-file"] = os.path.abspath(value)
        elif key in SAME:
            settings[SAME[key][0]] = value + SAME[key][1]
        elif key not in WITHOUT_EFFECT and line != "allow_zero_length_clientid true":
            needs(line)
    return ports, anonymous, settings


options = dict(zip(sys.argv[1:], sys.argv[2:]))
if "-c" in options:
    with open(options["-c"]) as configuration:
        ports, anonymous, settings = translate(configuration)
else:
    ports, anonymous, settings = [options["-p"]], True, dict(SETTINGS)
if len(ports) != 1:
    needs(f"{len(ports)} listeners")
folder = tempfile.mkdtemp()
if anonymous and "password-file" in settings:
    needs("clients without a login beside a password file")
if not anonymous and "password-file" not in settings:
    settings["password-file"] = os.path.join(folder, "nobody")
    os.close(os.open(settings["password-file"], os.O_CREAT | os.O_WRONLY, 0o600))
path = os.path.join(folder, "iogate.yaml")
with open(path, "w") as section:
    section.write("broker:\n" + "".join(f"  {key}: {value}\n" for key, value in settings.items()))
program = os.environ["IOGATE"]
os.execv(program, [program, "broker", "-p", ports[0], "-c", path])
