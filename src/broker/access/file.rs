//! The access file: YAML to rules, or where it is wrong.
//!
//! Absent: what the rules mean (`rules`). Invariants: a file that is not understood as a whole yields no rules; every mistake
//! has a line and a column.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_yaml::{Location, Spanned};

use super::rules::{Grants, Rules, check_pattern};

/// Roles and users of one file, each.
const MAX_NAMES: usize = 10_000;

/// Patterns of one list, and roles of one user.
const MAX_LIST: usize = 1_000;

/// Levels of one pattern.
const MAX_LEVELS: usize = 128;

/// Why an access file cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {what}")]
pub struct BadRule {
    /// The line, counted from 1.
    pub line: u64,
    /// The column in characters, counted from 1.
    pub column: u64,
    /// What is wrong there.
    pub what: String,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct Document {
    roles: BTreeMap<String, Spanned<RoleSection>>,
    users: BTreeMap<String, Spanned<UserSection>>,
    everyone: Option<UserSection>,
    anonymous: Option<UserSection>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct RoleSection {
    read: Patterns,
    write: Patterns,
    subscribe: Patterns,
    deny: Patterns,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct UserSection {
    roles: Vec<Spanned<String>>,
    read: Patterns,
    write: Patterns,
    subscribe: Patterns,
    deny: Patterns,
}

type Patterns = Vec<Spanned<String>>;

/// Reads a file's text.
pub(super) fn parse(text: &str) -> Result<Rules, BadRule> {
    let start = |what: &str| Err(BadRule { line: 1, column: 1, what: what.to_owned() });
    let written = |line: &str| !line.trim().is_empty() && !line.trim_start().starts_with('#');
    // An editor may be about to write it; a file that grants nothing says so: `everyone: {}`.
    if !text.lines().any(written) {
        return start("the file says nothing; `everyone: {}` grants nothing to anybody");
    }
    let document: Option<Document> = serde_yaml::from_str(text).map_err(|error| {
        let (line, column) = error.location().map_or((1, 1), place);
        let what = error.without_snippet().to_string();
        let what = what.lines().next().unwrap_or_default();
        // The place is told once, in front.
        let what = what.split(" at line ").next().unwrap_or(what).trim().to_owned();
        BadRule { line, column, what }
    })?;
    let document = document.unwrap_or_default();
    if document.roles.len() > MAX_NAMES || document.users.len() > MAX_NAMES {
        return start("more than 10,000 roles or users");
    }
    let mut rules = Rules::default();
    for (name, section) in document.roles {
        let RoleSection { read, write, subscribe, deny } = section.value;
        let grants = grants(Vec::new(), [read, write, subscribe, deny])?;
        rules.roles.insert(name.into(), grants);
    }
    for (name, section) in document.users {
        let at = section.referenced;
        crate::broker::auth::check_name(&name).map_err(|what| bad(at, what.to_owned()))?;
        let grants = section.value.grants(&rules)?;
        rules.users.insert(name.into(), grants);
    }
    rules.everyone = document.everyone.unwrap_or_default().grants(&rules)?;
    rules.anonymous = document.anonymous.unwrap_or_default().grants(&rules)?;
    Ok(rules)
}

impl UserSection {
    fn grants(self, rules: &Rules) -> Result<Grants, BadRule> {
        let mut roles = Vec::with_capacity(self.roles.len().min(MAX_LIST));
        for role in self.roles {
            if !rules.roles.contains_key(role.value.as_str()) {
                let known = rules.roles.keys().map(AsRef::as_ref);
                return Err(bad(role.referenced, unknown(&role.value, known)));
            }
            roles.push(role.value.into());
        }
        grants(roles, [self.read, self.write, self.subscribe, self.deny])
    }
}

fn grants(roles: Vec<Box<str>>, lists: [Patterns; 4]) -> Result<Grants, BadRule> {
    let mut checked = Vec::with_capacity(lists.len());
    for list in lists {
        if let Some(pattern) = list.get(MAX_LIST) {
            return Err(bad(pattern.referenced, "more than 1,000 patterns in one list".into()));
        }
        let list = list.into_iter().map(pattern).collect::<Result<Vec<_>, _>>()?;
        checked.push(list);
    }
    let mut lists = checked.into_iter();
    let mut next = || lists.next().unwrap_or_default();
    Ok(Grants { roles, read: next(), write: next(), subscribe: next(), deny: next() })
}

fn pattern(text: Spanned<String>) -> Result<Box<str>, BadRule> {
    let shown = || text.value.chars().take(256).flat_map(char::escape_debug).collect::<String>();
    check_pattern(&text.value)
        .map_err(|what| bad(text.referenced, format!("`{}` is no topic filter: {what}", shown())))?;
    if crate::broker::topic::levels(&text.value) > MAX_LEVELS {
        return Err(bad(text.referenced, format!("`{}` has more than 128 levels", shown())));
    }
    Ok(text.value.into())
}

fn unknown<'n>(name: &str, known: impl Iterator<Item = &'n str>) -> String {
    let near = known
        .map(|known| (strsim::jaro_winkler(name, known), known))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0));
    let name: String = name.chars().take(64).flat_map(char::escape_debug).collect();
    match near {
        Some((_, near)) => format!("there is no role `{name}`; did you mean `{near}`?"),
        None => format!("there is no role `{name}`; add it under `roles`"),
    }
}

