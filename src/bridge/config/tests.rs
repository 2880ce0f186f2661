//! The section as people write it, and what is said about mistakes.

use super::*;

fn config(more: &str) -> Config {
    let text = format!("url: mqtts://broker.example.com\n{more}");
    serde_yaml::from_str(&text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn problems(more: &str) -> String {
    config(more).problems().join("\n")
}

#[test]
fn a_full_section_reads_as_written() {
    let bridge = config(
        r#"profile: aws-iot-core
version: 5
client-id: "{site}-{host}"
user: u
token: { jwt: { key: /etc/iogate/jwt.pem, algorithm: ES256, audience: cloud } }
tls: { ca: /etc/iogate/ca.pem, cert: /c, key: /k, alpn: [x], server-name: s }
proxy: http://192.0.2.8:3128
keep-alive: 90s
ack-timeout: 5s
window: 50
forward: ["busan/#", { topic: "a/#", qos: 0, prefix: "x/", strip: "a/", retain: clear }]
accept: ["busan/+/+/set"]
sequence: json
buffer: { size: 2GiB, age: 30d, on-full: refuse }
backfill: { live-first: { rate: 500/s } }
limits: { rate: 200/s, payload: 64KiB }
"#,
    );
    assert_eq!(bridge.problems(), Vec::<String>::new());
    assert_eq!(
        (bridge.version(), bridge.limits().rate, bridge.limits().payload),
        (Version::V5, Some(200), 64 << 10)
    );
    assert_eq!((bridge.forward[0].0.qos, bridge.forward[1].0.retain), (1, Retain::Clear));
    assert!(matches!(bridge.token, Some(Token::Jwt(_))));
}

#[test]
fn the_short_form_has_sound_defaults() {
    let bridge = config("forward: [a/#]");
    assert_eq!(
        bridge,
        Config { forward: vec![Rule(RuleConfig::of("a/#"))], ..Config::to(bridge.url.clone()) }
    );
    assert_eq!(bridge.problems(), Vec::<String>::new());
}

#[test]
fn mistakes_are_named_with_their_key() {
    for (more, wanted) in [
        ("", "forward: the bridge carries nothing"),
        ("forward: [a#]", "forward: `a#`: a wildcard does not fill"),
        ("forward: [$share/g/a]", "lose messages"),
        ("forward: [{ topic: a, qos: 2 }]", "`qos` must be 0 or 1"),
        ("forward: [{ topic: a/b, strip: b/ }]", "`strip` leaves nothing"),
        ("forward: [{ topic: a, prefix: +/ }]", "`prefix` must be"),
        ("accept: [{ topic: a, prefix: $SYS/ }]", "belong to the broker"),
        ("forward: [a]\nkeep-alive: 0s", "keep-alive: must be 1s"),
        ("forward: [a]\nprofile: azure-iot-hub\nkeep-alive: 20m", "1177s"),
        ("forward: [a]\nprofile: azure-iot-hub\nversion: 5", "does not speak MQTT 5"),
        ("forward: [a]\nack-timeout: 1ms", "ack-timeout:"),
        ("forward: [a]\nwindow: 0", "window:"),
        ("forward: [a]\nbuffer: { size: 1B }", "at least 64KiB"),
        ("forward: [a]\nclient-id: \"{sight}\"", "`{sight}` is not known"),
        ("forward: [a]\npassword: { file: p }", "absolute"),
        ("forward: [a]\npassword: { file: /p }\ntoken: { file: /t }", "give one of them"),
        ("forward: [a]\nversion: 3.1.1\npassword: { file: /p }", "only with a user name"),
        ("profile: azure-iot-hub\naccept: [a, b, c, d, e, f]", "takes 5 subscriptions"),
    ] {
        let found = problems(more);
        assert!(found.contains(wanted), "{more}: {found}");
    }
    let plain = |more: &str| {
        let text = format!("url: mqtt://a.example.com\nforward: [a]\n{more}");
        serde_yaml::from_str::<Config>(&text).unwrap().problems().join("\n")
    };
    assert!(plain("profile: aws-iot-core").contains("by TLS only"));
    assert!(plain("tls: { ca: /c }").contains("uses no TLS"));
    assert!(serde_yaml::from_str::<Config>("url: mqtt://a\nforwards: []").is_err());
    assert!(serde_yaml::from_str::<Config>("url: mqtt://a\nversion: 4").is_err());
}
