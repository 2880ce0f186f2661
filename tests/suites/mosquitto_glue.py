#!/usr/bin/env python3
"""Stands where Mosquitto's tests expect their broker: translates its arguments and configuration, becomes iogate.

A setting that iogate does not have goes into the file GLUE_NOTES: such a test says nothing about the protocol. What
concerns rules and TLS goes the way of those who move over: through `iogate import mosquitto`.
"""

import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile

# What Mosquitto has unless something else is said, as far as its tests rely on it.
SETTINGS = {"topic-alias-maximum": 10, "receive-maximum": 20, "max-inflight": 20, "max-topic-levels": 128}
SAME = {
    "max_keepalive": ("max-keep-alive", "s"),
    "max_packet_size": ("max-packet", "B"),
    "max_inflight_messages": ("max-inflight", ""),
    "max_queued_messages": ("max-queue-messages", ""),
    "maximum_qos": ("max-qos", ""),
}
# Settings that `iogate import mosquitto` carries over.
IMPORTED = ("acl_file", "cafile", "certfile", "keyfile", "crlfile", "require_certificate", "use_identity_as_username",
            "tls_version")
WITHOUT_EFFECT = ("log_type", "connection_messages", "per_listener_settings", "sys_interval", "persistence", "persistence_location")


def needs(what):
    with open(os.environ.get("GLUE_NOTES", os.devnull), "a") as notes:
        notes.write(what + "\n")
    sys.exit(3)


def translate(lines):
    """Returns the ports, whether clients need no login, the settings, and the file of a store that outlives the broker."""
    ports, anonymous, settings, store = [], None, dict(SETTINGS), []
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
        elif key == "persistence_file":
            store.append(os.path.abspath(value))
        elif key not in WITHOUT_EFFECT and line != "allow_zero_length_clientid true":
            needs(line)
    return ports, anonymous, settings, store


def imported(configuration, folder):
    """What the importer makes of a configuration, with the settings that Mosquitto has when none are named."""
    path = os.path.join(folder, "iogate.yaml")
    moved = subprocess.run([PROGRAM, "import", "mosquitto", configuration, "-o", path], capture_output=True, text=True)
    report = moved.stdout + moved.stderr
    if moved.returncode != 0:
        needs("an importer that takes it: " + report.strip().splitlines()[-1])
    left = re.search(r"^Not carried over:\n  (.*)", report, re.M)
    if left:
        needs(left[1].split(": ", 1)[-1])
    with open(path) as section:
        text = section.read()
    # OpenSSL completes the server's chain from `cafile`; here the certificate's file holds it.
    roots = re.search(r"^cafile\s+(.*)", pathlib.Path(configuration).read_text(), re.M)
    if roots:
        chain = os.path.join(folder, "chain.pem")
        cert = re.search(r"^(\s+cert: )(.*)", text, re.M)
        parts = [pathlib.Path(part).read_text() for part in (cert[2].strip("\"'"), roots[1].strip())]
        pathlib.Path(chain).write_text("".join(parts))
        text = text.replace(cert[0], cert[1] + chain, 1)
    text += "".join(f"  {key}: {value}\n" for key, value in SETTINGS.items() if f"\n  {key}:" not in text)
    with open(path, "w") as section:
        section.write(text)
    return path


def follow(command, configuration, folder):
    """Runs the broker, passes signals on, and takes the rules over anew at SIGHUP."""
    broker = subprocess.Popen(command)

    def reload(*_):
        anew = tempfile.mkdtemp()
        imported(configuration, anew)
        os.replace(os.path.join(anew, "access.yaml"), os.path.join(folder, "access.yaml"))
        broker.send_signal(signal.SIGHUP)

    signal.signal(signal.SIGTERM, lambda *_: broker.terminate())
    signal.signal(signal.SIGHUP, reload)
    sys.exit(broker.wait())


PROGRAM = os.environ["IOGATE"]
options = dict(zip(sys.argv[1:], sys.argv[2:]))
folder = tempfile.mkdtemp()
if "-c" in options:
    with open(options["-c"]) as configuration:
        lines = configuration.readlines()
    if any(line.partition(" ")[0] in IMPORTED for line in lines):
        follow([PROGRAM, "broker", "-c", imported(options["-c"], folder)], options["-c"], folder)
    ports, anonymous, settings, store = translate(lines)
else:
    ports, anonymous, settings, store = [options["-p"]], True, dict(SETTINGS), []
if len(ports) != 1:
    needs(f"{len(ports)} listeners")
if anonymous and "password-file" in settings:
    needs("clients without a login beside a password file")
if not anonymous:
    if "password-file" not in settings:
        settings["password-file"] = os.path.join(folder, "nobody")
        os.close(os.open(settings["password-file"], os.O_CREAT | os.O_WRONLY, 0o600))
    # Whoever logs in may do everything, as without an ACL file.
    settings["access-file"] = os.path.join(folder, "access.yaml")
    with open(settings["access-file"], "w") as access:
        access.write('everyone: { read: ["#", "$SYS/#"], write: ["#"] }\n')
path = os.path.join(folder, "iogate.yaml")
with open(path, "w") as section:
    section.write("broker:\n" + "".join(f"  {key}: {value}\n" for key, value in settings.items()))
command = [PROGRAM, "broker", "-p", ports[0], "-c", path]
if store:
    # A log is a folder; the file is what a test deletes to begin anew.
    if not os.path.exists(store[0]):
        shutil.rmtree(store[0] + ".log", ignore_errors=True)
    pathlib.Path(store[0]).touch()
    command += ["--data", store[0] + ".log"]
os.execv(PROGRAM, command)
