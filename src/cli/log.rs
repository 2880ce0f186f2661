//! `iogate log`: what is in a log directory.
//!
//! Reads only, and takes no lock: a log may be looked at while it is being written, as far as it had come
//! when the command began. Absent: repair; a log mends itself when it is opened.

use std::fmt::Write as _;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use data_encoding::BASE64;

use super::{Exit, complain, with_causes};
use crate::journal::{Disk, Entry, Gap, Segment, Survey, read_directory, survey};

/// Bytes of a payload that `dump` shows.
const SHOWN: usize = 48;

/// What `log` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// List the segments and snapshots, gaps between them, and files that are not as they should be.
    List(Directory),
    /// Read everything and say what is damaged; exit code 1 if anything is.
    Verify(Directory),
    /// Print the records, one per line: position, kind, length, and the beginning of the payload.
    Dump(Selection),
    /// Print the records as JSON, one per line, their payloads in Base64.
    Export(Selection),
}

#[derive(Debug, clap::Args)]
struct Directory {
    /// The directory of the log.
    dir: PathBuf,
}

#[derive(Debug, clap::Args)]
struct Selection {
    /// The directory of the log.
    dir: PathBuf,
    /// The first position.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// The last position.
    #[arg(long, default_value_t = u64::MAX)]
    to: u64,
    /// Only records of this kind.
    #[arg(long)]
    kind: Option<u8>,
}

impl Action {
    fn dir(&self) -> &PathBuf {
        match self {
            Self::List(directory) | Self::Verify(directory) => &directory.dir,
            Self::Dump(selection) | Self::Export(selection) => &selection.dir,
        }
    }
}

/// Looks into a log.
pub(super) fn run(arguments: &Arguments) -> Exit {
    let action = &arguments.action;
    let found = match survey(&Disk, action.dir()) {
        Ok(found) => found,
        Err(error) => {
            complain(&with_causes(&error));
            return Exit::Failed;
        }
    };
    if found.log.is_none() {
        complain(&format!("{}: there is no log in this directory", action.dir().display()));
        return Exit::Failed;
    }
    let mut out = BufWriter::new(io::stdout().lock());
    let done = match action {
        Action::List(_) => list(&found, &mut out).map(|()| true),
        Action::Verify(directory) => verify(directory, &found, &mut out),
        Action::Dump(selection) => records(selection, &found, &mut out, dump_line).map(|()| true),
        Action::Export(selection) => records(selection, &found, &mut out, export_line).map(|()| true),
    };
    match done.and_then(|sound| out.flush().map(|()| sound)) {
        Ok(true) => Exit::Ok,
        Ok(false) => Exit::Failed,
        // A reader that has gone away (`| head`) is no failure.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Ok,
        Err(error) => {
            complain(&format!("{}: {error}", action.dir().display()));
            Exit::Failed
        }
    }
}

fn list(found: &Survey, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "{:16}  {:>20} {:>20} {:>12}  state", "segment", "first", "last", "bytes")?;
    for segment in &found.segments {
        let state = match (segment.sealed, segment.closed) {
            (true, true) => "closed",
            (true, false) => "sealed",
            (false, _) => "open",
        };
        let last = if segment.end > segment.base { (segment.end - 1).to_string() } else { "-".into() };
        let Segment { number, base, bytes, .. } = segment;
        writeln!(out, "{number:016x}  {base:>20} {last:>20} {bytes:>12}  {state}")?;
    }
    for snapshot in &found.snapshots {
        writeln!(out, "snapshot before {:>20}: {} bytes", snapshot.position, snapshot.bytes)?;
    }
    found.gaps.iter().try_for_each(|gap| writeln!(out, "{}", gap_text(gap)))?;
    for segment in found.segments.iter().filter(|segment| segment.torn_bytes > 0) {
        writeln!(
            out,
            "{:016x}.log: {} bytes behind the last record are no record",
            segment.number, segment.torn_bytes
        )?;
    }
    let tell = |out: &mut dyn Write, file: &str, what: &str| writeln!(out, "{file}: {what}");
    found.findings.iter().try_for_each(|finding| tell(out, &finding.file, finding.what))?;
    found.stale.iter().try_for_each(|name| tell(out, name, "no longer needed; goes at the next start"))
}

fn gap_text(gap: &Gap) -> String {
    format!("gap: positions {} to {} are missing ({})", gap.from, gap.to - 1, gap.reason.text())
}

/// Whether all is sound.
fn verify(directory: &Directory, found: &Survey, out: &mut impl Write) -> io::Result<bool> {
    let (mut records, mut bytes, mut gaps) = (0u64, 0u64, 0u64);
    read_directory(&Disk, &directory.dir, found, |segment, entry| {
        match entry {
            Entry::Record { payload, .. } => {
                records += 1;
                bytes += payload.len() as u64;
            }
            Entry::Gap(gap) => {
                gaps += 1;
                writeln!(out, "{:016x}.log: {}", segment.number, gap_text(&gap))?;
            }
        }
        Ok(())
    })?;
    for finding in &found.findings {
        writeln!(out, "{}: {}", finding.file, finding.what)?;
    }
    writeln!(
        out,
        "{records} records, {bytes} bytes of payload, {} segments, {gaps} gaps",
        found.segments.len()
    )?;
    Ok(gaps == 0 && found.findings.is_empty())
}

fn records(
    selection: &Selection,
    found: &Survey,
    out: &mut impl Write,
    line: fn(u64, u8, &[u8]) -> String,
) -> io::Result<()> {
    read_directory(&Disk, &selection.dir, found, |_, entry| match entry {
        Entry::Record { position, kind, payload } => {
            let chosen = (selection.from..=selection.to).contains(&position)
                && selection.kind.is_none_or(|wanted| wanted == kind);
            if chosen { writeln!(out, "{}", line(position, kind, payload)) } else { Ok(()) }
        }
        Entry::Gap(gap) if gap.to > selection.from && gap.from <= selection.to => {
            // Not among the records, so that what reads those is not misled.
            complain(&gap_text(&gap));
            Ok(())
        }
        Entry::Gap(_) => Ok(()),
    })
}

fn dump_line(position: u64, kind: u8, payload: &[u8]) -> String {
    let mut text = format!("{position} kind {kind} {} bytes: ", payload.len());
    for &byte in &payload[..payload.len().min(SHOWN)] {
        let _ = match byte {
            b'\\' => write!(text, "\\\\"),
            b' '..=b'~' => write!(text, "{}", char::from(byte)),
            _ => write!(text, "\\x{byte:02x}"),
        };
    }
    if payload.len() > SHOWN {
        text.push_str(" ...");
    }
    text
}

fn export_line(position: u64, kind: u8, payload: &[u8]) -> String {
    format!(r#"{{"position":{position},"kind":{kind},"payload":"{}"}}"#, BASE64.encode(payload))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_show_what_is_there_and_nothing_that_a_terminal_obeys() {
        assert_eq!(dump_line(5, 1, b"a\x1b\\b"), r"5 kind 1 4 bytes: a\x1b\\b");
        assert!(dump_line(5, 1, &[b'x'; 100]).ends_with("x ..."));
        assert_eq!(export_line(5, 1, b"hi"), r#"{"position":5,"kind":1,"payload":"aGk="}"#);
    }
}