fn bad(at: Location, what: String) -> BadRule {
    let (line, column) = place(at);
    BadRule { line, column, what }
}

/// Line and column, from 1; a mistake without a place stands at the beginning.
fn place(at: Location) -> (u64, u64) {
    (at.line().max(1), at.column().max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn mistake(text: &str) -> String {
        parse(text).unwrap_err().to_string()
    }

    #[test]
    fn reads_what_a_person_writes() {
        let rules = parse(
            "roles:\n  operator: { read: [\"plant/#\"], write: [\"plant/+/set\"] }\nusers:\n  alice:\n    roles: [operator]\n    deny: [plant/secret]\neveryone:\n  read: [$SYS/#]\nanonymous: {}\n",
        )
        .unwrap();
        assert_eq!(rules.users["alice"].roles, ["operator".into()]);
        assert_eq!(rules.users["alice"].deny, ["plant/secret".into()]);
        assert_eq!(rules.everyone.read, ["$SYS/#".into()]);
        assert!(parse("everyone:\n").is_ok());
        assert!(parse("users:\n  1234: { read: [a] }\n").unwrap().users.contains_key("1234"));
    }

    #[test]
    fn says_where_a_mistake_is() {
        for (text, expected) in [
            ("", "line 1, column 1: the file says nothing"),
            ("# nothing\n\n", "line 1, column 1: the file says nothing"),
            ("users:\n  alice: { raed: [a] }\n", "line 2, column 12: unknown field `raed`"),
            ("users:\n  alice:\n    read: [a, b#]\n", "line 3, column 15: `b#` is no topic filter"),
            (
                "users:\n  alice:\n    roles: [oprator]\nroles:\n  operator: {}\n",
                "line 3, column 13: there is no role `oprator`; did you mean `operator`?",
            ),
            ("everyone: { roles: [x] }", "line 1, column 21: there is no role `x`; add it under `roles`"),
            ("users:\n  a/b: {}\n", "line 2, column 8: a user name holds no"),
            ("everyone: { read: [$share/g/a] }", "line 1, column 20: `$share/g/a` is no topic filter"),
            ("- a\n", "line 1, column 1: "),
            ("everyone: { read: [\n", "line 1, column 19: unclosed bracket '['"),
            ("users:\n  a: {}\n  a: {}\n", "line 3, column 3: "),
        ] {
            let told = mistake(text);
            assert!(told.starts_with(expected), "{text:?}: {told}");
        }
    }

    proptest! {
        #[test]
        fn whatever_the_text_it_is_understood_or_has_a_place(
            text in "(roles|users|everyone|anonymous|[a-z]{1,4}|:|: |\\{|\\}|\\[|\\]|,|\n|\n  |\n    |- |\"|#|%c|/|\\+|\\$|&x|\\*x|!t|read|deny|\u{e9}){0,40}",
        ) {
            if let Err(BadRule { line, column, what }) = parse(&text) {
                prop_assert!(line >= 1 && column >= 1 && !what.is_empty());
                prop_assert!(line <= text.lines().count() as u64 + 2);
            }
        }

        #[test]
        fn no_bytes_make_it_panic(text in any::<String>()) {
            let _ = parse(&text).map_err(|bad| bad.to_string());
        }
    }
}
