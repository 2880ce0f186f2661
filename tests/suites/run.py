"""Runs the suites that tests/suites.sh fetched against one broker: python run.py FOLDER iogate|mosquitto [SUITE]...

SUITE: mosquitto, paho, gmqtt or paho-c; default: all of them.

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
        # The same for Mosquitto, whose `topic` is for clients without a user name only.
        access = tempfile.NamedTemporaryFile("w", suffix=".acl", delete=False)
        access.write("".join(f"pattern {rule}\n" for rule in (
            "readwrite #", "read $SYS/#", "deny test/nosubscribe", "deny test_qos_1_2_errors")))
        access.close()
        # As root Mosquitto becomes a user who may not read the file, unless it is told to stay.
        config.write(f"user root\nlistener {port} 127.0.0.1\nallow_anonymous true\nmax_keepalive 60\n")
        config.write(f"acl_file {access.name}\n")
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
    # As root Mosquitto becomes a user of its own, who must read keys and write its store here.
    subprocess.run(["chmod", "-R", "a+rwX", tree], check=True)
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


def paho_c():
    """The tests of paho.mqtt.c that its CMakeLists.txt starts, over TCP, one at a time; those of its reconnecting
    (test9, test95) and of TLS (test3, test5) apart."""
    tree, port, proxy_port = FOLDER / "paho.mqtt.c", free_port(), free_port()
    listed = re.findall(r"add_test\(\s*NAME\s+(\S+)\s+COMMAND\s+(.*?)\)", (tree / "test/CMakeLists.txt").read_text(), re.S)
    broker = start(port)
    proxy = subprocess.Popen([sys.executable, "mqttsas.py", "127.0.0.1", str(port), str(proxy_port)], cwd=tree / "test",
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    places = {"${MQTT_TEST_BROKER}": f"tcp://127.0.0.1:{port}", "${MQTT_TEST_PROXY}": f"tcp://127.0.0.1:{proxy_port}"}
    figures = collections.Counter()
    try:
        for name, words in listed:
            program, *arguments = [word.strip('"') for word in words.split()]
            binary = tree / "build/output/test" / program
            if "${MQTT_WS" in words or not binary.exists():
                continue
            command = [str(binary), *(places.get(word, word) for word in arguments)]
            with tempfile.TemporaryDirectory() as folder:
                try:
                    ended = subprocess.run(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                           env={**os.environ, "LD_LIBRARY_PATH": str(tree / "build/output")}, timeout=PATIENCE)
                    result = "passed" if ended.returncode == 0 else f"failed ({ended.returncode})"
                except subprocess.TimeoutExpired:
                    result = "failed (no end)"
            figures[result.split(" ")[0]] += 1
            if result != "passed":
                print(f"{KIND}: paho.mqtt.c's: {name} {result}", flush=True)
    finally:
        for process in (proxy, broker):
            process.terminate()
            process.wait()
    print(f"{KIND}: paho.mqtt.c's: {dict(figures)} of {sum(figures.values())}", flush=True)


SUITES = sys.argv[3:] or ["mosquitto", "paho", "gmqtt", "paho-c"]
if "mosquitto" in SUITES:
    mosquittos()
if "paho" in SUITES:
    pytest("paho's", FOLDER / "paho_mqtt-2.1.0", ["tests/test_mqttv5.py"], {"PYTHONPATH": str(HERE / "paho")})
if "gmqtt" in SUITES:
    pytest("gmqtt's", FOLDER / "gmqtt-0.8.0", ["tests/test_mqtt5.py"], {})
if "paho-c" in SUITES:
    paho_c()
