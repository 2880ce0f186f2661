#!/usr/bin/env bash
# Runs public test suites for MQTT brokers, unmodified, against iogate and against Mosquitto: Mosquitto's own
# (Debian's source package), paho-mqtt's for version 5 and gmqtt's (PyPI). Nothing of them is kept in this project.
# Takes about five minutes, most of which the suites sleep; docs/mqtt-conformance.md says what came of it.
#
# usage: bash tests/suites.sh [FOLDER]     FOLDER: where the suites go and stay; default: tests/.peers/suites
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
folder=${1:-$root/tests/.peers/suites}
bash "$root/tests/peers.sh"
cargo build --manifest-path "$root/Cargo.toml"
mkdir -p "$folder/lists/partial"
cd "$folder"

if [ ! -d mosquitto ]; then
    # A source list of its own: the machine's stay as they are.
    codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
    uri=$(apt-cache policy | grep -oE 'https?://[^ ]+/debian ' | head -n 1)
    echo "deb-src $uri $codename main" >sources.list
    options=(-qq -o "Dir::Etc::sourcelist=$folder/sources.list" -o Dir::Etc::sourceparts=- -o "Dir::State::lists=$folder/lists")
    apt-get "${options[@]}" update
    apt-get "${options[@]}" source --download-only mosquitto
    mkdir mosquitto
    tar xf mosquitto_*.orig.tar.gz --strip-components=1 -C mosquitto
fi
if [ ! -d venv ]; then
    python3 -m venv venv
    venv/bin/pip install --quiet pytest pytest-asyncio paho-mqtt==2.1.0 gmqtt==0.8.0
    venv/bin/pip download --quiet --no-deps --no-binary :all: paho-mqtt==2.1.0 gmqtt==0.8.0
    tar xf paho_mqtt-2.1.0.tar.gz
    tar xf gmqtt-0.8.0.tar.gz
fi
for broker in iogate mosquitto; do
    IOGATE="$root/target/debug/iogate" venv/bin/python "$root/tests/suites/run.py" "$folder" "$broker"
done
