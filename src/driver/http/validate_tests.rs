//! What is refused, and that it is said how to mend it.

use super::*;

fn point(yaml: &str) -> (PointConfig, ExtractConfig) {
    crate::driver::text::config::tests::sections(yaml)
}

fn refusal(yaml: &str, writable: bool) -> String {
    let (point, text) = point(yaml);
    point.wiring(&text, &DeviceConfig::default(), true, writable).unwrap_err()
}

#[test]
fn points_that_make_no_sense_are_refused_with_a_remedy() {
    for (yaml, writable, part) in [
        ("{}", false, "analog-in"),
        ("{ get: status }", false, "begins with `/`"),
        ("{ get: /a, post: /b }", false, "both get and post"),
        ("{ get: /a, body: x }", false, "use post"),
        ("{ get: /a, json: t }", false, "/t"),
        ("{ get: /a, json: /t, regex: (x) }", false, "keep one"),
        ("{ get: /a, regex: \"(\" }", false, "regex: unclosed group"),
        ("{ get: /a, regex: x }", false, "group"),
        ("{ get: /a, regex: \"(\\\\w{1000}){1000}\" }", false, "regex:"),
        ("{ get: /a, split: { separator: \"\" } }", false, "separator"),
        ("{ get: /a, hex-bit: 64 }", false, "0 … 63"),
        ("{ get: /a, as: text, suffix: °C }", false, "as: number"),
        ("{ get: /a, on-word: X }", false, "as: state"),
        ("{ get: /a, as: state, on-word: X }", false, "both"),
        ("{ get: /a }", true, "{value}"),
        ("{ get: /a, set: { get: /b } }", true, "{value}"),
        ("{ get: /a, set: { get: \"/b?{value}\" } }", false, "access: rw"),
        ("{ get: /a, set: { get: \"/b?{value}\", put: /c } }", true, "one request"),
        ("{ analog-in: 0 }", false, "1 … 64"),
        ("{ digital-in: 64 }", false, "0 … 63"),
        ("{ analog-in: 1, digital-in: 1 }", false, "both"),
        ("{ digital-in: 1 }", true, "cannot be written"),
        ("{ digital-in: 1, json: /a }", false, "json"),
        ("{ digital-out: 1, suffix: V }", false, "suffix"),
    ] {
        let message = refusal(yaml, writable);
        assert!(message.contains(part), "{yaml}: {message}");
    }
}

#[test]
fn channels_and_devices_say_what_does_not_fit() {
    let channel = |yaml: &str| serde_yaml::from_str::<HttpConfig>(yaml).unwrap();
    let good = channel("{ address: box.example }");
    assert_eq!((good.validate(), good.endpoint()), (vec![], Ok(("box.example".into(), 80))));
    assert_eq!(channel("{ address: \"[2001:db8::1]:81\" }").endpoint(), Ok(("2001:db8::1".into(), 81)));
    assert_eq!(channel("{ address: box, tls: {} }").endpoint(), Ok(("box".into(), 443)));
    let bad = channel(
        "{ address: \"http://box\", timeout: 0s, connect-timeout: 2m, pause: 2m, max-response: 8MiB, login: { user: \"a:b\", password: x } }",
    );
    let problems = bad.validate();
    assert_eq!(problems.len(), 6, "{problems:?}");
    assert!(problems[0].contains("without http://"), "{problems:?}");
    let device = |yaml: &str| serde_yaml::from_str::<DeviceConfig>(yaml).unwrap().validate().join("; ");
    assert_eq!(device("{ headers: { X-Key: a } }"), "");
    assert!(device("{ headers: { \"a b\": c } }").contains("plain HTTP header"));
    assert!(device("{ headers: { Host: c } }").contains("remove it"));
    assert!(device("{ identify: { page: x, contains: y } }").contains("begins with"));
    assert!(device("{ identify: { page: /x, contains: \" \" } }").contains("contains"));
}
