#!/usr/bin/env python3
"""Writes the recipe's list of crates, with checksums, from Cargo.lock.

usage: python3 yocto/update-crates.py            write the list
       python3 yocto/update-crates.py --check    exit with 1 where the list is out of step

The same as `bitbake -c update_crates iogate`, without bitbake. Needs Python 3.11, or the package tomli.
"""

import sys
from pathlib import Path

try:
    import tomllib
except ModuleNotFoundError:  # before Python 3.11
    import tomli as tomllib

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "Cargo.lock"
LIST = ROOT / "yocto/meta-iogate/recipes-connectivity/iogate/iogate-crates.inc"
REGISTRY = "registry+https://github.com/rust-lang/crates.io-index"


def crates(lock: str) -> list[tuple[str, str, str]]:
    """Name, version and SHA-256 of every package that does not come from this repository."""
    found = []
    for package in tomllib.loads(lock)["package"]:
        if "source" not in package:
            continue
        name, version = package["name"], package["version"]
        if package["source"] != REGISTRY:
            sys.exit(f"{name} {version} is from {package['source']}: the recipe fetches from crates.io only")
        found.append((name, version, package["checksum"]))
    return found


def render(packages: list[tuple[str, str, str]]) -> str:
    lines = ["# Written by yocto/update-crates.py from Cargo.lock.", "", 'SRC_URI += "\\']
    lines += [f"    crate://crates.io/{name}/{version} \\" for name, version, _ in packages]
    lines += ['"', ""]
    lines += [f'SRC_URI[{name}-{version}.sha256sum] = "{checksum}"' for name, version, checksum in packages]
    return "\n".join(lines) + "\n"


def main() -> None:
    wanted = render(crates(LOCK.read_text()))
    if sys.argv[1:] == ["--check"]:
        if not LIST.exists() or LIST.read_text() != wanted:
            sys.exit(f"{LIST.relative_to(ROOT)} is out of step with Cargo.lock: run python3 yocto/update-crates.py")
    elif not sys.argv[1:]:
        LIST.write_text(wanted)
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
