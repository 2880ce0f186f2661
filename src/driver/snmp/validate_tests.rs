//! What is wrong with a channel, in the words that a person reads.

use super::*;
use crate::driver::text::config::tests::sections;

fn problems(yaml: &str) -> String {
    let config: SnmpConfig = serde_yaml::from_str(yaml).unwrap();
    config.validate().join("\n")
}

#[test]
fn a_right_channel_has_no_complaints() {
    for yaml in [
        "{ address: 192.0.2.1 }",
        "{ address: \"[2001:db8::1]:1161\", version: v1, community: secret, retries: 0 }",
        "{ address: ups.example, version: v2c, max-objects: 1, timeout: 500ms }",
        "{ address: ups.example, user: { name: monitor } }",
        "{ address: ups.example, version: v3, user: { name: m, password: long enough, privacy-password: longer still, privacy: des, auth: md5 } }",
    ] {
        assert_eq!(problems(yaml), "", "{yaml}");
    }
}

#[test]
fn each_mistake_is_named_with_its_remedy() {
    for (yaml, complaint) in [
        ("{ address: \"udp://a\" }", "write a host"),
        ("{ address: \"a:0\" }", "write a host"),
        ("{ address: a, timeout: 0s }", "timeout 0us: use more than nothing"),
        ("{ address: a, retries: 9 }", "retries 9: use 0 … 5"),
        ("{ address: a, max-objects: 0 }", "max-objects 0: use 1 … 64"),
        ("{ address: a, version: v3 }", "v3 needs a user"),
        ("{ address: a, version: v1, user: { name: m } }", "say version: v3"),
        ("{ address: a, community: x, user: { name: m } }", "keep one"),
        ("{ address: a, community: \"\" }", "community: 1 … 255 bytes"),
        ("{ address: a, user: { name: \"\" } }", "a name has 1 … 32 bytes"),
        (
            "{ address: a, user: { name: m, password: short } }",
            "password: a password of version 3 has at least 8",
        ),
        (
            "{ address: a, user: { name: m, privacy-password: long enough } }",
            "privacy-password needs a password",
        ),
    ] {
        assert!(problems(yaml).contains(complaint), "{yaml}: {}", problems(yaml));
    }
    let config: SnmpConfig =
        serde_yaml::from_str("{ address: a, user: { name: m, password: short } }").unwrap();
    assert!(!config.validate().join("").contains("short"), "no complaint shows a secret");
}

fn wiring(yaml: &str) -> Result<Wiring, String> {
    let (point, text): (PointConfig, ExtractConfig) = sections(yaml);
    point.wiring(&text, Access::R)
}

#[test]
fn a_point_is_an_instance_and_what_is_made_of_it() {
    let wired = wiring("{ oid: .1.3.6.1.2.1.33.1.2.4.0, as: integer }").unwrap();
    assert_eq!(wired.oid.to_string(), "1.3.6.1.2.1.33.1.2.4.0");
    assert_eq!((wired.extract.form, wired.counter), (Form::Integer, None));
    for (yaml, complaint) in [
        ("{}", "name the instance"),
        ("{ oid: sysUpTime.0 }", "names of a MIB are not known here"),
        ("{ oid: \"1.3\" }", "this is no instance"),
        ("{ oid: 1.3.6.1.4294967296 }", "below 2^32"),
        ("{ oid: 9.3.6.1 }", "no instance"),
        ("{ oid: 1.3..6 }", "names of a MIB"),
        ("{ oid: 1.3.6.1, counts: rate, as: text }", "counts belongs to numbers"),
        ("{ oid: 1.3.6.1, counts: total, missing: [\"0\"] }", "counter as it is"),
    ] {
        let error = wiring(yaml).expect_err(yaml);
        assert!(error.contains(complaint), "{yaml}: {error}");
    }
}

