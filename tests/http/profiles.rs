//! The shipped W&T profiles: raw answers as the devices print them become the expected values.

use iogate::config::shipped_profiles;
use iogate::driver::http;
use iogate::driver::http::extract::Reply;
use iogate::model::{Quality, Reason, Value};

use super::bench::plan;

/// The points of a profile read out of these answers to `/single` and `/allout`.
fn read(model: &str, single: &str, allout: &str) -> Vec<(String, Option<Value>, Quality)> {
    let yaml = format!(
        "site: s\nchannels: {{ c: {{ http: {{ address: 192.0.2.1 }} }} }}\ndevices: {{ d: {{ channel: c, profile: wut/{model} }} }}\n"
    );
    let plan = plan(&yaml);
    let http: &http::Plan = plan.channels[0].driver.get().unwrap();
    let points = http.devices[0].points.iter().filter(|point| point.access.readable());
    let read = points.map(|point| {
        let request = point.wiring.request.as_ref().unwrap();
        let text = if request.path == "/single" { single } else { allout };
        let (value, quality) = match point.wiring.extract.value(&Reply::new(text.into())) {
            Ok(raw) => point.conversion.apply(&raw),
            Err(reason) => (None, Quality::Bad(reason)),
        };
        let name = plan.points.get(point.id).name.strip_prefix("d/").unwrap().to_owned();
        (name, value, quality)
    });
    read.collect()
}

fn numbers(model: &str, single: &str) -> Vec<(String, Option<f64>)> {
    let all = read(model, single, "").into_iter();
    all.map(|(name, value, _)| (name, value.and_then(|value| value.as_f64()))).collect()
}

#[track_caller]
fn assert_numbers(model: &str, single: &str, expected: &[(&str, Option<f64>)]) {
    let expected: Vec<(String, Option<f64>)> =
        expected.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
    assert_eq!(numbers(model, single), expected, "{model}: {single}");
}

#[test]
fn thermometers_read_their_answers() {
    for model in ["57714", "57725", "57726"] {
        assert_numbers(model, "23,4°C", &[("temperature", Some(23.4))]);
        assert_numbers(model, "192.0.2.31;Hall 3;-12,5 °C", &[("temperature", Some(-12.5))]);
        assert_numbers(model, "----", &[("temperature", None)]);
        assert_numbers(model, "74,1°F", &[("temperature", None)]);
    }
    assert_numbers(
        "57707",
        "-0,1°C;150,0°C",
        &[("temperature-1", Some(-0.1)), ("temperature-2", Some(150.0))],
    );
    let eight: Vec<String> = (1..=8).map(|n| format!("{n}0,{n}°C")).collect();
    let read = numbers("57708", &eight.join(";"));
    assert_eq!(read.len(), 8);
    assert_eq!(read[7], ("temperature-8".to_owned(), Some(80.8)));
}

#[test]
fn climate_devices_read_their_answers() {
    let both = [("temperature", Some(23.4)), ("humidity", Some(45.3))];
    for model in ["57720", "57729"] {
        assert_numbers(model, "23,4°C;45,3%", &both);
        // Another order than expected gives no value instead of a wrong one.
        assert_numbers(model, "45,3%;23,4°C", &[("temperature", None), ("humidity", None)]);
    }
    assert_numbers("57713", "23,4°C;45,3%;1013,2hPa", &[both[0], both[1], ("pressure", Some(1013.2))]);
    for model in ["57721", "57728"] {
        assert_numbers(model, "812 ppm", &[("sensor-1", Some(812.0))]);
    }
}

#[test]
fn analog_devices_read_their_answers() {
    for (model, text) in [("57761", "10,5 mA"), ("57762", "10,5 V")] {
        assert_numbers(model, text, &[("value", Some(10.5))]);
    }
}

#[test]
fn digital_devices_read_their_answers() {
    for (model, inputs, outputs) in [("57730", 12, 12), ("57734", 12, 6), ("57737", 2, 2)] {
        let all = read(model, "", "input;0002;output;0001;counter;3;4");
        assert_eq!(all.len(), inputs + outputs, "{model}");
        for (name, value, quality) in all {
            let on = matches!(name.as_str(), "input-1" | "output-0");
            assert_eq!((value, quality), (Some(Value::Bool(on)), Quality::Good), "{model} {name}");
        }
        let refused = read(model, "", "403 Forbidden");
        assert!(refused.iter().all(|(_, value, quality)| {
            value.is_none() && *quality == Quality::Bad(Reason::MalformedReply)
        }));
    }
}

#[test]
fn all_fifteen_models_are_there() {
    let mut models: Vec<String> = shipped_profiles()
        .filter_map(|name| name.strip_prefix("wut/").map(str::to_owned))
        .filter(|name| !name.contains('-'))
        .collect();
    models.sort();
    let named = "57707 57708 57713 57714 57720 57721 57725 57726 57728 57729 57730 57734 57737 57761 57762";
    assert_eq!(models, named.split(' ').collect::<Vec<_>>());
}
