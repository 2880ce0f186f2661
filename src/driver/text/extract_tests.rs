//! Values out of answers, right and wrong ones.

use proptest::prelude::*;

use super::*;

fn number(comma: bool, suffix: Suffix) -> Form {
    Form::Number { comma, suffix }
}

fn extract(pick: Pick, form: Form) -> Extract {
    Extract { pick, form, missing: vec!["----".into(), "-1".into()] }
}

fn value(pick: Pick, form: Form, text: &str) -> Result<Value, Reason> {
    extract(pick, form).value(&Reply::new(text.into()))
}

fn split(after: Option<&str>, index: usize) -> Pick {
    Pick::Split(Split { separator: ";".into(), after: after.map(Into::into), index, skip_address: true })
}

#[test]
fn parts_are_counted_behind_address_and_label() {
    let single = |index, text| value(split(None, index), number(true, Suffix::Any), text);
    assert_eq!(single(0, "23,4°C;45,3%"), Ok(Value::Float(23.4)));
    assert_eq!(single(1, "23,4°C;45,3%\0"), Ok(Value::Float(45.3)));
    assert_eq!(single(1, "192.0.2.20;Hall 1;23,4°C;45,3%"), Ok(Value::Float(45.3)));
    assert_eq!(single(0, "----;45,3%"), Err(Reason::NotAvailable));
    assert_eq!(single(2, "23,4°C;45,3%"), Err(Reason::MalformedReply));
    assert_eq!(single(0, "<html>no</html>"), Err(Reason::Undecodable));
    let allout = "192.0.2.20;Hall;input;0A03;output;0001;counter;5;0;17";
    assert_eq!(value(split(Some("input"), 0), Form::HexBit(9), allout), Ok(Value::Bool(true)));
    assert_eq!(value(split(Some("INPUT"), 0), Form::HexBit(10), allout), Ok(Value::Bool(false)));
    assert_eq!(value(split(Some("counter"), 2), Form::Integer, allout), Ok(Value::Int(17)));
    assert_eq!(value(split(Some("counter"), 3), Form::Integer, allout), Err(Reason::MalformedReply));
    assert_eq!(value(split(Some("analog"), 0), Form::Hex, allout), Err(Reason::MalformedReply));
}

#[test]
fn columns_count_characters_and_blanks() {
    let at = |first, last, text| value(Pick::Columns(first, last), number(false, Suffix::None), text);
    assert_eq!(at(4, 11, "S S    100.03 g\r\n"), Ok(Value::Float(100.0)));
    assert_eq!(at(4, 12, "S S    100.03 g\r\n"), Ok(Value::Float(100.03)));
    assert_eq!(at(3, 8, "°C=  7.5"), Ok(Value::Float(7.5)));
    assert_eq!(at(0, 3, "  12 x"), Ok(Value::Float(12.0)), "blanks in front count");
    assert_eq!(at(4, 7, "1234"), Err(Reason::MalformedReply));
    assert_eq!(at(2, 9, "12  "), Err(Reason::Undecodable), "nothing but blanks");
}

#[test]
fn json_gives_numbers_states_and_texts() {
    let text = r#"{"a":[{"t":21.5,"on":true,"s":"ON","n":7,"big":18446744073709551615,"x":null,"bad":-1}]}"#;
    let at = |pointer: &str, form| value(Pick::Json(pointer.into()), form, text);
    let state = || Form::State { on: None, off: None };
    assert_eq!(at("/a/0/t", number(false, Suffix::None)), Ok(Value::Float(21.5)));
    assert_eq!(at("/a/0/on", state()), Ok(Value::Bool(true)));
    assert_eq!(at("/a/0/s", state()), Ok(Value::Bool(true)));
    assert_eq!(at("/a/0/n", Form::Integer), Ok(Value::Int(7)));
    assert_eq!(at("/a/0/big", Form::Integer), Ok(Value::UInt(u64::MAX)));
    assert_eq!(at("/a/0/n", state()), Err(Reason::Undecodable));
    assert_eq!(at("/a/0/t", Form::Integer), Err(Reason::Undecodable));
    assert_eq!(at("/a/0/bad", number(false, Suffix::None)), Err(Reason::NotAvailable));
    assert_eq!(at("/a/0/x", state()), Err(Reason::NotAvailable));
    assert_eq!(at("/a/1/t", state()), Err(Reason::NotAvailable));
    assert_eq!(at("/a", Form::Text), Err(Reason::Undecodable));
    assert_eq!(value(Pick::Json("/a".into()), Form::Text, "{"), Err(Reason::MalformedReply));
}

#[test]
fn expressions_and_words_find_their_value() {
    let regex = |text: &str| Pick::Regex(Box::new(Regex::new(text).unwrap()));
    let page = "<td>Temperature</td><td>23,4 &deg;C</td>";
    assert_eq!(
        value(regex("Temperature</td><td>([-0-9,]+)"), number(true, Suffix::None), page),
        Ok(Value::Float(23.4))
    );
    assert_eq!(value(regex("Humidity(.)"), Form::Text, page), Err(Reason::MalformedReply));
    let words = || Form::State { on: Some("OPEN".into()), off: Some("CLOSED".into()) };
    assert_eq!(value(Pick::Whole, words(), " open\r\n"), Ok(Value::Bool(true)));
    assert_eq!(value(Pick::Whole, words(), "on"), Err(Reason::Undecodable));
    assert_eq!(value(Pick::Whole, Form::Text, &"x".repeat(MAX_TEXT + 1)), Err(Reason::Undecodable));
}

proptest! {
    #[test]
    fn no_answer_panics(
        text in ".*|[0-9,;°C%{}\\[\\]\":a-z.-]*", separator in ".{1,3}", index in 0usize..300, after in proptest::option::of(".{0,4}"),
        pointer in "(/[a-z0-9~]*)*", bit: u8,
    ) {
        let reply = Reply::new(text);
        let picks = [
            Pick::Whole,
            Pick::Json(pointer),
            Pick::Split(Split { separator, after, index, skip_address: true }),
            Pick::Regex(Box::new(Regex::new("([0-9]+)").unwrap())),
            Pick::Columns(index, index + usize::from(bit)),
        ];
        let forms = [
            number(true, Suffix::Any), number(false, Suffix::None), Form::Integer, Form::Hex, Form::HexBit(bit),
            Form::State { on: None, off: None }, Form::Text,
        ];
        for pick in &picks {
            for form in &forms {
                if let Ok(Value::Float(number)) = extract(pick.clone(), form.clone()).value(&reply) {
                    prop_assert!(number.is_finite());
                }
            }
        }
    }

    #[test]
    fn what_a_web_io_prints_reads_back(values in prop::collection::vec(-2000i32..20_000, 1..12), prefix: bool) {
        let fields: Vec<String> = values.iter().map(|v| format!("{}{},{}°C", if *v < 0 { "-" } else { "" }, v.abs() / 10, v.abs() % 10)).collect();
        let text = format!("{}{}", if prefix { "192.0.2.7;box;" } else { "" }, fields.join(";"));
        for (index, tenths) in values.iter().enumerate() {
            let read = value(split(None, index), number(true, Suffix::Exact("°C".into())), &text);
            prop_assert_eq!(read, Ok(Value::Float(format!("{:.1}", f64::from(*tenths) / 10.0).parse().unwrap())));
        }
    }
}
