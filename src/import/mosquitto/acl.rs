//! Mosquitto's ACL file, made into an access file.
//!
//! `topic` lines before the first `user` are about clients without a user name, those behind it about that user, `pattern`
//! lines about everybody. Invariant: what is denied there is denied here.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::Cx;
use super::lines::{Directive, directives};
use crate::broker::auth::check_name;
use crate::broker::topic::check_filter;
use crate::import::NewFile;
use crate::import::report::Report;
use crate::import::yaml::Yaml;

/// Name of the file with the rules.
pub(super) const NAME: &str = "access.yaml";

/// What somebody may do.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Rules {
    read: Vec<String>,
    write: Vec<String>,
    deny: Vec<String>,
}

/// What everybody may do.
#[derive(Debug, Default)]
struct Access {
    users: BTreeMap<String, Rules>,
    everyone: Rules,
    anonymous: Rules,
}

/// To whom the next `topic` lines apply.
enum Whose {
    Anonymous,
    User(String),
    /// A user whose name cannot be used: its lines are left out.
    Nobody,
}

/// The access file of an ACL file; without one, all who may connect may do everything, as in Mosquitto.
pub(super) fn file(cx: &mut Cx<'_>, named: Option<&Directive>, anonymous: bool) -> NewFile {
    let access = match named {
        Some(named) => read(cx, named),
        None => {
            let all =
                Rules { read: vec!["#".into(), "$SYS/#".into()], write: vec!["#".into()], deny: vec![] };
            let nobody = if anonymous { all.clone() } else { Rules::default() };
            Access { everyone: all, anonymous: nobody, users: BTreeMap::new() }
        }
    };
    let text = format!(
        "# Who may do what over MQTT; what no rule permits is refused.\n{}",
        access.yaml().document(false)
    );
    NewFile { name: NAME.to_owned(), text, secret: false }
}

fn read(cx: &mut Cx<'_>, named: &Directive) -> Access {
    let path = named.path().unwrap_or_default();
    match cx.files.read(&path) {
        Ok(text) => {
            let goal = cx.target.folder.join(NAME);
            cx.report.carried(&named.about, format!("broker: access-file: {}", goal.display()));
            Access::parse(&directives(&path, &text), &mut cx.report)
        }
        Err(why) => {
            let what = format!("{}: {why}; nobody may do anything until rules are written", path.display());
            cx.report.dropped(&named.about, what);
            Access::default()
        }
    }
}

impl Access {
    fn parse(lines: &[Directive], report: &mut Report) -> Self {
        let mut access = Self::default();
        let mut whose = Whose::Anonymous;
        for line in lines {
            match line.name.as_str() {
                "user" => whose = access.user(line, report),
                "topic" => access.topic(line, &whose, report),
                "pattern" => access.pattern(line, report),
                _ => report.dropped(&line.about, "Mosquitto has no such line in an ACL file"),
            }
        }
        access
    }

    fn user(&mut self, line: &Directive, report: &mut Report) -> Whose {
        if let Err(why) = check_name(&line.value) {
            report.dropped(&line.about, format!("{why}; the lines of this user are left out"));
            return Whose::Nobody;
        }
        self.users.entry(line.value.clone()).or_default();
        report.carried(&line.about, "users: of the access file");
        Whose::User(line.value.clone())
    }

    fn topic(&mut self, line: &Directive, whose: &Whose, report: &mut Report) {
        let Some((access, filter)) = rule(line, report) else { return };
        if filter.contains("%c") || filter.contains("%u") {
            let what = "`%c` and `%u` mean themselves here in Mosquitto and the client's names in iogate; write the rule anew";
            return report.dropped(&line.about, what);
        }
        let (rules, place) = match whose {
            Whose::Anonymous => (&mut self.anonymous, "anonymous:"),
            Whose::User(user) => (self.users.entry(user.clone()).or_default(), "the user's"),
            Whose::Nobody => return report.dropped(&line.about, "its user is left out"),
        };
        rules.add(access, filter);
        report.carried(&line.about, format!("{place} rules of the access file"));
    }

