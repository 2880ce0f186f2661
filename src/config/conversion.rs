//! From what is said about scaling, codes and ranges to a checked [`Conversion`].
//!
//! Absent: where the raw number comes from; the driver says what its format can hold. Invariant: a
//! conversion that leaves here has a scale other than 0, ends of spans that differ, and a range that the
//! device's numbers can reach.

use super::context::Context;
use super::node::Node;
use super::sections::{ConversionSection, SpanSection};
use crate::driver::entry::RawForm;
use crate::model::conversion::{Linear, Sentinel};
use crate::model::{Conversion, Value, ValueKind};

/// Keys that mean nothing for a digital state or a text.
const NUMERIC: [&str; 7] = ["scale", "offset", "span", "sign-magnitude", "sentinels", "round", "range"];

/// The conversion of a point, and the kind of its values.
pub(super) fn build(
    cx: &Context<'_>,
    node: &Node,
    section: &ConversionSection,
    form: &RawForm,
) -> (Conversion, ValueKind) {
    refuse_meaningless(cx, node, section, form);
    let mut conversion = Conversion {
        sentinels: sentinels(cx, node, section, form),
        sign_magnitude_from: section.sign_magnitude.map(|code| code.0),
        linear: linear(cx, node, section),
        round: section.round,
        enumeration: section.enumeration.iter().map(|(code, text)| (code.0, text.as_str().into())).collect(),
        range: section.range,
        invert: section.invert.unwrap_or(false),
        quadrants: section.quadrants.unwrap_or(false),
    };
    if section.round.is_none() && form.kind == ValueKind::Integer {
        conversion.round = conversion.natural_places();
    }
    if section.round.is_some_and(|places| places > 15) {
        error_at(cx, node, &["round"], "round keeps 0 to 15 decimal places", None);
    }
    check_enumeration(cx, node, &conversion);
    check_range(cx, node, &conversion, form);
    let kind = kind_of(&conversion, form);
    (conversion, kind)
}

/// Reserved numbers as the format gives them: 0xFFFF in a manual is −1 where the point is an i16.
fn sentinels(cx: &Context<'_>, node: &Node, section: &ConversionSection, form: &RawForm) -> Vec<Sentinel> {
    let limits = form.limits.as_ref().and_then(|(low, high)| Some((low.as_f64()?, high.as_f64()?)));
    let mut found = Vec::with_capacity(section.sentinels.len());
    for (written, reason) in &section.sentinels {
        let mut raw = written.get();
        if let Some((low, high)) = limits {
            let all = high - low + 1.0;
            if low < 0.0 && raw > high && raw < all {
                raw -= all;
            }
            if !(low..=high).contains(&raw) {
                let message = format!("{} never holds {}", form.word, written.get());
                error_at(cx, node, &["sentinels"], message, Some("check the number and the type"));
            }
        }
        found.push(Sentinel { raw, reason: reason.reason() });
    }
    found
}

fn kind_of(conversion: &Conversion, form: &RawForm) -> ValueKind {
    match form.kind {
        ValueKind::Text => ValueKind::Text,
        _ if !conversion.enumeration.is_empty() => ValueKind::Text,
        ValueKind::Integer if conversion.linear != Linear::Identity => ValueKind::Float,
        raw => raw,
    }
}

fn error_at(cx: &Context<'_>, node: &Node, keys: &[&str], message: impl Into<String>, help: Option<&str>) {
    cx.error(node.span_of(keys).unwrap_or(node.span), message, help.map(str::to_owned));
}

fn refuse_meaningless(cx: &Context<'_>, node: &Node, section: &ConversionSection, form: &RawForm) {
    let what = match form.kind {
        ValueKind::Bool => "a digital state",
        ValueKind::Text => "a text",
        _ if !section.enumeration.is_empty() => "a point with `enum`",
        _ => "",
    };
    if !what.is_empty() {
        let keys = if form.kind == ValueKind::Integer {
            &["scale", "offset", "span", "round", "range"][..]
        } else {
            &NUMERIC[..]
        };
        for key in keys.iter().chain(&["deadband", "tolerance"]) {
            if let Some(entry) = node.entry(key) {
                cx.error(
                    entry.key_span,
                    format!("`{key}` has no meaning for {what}"),
                    Some("remove it".to_owned()),
                );
            }
        }
    }
    if form.kind != ValueKind::Bool && node.get("invert").is_some() {
        let help = Some("for numbers use a negative scale");
        error_at(cx, node, &["invert"], "`invert` is for digital states", help);
    }
    if form.kind == ValueKind::Text && node.get("enum").is_some() {
        error_at(cx, node, &["enum"], "`enum` gives texts to codes; this point is a text already", None);
    }
}

