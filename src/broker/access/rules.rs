//! The rules of all clients, and what follows from them for one.
//!
//! Absent: the file's form (`file`). Invariant: a client identifier or user name never widens a pattern. Where it
//! holds `/`, `+` or `#`, is empty, or would begin a topic with `$`, a pattern that permits something selects nothing, and one
//! that denies something denies every name at that level.

use std::sync::{Arc, Mutex};

use super::permissions::Permissions;
use crate::broker::sync::lock;
use crate::broker::topic::check_filter;
use crate::broker::trie::FastMap;

/// Results remembered for users whose rules do not depend on the client identifier.
const MAX_KNOWN: usize = 10_000;

/// Topic filters that permit or deny something; a level may hold `%c` (client identifier) and `%u` (user name).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Grants {
    /// Roles by name; unknown ones grant nothing.
    pub(super) roles: Vec<Box<str>>,
    pub(super) read: Vec<Box<str>>,
    pub(super) write: Vec<Box<str>>,
    pub(super) subscribe: Vec<Box<str>>,
    pub(super) deny: Vec<Box<str>>,
}

/// What a login brings with it besides the user's name, such as the claims of a token. It adds to what the access
/// file grants the user and everyone who logs in; what the file denies stays denied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::broker) struct Claims(Grants);

/// The rules of all clients.
#[derive(Debug, Default)]
pub(super) struct Rules {
    pub(super) roles: FastMap<Box<str>, Grants>,
    pub(super) users: FastMap<Box<str>, Grants>,
    /// Every client that logged in.
    pub(super) everyone: Grants,
    /// Every client that did not.
    pub(super) anonymous: Grants,
    known: Mutex<FastMap<Option<Box<str>>, Arc<Permissions>>>,
}

/// Who a client is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Who<'a> {
    pub(super) user: Option<&'a str>,
    pub(super) claims: Option<&'a Claims>,
    pub(super) client: &'a str,
}

impl Claims {
    /// `roles`: names of roles of the access file; those it does not have grant nothing. The others are topic filters, in
    /// which a level may hold `%c` and `%u`, with the meaning they have in the access file. The caller bounds their number.
    ///
    /// # Errors
    /// One of the patterns is no topic filter; the text of the error names it.
    pub(in crate::broker) fn new(
        roles: Vec<Box<str>>,
        read: Vec<Box<str>>,
        write: Vec<Box<str>>,
        subscribe: Vec<Box<str>>,
    ) -> Result<Self, String> {
        for pattern in [&read, &write, &subscribe].into_iter().flatten() {
            check_pattern(pattern).map_err(|what| format!("`{}`: {what}", pattern.escape_debug()))?;
        }
        Ok(Self(Grants { roles, read, write, subscribe, deny: Vec::new() }))
    }

    /// What [`Self::new`] was given, in its order.
    pub(in crate::broker) fn lists(&self) -> [&[Box<str>]; 4] {
        let Grants { roles, read, write, subscribe, .. } = &self.0;
        [roles, read, write, subscribe]
    }
}

impl Rules {
    /// What the client may do. Shared between the clients of one user where the rules allow it.
    pub(super) fn permissions(&self, who: Who<'_>) -> Arc<Permissions> {
        if who.claims.is_some() {
            return Arc::new(self.compile(who).0);
        }
        if let Some(found) = lock(&self.known).get(&who.user.map(Box::from)) {
            return Arc::clone(found);
        }
        let (permissions, personal) = self.compile(who);
        let permissions = Arc::new(permissions);
        let mut known = lock(&self.known);
        if !personal && known.len() < MAX_KNOWN {
            known.insert(who.user.map(Box::from), Arc::clone(&permissions));
        }
        permissions
    }

    /// The permissions, and whether the client identifier plays a part in them.
    fn compile(&self, who: Who<'_>) -> (Permissions, bool) {
        let own = who.user.and_then(|user| self.users.get(user));
        let general = if who.user.is_some() { &self.everyone } else { &self.anonymous };
        let direct = [Some(general), own, who.claims.map(|claims| &claims.0)];
        let mut all: Vec<&Grants> = Vec::new();
        for grants in direct.into_iter().flatten() {
            all.push(grants);
            all.extend(grants.roles.iter().filter_map(|role| self.roles.get(role)));
        }
        let mut permissions = Permissions::default();
        let mut personal = false;
        for grants in all {
            for (from, to, denies) in [
                (&grants.read, &mut permissions.read, false),
                (&grants.write, &mut permissions.write, false),
                (&grants.subscribe, &mut permissions.subscribe, false),
                (&grants.deny, &mut permissions.deny, true),
            ] {
                for pattern in from {
                    personal |= pattern.contains("%c");
                    let made = substitute(pattern, who, denies);
                    to.extend(made.filter(|made| !to.contains(made)));
                }
            }
        }
        (permissions, personal)
    }
}

/// Whether a pattern is a topic filter; `%c` and `%u` are part of a level like any other text.
pub(super) fn check_pattern(pattern: &str) -> Result<(), &'static str> {
    if pattern.starts_with("$share/") {
        return Err("name what a shared subscription selects, without `$share/<name>/`");
    }
    check_filter(pattern)
}

/// The pattern with the client's names in it; `None`: it selects nothing for this client.
fn substitute(pattern: &str, who: Who<'_>, denies: bool) -> Option<Box<str>> {
    if !pattern.contains("%c") && !pattern.contains("%u") {
        return Some(pattern.into());
    }
    let mut levels = Vec::new();
    for (depth, level) in pattern.split('/').enumerate() {
        match fill(level, who).filter(|made| depth > 0 || level.starts_with('$') || !made.starts_with('$')) {
            Some(made) => levels.push(made),
            None if denies => levels.push("+".to_owned()),
            None => return None,
        }
    }
    Some(levels.join("/").into())
}

