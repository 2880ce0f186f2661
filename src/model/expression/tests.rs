//! What expressions come to, what is refused, and that a tree reads back as it is printed.

use proptest::prelude::*;

use super::*;

fn value(text: &str, inputs: &[(&str, f64)]) -> Option<f64> {
    let names: Vec<&str> = inputs.iter().map(|(name, _)| *name).collect();
    let values: Vec<f64> = inputs.iter().map(|(_, value)| *value).collect();
    parse(text, &names).unwrap_or_else(|error| panic!("{text}: {error:?}")).0.value(&values)
}

#[test]
fn operators_bind_as_people_expect() {
    let with = [("a", 6.0), ("b", 2.0), ("on", 1.0), ("off", 0.0)];
    for (text, wanted) in [
        ("1 + 2 * 3", 7.0),
        ("(1 + 2) * 3", 9.0),
        ("10 - 4 - 3", 3.0),
        ("16 / 4 / 2", 2.0),
        ("-a + b", -4.0),
        ("2 * -b", -4.0),
        ("- - b", 2.0),
        ("1.5e3/1e+2", 15.0),
        ("a > b and not off or off", 1.0),
        ("off or off and on", 0.0),
        ("not a < b", 1.0),
        ("a - b == 4", 1.0),
        ("a != 6", 0.0),
        ("(a >= 6) + (b <= 2) + on", 3.0),
        ("min(a, b, 7)", 2.0),
        ("max(a)", 6.0),
        ("abs(b - a)", 4.0),
        ("if(a > b and on, a, b) * 10", 60.0),
        ("if(off, true, on)", 1.0),
    ] {
        assert_eq!(value(text, &with), Some(wanted), "{text}");
    }
}

#[test]
fn what_has_no_value_gives_none() {
    let with = [("x", 0.0), ("y", 0.5)];
    for text in ["1 / x", "x / x", "1e308 * 10", "not y", "y and true", "x and y", "if(y, 1, 2)", "1 / x > 3"]
    {
        assert_eq!(value(text, &with), None, "{text}");
    }
    assert_eq!(parse("a", &["a"]).unwrap().0.value(&[]), None);
}

#[test]
fn conditions_are_told_from_numbers() {
    let kind = |text: &str| parse(text, &["a", "b"]).unwrap().1;
    for text in ["a > b", "not a", "a and b", "true", "if(a, b > 1, b)", "(a == b)"] {
        assert_eq!(kind(text), Kind::Condition, "{text}");
    }
    for text in ["a", "a + b", "min(a, b)", "if(a, b, 1)", "(a > 1) * 2", "-(a > 1)"] {
        assert_eq!(kind(text), Kind::Number, "{text}");
    }
}

#[test]
fn mistakes_have_a_place_and_a_remedy() {
    for (text, at, message, help) in [
        ("", 0..0, "it ends", ""),
        ("a +", 3..3, "it ends", ""),
        ("a b", 2..3, "there is `b`", "operator"),
        ("a = b", 2..3, "there is `=`", "=="),
        ("!a", 0..1, "there is `!`", "not"),
        ("3,5", 1..2, "there is `,`", "decimal point"),
        ("a + c", 4..5, "no input `c`", "known are a, b"),
        ("1 < a < 3", 6..7, "cannot be chained", "and"),
        ("a + 1 and b", 0..5, "`and` needs a condition", "compare"),
        ("not (a + b)", 4..11, "`not` needs a condition", "compare"),
        ("if(a + 1, 1, 2)", 3..8, "`if` needs a condition", "compare"),
        ("if(a, 1)", 0..8, "does not take 2 parts", "then"),
        ("if(a, 1, a > 2)", 0..15, "a condition there", "two numbers"),
        ("abs(a, b)", 0..9, "does not take 2", "abs(x)"),
        ("sqrt(a)", 0..7, "no function", "min, max"),
        ("(a", 2..2, "`)`", ""),
        ("a °C", 2..4, "`°` has no meaning", "numbers"),
        ("1e999", 0..5, "too large", ""),
        ("and", 0..3, "there is `and`", ""),
    ] {
        let error = parse(text, &["a", "b"]).unwrap_err();
        assert_eq!(error.at, at, "{text}: {error:?}");
        assert!(error.message.contains(message), "{text}: {error:?}");
        assert!(error.help.unwrap_or_default().contains(help), "{text}");
    }
}

