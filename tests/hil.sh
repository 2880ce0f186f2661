#!/usr/bin/env bash
# Finds the user-mode kernel that the hardware tests run in, or builds it, and prints its folder.
#
# usage: bash tests/hil.sh          finds it, or builds it into tests/.hil (12 minutes on two cores)
#        bash tests/hil.sh --find   finds it only; exit code 1 where there is none
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"

find_kernel() {
    local folder="$here"
    for place in "${IOGATE_HIL:-}" "$here/.hil"; do
        if [ -n "$place" ] && [ -f "$place/linux-uml" ]; then
            echo "$place"
            return 0
        fi
    done
    while [ "$folder" != / ]; do
        folder="$(dirname "$folder")"
        if [ -f "$folder/shared/hil/linux-uml" ]; then
            echo "$folder/shared/hil"
            return 0
        fi
    done
    return 1
}

if find_kernel; then
    exit 0
fi
if [ "${1:-}" = --find ]; then
    exit 1
fi

# The simulated buses are modules of two files, which must lie in tests/hil/modules.
modules="$here/hil/modules"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
apt-get install -y -q bison flex bc libelf-dev linux-source-6.12 >&2
tar -xf /usr/src/linux-source-6.12.tar.xz -C "$work" --strip-components=1
cd "$work"
make -s ARCH=um x86_64_defconfig >&2
for option in MODULES EXPERT PCI UML_PCI_OVER_VIRTIO CONFIGFS_FS GPIOLIB GPIO_CDEV GPIO_SIM \
    I2C I2C_CHARDEV W1 W1_SLAVE_THERM IIO IIO_CONFIGFS IIO_SW_DEVICE IIO_SIMPLE_DUMMY HOSTFS \
    DEVTMPFS MAGIC_SYSRQ TMPFS; do
    scripts/config --enable "$option"
done
scripts/config --module I2C_STUB
make -s ARCH=um olddefconfig >&2
make -s ARCH=um -j"$(nproc)" linux modules_prepare >&2
mkdir -p "$work/sim"
cp "$modules"/*.c "$work/sim/"
printf 'obj-m := i2c_sim.o w1_sim.o\n' >"$work/sim/Makefile"
make -s ARCH=um M="$work/sim" modules >&2
mkdir -p "$here/.hil"
cp "$work/sim/"*.ko "$here/.hil/"
cp "$work/linux" "$here/.hil/linux-uml"
echo "$here/.hil"
