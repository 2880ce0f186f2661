//! The words of an alarm: messages with places in them, help, class and groups.

use std::sync::Arc;

use super::At;
use crate::alarm::config::TextConfig;
use crate::alarm::text::{Message, PLACES, Template};
use crate::model::Texts;

/// The message; the alarm's name when nothing is said.
pub(super) fn message(at: &At<'_>, config: Option<&TextConfig>) -> Option<Message> {
    let Some(TextConfig { en, ko }) = config else { return Some(Message::plain(&at.entry.key)) };
    let en = template(at, "en", en.as_deref());
    let ko = template(at, "ko", ko.as_deref());
    Some(match (en?, ko?) {
        (None, None) => Message::plain(&at.entry.key),
        (en, ko) => Message { en, ko },
    })
}

fn template(at: &At<'_>, language: &str, text: Option<&str>) -> Option<Option<Template>> {
    let Some(text) = text else { return Some(None) };
    match Template::parse(text) {
        Ok(template) => Some(Some(template)),
        Err((range, message)) => {
            let whole = at.entry.value.get("message");
            let node = whole.and_then(|node| node.get(language)).or(whole);
            let span = node.map_or(at.entry.key_span, |node| node.part(range.start, range.end));
            let help = format!("these are filled in: {{{}}}", PLACES.join("}, {"));
            at.cx.error(span, message, help);
            None
        }
    }
}

/// A text in which nothing is filled in.
pub(super) fn plain(config: Option<&TextConfig>) -> Texts {
    let shared = |text: &Option<String>| text.as_deref().map(Arc::from);
    config.map_or_else(Texts::default, |own| Texts { en: shared(&own.en), ko: shared(&own.ko) })
}

/// A class or a group.
pub(super) fn word(at: &At<'_>, key: &str, word: &str) -> Option<Arc<str>> {
    if word.trim().is_empty() || word.chars().any(char::is_control) {
        return at.refuse(&[key], format!("`{key}` needs a word"), "write a name on one line");
    }
    Some(word.into())
}
