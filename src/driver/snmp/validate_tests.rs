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
    point.wiring(&text, false)
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
    let (point, text): (PointConfig, ExtractConfig) = sections("{ oid: 1.3.6.1 }");
    assert!(point.wiring(&text, true).is_err_and(|error| error.contains("use access: r")));
}
