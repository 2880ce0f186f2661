//! Lines of CSV (RFC 4180) for spreadsheets.
//!
//! Pure. Invariant: a field reads back as it was, but for the apostrophe before what a spreadsheet would run as a formula.

/// Writes a line of these fields.
pub fn write_line(fields: &[String], out: &mut String) {
    for (place, field) in fields.iter().enumerate() {
        if place > 0 {
            out.push(',');
        }
        push_field(field, out);
    }
    out.push_str("\r\n");
}

/// A field; what a spreadsheet would take for a formula is made a text.
fn push_field(field: &str, out: &mut String) {
    let formula = field.starts_with(['=', '+', '-', '@', '\t', '\r']) && field.parse::<f64>().is_err();
    if !formula && !field.contains(['"', ',', '\n', '\r']) {
        return out.push_str(field);
    }
    out.push('"');
    if formula {
        out.push('\'');
    }
    out.push_str(&field.replace('"', "\"\""));
    out.push('"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn fields_are_quoted_where_they_must_be_and_formulas_are_texts() {
        let text = |field: &str| {
            let mut out = String::new();
            push_field(field, &mut out);
            out
        };
        assert_eq!(text("hot"), "hot");
        assert_eq!(text("-5.5"), "-5.5");
        assert_eq!(text("a \"b\", c"), "\"a \"\"b\"\", c\"");
        assert_eq!(text("=HYPERLINK(1)"), "\"'=HYPERLINK(1)\"");
    }

    /// Reads a field back as RFC 4180 says.
    fn unquoted(field: &str) -> Option<String> {
        match field.strip_prefix('"') {
            Some(rest) => rest.strip_suffix('"').map(|inner| inner.replace("\"\"", "\"")),
            None => (!field.contains(['"', ',', '\n', '\r'])).then(|| field.to_owned()),
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(field in ".*") {
            let mut out = String::new();
            push_field(&field, &mut out);
            let read = unquoted(&out);
            let guarded = read.as_deref().and_then(|read| read.strip_prefix('\'')).map(str::to_owned);
            prop_assert!(read.as_ref() == Some(&field) || guarded.as_ref() == Some(&field), "{out}");
        }
    }
}
