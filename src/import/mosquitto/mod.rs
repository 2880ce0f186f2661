//! `mosquitto.conf` of Mosquitto 1.6 to 2, made into a configuration of iogate.
//!
//! The way: lines → scopes (the broker, listeners, bridges) → keys, files and notes. Where versions differ, a setting is
//! read as version 2 does. Absent: Mosquitto's store of sessions and retained messages.

mod acl;
mod bridge;
mod broker;
mod lines;
mod listeners;
mod persistence;
mod scopes;
mod security;
mod topics;
mod users;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

use super::report::Report;
use super::yaml::Yaml;
use super::{Files, Imported, NewFile, Target};
use listeners::{Listener, Login};
use scopes::{Scopes, Section};
use security::{Chosen, Security};

/// What all parts of one import share.
struct Cx<'a> {
    files: &'a dyn Files,
    target: &'a Target,
    report: Report,
    /// Limits that listeners name and the broker has.
    limits: BTreeMap<&'static str, i64>,
}

/// A listener with who may connect there.
struct Door {
    listener: Listener,
    /// Clients may do without a login.
    anonymous: bool,
    /// There are users.
    password: bool,
}

impl Door {
    /// How clients log in here; `users`: somebody can, at some listener.
    fn login(&self, users: bool) -> Login {
        let (certified, local) = (self.listener.is_certified(), self.listener.is_local());
        match (self.anonymous, self.password) {
            // Mosquitto asks for no password then.
            _ if self.listener.names_users() => Login::Only("certificate"),
            // The certificate alone would do in iogate.
            (false, _) if certified => Login::Only("password"),
            (true, false) if users && certified => Login::Only("certificate"),
            // From the network nobody comes in without a login.
            (true, false) if users && local => Login::Only("anonymous"),
            (true, true) if users && local && !certified => Login::OrNot,
            _ => Login::Usual,
        }
    }
}

/// What differs though no line speaks of it.
const REMARKS: [&str; 5] = [
    "Packets are limited to 1 MiB (broker: max-packet) where Mosquitto takes 256 MiB, unless a line above says otherwise.",
    "Sessions of absent clients end after 7 days (broker: max-session-expiry) where Mosquitto keeps them for ever, unless a line above says otherwise.",
    "Up to 50,000 messages and 8 MiB wait for a client (broker: max-queue-messages, max-queue-bytes) where Mosquitto keeps 1,000 messages.",
    "What is retained, and sessions with what waits in them, do not move; clients subscribe and publish anew.",
    "Files that only their owner can read must belong to the user that iogate runs as: chown iogate: FILE.",
];

/// Reads `main` and what it names, and makes a configuration for `target` of it.
///
/// # Errors
/// The file itself cannot be read, in words. Whatever else is wrong stands in the report.
pub fn import(main: &Path, files: &dyn Files, target: &Target) -> Result<Imported, String> {
    let mut cx = Cx { files, target, report: Report::default(), limits: BTreeMap::new() };
    let lines = lines::read(main, files, &mut cx.report)?;
    let Scopes { mut global, listeners, bridges } = scopes::sort(lines);
    let general = Security::take(&mut cx, &mut global);
    let data = persistence::take(&mut cx, &mut global);
    let mut keys = broker::keys(&mut cx, &global);
    keys.extend(data);
    let mut made = Vec::new();
    let (doors, chosen, unconfigured) = doors(&mut cx, listeners, &general);
    let anonymous = doors.iter().any(|door| door.anonymous);
    let certified = doors.iter().any(|door| door.listener.is_certified());
    // Where nobody may stay nobody, there must be users, if only none.
    let users =
        chosen.password.is_some() || doors.iter().any(|door| !door.anonymous && !door.listener.names_users());
    let mut access = Vec::new();
    if users {
        made.push(users::file(&mut cx, chosen.password.as_ref()));
        access.push(named(&cx, "password-file", users::NAME));
    }
    if users || certified || chosen.acl.is_some() {
        made.push(acl::file(&mut cx, chosen.acl.as_ref(), anonymous));
        access.push(named(&cx, "access-file", acl::NAME));
    }
    let mut broker = places(&mut cx, doors, users, unconfigured);
    broker.append(&mut access);
    broker.append(&mut keys);
    broker.extend(cx.limits.iter().map(|(key, value)| ((*key).to_owned(), Yaml::plain(value))));
    let mut sections =
        vec![("site".to_owned(), Yaml::text(target.site.clone())), ("broker".to_owned(), Yaml::Map(broker))];
    let bridges = upstream(&mut cx, &bridges, &mut made);
    if !bridges.is_empty() {
        sections.push(("bridges".to_owned(), Yaml::Map(bridges)));
    }
    cx.report.remarks.extend(REMARKS.map(str::to_owned));
    let head = format!(
        "# Made from {} by `iogate import mosquitto`; its report says what differs.\n",
        main.display().to_string().escape_debug()
    );
    Ok(Imported { yaml: head + &Yaml::Map(sections).document(true), files: made, report: cx.report })
}

fn named(cx: &Cx<'_>, key: &str, file: &str) -> (String, Yaml) {
    (key.to_owned(), Yaml::text(cx.target.folder.join(file).display().to_string()))
}

