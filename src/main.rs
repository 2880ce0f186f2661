//! The `iogate` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    iogate::cli::main()
}