#[test]
fn a_point_that_is_written_is_all_of_its_object() {
    let wiring = |yaml: &str, access| {
        let (point, text): (PointConfig, ExtractConfig) = sections(yaml);
        point.wiring(&text, access)
    };
    let wired = wiring("{ oid: 1.3.6.1.4, as: state, on-word: \"1\", off-word: \"2\" }", Access::Rw).unwrap();
    assert_eq!(wired.writing, Some(Writing { oid: wired.oid.clone(), syntax: None }));
    assert_eq!(wired.written(&Value::Bool(false), Syntax::Integer).unwrap(), "2");
    let wired =
        wiring("{ oid: 1.3.6.1.4, set-oid: 1.3.6.1.5, snmp-type: unsigned, regex: \"a(.*)\" }", Access::Rw);
    assert_eq!(wired.unwrap().writing.unwrap().oid.to_string(), "1.3.6.1.5");
    let comma = wiring("{ oid: 1.3.6.1.4, decimal-comma: on }", Access::Rw).unwrap();
    assert_eq!(comma.written(&Value::Float(-2.5), Syntax::Text).unwrap(), "-2,5");
    let small = wiring("{ oid: 1.3.6.1.4, as: integer, snmp-type: unsigned }", Access::Rw).unwrap();
    assert!(small.encodable(&Value::Int(-1)).unwrap_err().contains("between 0 and 4294967295"));
    for (yaml, access, complaint) in [
        ("{ oid: 1.3.6.1.4, counts: total }", Access::Rw, "what is counted cannot be written"),
        ("{ oid: 1.3.6.1.4, snmp-type: text }", Access::R, "use access: rw"),
        ("{ oid: 1.3.6.1.4, set-oid: 1.3.6.1.5 }", Access::R, "set-oid needs access: rw"),
        ("{ oid: 1.3.6.1.4, set-oid: 1.3.6.1.5, snmp-type: text }", Access::W, "name that instance as oid"),
        ("{ oid: 1.3.6.1.4 }", Access::W, "snmp-type: name the type"),
        ("{ oid: 1.3.6.1.4, set-oid: 1.3.6.1.5 }", Access::Rw, "snmp-type: name the type"),
        (
            "{ oid: 1.3.6.1.4, set-oid: led.0, snmp-type: text }",
            Access::Rw,
            "set-oid led.0: write the number",
        ),
        ("{ oid: 1.3.6.1.4, regex: \"a(.*)\" }", Access::Rw, "all of its object"),
        ("{ oid: 1.3.6.1.4, suffix: °C }", Access::Rw, "remove suffix"),
        ("{ oid: 1.3.6.1.4, as: state, snmp-type: text }", Access::Rw, "say on-word and off-word"),
    ] {
        let error = wiring(yaml, access).expect_err(yaml);
        assert!(error.contains(complaint), "{yaml}: {error}");
    }
}

#[test]
fn a_session_has_values_that_fit_and_no_complaint_shows_one() {
    let session = |yaml: &str| serde_yaml::from_str::<DeviceConfig>(yaml).unwrap().session();
    let good = "{ write-password: hunter2, write-session: [{ oid: 1.3.6.1.4 }, { oid: 1.3.6.1.5, type: integer, value: \"1\" }] }";
    let built = session(good).unwrap();
    assert_eq!((built.open.len(), built.close.len()), (2, 0));
    assert_eq!(built.open[0].value.reveal(), "hunter2");
    assert!(!format!("{built:?}").contains("hunter2"));
    for (yaml, complaint) in [
        ("{ write-session: [{ oid: 1.3.6.1.4 }] }", "write-session: 1.3.6.1.4 has no value: give it one"),
        (
            "{ write-session-end: [{ oid: top, value: hunter2 }] }",
            "write-session-end: oid top: write the number",
        ),
        ("{ write-session: [{ oid: 1.3.6.1.4, type: integer, value: hunter2 }] }", "is not a whole number"),
    ] {
        let problems = session(yaml).expect_err(yaml);
        let said: Vec<&str> = problems.iter().map(|(_, message)| message.as_str()).collect();
        assert!(said[0].contains(complaint) && !said[0].contains("hunter2"), "{said:?}");
    }
}
