//! Mosquitto's password file: what iogate reads is kept as it is.
//!
//! Invariant: no hash comes into the report.

use super::Cx;
use super::lines::Directive;
use crate::broker::auth::check_line;
use crate::import::NewFile;
use crate::import::report::Subject;

/// Name of the file with the users.
pub(super) const NAME: &str = "mqtt-users";

const HEADER: &str = "# Users of the MQTT broker. Change them by: iogate passwd FILE USER\n";

/// The users of a password file; without one, a file with no users.
pub(super) fn file(cx: &mut Cx<'_>, named: Option<&Directive>) -> NewFile {
    let mut text = HEADER.to_owned();
    if let Some(named) = named {
        read(cx, named, &mut text);
    }
    NewFile { name: NAME.to_owned(), text, secret: true }
}

fn read(cx: &mut Cx<'_>, named: &Directive, out: &mut String) {
    let path = named.path().unwrap_or_default();
    let text = match cx.files.read(&path) {
        Ok(text) => text,
        Err(why) => {
            let what = format!(
                "{}: {why}; nobody can log in until users are added by `iogate passwd`",
                path.display()
            );
            return cx.report.dropped(&named.about, what);
        }
    };
    let goal = cx.target.folder.join(NAME);
    cx.report.carried(&named.about, format!("broker: password-file: {}", goal.display()));
    let file: std::rc::Rc<str> = path.display().to_string().into();
    let mut known = std::collections::HashSet::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim_end();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let user: String = line.split(':').next().unwrap_or_default().chars().take(64).collect();
        let shown = format!("user {}", user.escape_debug());
        let about = Subject { file: std::rc::Rc::clone(&file), line: index + 1, shown };
        match check_line(line) {
            Ok(()) if known.insert(user) => {
                out.push_str(line);
                out.push('\n');
                cx.report.carried(&about, "with the password that it has");
            }
            Ok(()) => cx.report.dropped(&about, "the user stands in the file twice; the first line counts"),
            Err(why) => {
                let what = format!("{why} (the file is {})", goal.display());
                cx.report.dropped(&about, what);
            }
        }
    }
}
