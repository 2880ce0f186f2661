//! A scalar's text read as the type that asks for it.
//!
//! What `1.10`, `on` or `0x10` mean is never guessed from the text alone, except where a type takes anything.

use serde::de::{self, Deserializer, Visitor};
use serde::forward_to_deserialize_any;

use super::de::DeError;

/// A scalar on its way into a type.
#[derive(Clone, Copy)]
pub(super) struct ScalarDe<'a> {
    pub(super) text: &'a str,
    /// Written without quotes.
    pub(super) plain: bool,
}

/// A whole number: decimal, `0x`, `0o` or `0b`, `_` between digits.
pub(super) fn parse_int(text: &str) -> Option<i128> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (radix, digits) = match digits.get(..2).map(str::to_ascii_lowercase).as_deref() {
        Some("0x") => (16, &digits[2..]),
        Some("0o") => (8, &digits[2..]),
        Some("0b") => (2, &digits[2..]),
        _ => (10, digits),
    };
    let first = digits.chars().next()?;
    if !first.is_digit(radix) || digits.len() > 40 {
        return None;
    }
    let magnitude = i128::from_str_radix(&digits.replace('_', ""), radix).ok()?;
    Some(if negative { -magnitude } else { magnitude })
}

/// A finite number.
pub(super) fn parse_float(text: &str) -> Option<f64> {
    if let Some(whole) = parse_int(text) {
        return Some(whole as f64);
    }
    if !text.contains(|c: char| c.is_ascii_digit()) {
        return None;
    }
    text.replace('_', "").parse().ok().filter(|number: &f64| number.is_finite())
}

/// `on`/`off`, `yes`/`no`, `true`/`false`.
pub(super) fn parse_bool(text: &str) -> Option<bool> {
    let is = |words: [&str; 3]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
    if is(["on", "yes", "true"]) {
        Some(true)
    } else if is(["off", "no", "false"]) {
        Some(false)
    } else {
        None
    }
}

impl ScalarDe<'_> {
    fn int(self, low: i128, high: i128) -> Result<i128, DeError> {
        let text = self.text;
        match parse_int(text) {
            Some(number) if (low..=high).contains(&number) => Ok(number),
            Some(_) => Err(DeError::text(format!("`{text}` is outside {low} … {high}"))),
            None => Err(DeError::text(format!("`{text}` is not a whole number"))
                .with_help("write it as 16 or 0x10; an optional value can be left out")),
        }
    }

    fn float(self) -> Result<f64, DeError> {
        let text = self.text;
        parse_float(text).ok_or_else(|| {
            let error = DeError::text(format!("`{text}` is not a number"));
            let (point, digit) = (text.replace(',', "."), |c: char| c.is_ascii_digit());
            if text.contains(digit) && parse_float(&point).is_some() {
                return error.with_help(format!("write the decimal point as `.`: {point}"));
            }
            error
        })
    }
}

macro_rules! integers {
    ($($method:ident $visit:ident $type:ty),*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DeError> {
            let number = self.int(i128::from(<$type>::MIN), i128::from(<$type>::MAX))?;
            visitor.$visit(number as $type)
        }
    )*};
}

impl<'de> Deserializer<'de> for ScalarDe<'_> {
    type Error = DeError;

    integers! {
        deserialize_u8 visit_u8 u8, deserialize_u16 visit_u16 u16, deserialize_u32 visit_u32 u32,
        deserialize_u64 visit_u64 u64, deserialize_i8 visit_i8 i8, deserialize_i16 visit_i16 i16,
        deserialize_i32 visit_i32 i32, deserialize_i64 visit_i64 i64
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DeError> {
        if !self.plain {
            return visitor.visit_str(self.text);
        }
        if let Some(state) = parse_bool(self.text) {
            return visitor.visit_bool(state);
        }
        if let Some(whole) = parse_int(self.text) {
            if let Ok(number) = i64::try_from(whole) {
                return visitor.visit_i64(number);
            }
            if let Ok(number) = u64::try_from(whole) {
                return visitor.visit_u64(number);
            }
        }
        match parse_float(self.text) {
            Some(number) => visitor.visit_f64(number),
            None => visitor.visit_str(self.text),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DeError> {
        match parse_bool(self.text) {
            Some(state) => visitor.visit_bool(state),
            None => Err(DeError::text(format!("`{}` is neither on nor off", self.text))
                .with_help("write on or off (yes/no and true/false mean the same)")),
        }
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DeError> {
        visitor.visit_f32(self.float()? as f32)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DeError> {
        visitor.visit_f64(self.float()?)
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DeError> {
        visitor.visit_str(self.text)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DeError> {
        visitor.visit_str(self.text)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DeError> {
        visitor.visit_str(self.text)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DeError> {
        visitor.visit_str(self.text)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DeError> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, DeError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DeError> {
        visitor.visit_enum(de::value::StrDeserializer::<DeError>::new(self.text))
    }

    forward_to_deserialize_any! {
        i128 u128 bytes byte_buf unit unit_struct seq tuple tuple_struct map struct ignored_any
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::Deserialize;

    use super::*;

    fn read<T: for<'de> Deserialize<'de>>(text: &str) -> Result<T, String> {
        T::deserialize(ScalarDe { text, plain: true }).map_err(|error| error.to_string())
    }

    #[test]
    fn the_type_decides_what_a_text_means() {
        assert_eq!(read::<String>("1.10"), Ok("1.10".into()));
        assert_eq!(read::<f64>("1.10"), Ok(1.1));
        assert_eq!(read::<String>("on"), Ok("on".into()));
        assert_eq!(read::<bool>("on"), Ok(true));
        assert_eq!(read::<u16>("0x10"), Ok(16));
        assert_eq!(read::<u32>("1_000"), Ok(1000));
        assert_eq!(read::<i8>("-128"), Ok(-128));
        assert_eq!(read::<u8>("256"), Err("`256` is outside 0 … 255".into()));
        assert!(read::<u8>("1.5").unwrap_err().contains("not a whole number"));
        assert!(read::<f64>("nan").is_err() && read::<f64>("1e999").is_err());
        assert!(read::<bool>("2").is_err());
    }

    proptest! {
        #[test]
        fn numbers_read_back(int: i64, float in -1e300f64..1e300) {
            prop_assert_eq!(read::<i64>(&int.to_string()), Ok(int));
            prop_assert_eq!(read::<f64>(&format!("{float:?}")), Ok(float));
            prop_assert_eq!(parse_int(&format!("{:#x}", int.unsigned_abs())), Some(i128::from(int.unsigned_abs())));
        }

        #[test]
        fn no_text_panics(text in ".*|[-+0-9a-fx_.e]*") {
            let _ = (parse_int(&text), parse_float(&text), parse_bool(&text));
            let _ = read::<u8>(&text);
        }
    }
}
