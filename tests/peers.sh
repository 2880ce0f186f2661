#!/usr/bin/env bash
# Installs the programs that the tests use as independent peers: Debian packages by apt-get,
# Python packages into tests/.peers/venv, Node packages into tests/.peers/node. Idempotent, and done in a fraction of a second when
# everything is there. Needs Debian or Ubuntu and root (or sudo) only when a package is missing.
#
# usage: bash tests/peers.sh
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
peers="$root/tests/.peers"
requirements="$root/tests/peers/requirements.txt"
venv="$peers/venv"
python_minimum="3.10" # pymodbus 3.16

say() { printf 'peers: %s\n' "$*"; }
die() {
    printf 'peers: error: %s\n' "$*" >&2
    exit 1
}
have() { command -v "$1" >/dev/null 2>&1; }

# One line per peer: the Debian package, then the command that succeeds when it is installed.
# A probe instead of a look into dpkg's list: what was installed in another way counts too.
debian_peers() {
    cat <<'LIST'
mosquitto           have mosquitto || test -x /usr/sbin/mosquitto
mosquitto-clients   have mosquitto_sub && have mosquitto_pub
rabbitmq-server     test -x /usr/lib/rabbitmq/bin/rabbitmq-server
activemq            test -e /usr/share/activemq/lib/activemq-mqtt.jar
libmqtt-client-java test -e /usr/share/java/mqtt-client.jar
socat               have socat
mbpoll              have mbpoll
gcc                 have gcc
libc6-dev           test -e /usr/include/stdio.h
pkg-config          have pkg-config
libmodbus-dev       have pkg-config && pkg-config --exists libmodbus
chromium            have chromium || have chromium-browser || have google-chrome
systemd             have systemd-analyze
python3             have python3
nodejs              have node
npm                 have npm
openssl             have openssl
haproxy             have haproxy || test -x /usr/sbin/haproxy
snmpd               test -x /usr/sbin/snmpd
python3-venv        have python3 && python3 -c 'import ensurepip, venv'
LIST
}

missing_packages() {
    local package probe
    while read -r package probe; do
        eval "$probe" >/dev/null 2>&1 || printf '%s\n' "$package"
    done < <(debian_peers)
}

# Prints the prefix that makes a command run as root: nothing, or sudo.
as_root() {
    if [ "$(id -u)" = 0 ]; then
        return
    fi
    have sudo || die "not root and no sudo: install these packages by hand, then run again: $*"
    if [ -t 0 ]; then
        echo sudo
    else
        sudo -n true 2>/dev/null || die "sudo asks for a password and there is no terminal: install these packages by hand, then run again: $*"
        echo "sudo -n"
    fi
}

install_packages() {
    have apt-get || die "this is no Debian or Ubuntu: install the equivalents of these packages by hand, then run again: $*"
    local prefix apt masked=""
    prefix=$(as_root "$@")
    # Waits for another apt-get instead of failing beside it.
    apt="$prefix env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300"
    say "installing $*"
    # The package would start a broker on port 1883, which the tests do not want and the demo needs.
    if [[ " $* " == *" mosquitto "* ]] && [ -d /run/systemd/system ]; then
        $prefix systemctl mask mosquitto.service && masked=yes
    fi
    if ! $apt install -y --no-install-recommends "$@" >/dev/null 2>&1; then
        # Package lists are missing or old.
        $apt update || die "apt-get update failed"
        $apt install -y --no-install-recommends "$@" >/dev/null || die "apt-get could not install: $*"
    fi
    if [ -n "$masked" ]; then
        $prefix systemctl unmask mosquitto.service
        $prefix systemctl disable mosquitto.service 2>/dev/null
    fi
}

install_debian_peers() {
    local missing still
    mapfile -t missing < <(missing_packages)
    [ ${#missing[@]} -gt 0 ] || return 0
    install_packages "${missing[@]}"
    mapfile -t still < <(missing_packages)
    [ ${#still[@]} -eq 0 ] || die "still missing after the installation: ${still[*]}"
}

# The stamp names the interpreter and the pinned versions that the environment was made from.
venv_stamp() {
    python3 -c 'import sys; print(sys.version)'
    cat "$requirements"
}

install_python_peers() {
    python3 -c "import sys; sys.exit(sys.version_info < tuple(map(int, '$python_minimum'.split('.'))))" ||
        die "python3 is $(python3 --version 2>&1), the test peers need $python_minimum or newer"
    if [ -x "$venv/bin/python" ] && [ "$(venv_stamp)" = "$(cat "$peers/venv.stamp" 2>/dev/null)" ]; then
        return
    fi
    say "installing Python peers into ${venv#"$root"/}"
    rm -rf "$venv" "$peers/venv.stamp"
    python3 -m venv "$venv"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --requirement "$requirements" ||
        die "pip could not install $requirements"
    venv_stamp >"$peers/venv.stamp"
}

# The stamp is the list itself; Node's own version does not matter to packages without native code.
install_node_peers() {
    local list="$root/tests/peers/package.json" node="$peers/node"
    if cmp -s "$list" "$node/package.json" && [ -d "$node/node_modules" ]; then
        return
    fi
    say "installing Node peers into ${node#"$root"/}"
    rm -rf "$node"
    mkdir -p "$node.new"
    cp "$list" "$node.new/"
    (cd "$node.new" && npm install --silent --no-audit --no-fund --ignore-scripts --no-package-lock) ||
        die "npm could not install $list"
    mv "$node.new" "$node"
}

mkdir -p "$peers"
# Two runs at once would build the same environment twice.
if have flock; then
    exec 9>"$peers/lock"
    flock 9
fi
install_debian_peers
install_python_peers
install_node_peers
say "ready"
