//! From what a driver complains about to a mistake at its place in the file.

use super::context::Context;
use super::node::Node;
use super::source::Span;
use crate::driver::entry::Complaint;

/// Records what a part says about its section, at the key that the message names.
pub(super) fn blame(cx: &Context<'_>, node: &Node, fallback: &[&str], message: &str) {
    let words = message.split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
    let named = words.into_iter().find_map(|word| node.get(word)).map(|value| value.span);
    let span = named.or_else(|| node.span_of(fallback)).unwrap_or(node.span);
    let (message, help) =
        match message.split_once(": ").filter(|(head, _)| head.len() < message.len() / 2 + 12) {
            Some((head, tail)) if head.split(' ').count() > 3 => (head.to_owned(), Some(tail.to_owned())),
            _ => (message.to_owned(), None),
        };
    cx.error(span, message, help);
}

/// Records a driver's complaint about an entry; `name_span` is where the entry's name stands.
pub(super) fn tell(cx: &Context<'_>, node: &Node, name_span: Span, complaint: &Complaint) {
    if complaint.names_key {
        return blame(cx, node, &complaint.keys, &complaint.message);
    }
    let value = complaint.keys.iter().find_map(|key| node.get(key));
    let span = match (value, &complaint.part) {
        (Some(value), Some(part)) => value.part(part.start, part.end),
        (Some(value), None) => value.span,
        (None, _) if complaint.at_name => name_span,
        (None, _) => node.span,
    };
    cx.error(span, complaint.message.clone(), complaint.help.clone());
}
