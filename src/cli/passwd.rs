//! `iogate passwd`: users of the embedded broker.
//!
//! The file is written beside itself and renamed, so a broker that reads it meanwhile sees the old or the new
//! one, and is readable for its owner only. A file that has a mistake in it is not touched. Passwords come
//! from the terminal, unseen, or from standard input; never from the command line, which others can read.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, IsTerminal, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};

use super::{Exit, complain, with_causes};
use crate::broker::auth::{SCRAM_MIN_ROUNDS, SCRAM_ROUNDS, check_file, check_name, hash, hash_scram};

/// The first line of a new file.
const HEADER: &str = "# Users of iogate's MQTT broker: iogate passwd FILE USER [--delete]\n";

/// Longest password in bytes.
const MAX_PASSWORD: usize = 1024;

/// What `passwd` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The password file; made if it does not exist.
    file: PathBuf,
    /// The user.
    user: String,
    /// Remove the user instead.
    #[arg(long)]
    delete: bool,
    /// Store the password so that the user can log in by SCRAM-SHA-256 as well as by the plain password.
    #[arg(long, conflicts_with = "delete")]
    scram: bool,
    /// Rounds of the hash for SCRAM. The client computes them at every login: fewer for a small device, with a long random password.
    #[arg(long, requires = "scram", value_name = "COUNT", default_value_t = SCRAM_ROUNDS,
        value_parser = clap::value_parser!(u32).range(i64::from(SCRAM_MIN_ROUNDS)..=2_000_000))]
    iterations: u32,
}

/// Sets or removes one user.
pub(super) fn run(arguments: &Arguments) -> Exit {
    match change(arguments) {
        Ok(()) => Exit::Ok,
        Err(problem) => {
            complain(&problem);
            Exit::Failed
        }
    }
}

fn change(arguments: &Arguments) -> Result<(), String> {
    let Arguments { file, user, delete, scram, iterations } = arguments;
    check_name(user).map_err(str::to_owned)?;
    let exists = file.try_exists().map_err(|error| format!("{}: {error}", file.display()))?;
    let before = match exists {
        true => {
            check_file(file).map_err(|error| with_causes(&error))?;
            fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?
        }
        false => HEADER.to_owned(),
    };
    let own = format!("{user}:");
    let known = before.lines().any(|line| line.starts_with(&own));
    if *delete && !known {
        return Err(format!("{} has no user `{user}`", file.display()));
    }
    let new = match delete {
        true => None,
        false => {
            let password = ask()?;
            let hashed = if *scram { hash_scram(&password, *iterations)? } else { hash(&password)? };
            Some(format!("{own}{hashed}"))
        }
    };
    let mut text = String::new();
    for line in before.lines().filter(|line| !line.starts_with(&own)).chain(new.as_deref()) {
        text.push_str(line);
        text.push('\n');
    }
    replace(file, &text).map_err(|error| format!("{} cannot be written: {error}", file.display()))
}

/// Writes a file anew, with the owner that it had.
fn replace(file: &Path, text: &str) -> io::Result<()> {
    let mut name = file.as_os_str().to_owned();
    name.push(".new");
    let new = PathBuf::from(name);
    // What an earlier attempt left behind may be anything, also a link to somewhere else.
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut out = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    if let Ok(before) = fs::metadata(file) {
        // Only root may give files away; for everybody else the file is theirs already.
        let _ = std::os::unix::fs::fchown(&out, Some(before.uid()), Some(before.gid()));
    }
    out.write_all(text.as_bytes())?;
    out.sync_all()?;
    fs::rename(&new, file)?;
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

/// The password, typed twice at a terminal or the first line of standard input.
fn ask() -> Result<Vec<u8>, String> {
    let password = match io::stdin().is_terminal() {
        true => {
            let first = type_unseen("Password: ")?;
            if first != type_unseen("Again: ")? {
                return Err("the two passwords differ".into());
            }
            first
        }
        false => line()?,
    };
    match password.len() {
        0 => Err("the password is empty".into()),
        1..=MAX_PASSWORD => Ok(password),
        _ => Err(format!("the password is longer than {MAX_PASSWORD} bytes")),
    }
}

fn type_unseen(prompt: &str) -> Result<Vec<u8>, String> {
    let stdin = io::stdin();
    let before = tcgetattr(&stdin).map_err(|error| format!("the terminal: {error}"))?;
    let mut unseen = before.clone();
    unseen.local_modes.remove(LocalModes::ECHO);
    let _ = write!(io::stderr(), "{prompt}");
    tcsetattr(&stdin, OptionalActions::Flush, &unseen).map_err(|error| format!("the terminal: {error}"))?;
    let typed = line();
    let restored = tcsetattr(&stdin, OptionalActions::Flush, &before);
    let _ = writeln!(io::stderr());
    restored.map_err(|error| format!("the terminal: {error}"))?;
    typed
}

fn line() -> Result<Vec<u8>, String> {
    let mut line = Vec::new();
    let limit = MAX_PASSWORD as u64 + 2;
    io::stdin()
        .lock()
        .take(limit)
        .read_until(b'\n', &mut line)
        .map_err(|error| format!("the password cannot be read: {error}"))?;
    while line.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r')) {
        line.pop();
    }
    Ok(line)
}
