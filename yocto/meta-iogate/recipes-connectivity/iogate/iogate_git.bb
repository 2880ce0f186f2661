# nooelint: oelint.var.mandatoryvar.HOMEPAGE,oelint.var.suggestedvar.BUGTRACKER,oelint.var.bbclassextend - no public page yet; a service of the target only
SUMMARY = "Field gateway from device buses to MQTT"
DESCRIPTION = "Polls devices over Modbus and other field buses, publishes every \
               reading under an MQTT topic through a broker of its own, watches \
               thresholds, drives outputs and shows all of it on a local web page."
SECTION = "net"
LICENSE = "Apache-2.0 | MIT"
LIC_FILES_CHKSUM = "\
    file://LICENSE-APACHE;md5=3b83ef96387f14655fc854ddc3c6bd57 \
    file://LICENSE-MIT;md5=369ebd1b842c485e2469b3b0de840636 \
"

# The crates, with their checksums: written by yocto/update-crates.py from Cargo.lock.
require ${BPN}-crates.inc

# The checkout that this layer stands in, at its last commit. A distribution that
# builds a fixed version sets IOGATE_GIT and SRCREV to its own mirror and commit.
IOGATE_CHECKOUT = "${@os.path.realpath(os.path.join(d.getVar('THISDIR'), '..', '..', '..', '..'))}"
IOGATE_GIT ?= "git://${IOGATE_CHECKOUT};protocol=file"
IOGATE_BRANCH ?= "main"

PV = "0.1.0+git"
SRC_URI += "${IOGATE_GIT};branch=${IOGATE_BRANCH}"
# nooelint: oelint.vars.autorev - the checkout itself is what decides the version here
SRCREV ?= "${AUTOREV}"

CVE_PRODUCT = "iogate"

inherit cargo cargo-update-recipe-crates systemd useradd

SYSTEMD_SERVICE:${PN} = "iogate.service"

USERADD_PACKAGES = "${PN}"
GROUPADD_PARAM:${PN} = "--system gpio; --system i2c; --system spi; --system iogate"
USERADD_PARAM:${PN} = "\
    --system \
    --no-create-home \
    --home-dir ${localstatedir}/lib/iogate \
    --shell ${base_sbindir}/nologin \
    --gid iogate \
    --groups dialout,gpio,i2c,spi \
    iogate \
"

# Packaging strips the program and keeps its symbols in the -dbg package.
export CARGO_PROFILE_RELEASE_STRIP = "none"

do_install:append() {
    install -D -m 0644 ${S}/systemd/iogate.service ${D}${systemd_system_unitdir}/iogate.service
    install -D -m 0644 ${S}/systemd/60-iogate.rules ${D}${nonarch_base_libdir}/udev/rules.d/60-iogate.rules

    # Keys and passwords live here: the gateway reads them, other users do not.
    install -d -m 0750 ${D}${sysconfdir}/iogate
    install -m 0640 ${S}/config/iogate.yaml ${S}/config/access.yaml ${D}${sysconfdir}/iogate/
    chown -R root:iogate ${D}${sysconfdir}/iogate

    install -d ${D}${datadir}/iogate/profiles
    cd ${S}/config/profiles
    find . -name '*.yaml' -exec install -D -m 0644 {} ${D}${datadir}/iogate/profiles/{} \;
}

FILES:${PN} += "${nonarch_base_libdir}/udev/rules.d"
CONFFILES:${PN} = "${sysconfdir}/iogate/iogate.yaml ${sysconfdir}/iogate/access.yaml"
