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
