//! The API's answers as text for people.
//!
//! Pure. Invariant: nothing that a client chose (its identifier, a topic) reaches the terminal with control
//! characters in it.

use serde_json::Value as Json;

/// The list of sessions.
pub(super) fn clients(answer: &Json) -> String {
    let columns = [
        "CLIENT",
        "USER",
        "ADDRESS",
        "LISTENER",
        "MQTT",
        "STATE",
        "SUBS",
        "QUEUED",
        "IN FLIGHT",
        "RECEIVED",
        "SENT",
        "DROPPED",
    ];
    let rows = entries(answer, "clients").map(|client| {
        vec![
            plain(&client["client"]),
            plain(&client["user"]),
            plain(&client["address"]),
            plain(&client["listener"]),
            plain(&client["protocol"]),
            state(client),
            plain(&client["subscriptions"]),
            queue(client),
            plain(&client["inFlight"]),
            plain(&client["received"]),
            plain(&client["sent"]),
            plain(&client["dropped"]),
        ]
    });
    let mut text = table(&columns, &rows.collect::<Vec<_>>());
    let (matched, total) = (&answer["matched"], &answer["total"]);
    text.push_str(&format!("{matched} of {total} sessions, {} connected in all\n", answer["connected"]));
    text
}

/// One session.
pub(super) fn client(answer: &Json) -> String {
    let facts = [
        ("client", plain(&answer["client"])),
        ("user", plain(&answer["user"])),
        ("address", plain(&answer["address"])),
        ("listener", plain(&answer["listener"])),
        ("MQTT", plain(&answer["protocol"])),
        ("state", format!("{}, since {}", state(answer), plain(&answer["since"]))),
        ("kept when absent for", span(answer["expirySeconds"].as_u64().unwrap_or(0))),
        ("queued", queue(answer)),
        ("in flight", plain(&answer["inFlight"])),
        ("received from it", plain(&answer["received"])),
        ("sent to it", plain(&answer["sent"])),
        ("dropped", plain(&answer["dropped"])),
    ];
    let mut text: String = facts.iter().map(|(name, value)| format!("{name:<22}{value}\n")).collect();
    text.push_str("subscriptions\n");
    for filter in entries(answer, "filters") {
        text.push_str(&format!("  {}\n", plain(filter)));
    }
    text
}

/// What became of a kick.
pub(super) fn kicked(answer: &Json) -> String {
    match answer["done"].as_bool() {
        Some(true) => format!("{} was sent away\n", plain(&answer["client"])),
        _ => format!("{} was not connected\n", plain(&answer["client"])),
    }
}

/// A session is gone.
pub(super) fn cleared(answer: &Json) -> String {
    format!("the session of {} was cleared\n", plain(&answer["client"]))
}

/// The list of retained messages.
pub(super) fn retained(answer: &Json) -> String {
    let rows = entries(answer, "messages").map(|message| {
        vec![
            plain(&message["topic"]),
            plain(&message["bytes"]),
            plain(&message["qos"]),
            span(message["ageSeconds"].as_u64().unwrap_or(0)),
            message["expiresSeconds"].as_u64().map_or_else(|| "-".to_owned(), span),
            plain(&message["publisher"]),
        ]
    });
    let mut text =
        table(&["TOPIC", "BYTES", "QOS", "AGE", "EXPIRES IN", "PUBLISHER"], &rows.collect::<Vec<_>>());
    text.push_str(&format!("{} messages, {} bytes\n", answer["matched"], answer["bytes"]));
    text
}

/// How many retained messages were deleted, or would be.
pub(super) fn deleted(answer: &Json) -> String {
    let (count, filter) = (&answer["deleted"], plain(&answer["filter"]));
    match answer["dryRun"].as_bool() {
        Some(true) => format!("{count} retained messages would be deleted by {filter}\n"),
        _ => format!("{count} retained messages deleted by {filter}\n"),
    }
}

fn entries<'a>(answer: &'a Json, list: &str) -> impl Iterator<Item = &'a Json> {
    answer[list].as_array().into_iter().flatten()
}

fn state(client: &Json) -> String {
    let word = if client["connected"].as_bool() == Some(true) { "connected" } else { "absent" };
    format!("{word} {}", span(client["seconds"].as_u64().unwrap_or(0)))
}

fn queue(client: &Json) -> String {
    format!("{} ({} B)", plain(&client["queued"]), plain(&client["queuedBytes"]))
}

/// A text or number without quotes; what could move the terminal's cursor is shown as `\u{…}`.
pub(in crate::cli) fn plain(value: &Json) -> String {
    let Some(text) = value.as_str() else {
        return if value.is_null() { "-".to_owned() } else { value.to_string() };
    };
    // Bidirectional marks would show a name as another one.
    let odd = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().flat_map(|c| if odd(c) { c.escape_unicode().collect() } else { vec![c] }).collect()
}

/// A span of time in its two greatest units.
fn span(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match () {
        () if seconds < 60 => format!("{seconds}s"),
        () if minutes < 60 => format!("{minutes}m {}s", seconds % 60),
        () if hours < 24 => format!("{hours}h {}m", minutes % 60),
        () => format!("{days}d {}h", hours % 24),
    }
}

/// Columns as wide as what is in them.
pub(in crate::cli) fn table(columns: &[&str], rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = columns.iter().map(|name| name.len()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let head: Vec<String> = columns.iter().map(|name| (*name).to_owned()).collect();
    let mut text = String::new();
    for row in std::iter::once(&head).chain(rows) {
        let line: String = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:<width$}  ", width = *width))
            .collect();
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_clients_chose_cannot_move_the_cursor() {
        assert_eq!(plain(&json!("a\u{1b}[2Jb\n")), "a\\u{1b}[2Jb\\u{a}");
        assert_eq!(plain(&json!("로봇 7")), "로봇 7");
        assert_eq!(plain(&json!("\u{202e}evil")), "\\u{202e}evil");
        assert_eq!((plain(&json!(7)), plain(&json!(null))), ("7".into(), "-".into()));
    }

    #[test]
    fn spans_have_two_units() {
        let spans = [(0, "0s"), (59, "59s"), (61, "1m 1s"), (3_700, "1h 1m"), (90_000, "1d 1h")];
        for (seconds, expected) in spans {
            assert_eq!(span(seconds), expected);
        }
    }

    #[test]
    fn columns_are_as_wide_as_their_cells() {
        let rows = vec![vec!["long name".to_owned(), "1".to_owned()]];
        assert_eq!(table(&["A", "B"], &rows), "A          B\nlong name  1\n");
    }
}