/// One level with the client's names in it, in one pass: a name that looks like a placeholder stays as it is.
fn fill(level: &str, who: Who<'_>) -> Option<String> {
    let mut made = String::with_capacity(level.len());
    let mut rest = level;
    while let Some(at) = rest.find('%') {
        let (before, from) = rest.split_at(at);
        made.push_str(before);
        let name = match from.get(..2) {
            Some("%c") => Some(who.client),
            Some("%u") => Some(who.user?),
            _ => None,
        };
        match name {
            Some(name) if name.is_empty() || name.contains(['/', '+', '#', '\0']) => return None,
            Some(name) => made.push_str(name),
            None => made.push('%'),
        }
        rest = &from[if name.is_some() { 2 } else { 1 }..];
    }
    made.push_str(rest);
    Some(made)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn list(patterns: &[&str]) -> Vec<Box<str>> {
        patterns.iter().map(|&pattern| pattern.into()).collect()
    }

    fn who<'a>(user: Option<&'a str>, client: &'a str) -> Who<'a> {
        Who { user, claims: None, client }
    }

    fn rules() -> Rules {
        let operator = Grants { write: list(&["plant/+/set"]), ..Grants::default() };
        let alice = Grants { roles: list(&["operator"]), read: list(&["plant/#"]), ..Grants::default() };
        Rules {
            roles: [("operator".into(), operator)].into_iter().collect(),
            users: [("alice".into(), alice)].into_iter().collect(),
            everyone: Grants {
                read: list(&["home/%u/#"]),
                deny: list(&["plant/secret/%u"]),
                ..Grants::default()
            },
            anonymous: Grants { read: list(&["public/%c"]), ..Grants::default() },
            known: Mutex::default(),
        }
    }

    #[test]
    fn rules_add_up_and_roles_are_looked_up_by_name() {
        let rules = rules();
        let alice = rules.permissions(who(Some("alice"), "c"));
        assert!(alice.may_write("plant/fan/set") && !alice.may_write("plant/fan"));
        assert!(alice.may_read("home/alice/x") && !alice.may_read("home/bob/x"));
        assert!(alice.may_read("plant/secret/bob") && !alice.may_read("plant/secret/alice"));
        let bob = rules.permissions(who(Some("bob"), "c"));
        assert!(bob.may_read("home/bob/x") && !bob.may_read("plant/x") && !bob.may_write("plant/fan/set"));
        let nobody = rules.permissions(who(None, "panel"));
        assert!(nobody.may_read("public/panel") && !nobody.may_read("public/other"));
        assert!(!nobody.may_read("home/bob/x"));
    }

    #[test]
    fn clients_of_a_user_share_what_does_not_depend_on_them() {
        let rules = rules();
        let of = |user, client| rules.permissions(who(user, client));
        assert!(Arc::ptr_eq(&of(Some("alice"), "1"), &of(Some("alice"), "2")));
        assert!(!Arc::ptr_eq(&of(None, "1"), &of(None, "2")));
    }

    #[test]
    fn claims_add_and_cannot_lift_a_denial() {
        let rules = rules();
        let claims =
            Claims::new(list(&["operator", "unknown"]), list(&["plant/secret/#"]), list(&["t/%u"]), vec![]);
        let claims = claims.unwrap();
        let carl = rules.permissions(Who { user: Some("carl"), claims: Some(&claims), client: "c" });
        assert!(carl.may_write("plant/fan/set") && carl.may_write("t/carl") && carl.may_read("home/carl/x"));
        assert!(carl.may_read("plant/secret/x") && !carl.may_read("plant/secret/carl"));
        assert!(Claims::new(vec![], list(&["a#"]), vec![], vec![]).unwrap_err().starts_with("`a#`"));
        assert!(Claims::new(vec![], list(&["$share/g/a"]), vec![], vec![]).is_err());
    }

    #[test]
    fn names_never_widen_a_pattern() {
        let made = |pattern: &str, user, client, denies| {
            substitute(pattern, who(user, client), denies).map(String::from)
        };
        assert_eq!(made("a/%c-%u/b", Some("u"), "c", false).as_deref(), Some("a/c-u/b"));
        assert_eq!(made("a/%c%%u%", Some("%c"), "c", false).as_deref(), Some("a/c%%c%"));
        for bad in ["", "a/b", "+", "#", "x+"] {
            assert_eq!(made("a/%c", None, bad, false), None, "{bad}");
            assert_eq!(made("a/%c", None, bad, true).as_deref(), Some("a/+"), "{bad}");
        }
        assert_eq!(made("%c/#", None, "$SYS", false), None);
        assert_eq!(made("a/%c", None, "$SYS", false).as_deref(), Some("a/$SYS"));
        assert_eq!(made("a/%u", None, "c", false), None);
    }

    proptest! {
        #[test]
        fn a_filled_pattern_selects_no_more_than_a_wildcard_there(
            pattern in "([a%cu]{1,4}|\\+)(/([a%cu]{1,4}|\\+)){0,2}(/#)?", user in "[a%c$+#/]{0,3}", client in "[a%u$+#/]{0,3}",
        ) {
            let wild: Vec<_> = pattern
                .split('/')
                .map(|level| if level.contains("%c") || level.contains("%u") { "+" } else { level })
                .collect();
            if let Some(made) = substitute(&pattern, who(Some(&user), &client), false) {
                prop_assert!(check_pattern(&made).is_ok());
                prop_assert!(super::super::cover::covers(&wild.join("/"), &made), "{} from {}", made, pattern);
            }
        }
    }
}
