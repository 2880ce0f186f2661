//! `iogate import`: configurations of other programs, written as iogate's.
//!
//! Nothing is written before everything has been made, and nothing that exists is overwritten unless asked for.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde_json::json;

use super::{Exit, complain, print};
use crate::config;
use crate::import::{self, Files, Imported, Target};

/// Largest file that is read, in bytes.
const MAX_FILE: u64 = 16 << 20;

/// What `import` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    from: From,
}

#[derive(Debug, Subcommand)]
enum From {
    /// Mosquitto: listeners, certificates, users, access lists, limits and bridges.
    #[command(
        after_help = "Example:\n  iogate import mosquitto /etc/mosquitto/mosquitto.conf -o /etc/iogate/moved.yaml"
    )]
    Mosquitto(Mosquitto),
}

#[derive(Debug, clap::Args)]
struct Mosquitto {
    /// Its configuration.
    #[arg(value_name = "FILE", default_value = "/etc/mosquitto/mosquitto.conf")]
    file: PathBuf,
    /// The configuration to write, or a folder for it; users, rules and secrets go beside it.
    #[arg(short, long, value_name = "PATH", default_value = "iogate.yaml")]
    output: PathBuf,
    /// The root of every topic that devices of this gateway will have.
    #[arg(long, default_value = "gateway")]
    site: String,
    /// Overwrite files that exist.
    #[arg(long)]
    force: bool,
    /// Print the report as JSON on standard output instead of as text on standard error.
    #[arg(long)]
    json: bool,
}

/// Makes, writes, checks and reports.
pub(super) fn run(arguments: &Arguments) -> Exit {
    let From::Mosquitto(wanted) = &arguments.from;
    match mosquitto(wanted) {
        Ok(exit) => exit,
        Err(problem) => {
            complain(&problem);
            Exit::Failed
        }
    }
}

fn mosquitto(wanted: &Mosquitto) -> Result<Exit, String> {
    let path = output(&wanted.output)?;
    let folder = path.parent().unwrap_or(Path::new("/")).to_owned();
    let target = Target { folder, site: wanted.site.clone() };
    let imported = import::mosquitto(&absolute(&wanted.file)?, &Disk, &target)?;
    let written = write(&path, &target, &imported, wanted.force)?;
    let problems = config::load(&path).err().map(|report| report.to_string());
    if wanted.json {
        let told = json!({"written": written, "report": imported.report, "check": problems});
        print(&format!("{told:#}\n"));
    } else {
        let files: Vec<String> = written.iter().map(|path| format!("  {path}\n")).collect();
        let text = format!("{}\nWritten:\n{}", imported.report, files.concat());
        let _ = std::io::stderr().write_all(text.as_bytes());
    }
    match problems {
        None => Ok(Exit::Ok),
        Some(problems) => {
            complain(&format!("`iogate check` complains of the result; mend this by hand:\n{problems}"));
            Ok(Exit::Config)
        }
    }
}

/// Where the configuration goes.
fn output(wanted: &Path) -> Result<PathBuf, String> {
    let path = absolute(wanted)?;
    let is_folder = path.is_dir() || wanted.as_os_str().as_encoded_bytes().ends_with(b"/");
    Ok(if is_folder { path.join("iogate.yaml") } else { path })
}

fn absolute(path: &Path) -> Result<PathBuf, String> {
    std::path::absolute(path).map_err(|error| format!("{}: {error}", path.display()))
}

/// Writes all files; returns their paths.
fn write(path: &Path, target: &Target, imported: &Imported, force: bool) -> Result<Vec<String>, String> {
    let mut all = vec![(path.to_owned(), imported.yaml.as_str(), 0o644)];
    for file in &imported.files {
        let mode = if file.secret { 0o600 } else { 0o644 };
        all.push((target.folder.join(&file.name), &file.text, mode));
    }
    if let Some((taken, ..)) = all.iter().find(|(path, ..)| !force && path.symlink_metadata().is_ok()) {
        return Err(format!(
            "{} exists; nothing was written. Use another --output, or --force",
            taken.display()
        ));
    }
    let failed =
        |path: &Path, error: std::io::Error| format!("{} cannot be written: {error}", path.display());
    fs::create_dir_all(&target.folder).map_err(|error| failed(&target.folder, error))?;
    for (path, text, mode) in &all {
        replace(path, text, *mode).map_err(|error| failed(path, error))?;
    }
    Ok(all.iter().map(|(path, ..)| path.display().to_string()).collect())
}

/// Writes a file under another name and renames it, so that it is never there in part or with too wide permissions.
fn replace(path: &Path, text: &str, mode: u32) -> std::io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let new = PathBuf::from(name);
    match fs::remove_file(&new) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut out = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&new)?;
    out.write_all(text.as_bytes())?;
    out.sync_all()?;
    fs::rename(&new, path)
}

/// The files of this machine.
struct Disk;

impl Files for Disk {
    fn read(&self, path: &Path) -> Result<String, String> {
        let file = fs::File::open(path).map_err(|error| error.to_string())?;
        let mut bytes = Vec::new();
        let read = file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
        if read as u64 > MAX_FILE {
            return Err("larger than 16 MiB".into());
        }
        String::from_utf8(bytes).map_err(|_| "not text in UTF-8".into())
    }

    fn list(&self, folder: &Path) -> Result<Vec<PathBuf>, String> {
        let entries = fs::read_dir(folder).map_err(|error| error.to_string())?;
        Ok(entries.flatten().map(|entry| entry.path()).collect())
    }
}
