//! Gives back the memory that only the start needed: its code, and what it has allocated and freed.
//!
//! A start runs through several megabytes of code once: reading the configuration, checking it, opening everything. The
//! kernel maps it in pieces of 64 KiB and counts it as the process's own for as long as memory is not scarce. Letting go
//! of it shows what the program needs to run; what is needed again is mapped again from the system's cache, without
//! reading a disk. What reading a large log has allocated and freed is kept by the C library for later, which may be
//! never. Invariant: of data only what is free is touched, and of code only what nothing has changed.

use std::io;
use std::ops::Range;
use std::time::Duration;

use rustix::mm::{Advice, madvise};

/// By then everything has done what it does first.
const SETTLED: Duration = Duration::from_millis(500);

/// Lets go of this program's code in a moment, when what was started has found its pace.
pub(super) fn settle() {
    tokio::spawn(async {
        tokio::time::sleep(SETTLED).await;
        match code().and_then(let_go) {
            Ok(bytes) => tracing::trace!(bytes, "the code of the start was let go"),
            Err(error) => tracing::debug!(%error, "the code of the start stays in memory"),
        }
        // It looks through the whole heap, which may take a while.
        tokio::task::spawn_blocking(trim);
    });
}

/// Where this program's code lies, as the kernel lists it (proc_pid_maps(5)).
fn code() -> io::Result<Range<usize>> {
    let inside = settle as fn() as usize;
    std::fs::read_to_string("/proc/self/maps")?
        .lines()
        .filter_map(executable)
        .find(|range| range.contains(&inside))
        .ok_or_else(|| {
            io::Error::new(io::ErrorKind::NotFound, "/proc/self/maps does not list this program's code")
        })
}

/// The range of a line, if it is code: mapped from a file, to be executed and not to be written.
fn executable(line: &str) -> Option<Range<usize>> {
    let mut words = line.split_ascii_whitespace();
    let (from, to) = words.next()?.split_once('-')?;
    let range = usize::from_str_radix(from, 16).ok()?..usize::from_str_radix(to, 16).ok()?;
    let (rights, inode) = (words.next()?, words.nth(2)?);
    (rights == "r-xp" && inode != "0" && !range.is_empty()).then_some(range)
}

/// Gives free memory of the heap back to the system.
fn trim() {
    // SAFETY: malloc_trim(3) can be called at any time by any thread; what is allocated stays as and where it is.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::malloc_trim(0);
    }
}

fn let_go(code: Range<usize>) -> io::Result<usize> {
    // SAFETY: the range is a private mapping of the program's file, never written (`r-x`), so every page of it can be
    // mapped from the file again with the same content at the next access, also while other threads run in it.
    unsafe { madvise(code.start as *mut _, code.len(), Advice::LinuxDontNeed) }?;
    Ok(code.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_code_of_a_file_is_chosen() {
        let code = "7f0000001000-7f0000003000 r-xp 00001000 fe:00 42   /usr/bin/iogate";
        assert_eq!(executable(code), Some(0x7f00_0000_1000..0x7f00_0000_3000));
        for other in [
            "7f0000001000-7f0000003000 r--p 00001000 fe:00 42   /usr/bin/iogate",
            "7f0000001000-7f0000003000 rwxp 00001000 fe:00 42   /usr/bin/iogate",
            "7ffd00000000-7ffd00002000 r-xp 00000000 00:00 0    [vdso]",
            "7f0000001000-7f0000001000 r-xp 00001000 fe:00 42   /usr/bin/iogate",
            "no line of that file",
            "",
        ] {
            assert_eq!(executable(other), None, "{other}");
        }
    }

    #[test]
    fn the_program_runs_on() {
        let code = code().unwrap();
        assert!(code.contains(&(let_go as fn(Range<usize>) -> io::Result<usize> as usize)));
        assert_eq!(let_go(code.clone()).unwrap(), code.len());
    }
}
