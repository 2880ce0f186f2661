//! `iogate profiles`: which device profiles there are, what one holds, whether one is right.

use std::fmt::Write as _;
use std::path::PathBuf;

use super::{Exit, complain, print};
use crate::config::{self, ProfileSummary, SYSTEM_PROFILES, Surroundings};

/// What `profiles` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List the profiles, with their models, kinds and grades.
    #[command(after_help = "Example:\n  iogate profiles list --kind meter eastron")]
    List {
        /// Only those whose name, vendor or models hold this text.
        text: Option<String>,
        /// Only those of this kind: climate, meter, inverter, remote-io, power, instrument, other.
        #[arg(long)]
        kind: Option<String>,
        #[command(flatten)]
        folders: Folders,
    },
    /// Show a profile: its source and notes, and every point.
    #[command(after_help = "Example:\n  iogate profiles show vaisala/hmt330")]
    Show {
        /// Its name.
        name: String,
        #[command(flatten)]
        folders: Folders,
    },
    /// Check profile files; without one, all profiles that are found.
    #[command(after_help = "Example:\n  iogate profiles check /etc/iogate/profiles/mine/sensor.yaml")]
    Check {
        /// The files.
        #[arg(value_name = "FILE")]
        files: Vec<PathBuf>,
        #[command(flatten)]
        folders: Folders,
    },
}

#[derive(Debug, clap::Args)]
struct Folders {
    /// A further folder with profiles, such as the one beside a configuration.
    #[arg(long, value_name = "FOLDER")]
    path: Vec<PathBuf>,
}

impl Folders {
    fn around(&self) -> Surroundings {
        let mut around = Surroundings::none();
        around.profile_dirs = self.path.iter().cloned().chain([SYSTEM_PROFILES.into()]).collect();
        around
    }
}

/// Does what was asked for.
pub(super) fn run(arguments: &Arguments) -> Exit {
    match &arguments.command {
        Command::List { text, kind, folders } => list(text.as_deref(), kind.as_deref(), &folders.around()),
        Command::Show { name, folders } => show(name, &folders.around()),
        Command::Check { files, folders } if files.is_empty() => check_all(&folders.around()),
        Command::Check { files, .. } => check_files(files),
    }
}

fn list(text: Option<&str>, kind: Option<&str>, around: &Surroundings) -> Exit {
    let mut profiles = Vec::new();
    let mut exit = Exit::Ok;
    for name in config::profile_names(around) {
        match config::profile_summary(&name, around) {
            Ok(profile) => profiles.push(profile),
            Err(report) => {
                complain(&report.to_string());
                exit = Exit::Config;
            }
        }
    }
    let wanted = text.map(str::to_lowercase);
    profiles.retain(|profile| {
        let whole =
            format!("{} {} {}", profile.name, profile.vendor, profile.models.join(" ")).to_lowercase();
        wanted.as_ref().is_none_or(|wanted| whole.contains(wanted))
            && kind.is_none_or(|kind| profile.kind == kind)
    });
    let width = profiles.iter().map(|profile| profile.name.len()).max().unwrap_or_default();
    let mut out = String::new();
    for profile in &profiles {
        let ProfileSummary { name, vendor, models, kind, grade, .. } = profile;
        let _ = writeln!(out, "{name:width$}  {kind:10}  {grade:12}  {vendor} {}", models.join(", "));
    }
    let _ = writeln!(out, "{} profiles", profiles.len());
    match print(&out) {
        Exit::Ok => exit,
        failed => failed,
    }
}

fn show(name: &str, around: &Surroundings) -> Exit {
    let profile = match config::profile_summary(name, around) {
        Ok(profile) => profile,
        Err(report) => {
            complain(&report.to_string());
            return Exit::Config;
        }
    };
    let mut out = format!("{}: {} {}\n", profile.name, profile.vendor, profile.models.join(", "));
    if let Some(korean) = &profile.label_ko {
        let _ = writeln!(out, "  {korean}");
    }
    let _ = writeln!(out, "  {} by {}, grade {}", profile.kind, profile.driver, profile.grade);
    let _ = writeln!(out, "  source: {}", profile.source);
    if let Some(notes) = &profile.notes {
        let _ = writeln!(out, "  notes: {notes}");
    }
    out.push_str("points:\n");
    let width = profile.points.iter().map(|point| point.name.chars().count()).max().unwrap_or_default();
    for point in &profile.points {
        let unit = point.unit.as_deref().map_or_else(String::new, |unit| format!(" [{unit}]"));
        let access = if point.access == "r" { String::new() } else { format!(" {}", point.access) };
        let class = if point.class == "measurement" { String::new() } else { format!(", {}", point.class) };
        let grade = point.grade.map_or_else(String::new, |grade| format!(", {grade}"));
        let off = if point.enabled { "" } else { ", off" };
        let label = [point.label.as_deref(), point.label_ko.as_deref()];
        let label: Vec<&str> = label.into_iter().flatten().collect();
        let label = if label.is_empty() { String::new() } else { format!("  {}", label.join(" / ")) };
        let _ =
            writeln!(out, "  {:width$}  {}{unit}{access}{off}{class}{grade}{label}", point.name, point.place);
    }
    print(&out)
}

fn check_all(around: &Surroundings) -> Exit {
    let names = config::profile_names(around);
    let checked = names.iter().map(|name| (name.clone(), config::check_profile(name, around).map(|_| ())));
    told(checked)
}

fn check_files(files: &[PathBuf]) -> Exit {
    let mut exit = Exit::Ok;
    let mut checked = Vec::new();
    for file in files {
        match config::profile_file(file) {
            Ok((around, name)) => {
                checked.push((file.display().to_string(), config::check_profile(&name, &around).map(|_| ())));
            }
            Err(problem) => {
                complain(&problem);
                exit = Exit::Config;
            }
        }
    }
    match told(checked) {
        Exit::Ok => exit,
        failed => failed,
    }
}

/// Says of each whether it is right.
fn told(checked: impl IntoIterator<Item = (String, Result<(), config::Report>)>) -> Exit {
    let (mut right, mut wrong) = (0, 0);
    for (_, result) in checked {
        match result {
            Ok(()) => right += 1,
            Err(report) => {
                wrong += 1;
                complain(&report.to_string());
            }
        }
    }
    if wrong > 0 {
        complain(&format!("{wrong} of {} profiles have mistakes", right + wrong));
        return Exit::Config;
    }
    print(&format!("{right} profiles are right\n"))
}
