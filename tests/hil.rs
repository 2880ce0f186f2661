//! The buses of the machine against the kernel's own interfaces, in a user-mode Linux that runs as a process.
//!
//! `tests/kernel.sh` finds or builds that kernel; `IOGATE_HIL` names its folder. One boot runs every test of
//! `inside`, each of which plugs in its hardware; `docs/testing-hardware.md` says more. Without the kernel
//! nothing is run here, and `tests/run.sh` says so.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends at once")]

#[path = "hil/boot.rs"]
mod boot;
#[path = "hil/buses.rs"]
mod buses;
#[path = "hil/ear.rs"]
mod ear;
#[path = "hil/edge.rs"]
mod edge;
#[path = "hil/gpio.rs"]
mod gpio;
#[path = "hil/i2c.rs"]
mod i2c;
#[path = "hil/iio.rs"]
mod iio;
#[path = "hil/onewire.rs"]
mod onewire;
#[path = "hil/program.rs"]
mod program;
#[path = "hil/sim.rs"]
mod sim;
#[path = "hil/soak.rs"]
mod soak;
#[path = "hil/spi.rs"]
mod spi;
#[path = "hil/stage.rs"]
mod stage;
