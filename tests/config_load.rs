//! Loading: files that cannot be read, texts that nobody meant, and plans in detail.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a broken promise is a failed test"
)]

use std::path::Path;
use std::time::Duration;

use iogate::config::{self, Level, Plan, Surroundings};
use iogate::driver::modbus;
use iogate::driver::modbus::register::{BitField, Table};
use iogate::model::{Access, Deadband, PayloadFormat, PointId, Value, ValueKind};
use proptest::prelude::*;

const GOOD: &str = include_str!("config-cases/good-factory/config.yaml");

fn surroundings() -> Surroundings {
    let environment = |name: &str| (name == "PLC_ADDRESS").then(|| "192.0.2.10:502".to_owned());
    Surroundings { environment: Box::new(environment), ..Surroundings::none() }
}

#[track_caller]
fn plan(yaml: &str) -> Plan {
    config::load_str(yaml, "test.yaml", &surroundings()).unwrap_or_else(|report| panic!("{report}"))
}

#[track_caller]
fn refusal(yaml: &str) -> String {
    config::load_str(yaml, "test.yaml", &surroundings()).unwrap_err().to_string()
}

#[test]
fn the_plan_holds_what_was_written() {
    let plan = plan(GOOD);
    let point = |name: &str| plan.points.by_name(name).unwrap_or_else(|| panic!("no {name}"));
    let temperature = point("assembly-climate/temperature");
    assert_eq!(temperature.topic.as_str(), "busan/factory/assembly/temperature");
    assert_eq!(temperature.report.deadband, Deadband::Absolute(0.2));
    assert_eq!(temperature.report.max_silence, Some(Duration::from_secs(300)));
    assert_eq!((temperature.kind, temperature.unit.as_deref()), (ValueKind::Float, Some("°C")));
    assert_eq!((temperature.publish.qos, temperature.publish.format), (1, PayloadFormat::Json));
    assert!(plan.points.by_name("assembly-climate/dew-point").is_none());
    let pressure = point("press/pressure");
    assert_eq!((pressure.poll, pressure.range), (Duration::from_millis(500), Some((0.0, 1000.0))));
    let fan = point("press/fan");
    assert_eq!(
        (fan.access, fan.safe.clone(), fan.kind),
        (Access::Rw, Some(Value::Bool(false)), ValueKind::Bool)
    );
    assert_eq!(point("press/mode").safe, Some(Value::from("Idle")));
    assert_eq!(point("press/door-07").label.as_deref(), Some("Door 7"));
    let rule = &plan.alarms[0];
    assert_eq!(plan.points.get(rule.inputs[0]).name.as_ref(), "press/temperature");
    let held: Vec<_> = rule.actions.iter().map(|action| (action.output, action.value.clone())).collect();
    let speed = point("press/speed").id;
    assert_eq!(held, [(fan.id, Value::Bool(true)), (speed, Value::Float(12.5))]);
}

#[test]
fn copies_move_by_what_one_takes() {
    let plan = plan(GOOD);
    let line: &modbus::Plan = plan.channels[0].driver.get().unwrap();
    let units: Vec<u8> = line.devices.iter().map(|device| device.unit).collect();
    assert_eq!(units, [3, 10, 11, 12, 13]);
    let plc: &modbus::Plan = plan.channels[1].driver.get().unwrap();
    let wire = |name: &str| {
        let id = plan.points.by_name(name).unwrap().id;
        plc.devices[0].points.iter().find(|point| point.id == id).unwrap().register
    };
    for (door, address, bit) in
        [("press/door-01", 0x30, 0), ("press/door-16", 0x30, 15), ("press/door-17", 0x31, 0)]
    {
        let register = wire(door);
        assert_eq!((register.table, register.address), (Table::Input, address), "{door}");
        assert_eq!(register.bits, Some(BitField { shift: bit, width: 1 }), "{door}");
    }
    let ids: Vec<PointId> = plan.points.iter().map(|point| point.id).collect();
    assert!(ids.windows(2).all(|pair| pair[0] < pair[1]));
}

#[test]
fn words_of_truth_are_read_by_the_kind_of_the_output() {
    for (word, expected) in
        [("on", true), ("yes", true), ("true", true), ("1", true), ("off", false), ("no", false)]
    {
        let plan = plan(&format!(
            "site: s\nchannels: {{ c: {{ modbus-tcp: {{ address: 192.0.2.1 }} }} }}\n\
             devices: {{ d: {{ channel: c, points: {{ p: {{ coil: 0, access: rw, safe: {word} }} }} }} }}\n"
        ));
        assert_eq!(plan.points.by_name("d/p").unwrap().safe, Some(Value::Bool(expected)), "{word}");
    }
}

