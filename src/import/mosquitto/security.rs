//! Who may connect where: Mosquitto's answer per listener, and what of it one file of users and one of rules can say.
//!
//! Invariant: a listener whose users or rules are not the chosen ones is left out, so that nobody comes in where nobody
//! could before.

use std::path::PathBuf;

use super::Cx;
use super::lines::Directive;

/// What one scope says about who may connect.
#[derive(Debug, Default, Clone)]
pub(super) struct Security {
    anonymous: Option<bool>,
    pub(super) password: Option<Directive>,
    pub(super) acl: Option<Directive>,
}

/// The files that hold for the whole broker.
#[derive(Debug, Default)]
pub(super) struct Chosen {
    pub(super) password: Option<Directive>,
    pub(super) acl: Option<Directive>,
}

impl Security {
    /// Takes the directives about security out of `lines`, noting those that say nothing.
    pub(super) fn take(cx: &mut Cx<'_>, lines: &mut Vec<Directive>) -> Self {
        let mut security = Self::default();
        for line in std::mem::take(lines) {
            match line.name.as_str() {
                "allow_anonymous" => {
                    if let Some(anonymous) = line.switch(&mut cx.report) {
                        security.anonymous = Some(anonymous);
                        let what = if anonymous {
                            "where iogate lets clients in without a login, see the listeners"
                        } else {
                            "clients log in"
                        };
                        cx.report.carried(&line.about, what);
                    }
                }
                "password_file" | "acl_file" if line.value.is_empty() => {
                    cx.report.dropped(&line.about, "names no file");
                }
                "password_file" => replace(cx, &mut security.password, line),
                "acl_file" => replace(cx, &mut security.acl, line),
                _ => lines.push(line),
            }
        }
        security
    }

    /// Whether it says nothing.
    pub(super) fn is_silent(&self) -> bool {
        self.anonymous.is_none() && self.password.is_none() && self.acl.is_none()
    }

    /// Whether clients may stay nobody in particular. Mosquitto 2 allows it only where nothing is configured.
    pub(super) fn allows_anonymous(&self, unconfigured: bool) -> bool {
        self.anonymous.unwrap_or(unconfigured)
    }

    /// Why a listener with these settings cannot have the chosen files; `None`: it can.
    pub(super) fn misfit(&self, chosen: &Chosen, anonymous: bool) -> Option<&'static str> {
        let path = |named: &Option<Directive>| named.as_ref().and_then(Directive::path);
        let (password, acl): (Option<PathBuf>, Option<PathBuf>) = (path(&self.password), path(&self.acl));
        let stranger = password.is_none() && !anonymous && chosen.password.is_some();
        if stranger || (password.is_some() && password != path(&chosen.password)) {
            return Some(
                "it has other users than the rest, and iogate has one `password-file` for all listeners",
            );
        }
        if acl.is_some() && acl != path(&chosen.acl) {
            return Some(
                "it has another ACL file than the rest, and iogate has one `access-file` for all listeners",
            );
        }
        None
    }
}

impl Chosen {
    /// The first files that are named.
    pub(super) fn of(all: &[&Security]) -> Self {
        Self {
            password: all.iter().find_map(|security| security.password.clone()),
            acl: all.iter().find_map(|security| security.acl.clone()),
        }
    }
}

/// The last of several lines counts.
fn replace(cx: &mut Cx<'_>, place: &mut Option<Directive>, line: Directive) {
    if let Some(before) = place.replace(line) {
        cx.report.dropped(&before.about, "a later line says otherwise");
    }
}