#[test]
fn depth_and_length_have_limits() {
    for text in [
        "(".repeat(900) + "1" + &")".repeat(900),
        "-".repeat(1000) + "1",
        "not ".repeat(400) + "true",
        "1".to_owned() + &" + 1".repeat(500),
        "true".to_owned() + &" and true".repeat(200),
        "1 ".repeat(MAX_LENGTH),
    ] {
        assert!(parse(&text, &[]).is_err(), "{}", &text[..20]);
    }
    assert!(parse(&("1".to_owned() + &" + 1".repeat(MAX_DEPTH)), &[]).is_ok());
}

/// Prints a tree with all its brackets.
fn print(expression: &Expression) -> String {
    match expression {
        Expression::Number(number) => format!("{number}"),
        Expression::Input(place) => format!("in{place}"),
        Expression::One(One::Negative, part) => format!("(-{})", print(part)),
        Expression::One(One::Absolute, part) => format!("abs({})", print(part)),
        Expression::One(One::Not, part) => format!("(not {})", print(part)),
        Expression::Two(what, left, right) => {
            let sign = match what {
                Two::Plus => "+",
                Two::Minus => "-",
                Two::Times => "*",
                Two::Over => "/",
                Two::Less => "<",
                Two::LessOrEqual => "<=",
                Two::Greater => ">",
                Two::GreaterOrEqual => ">=",
                Two::Equal => "==",
                Two::NotEqual => "!=",
                Two::And => "and",
                Two::Or => "or",
            };
            format!("({} {sign} {})", print(left), print(right))
        }
        Expression::Extreme(which, parts) => {
            let parts: Vec<String> = parts.iter().map(print).collect();
            format!("{}({})", if *which == Extreme::Least { "min" } else { "max" }, parts.join(", "))
        }
        Expression::If(parts) => {
            format!("if({}, {}, {})", print(&parts[0]), print(&parts[1]), print(&parts[2]))
        }
    }
}

/// Trees that make sense: numbers where numbers belong.
fn numbers() -> impl Strategy<Value = Expression> {
    let leaf = prop_oneof![
        (0u32..100_000).prop_map(|tenths| Expression::Number(f64::from(tenths) / 10.0)),
        (0usize..3).prop_map(Expression::Input),
    ];
    leaf.prop_recursive(5, 40, 3, |inner| {
        let two = prop_oneof![Just(Two::Plus), Just(Two::Minus), Just(Two::Times), Just(Two::Over)];
        let compared = (
            prop_oneof![Just(Two::Less), Just(Two::GreaterOrEqual), Just(Two::Equal), Just(Two::NotEqual)],
            inner.clone(),
            inner.clone(),
        )
            .prop_map(|(what, a, b)| Expression::Two(what, Box::new(a), Box::new(b)));
        let joined = (prop_oneof![Just(Two::And), Just(Two::Or)], compared.clone(), compared.clone())
            .prop_map(|(what, a, b)| Expression::Two(what, Box::new(a), Box::new(b)));
        let denied = joined.clone().prop_map(|part| Expression::One(One::Not, Box::new(part)));
        prop_oneof![
            (two, inner.clone(), inner.clone()).prop_map(|(what, a, b)| Expression::Two(
                what,
                Box::new(a),
                Box::new(b)
            )),
            inner.clone().prop_map(|part| Expression::One(One::Negative, Box::new(part))),
            inner.clone().prop_map(|part| Expression::One(One::Absolute, Box::new(part))),
            prop::collection::vec(inner.clone(), 1..4)
                .prop_map(|parts| Expression::Extreme(Extreme::Least, parts)),
            (denied, inner.clone(), inner).prop_map(|(c, a, b)| Expression::If(Box::new([c, a, b]))),
        ]
    })
}

proptest! {
    #[test]
    fn a_printed_tree_reads_back(tree in numbers()) {
        let text = print(&tree);
        prop_assume!(text.len() <= MAX_LENGTH);
        let (read, kind) = parse(&text, &["in0", "in1", "in2"]).map_err(|e| TestCaseError::fail(format!("{text}: {e:?}")))?;
        prop_assert_eq!(kind, Kind::Number);
        prop_assert_eq!(read, tree);
    }

    #[test]
    fn a_value_is_finite_or_none(tree in numbers(), inputs in prop::collection::vec(-1e6f64..1e6, 3)) {
        if let Some(value) = tree.value(&inputs) {
            prop_assert!(value.is_finite());
        }
    }

    #[test]
    fn no_text_panics(text in ".*|[a-c0-9.eE+*/()<>=!, -]*|((and|or|not|if|min|a|1|\\(|\\)|,| |-)){0,60}") {
        if let Err(error) = parse(&text, &["a", "b"]) {
            prop_assert!(text.get(error.at.clone()).is_some(), "{:?}", error.at);
        }
    }
}