#[test]
fn files_that_cannot_be_read_are_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        config::load(&path).unwrap_err().to_string()
    };
    let missing = config::load(Path::new("/nowhere/iogate.yaml")).unwrap_err();
    assert!(missing.to_string().contains("cannot be read"), "{missing}");
    assert_eq!(missing.errors().count(), 1);
    let latin = file("latin.yaml", b"site: s\nunit: \xB0C\n");
    assert!(latin.contains("not UTF-8") && latin.contains("line 2"), "{latin}");
    let large = file("large.yaml", &vec![b'#'; 5 << 20]);
    assert!(large.contains("larger than 4 MiB"), "{large}");
}

#[test]
fn marks_and_line_ends_of_other_systems_do_not_matter() {
    let yaml = format!("\u{feff}{}", GOOD.replace('\n', "\r\n"));
    assert_eq!(plan(&yaml).points.len(), plan(GOOD).points.len());
    let report = refusal("\u{feff}site: s\r\nchanels: {}\r\n");
    assert!(report.contains("test.yaml:2:1") && report.contains("^^^^^^^"), "{report}");
}

#[test]
fn names_are_not_filled_from_the_environment() {
    let report = refusal("site: s\n\"${PLC_ADDRESS}\": 1\n");
    assert!(report.contains("unknown key `${PLC_ADDRESS}`"), "{report}");
}

#[test]
fn profiles_beside_the_configuration_win_over_shipped_ones() {
    let folder = tempfile::tempdir().unwrap();
    let profiles = folder.path().join("profiles/xy");
    std::fs::create_dir_all(&profiles).unwrap();
    let own = "vendor: Own\nmodels: [MD02]\nsource: the workshop\ngrade: hardware\nmodbus: {}\npoints: { only: input 0 }\n";
    std::fs::write(profiles.join("md02.yaml"), own).unwrap();
    let yaml = "site: s\nchannels: { c: { modbus-tcp: { address: 192.0.2.1 } } }\ndevices: { d: { channel: c, profile: xy/md02 } }\n";
    let path = folder.path().join("iogate.yaml");
    std::fs::write(&path, yaml).unwrap();
    let names = |plan: &Plan| plan.points.iter().map(|point| point.name.to_string()).collect::<Vec<_>>();
    assert_eq!(names(&config::load(&path).unwrap()), ["d/only"]);
    assert_eq!(plan(yaml).points.len(), 4);
}

#[test]
fn warnings_keep_nothing_from_loading() {
    let plan = plan("site: s\nchannels: { c: { modbus-tcp: { address: 192.0.2.1 } } }\n");
    assert!(plan.channels.is_empty());
    let levels: Vec<Level> = plan.warnings.iter().map(|warning| warning.level).collect();
    assert_eq!(levels, [Level::Warning]);
}

#[test]
fn a_long_report_is_cut_and_says_so() {
    let keys: String = (0..150).map(|n| format!("key{n}: 1\n")).collect();
    let report = refusal(&keys);
    assert!(report.contains("… and 51 more") && report.ends_with("151 errors"), "{report}");
}

#[test]
fn large_plants_load() {
    let plan = plan(
        "site: s\nchannels: { c: { modbus-tcp: { address: 192.0.2.1 } } }\n\
         devices:\n  d{n}:\n    repeat: 1..200\n    channel: c\n    poll: 1m\n    points:\n      p{n}: { repeat: 1..50, input: 0, type: f32 }\n",
    );
    assert_eq!(plan.points.len(), 10_000);
}

/// A good configuration with a few characters changed, removed or put in: what slips of the finger make.
fn slips() -> impl Strategy<Value = String> {
    let slip = (0..GOOD.len(), "[a-z0-9:{}, \n#&*!\"'\\[\\]|>%$.-]{0,3}", 0usize..4);
    prop::collection::vec(slip, 1..6).prop_map(|slips| {
        let mut chars: Vec<char> = GOOD.chars().collect();
        for (at, text, removed) in slips {
            let at = at.min(chars.len());
            let end = (at + removed).min(chars.len());
            chars.splice(at..end, text.chars());
        }
        chars.into_iter().collect()
    })
}

fn holds(text: &str) -> Result<(), TestCaseError> {
    match config::load_str(text, "test.yaml", &surroundings()) {
        Ok(plan) => prop_assert!(!config::check_report(&plan).is_empty()),
        Err(report) => {
            prop_assert!(report.errors().count() > 0, "{report}");
            for problem in report.errors() {
                prop_assert!(!problem.message.is_empty());
                let place = problem.place.as_ref().unwrap();
                prop_assert!(place.line >= 1 && place.column >= 1);
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn no_text_panics_and_every_refusal_has_its_place(text in "(?s).{0,400}") {
        holds(&text)?;
    }

    #[test]
    fn slips_give_a_plan_or_a_report(text in slips()) {
        holds(&text)?;
    }
}