/// The listeners that can be carried over, the files that hold for all of them, and whether Mosquitto would only serve this
/// machine because none is configured.
fn doors(cx: &mut Cx<'_>, sections: Vec<Section>, general: &Security) -> (Vec<Door>, Chosen, bool) {
    let mut read = Vec::new();
    for mut section in sections {
        let own = Security::take(cx, &mut section.lines);
        let silent = own.password.is_none() && own.acl.is_none();
        if let Some(listener) = Listener::read(cx, &section) {
            read.push((listener, own));
        } else if !silent {
            for line in own.password.iter().chain(&own.acl) {
                cx.report.dropped(&line.about, "belongs to the default listener, which nothing opens");
            }
        }
    }
    let unconfigured = read.is_empty();
    let all: Vec<&Security> = std::iter::once(general).chain(read.iter().map(|(_, own)| own)).collect();
    let chosen = Chosen::of(&all);
    if unconfigured {
        read.push((Listener::default(), Security::default()));
    }
    let mut doors = Vec::new();
    for (listener, own) in read {
        // Without `per_listener_settings` no listener has any of its own.
        let security = if general.is_silent() { &own } else { general };
        let anonymous = security.allows_anonymous(unconfigured);
        let misfit = security.misfit(&chosen, anonymous || listener.names_users());
        for line in own.password.iter().chain(&own.acl) {
            let taken = [&chosen.password, &chosen.acl].into_iter().flatten().any(|chosen| chosen == line);
            if !taken {
                cx.report.dropped(
                    &line.about,
                    "iogate has one file for all listeners, and takes the first that is named",
                );
            }
        }
        match (misfit, &listener.about) {
            _ if listener.broken.is_some() => {}
            (Some(why), Some(about)) => cx.report.dropped(about, format!("the listener is left out: {why}")),
            (Some(_), None) => {}
            (None, _) => doors.push(Door { listener, anonymous, password: security.password.is_some() }),
        }
    }
    if let [only] = &mut doors[..] {
        only.listener.hand_up(&mut cx.limits);
    }
    (doors, chosen, unconfigured)
}

/// `listen` and `listeners` of the broker.
fn places(cx: &mut Cx<'_>, doors: Vec<Door>, users: bool, unconfigured: bool) -> Vec<(String, Yaml)> {
    let mut plain: Option<SocketAddr> = None;
    let mut others: Vec<(String, Yaml)> = Vec::new();
    let mut taken: Vec<SocketAddr> = Vec::new();
    for mut door in doors {
        let exposed = door.anonymous && !door.listener.is_certified() && !door.listener.is_local();
        if exposed && !users {
            door.listener.retreat();
        }
        let login = door.login(users);
        let listener = door.listener;
        let about = listener.about.clone();
        let name = match listener.plain().filter(|_| plain.is_none() && login == Login::Usual) {
            Some(address) => {
                plain = Some(address);
                "broker: listen".to_owned()
            }
            None => {
                let name = unused(&others, listener.name());
                let told = format!("broker: listeners: {name}");
                others.push((name, listener.yaml(login)));
                told
            }
        };
        if let listeners::Place::Tcp(address) = &listener.place {
            taken.push(*address);
        }
        let Some(about) = about else { continue };
        match (exposed, users) {
            (false, _) => cx.report.carried(&about, name),
            (true, true) => cx.report.changed(&about, format!("{name}; from the network clients must log in there: iogate lets nobody in without it")),
            (true, false) => cx.report.changed(&about, format!("{name}, on 127.0.0.1 only: everybody who reached it could publish. Add users (iogate passwd), `password-file` and `access-file`, and set the address back")),
        }
    }
    let listen = plain.unwrap_or_else(|| spare(&taken));
    if plain.is_none() && !unconfigured {
        cx.report.remarks.push(format!("iogate always has a plain listener for this machine: broker: listen: {listen}; its clients log in like the others."));
    }
    let mut keys = vec![("listen".to_owned(), Yaml::text(listen.to_string()))];
    if !others.is_empty() {
        keys.push(("listeners".to_owned(), Yaml::Map(others)));
    }
    keys
}

/// A loopback address for the plain listener that nobody asked for.
fn spare(taken: &[SocketAddr]) -> SocketAddr {
    let usual = SocketAddr::from(([127, 0, 0, 1], 1883));
    let free = taken.iter().all(|address| address.port() != usual.port());
    if free { usual } else { SocketAddr::from(([127, 0, 0, 1], 0)) }
}

fn unused(known: &[(String, Yaml)], name: String) -> String {
    let is_free = |name: &str| known.iter().all(|(other, _)| other != name);
    let numbered = (2..).map(|n| format!("{name}-{n}"));
    std::iter::once(name.clone()).chain(numbered).find(|name| is_free(name)).unwrap_or(name)
}

fn upstream(cx: &mut Cx<'_>, sections: &[Section], made: &mut Vec<NewFile>) -> Vec<(String, Yaml)> {
    let mut bridges: Vec<(String, Yaml)> = Vec::new();
    for section in sections {
        let Some((name, yaml, file)) = bridge::made(cx, section) else { continue };
        if bridges.iter().any(|(known, _)| *known == name) {
            if let Some(head) = &section.head {
                cx.report.dropped(&head.about, "another bridge has this name; give it its own");
            }
            continue;
        }
        made.extend(file);
        bridges.push((name, yaml));
    }
    bridges
}
