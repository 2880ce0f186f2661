//! Numbers as devices print them: decimal comma, units behind them, hexadecimal bitmaps.
//!
//! Pure. Invariant: a text is a number as a whole or not at all; `1.234,5` is not 1.234, and a number that
//! ends in its separator has been cut.

use std::borrow::Cow;

use super::extract::Suffix;
use crate::model::Value;

/// The longest text that is looked at as a number, in bytes.
const MAX_DIGITS: usize = 64;

/// A real number with its suffix; `None` when the text is something else.
#[must_use]
pub fn parse(text: &str, comma: bool, suffix: &Suffix) -> Option<f64> {
    let text = &*joined(text.trim());
    let (digits, rest) = text.split_at(number_end(text, comma)?);
    if digits.len() > MAX_DIGITS || !fits(rest, suffix) {
        return None;
    }
    let number = if comma { digits.replace(',', ".").parse() } else { digits.parse::<f64>() };
    number.ok().filter(|number| number.is_finite())
}

/// A number whose sign stands apart, with its sign: balances print `-    12.5` in columns.
fn joined(text: &str) -> Cow<'_, str> {
    match text.split_at_checked(1) {
        Some((sign @ ("-" | "+"), rest)) if rest.starts_with(' ') => {
            Cow::Owned(format!("{sign}{}", rest.trim_start_matches(' ')))
        }
        _ => Cow::Borrowed(text),
    }
}

/// Where the number at the begin of a text ends.
fn number_end(text: &str, comma: bool) -> Option<usize> {
    let bytes = text.as_bytes();
    let digits = |from: usize| bytes[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let sign = usize::from(matches!(bytes.first(), Some(b'-' | b'+')));
    let mut end = sign + digits(sign);
    if end == sign {
        return None;
    }
    let separator = if comma { b',' } else { b'.' };
    if bytes.get(end) == Some(&separator) {
        let fraction = digits(end + 1);
        if fraction == 0 {
            return None;
        }
        end += 1 + fraction;
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(end + 1), Some(b'-' | b'+')));
        let from = end + 1 + sign;
        let exponent = bytes.get(from..).map_or(0, |_| digits(from));
        if exponent > 0 {
            end = from + exponent;
        }
    }
    Some(end)
}

fn fits(rest: &str, suffix: &Suffix) -> bool {
    let rest = rest.trim();
    match suffix {
        Suffix::None => rest.is_empty(),
        Suffix::Exact(text) => rest == text.trim(),
        // What could belong to a number makes another number of it.
        Suffix::Any => !rest.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '.' | ',' | '+' | '-')),
    }
}

/// A whole number, decimal or with `0x`.
#[must_use]
pub fn integer(text: &str) -> Option<Value> {
    if let Some(digits) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        return hex(digits).map(Value::from);
    }
    text.parse::<i64>().map(Value::Int).ok().or_else(|| text.parse::<u64>().map(Value::from).ok())
}

/// Hexadecimal digits, at most sixteen.
#[must_use]
pub fn hex(text: &str) -> Option<u64> {
    let plain = (1..=16).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    plain.then(|| u64::from_str_radix(text, 16).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_as_devices_print_them() {
        let any = Suffix::Any;
        for (text, value) in [
            ("23,4°C", Some(23.4)),
            ("-0,5 °C", Some(-0.5)),
            ("1013,2 hPa", Some(1013.2)),
            ("12,5 m3", Some(12.5)),
            ("7", Some(7.0)),
            ("----", None),
            ("", None),
            (",5", None),
            ("23,", None),
            ("1.234,5", None),
            ("1,2,3", None),
            ("12-34", None),
            ("error 5", None),
        ] {
            assert_eq!(parse(text, true, &any), value, "{text}");
        }
        assert_eq!(parse("-    58.237", false, &Suffix::None), Some(-58.237), "the sign stands apart");
        assert_eq!((parse("-", false, &any), parse("- -5", false, &any)), (None, None));
        assert_eq!(parse("1.5e3", false, &Suffix::None), Some(1500.0));
        assert_eq!(parse("1e999", false, &Suffix::None), None);
        assert_eq!(parse("5 e", false, &Suffix::None), None);
        assert_eq!(parse("23,4", false, &any), None, "a comma is not a point");
        assert_eq!(parse("23.4 °F", false, &Suffix::Exact("°C".into())), None, "another unit");
        assert_eq!(parse("23.4 °C", false, &Suffix::Exact("°C".into())), Some(23.4));
        assert_eq!(integer("0x1F"), Some(Value::Int(31)));
        assert_eq!(integer("18446744073709551615"), Some(Value::UInt(u64::MAX)));
        assert_eq!((hex("0FFF"), hex("0x1"), hex("+1"), hex("")), (Some(0xfff), None, None, None));
    }

    proptest! {
        #[test]
        fn a_decimal_comma_is_a_decimal_point(whole in -100_000i32..100_000, fraction in 0u32..1000, unit in "[a-zA-Z°%/ ]{0,5}") {
            let (comma, point) = (format!("{whole},{fraction:03}{unit}"), format!("{whole}.{fraction:03}"));
            // An `e` behind a number begins no exponent without digits, and `unit` has none.
            prop_assert_eq!(parse(&comma, true, &Suffix::Any), point.parse().ok());
        }

        #[test]
        fn no_text_panics(text in ".*|[-+0-9.,eE °C]*", comma: bool) {
            for suffix in [Suffix::None, Suffix::Any, Suffix::Exact("°C".into())] {
                if let Some(number) = parse(&text, comma, &suffix) {
                    prop_assert!(number.is_finite());
                }
            }
            let _ = (integer(&text), hex(&text));
        }
    }
}