fn linear(cx: &Context<'_>, node: &Node, section: &ConversionSection) -> Linear {
    if let Some(span) = section.span {
        if section.scale.is_some() || section.offset.is_some() {
            let help = Some("keep either span, or scale and offset");
            error_at(cx, node, &["span"], "span takes the place of scale and offset; both are given", help);
        }
        return span_of(cx, node, span);
    }
    let (scale, offset) = (section.scale.unwrap_or(1.0), section.offset.unwrap_or(0.0));
    if scale == 0.0 {
        error_at(
            cx,
            node,
            &["scale"],
            "a scale of 0 makes every reading the same",
            Some("leave it out for 1"),
        );
        return Linear::Identity;
    }
    if scale == 1.0 && offset == 0.0 { Linear::Identity } else { Linear::Scale { scale, offset } }
}

fn span_of(cx: &Context<'_>, node: &Node, span: SpanSection) -> Linear {
    let inside = node.get("span").unwrap_or(node);
    let flat = |ends: (f64, f64)| ends.0 == ends.1;
    if flat(span.raw) {
        error_at(cx, inside, &["raw"], "the two raw ends of a span must differ", None);
        return Linear::Identity;
    }
    if flat(span.value) {
        error_at(cx, inside, &["value"], "the two values of a span must differ", None);
        return Linear::Identity;
    }
    Linear::Span { raw: span.raw, value: span.value, ne43: span.ne43 }
}

fn check_enumeration(cx: &Context<'_>, node: &Node, conversion: &Conversion) {
    let names: Vec<&str> = conversion.enumeration.iter().map(|(_, name)| &**name).collect();
    for (at, name) in names.iter().enumerate() {
        if name.trim().is_empty() {
            error_at(cx, node, &["enum"], "a text of an enumeration is empty", None);
        } else if names[..at].iter().any(|other| other.eq_ignore_ascii_case(name)) {
            let help = Some("give each code its own text, so that it can be written, too");
            error_at(cx, node, &["enum"], format!("two codes are called `{name}`"), help);
        }
    }
}

/// What the numbers of the device can mean at all, lowest and highest.
pub(super) fn reach(conversion: &Conversion, form: &RawForm) -> Option<(f64, f64)> {
    let (low, high) = form.limits.clone()?;
    let bare = Conversion {
        linear: match conversion.linear {
            Linear::Span { raw, value, .. } => Linear::Span { raw, value, ne43: false },
            other => other,
        },
        ..Conversion::default()
    };
    let (low, high) = match (conversion.sign_magnitude_from, high.as_f64()) {
        (Some(base), Some(top)) if top >= base as f64 => {
            (Value::Float(base as f64 - top), Value::Int(base.saturating_sub(1)))
        }
        _ => (low, high),
    };
    let ends = [low, high].map(|raw| bare.apply(&raw).0.and_then(|value| value.as_f64()));
    match ends {
        [Some(a), Some(b)] => Some((a.min(b), a.max(b))),
        _ => None,
    }
}

fn check_range(cx: &Context<'_>, node: &Node, conversion: &Conversion, form: &RawForm) {
    let Some((low, high)) = conversion.range else { return };
    if low >= high {
        let help = match low == high {
            true => "its ends must differ".to_owned(),
            false => format!("write the lowest value first: [{high}, {low}]"),
        };
        cx.error(node.span_of(&["range"]).unwrap_or(node.span), "the range is empty", Some(help));
        return;
    }
    let Some((least, most)) = reach(conversion, form) else { return };
    let slack = (most - least).abs() * 1e-9;
    if low < least - slack || high > most + slack {
        let end = if low < least - slack { low } else { high };
        let word = &form.word;
        let message = format!("{end} cannot occur: {word} with this scaling reaches {least} … {most}");
        let signed = low < 0.0 && least >= 0.0;
        let help = if signed {
            "is the number signed (i16, i32)? otherwise narrow the range"
        } else {
            "check type and scale, or narrow the range"
        };
        error_at(cx, node, &["range"], message, Some(help));
    }
}
