//! The grammar of one-line points: examples, mistakes and their places, and a round trip.

use proptest::prelude::*;

use super::*;

fn keys(line: &str) -> Result<Vec<(&'static str, String)>, LineError> {
    Ok(parts(line)?.into_iter().map(|part| (part.key, part.text.to_owned())).collect())
}

fn pairs(list: &[(&'static str, &str)]) -> Vec<(&'static str, String)> {
    list.iter().map(|(key, text)| (*key, (*text).to_owned())).collect()
}

#[test]
fn lines_give_the_keys_of_the_long_form() {
    let cases: [(&str, &[(&str, &str)]); 5] = [
        (
            "input 0x0000 i16 *0.1 °C",
            &[("input", "0x0000"), ("type", "i16"), ("scale", "0.1"), ("unit", "°C")],
        ),
        ("coil 16 rw safe=off", &[("coil", "16"), ("access", "rw"), ("safe", "off")]),
        (
            "holding 100 f32 cdab -273.15 K",
            &[("holding", "100"), ("type", "f32"), ("order", "cdab"), ("offset", "-273.15"), ("unit", "K")],
        ),
        ("input 0x30.4-7", &[("input", "0x30"), ("bits", "4"), ("bits", "7")]),
        ("input 250 text:16", &[("input", "250"), ("type", "text"), ("length", "16")]),
    ];
    for (line, expected) in cases {
        assert_eq!(keys(line), Ok(pairs(expected)), "{line}");
    }
}

#[test]
fn mistakes_name_their_place() {
    let cases = [
        ("inptu 0", "inptu", "did you mean `input`?"),
        ("input", "input", "table address"),
        ("input x", "x", "an address is a number"),
        ("input 0 i61", "i61", "did you mean"),
        ("input 0 uint16", "uint16", "did you mean `u16`?"),
        ("input 0 0.1", "0.1", "*0.1"),
        ("input 0 °C *0.1", "*0.1", "the order is"),
        ("input 0 °C K", "K", "one word"),
        ("input 0.x", "x", "0x30.4"),
        ("input 0 *x", "*x", "*0.1"),
        ("coil 0 w", "w", "long form"),
        ("input 0 acbd", "acbd", "abcd"),
    ];
    for (line, place, help) in cases {
        let error = keys(line).unwrap_err();
        assert_eq!(&line[error.range.clone()], place, "{line}: {error:?}");
        assert!(error.help.as_deref().unwrap_or_default().contains(help), "{line}: {error:?}");
    }
}

fn choice(words: &'static [&'static str]) -> impl Strategy<Value = Option<String>> {
    prop::option::of(prop::sample::select(words.to_vec()).prop_map(str::to_owned))
}

prop_compose! {
    fn a_line()(
        table in prop::sample::select(TABLES.to_vec()), address: u16, hex: bool,
        bit in prop::option::of(0u8..16),
        format in choice(words_of::<RawType>()), order in choice(words_of::<Order>()),
        scale in prop::option::of(0.001f64..1000.0), offset in prop::option::of(-500.0f64..500.0),
        unit in choice(&["°C", "%RH", "kWh", "m³/h", "W", "%", "l/min"]),
        output: bool, gap in " {1,3}",
    ) -> (String, Vec<(&'static str, String)>) {
        let number = if hex { format!("{address:#06x}") } else { address.to_string() };
        let mut line = format!("{table}{gap}{number}");
        let mut expected = vec![(table, number)];
        if let Some(bit) = bit {
            line.push_str(&format!(".{bit}"));
            expected.push(("bit", bit.to_string()));
        }
        let mut add = |key: &'static str, mark: &str, text: Option<String>| {
            if let Some(text) = text {
                line.push_str(&format!("{gap}{mark}{text}"));
                expected.push((key, text));
            }
        };
        add("type", "", format);
        add("order", "", order);
        add("scale", "*", scale.map(|number| number.to_string()));
        add("offset", "", offset.map(|number| format!("{number:+}")));
        add("unit", "", unit);
        add("access", "", output.then(|| "rw".to_owned()));
        add("safe", "safe=", output.then(|| "off".to_owned()));
        (line, expected)
    }
}

proptest! {
    #[test]
    fn what_is_written_is_what_is_read((line, expected) in a_line()) {
        prop_assert_eq!(keys(&line), Ok(expected), "{}", line);
    }

    #[test]
    fn any_text_gives_keys_or_a_place_inside_it(line in ".*|(coil|input) [0-9x.]* [-+*a-z0-9:=]* .*") {
        if let Err(error) = parts(&line) {
            prop_assert!(line.get(error.range.clone()).is_some(), "{:?}", error);
        }
    }
}
