#!/usr/bin/env bash
# The test command: installs the peers that the tests talk to, then runs every test.
#
# usage: bash tests/run.sh [arguments of the test runner]
#        bash tests/run.sh                 all tests and the documentation examples
#        bash tests/run.sh modbus          the tests whose name contains `modbus`
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

bash tests/peers.sh
# The tests on the kernel's own GPIO, I2C, 1-Wire and IIO need a kernel that runs as a process.
if IOGATE_HIL="$(bash tests/kernel.sh --find)" && [ "$(id -u)" = 0 ]; then
    export IOGATE_HIL
else
    unset IOGATE_HIL
    echo "not run: hardware interfaces (no user-mode kernel, see bash tests/kernel.sh, or not root)"
fi
# Debian keeps servers such as mosquitto in a folder that an ordinary user's PATH lacks.
export PATH="$PATH:/usr/sbin"

# The documentation examples first: the runner's own count is then the last line.
if [ $# -eq 0 ]; then
    cargo test --locked --doc
fi
if cargo nextest --version >/dev/null 2>&1; then
    cargo nextest run --locked "$@"
else
    cargo test --locked --lib --bins --tests "$@"
fi