    fn pattern(&mut self, line: &Directive, report: &mut Report) {
        let Some((access, filter)) = rule(line, report) else { return };
        self.everyone.add(access, filter);
        // A client without a user name has nothing to stand for `%u`.
        if !filter.contains("%u") {
            self.anonymous.add(access, filter);
        }
        if access == "deny" {
            let what = "everyone: rules of the access file; what a `topic` line permits a user wins over it in Mosquitto, and this denial wins in iogate";
            report.changed(&line.about, what);
        } else {
            report.carried(&line.about, "everyone: rules of the access file");
        }
    }

    fn yaml(&self) -> Yaml {
        let users = self.users.iter().map(|(name, rules)| (name.clone(), rules.yaml())).collect::<Vec<_>>();
        let mut sections = vec![];
        if !users.is_empty() {
            sections.push(("users".to_owned(), Yaml::Map(users)));
        }
        sections.push(("everyone".to_owned(), self.everyone.yaml()));
        sections.push(("anonymous".to_owned(), self.anonymous.yaml()));
        Yaml::Map(sections)
    }
}

impl Rules {
    fn add(&mut self, access: &str, filter: &str) {
        let lists: &mut [&mut Vec<String>] = match access {
            "read" => &mut [&mut self.read],
            "write" => &mut [&mut self.write],
            "deny" => &mut [&mut self.deny],
            _ => &mut [&mut self.read, &mut self.write],
        };
        for list in lists {
            if !list.iter().any(|known| known == filter) {
                list.push(filter.to_owned());
            }
        }
    }

    fn yaml(&self) -> Yaml {
        let lists = [("read", &self.read), ("write", &self.write), ("deny", &self.deny)];
        let filled = lists.into_iter().filter(|(_, list)| !list.is_empty());
        Yaml::Map(filled.map(|(name, list)| (name.to_owned(), Yaml::texts(list))).collect())
    }
}

/// What a line grants and for which filter; what is wrong is noted.
fn rule<'a>(line: &'a Directive, report: &mut Report) -> Option<(&'a str, &'a str)> {
    let (access, filter) = match line.value.split_once([' ', '\t']) {
        None => ("readwrite", line.value.as_str()),
        Some((access, filter)) => (access, filter.trim()),
    };
    let wrong: Option<Rc<str>> = match (access, check_filter(filter)) {
        ("read" | "write" | "readwrite" | "deny", Ok(())) if filter.starts_with("$share/") => {
            Some("name what the shared subscription selects, without `$share/<name>/`".into())
        }
        ("read" | "write" | "readwrite" | "deny", Ok(())) => None,
        ("read" | "write" | "readwrite" | "deny", Err(why)) => Some(why.into()),
        _ => Some("neither `read`, `write`, `readwrite` nor `deny` stands before the filter".into()),
    };
    match wrong {
        None => Some((access, filter)),
        Some(why) => {
            report.dropped(&line.about, &*why);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::import::Fate;

    fn made(text: &str) -> (String, Report) {
        let mut report = Report::default();
        let access = Access::parse(&directives(Path::new("/acl"), text), &mut report);
        (access.yaml().document(false), report)
    }

    #[test]
    fn the_shipped_example_is_carried_over() {
        let example =
            "topic read $SYS/#\nuser roger\ntopic foo/bar\npattern write $SYS/broker/connection/%c/state\n";
        let (yaml, report) = made(example);
        let expected = "users:\n  roger:\n    read: [\"foo/bar\"]\n    write: [\"foo/bar\"]\n\
             everyone:\n  write: [\"$SYS/broker/connection/%c/state\"]\n\
             anonymous:\n  read: [\"$SYS/#\"]\n  write: [\"$SYS/broker/connection/%c/state\"]\n";
        assert_eq!(yaml, expected);
        assert_eq!(report.count(Fate::Carried), 4);
    }

    #[test]
    fn what_means_something_else_or_nothing_is_told() {
        let text = "topic read a/%u\ntopic red b\nuser a/b\ntopic read c\nuser ann\ntopic deny s/#\ntopic d#\npattern deny x/%u\nfoo bar\n";
        let (yaml, report) = made(text);
        assert_eq!(
            yaml,
            "users:\n  ann:\n    deny: [\"s/#\"]\neveryone:\n  deny: [\"x/%u\"]\nanonymous: {}\n"
        );
        assert_eq!((report.count(Fate::Dropped), report.count(Fate::Changed), report.notes.len()), (6, 1, 9));
    }
}
