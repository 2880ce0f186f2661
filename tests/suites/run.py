"""Runs the suites that tests/suites.sh fetched against one broker: python run.py FOLDER iogate|mosquitto [mosquitto|paho|gmqtt]...

Prints a line for every test that did not pass, and the figures of each suite. Ends well whatever they are: the
figures are to be read. Only the start of the broker is adapted to it, and CONNACK and the like are compared by meaning.
"""

import collections
import concurrent.futures
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
FOLDER, KIND = pathlib.Path(sys.argv[1]).resolve(), sys.argv[2]
MOSQUITTO = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
# Tests of Mosquitto's suite at one time, and how long one may take in seconds.
AT_ONCE, PATIENCE = 6, 90


def free_port():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return unused.getsockname()[1]


def start(port):
    """A broker as the suites of clients want it: on this port, and with a keep-alive of a minute at most."""
    config = tempfile.NamedTemporaryFile("w", suffix=".conf", delete=False)
    if KIND == "iogate":
        # paho's and paho.mqtt.c's tests name topics that nobody may use; the others are open to every client.
        access = tempfile.NamedTemporaryFile("w", suffix=".yaml", delete=False)
        access.write('anonymous: { read: ["#", "$SYS/#"], write: ["#"], deny: [test/nosubscribe, test_qos_1_2_errors] }\n')
        access.close()
        config.write(f"broker: {{ max-keep-alive: 60s, receive-maximum: 20, access-file: {access.name} }}\n")
        command = [os.environ["IOGATE"], "broker", "-p", str(port), "-c", config.name]
    else:
        # The same for Mosquitto, which needs its rule for every client first.
        access = tempfile.NamedTemporaryFile("w", suffix=".acl", delete=False)
        access.write("topic readwrite #\ntopic read $SYS/#\ntopic deny test/nosubscribe\ntopic deny test_qos_1_2_errors\n")
        access.close()
        config.write(f"listener {port} 127.0.0.1\nallow_anonymous true\nmax_keepalive 60\nacl_file {access.name}\n")
        command = [MOSQUITTO, "-c", config.name]
    config.close()
    broker = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while broker.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return broker
        except OSError:
            time.sleep(0.02)
    raise SystemExit(f"{command} ended")


def pytest(name, folder, tests, environment):
    port = free_port()
    broker = start(port)
    try:
        command = [sys.executable, "-m", "pytest", "-q", "--tb=no", "-W", "ignore", "-p", "no:cacheprovider", *tests]
        environment = {**os.environ, "HOST": "127.0.0.1", "PORT": str(port), "SUITE_PORT": str(port), **environment}
        output = subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True).stdout
    finally:
        broker.terminate()
        broker.wait()
    for line in output.splitlines():
        if line.startswith(("FAILED", "ERROR")):
            print(f"{KIND}: {name}: {line}")
    print(f"{KIND}: {name}: {output.strip().splitlines()[-1]}", flush=True)


def one(name, ports, tree):
    """A test of Mosquitto's suite: its name, and `passed`, `failed`, or `needs` with the setting it wants."""
    notes = tree / f"notes-{name}"
    notes.unlink(missing_ok=True)
    environment = {**os.environ, "GLUE_NOTES": str(notes), "PYTHONPATH": str(HERE / "meaning")}
    command = [sys.executable, name, *map(str, ports)]
    try:
        ended = subprocess.run(command, cwd=tree / "test/broker", env=environment, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL, timeout=PATIENCE, start_new_session=True)
        passed = ended.returncode == 0
    except subprocess.TimeoutExpired:
        passed = False
    if passed:
        return name, "passed"
    return name, f"needs {notes.read_text().splitlines()[0]}" if notes.exists() else "failed"


def mosquittos():
    tree = FOLDER / f"mosquitto-{KIND}"
    shutil.rmtree(tree, ignore_errors=True)
    shutil.copytree(FOLDER / "mosquitto", tree)
    (tree / "src/mosquitto").symlink_to(MOSQUITTO if KIND == "mosquitto" else HERE / "mosquitto_glue.py")
    listed = re.findall(r"^    \((\d), '\./(.*?)'\)", (tree / "test/broker/test.py").read_text(), re.M)
    tests = [(int(count), name) for count, name in listed if (tree / "test/broker" / name).exists()]
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        ended = pool.map(lambda test: one(test[1], [free_port() for _ in range(test[0])], tree), tests)
        results = list(ended)
    for name, result in results:
        if result != "passed":
            print(f"{KIND}: Mosquitto's: {name} {result}")
    figures = collections.Counter(result.split(" ")[0] for _, result in results)
    print(f"{KIND}: Mosquitto's: {dict(figures)} of {len(results)}", flush=True)


SUITES = sys.argv[3:] or ["mosquitto", "paho", "gmqtt"]
if "mosquitto" in SUITES:
    mosquittos()
if "paho" in SUITES:
    pytest("paho's", FOLDER / "paho_mqtt-2.1.0", ["tests/test_mqttv5.py"], {"PYTHONPATH": str(HERE / "paho")})
if "gmqtt" in SUITES:
    pytest("gmqtt's", FOLDER / "gmqtt-0.8.0", ["tests/test_mqtt5.py"], {})
