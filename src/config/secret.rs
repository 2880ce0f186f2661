//! `file:/path` for values of the type `Secret`.
//!
//! Absent: any other use of a secret's text; messages name the file and never what it holds.

use std::path::Path;

use super::context::Context;
use super::de::DeError;
use super::node::Node;
use crate::model::Secret;

/// The largest file that holds a secret.
const MAX_SECRET_BYTES: u64 = 64 << 10;

/// The text of a secret; `None` when the type called `name` is none.
pub(super) fn resolve(name: &str, cx: &Context<'_>, node: &Node) -> Option<Result<String, DeError>> {
    if name != Secret::TYPE_NAME {
        return None;
    }
    let text = node.text()?;
    let Some(path) = text.strip_prefix("file:") else {
        return Some(Ok(text.to_owned()));
    };
    Some(read(&cx.around.directory.join(path)))
}

fn read(path: &Path) -> Result<String, DeError> {
    let shown = path.display();
    let size = std::fs::metadata(path).map_err(|error| unreadable(path, &error))?.len();
    if size > MAX_SECRET_BYTES {
        return Err(DeError::text(format!("the secret file {shown} is larger than 64 KiB")));
    }
    let text = std::fs::read_to_string(path).map_err(|error| unreadable(path, &error))?;
    let secret = text.trim_end_matches(['\r', '\n']);
    if secret.is_empty() {
        return Err(DeError::text(format!("the secret file {shown} is empty")));
    }
    Ok(secret.to_owned())
}

fn unreadable(path: &Path, error: &std::io::Error) -> DeError {
    DeError::text(format!("the secret file {} cannot be read: {error}", path.display()))
        .with_help("check that it exists and that the gateway's user may read it")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::context::Surroundings;
    use super::super::de;
    use super::super::parse::parse;
    use super::super::problem::Report;
    use super::*;

    fn read_secrets(directory: &Path, yaml: &str) -> Result<BTreeMap<String, Secret>, String> {
        let around = Surroundings { directory: directory.into(), ..Surroundings::none() };
        let cx = Context::new(&around);
        let file = cx.sources.borrow_mut().add("a.yaml", yaml);
        let root = parse(&cx, file, yaml).unwrap();
        de::read(&cx, &root).ok_or_else(|| Report::new("a.yaml", cx.into_problems()).to_string())
    }

    #[test]
    fn a_secret_comes_from_its_file_without_the_line_end() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("password"), "hunter2\n").unwrap();
        let secrets = read_secrets(folder.path(), "a: file:password\nb: plain\n").unwrap();
        assert_eq!(secrets["a"].reveal(), "hunter2");
        assert_eq!(secrets["b"].reveal(), "plain");
    }

    #[test]
    fn a_secret_that_cannot_be_read_is_named_by_its_file() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("empty"), "\n").unwrap();
        let report = read_secrets(folder.path(), "a: file:missing\nb: file:empty\n").unwrap_err();
        assert!(report.contains("a.yaml:1:4") && report.contains("missing cannot be read"), "{report}");
        assert!(report.contains("a.yaml:2:4") && report.contains("empty is empty"), "{report}");
        assert!(report.contains("2 errors"), "{report}");
    }
}
