#!/usr/bin/env bash
# The user-mode kernel that tests/hil.rs has its buses in and tests/power.rs cuts the power of: finds it, or builds it of
# Debian's sources into tests/.hil, with the modules beside it, and prints its folder.
#
# usage: bash tests/kernel.sh                     finds it, or builds it (as root; 12 minutes on two cores)
#        bash tests/kernel.sh --find              finds it only; exit code 1 where there is none
#        bash tests/kernel.sh --configure FOLDER  unpacks and configures the sources in FOLDER and checks what came of it
#        bash tests/kernel.sh --build FOLDER      the same, and builds; FOLDER stays
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"

# What the tests need of the kernel itself: its own root and disks, buses, faults.
built_in=(MODULES EXPERT PCI UML_PCI_OVER_VIRTIO CONFIGFS_FS DEVTMPFS MAGIC_SYSRQ TMPFS HOSTFS NET INET UNIX
    BLK_DEV_UBD EXT4_FS BLK_DEV_DM DM_FLAKEY DM_LOG_WRITES SOFT_WATCHDOG CUSE HIGH_RES_TIMERS
    GPIOLIB GPIO_CDEV GPIO_SIM I2C I2C_CHARDEV SENSORS_LM75 SPI SPI_MASTER SPI_SPIDEV
    W1 W1_SLAVE_THERM IIO IIO_CONFIGFS IIO_SW_DEVICE IIO_SIMPLE_DUMMY)
# What those hang on, and what a test loads itself. Without memory-mapped I/O (by virtio) there is neither 1-Wire nor SPI.
parents=(VIRTIO_UML BLK_DEV_INITRD MD HWMON WATCHDOG FUSE_FS DEBUG_FS GPIO_SYSFS)
loadable=(I2C_STUB)

find_kernel() {
    local folder="$here" place
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

install_sources() {
    if [ -f /usr/src/linux-source-6.12.tar.xz ] && command -v bison flex bc >/dev/null && [ -e /usr/include/libelf.h ]; then
        return
    fi
    apt-get update -qq >&2
    apt-get install -y -qq --no-install-recommends build-essential bison flex bc libelf-dev xz-utils linux-source-6.12 >&2
}

# Every option that was asked for and did not come of it is named: a dependency that is not met drops it silently.
check_configuration() {
    local option state missing=()
    for option in "${built_in[@]}" "${loadable[@]}"; do
        state="$(scripts/config --state "$option")"
        case " ${loadable[*]} " in
            *" $option "*) [ "$state" = m ] || missing+=("$option=$state") ;;
            *) [ "$state" = y ] || missing+=("$option=$state") ;;
        esac
    done
    if [ ${#missing[@]} -gt 0 ]; then
        echo "the kernel's configuration lacks: ${missing[*]}" >&2
        return 1
    fi
    echo "configured: ${#built_in[@]} options built in, ${#loadable[@]} as modules" >&2
}

configure() {
    install_sources
    mkdir -p "$1"
    tar -xf /usr/src/linux-source-6.12.tar.xz -C "$1" --strip-components=1
    cd "$1"
    make -s ARCH=um x86_64_defconfig >&2
    local option
    for option in "${parents[@]}" "${built_in[@]}"; do
        scripts/config --enable "$option"
    done
    for option in "${loadable[@]}"; do
        scripts/config --module "$option"
    done
    scripts/config --disable DEBUG_INFO
    make -s ARCH=um olddefconfig >&2
    check_configuration
}

build() {
    configure "$1"
    make -s ARCH=um -j"$(nproc)" linux modules >&2
    mkdir -p "$here/.hil" "$1/sim"
    cp "$here"/hil/modules/*.c "$1/sim/"
    (cd "$1/sim" && printf 'obj-m := %s\n' "$(ls ./*.c | sed 's|^./||; s|\.c$|.o|' | xargs)" >Makefile)
    make -s ARCH=um M="$1/sim" modules >&2
    cp "$1"/sim/*.ko "$1"/drivers/i2c/i2c-stub.ko "$here/.hil/"
    install -m 755 "$1/linux" "$here/.hil/linux-uml"
    echo "$here/.hil"
}

case "${1:-}" in
    --configure) configure "${2:?a folder for the sources}" ;;
    --build) build "$(realpath -m "${2:?a folder for the sources}")" ;;
    --find) find_kernel ;;
    *)
        if ! find_kernel; then
            work="$(mktemp -d)"
            trap 'rm -rf "$work"' EXIT
            build "$work"
        fi
        ;;
esac
