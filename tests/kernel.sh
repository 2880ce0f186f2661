#!/usr/bin/env bash
# Makes the user-mode kernel that tests/power.rs cuts the power of: tests/.peers/linux-uml. Takes a copy that lies beside
# the checkout, or builds one of Debian's sources (as root; about twelve minutes on two cores).
#
# usage: bash tests/kernel.sh
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
kernel=$root/tests/.peers/linux-uml
mkdir -p "$root/tests/.peers"
if [ -x "$kernel" ]; then
    echo "$kernel is there"
    exit
fi
folder=$root
while [ "$folder" != / ]; do
    if [ -x "$folder/shared/hil/linux-uml" ]; then
        install -m 755 "$folder/shared/hil/linux-uml" "$kernel"
        echo "$kernel: copied"
        exit
    fi
    folder=$(dirname "$folder")
done

apt-get update -qq
package=$(apt-cache search --names-only '^linux-source-6\.[0-9]+$' | awk '{ print $1 }' | sort -V | tail -n 1)
apt-get install -y -qq --no-install-recommends "$package" build-essential bison flex bc libelf-dev xz-utils >/dev/null
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tar xf "/usr/src/$package.tar.xz" -C "$work" --strip-components=1
cd "$work"
make ARCH=um x86_64_defconfig >/dev/null
scripts/config --enable HOSTFS --enable EXT4_FS --enable BLK_DEV_UBD --enable TMPFS --enable DEVTMPFS --disable DEBUG_INFO
make ARCH=um olddefconfig >/dev/null
make ARCH=um -j"$(nproc)" linux >/dev/null
install -m 755 linux "$kernel"
echo "$kernel: built of $package"
