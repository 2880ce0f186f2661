#!/usr/bin/env bash
# Runs public test suites for MQTT brokers, unmodified, against iogate and against Mosquitto: Mosquitto's own
# (Debian's source package), paho-mqtt's for version 5 and gmqtt's (PyPI), and that of paho.mqtt.c (in the crate
# paho-mqtt-sys). Nothing of them is kept in this project.
# Takes about fifteen minutes, most of which the suites sleep; docs/mqtt-conformance.md says what came of it.
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
    # The certificates of its tests have expired; the suite's own script makes new ones.
    (cd mosquitto/test/ssl && bash gen.sh) >ssl.log 2>&1
fi
if [ ! -d venv ]; then
    python3 -m venv venv
    venv/bin/pip install --quiet pytest pytest-asyncio paho-mqtt==2.1.0 gmqtt==0.8.0
    venv/bin/pip download --quiet --no-deps --no-binary :all: paho-mqtt==2.1.0 gmqtt==0.8.0
    tar xf paho_mqtt-2.1.0.tar.gz
    tar xf gmqtt-0.8.0.tar.gz
fi
if [ ! -d paho.mqtt.c ]; then
    mkdir -p crate
    printf '[package]\nname = "suite"\nversion = "0.0.0"\nedition = "2021"\n[lib]\npath = "lib.rs"\n[dependencies]\npaho-mqtt-sys = "=0.11.0"\n[workspace]\n' >crate/Cargo.toml
    touch crate/lib.rs
    cargo vendor --quiet --manifest-path crate/Cargo.toml crate/vendor >/dev/null
    mv crate/vendor/paho-mqtt-sys/paho.mqtt.c paho.mqtt.c
    mkdir -p paho.mqtt.c/build/output/test
    sync='test1 test15 test2 test10 test_sync_session_present test_connect_destroy'
    async='test4 test45 test6 test8 test11'
    # shellcheck disable=SC2046
    make -C paho.mqtt.c TEST_FILES_C="$sync" TEST_FILES_A="$async" $(printf 'build/output/test/%s ' $sync $async) >make.log 2>&1
fi
for broker in iogate mosquitto; do
    IOGATE="$root/target/debug/iogate" venv/bin/python "$root/tests/suites/run.py" "$folder" "$broker"
done
