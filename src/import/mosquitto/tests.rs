//! Whole configurations, and what holds for any text.

use std::collections::HashMap;
use std::path::PathBuf;

use proptest::prelude::*;

use super::*;
use crate::import::Fate;

/// Files in memory.
#[derive(Default)]
struct Memory(HashMap<PathBuf, String>);

impl Memory {
    fn with(files: &[(&str, &str)]) -> Self {
        Self(files.iter().map(|(path, text)| (PathBuf::from(path), (*text).to_owned())).collect())
    }
}

impl Files for Memory {
    fn read(&self, path: &Path) -> Result<String, String> {
        self.0.get(path).cloned().ok_or_else(|| "there is no such file".to_owned())
    }

    fn list(&self, folder: &Path) -> Result<Vec<PathBuf>, String> {
        Ok(self.0.keys().filter(|path| path.parent() == Some(folder)).cloned().collect())
    }
}

fn imported(files: &[(&str, &str)]) -> Imported {
    let target = Target { folder: "/etc/iogate".into(), site: "plant".into() };
    import(Path::new("/m/m.conf"), &Memory::with(files), &target).unwrap()
}

fn one(text: &str) -> Imported {
    imported(&[("/m/m.conf", text)])
}

/// What became of the line with this number.
fn fates(imported: &Imported, line: usize) -> Vec<Fate> {
    let notes = imported.report.notes.iter().filter(|note| note.line == line && note.file == "/m/m.conf");
    notes.map(|note| note.fate).collect()
}

/// The configuration without its first line and its site.
fn body(imported: &Imported) -> &str {
    imported.yaml.split_once("site: \"plant\"\n").unwrap().1
}

#[test]
fn an_empty_configuration_serves_this_machine_without_logins() {
    let made = one("# nothing\n");
    assert_eq!(body(&made), "broker:\n  listen: \"127.0.0.1:1883\"\n");
    assert!(made.files.is_empty() && made.report.notes.is_empty());
}

#[test]
fn a_listener_that_is_open_to_all_comes_off_the_network() {
    let made = one("listener 1883\nallow_anonymous true\n");
    assert_eq!(body(&made), "broker:\n  listen: \"127.0.0.1:1883\"\n");
    assert_eq!(fates(&made, 1), [Fate::Changed]);
    // Nobody can log in there, and nobody can here: a file without users.
    let shut = one("listener 1883\n");
    assert!(body(&shut).contains("listen: \"0.0.0.0:1883\"\n  password-file: \"/etc/iogate/mqtt-users\""));
    assert!(shut.files[0].text.starts_with('#') && shut.files[0].text.lines().count() == 1);
}

#[test]
fn users_and_certificates_are_carried_over() {
    let conf = "listener 8883 192.0.2.1\ncafile ca.pem\ncertfile /c/s.crt\nkeyfile /c/s.key\nrequire_certificate true\n\
                use_identity_as_username true\ncrlfile /c/crl.pem\ntls_version tlsv1.3\nlistener 9001 localhost\nprotocol websockets\n\
                max_connections 5\npassword_file pw\n";
    let users = "anna:$6$clQ4Ocu312S0qWgl$Cv2wUxgEN73c6C6jlBkswqR4AkHsvDLWvtEXZZ8NpsBLgP1WAo/qA+WXcmEN/mjDNgdUwcxRAveqNMs2xUVQYA==\nopen:sesame\n";
    let made = imported(&[("/m/m.conf", conf), ("/m/pw", users)]);
    let expected = "broker:
  listen: \"127.0.0.1:1883\"
  listeners:
    mqtt-8883:
      address: \"192.0.2.1:8883\"
      login: [certificate]
      tls:
        cert: \"/c/s.crt\"
        key: \"/c/s.key\"
        client-ca: \"/m/ca.pem\"
        crl: \"/c/crl.pem\"
        require-client-cert: true
        identity: cn
    websocket-9001:
      address: \"127.0.0.1:9001\"
      websocket: \"/mqtt\"
      max-connections: 5
  password-file: \"/etc/iogate/mqtt-users\"
  access-file: \"/etc/iogate/access.yaml\"
";
    assert_eq!(body(&made), expected);
    assert_eq!((fates(&made, 8), fates(&made, 10)), (vec![Fate::Changed], vec![Fate::Changed]));
    let report = made.report.to_string();
    assert!(report.contains("/m/pw:2: user open") && !report.contains("sesame"), "{report}");
    assert!(
        made.files[0].secret
            && made.files[0].text.contains("anna:$6$")
            && !made.files[0].text.contains("open")
    );
    assert!(made.files[1].text.contains("anonymous: {}") && made.files[1].text.contains("\"$SYS/#\""));
}

#[test]
fn listeners_with_other_users_or_without_their_roots_are_left_out() {
    let conf = "per_listener_settings true\nlistener 1883\npassword_file a\nlistener 1884\npassword_file b\nlistener 1885\n\
                listener 8883\ncertfile /c\nkeyfile /k\ncapath /roots\nrequire_certificate true\npassword_file a\n";
    let made = imported(&[("/m/m.conf", conf), ("/m/a", "# none\n"), ("/m/b", "# none\n")]);
    assert!(
        !made.yaml.contains("1884") && !made.yaml.contains("1885") && !made.yaml.contains("8883"),
        "{}",
        made.yaml
    );
    assert!(made.yaml.contains("0.0.0.0:1883"));
    for line in [4, 5, 6, 7, 10] {
        assert!(fates(&made, line).contains(&Fate::Dropped), "line {line}: {}", made.report);
    }
}

#[test]
fn every_listener_has_its_own_logins_and_limits() {
    let tls = "certfile /c\nkeyfile /k\ncafile /ca\nrequire_certificate true\n";
    let conf = format!(
        "per_listener_settings true\nlistener 1883\npassword_file pw\nmax_qos 1\n\
         listener 1884 localhost\nallow_anonymous true\n\
         listener 1885 localhost\nallow_anonymous true\npassword_file pw\n\
         listener 8883\n{tls}use_identity_as_username true\n\
         listener 8884\n{tls}password_file pw\nlistener 8885\n{tls}allow_anonymous true\n"
    );
    let made = imported(&[("/m/m.conf", &conf), ("/m/pw", "# none\n")]);
    for part in [
        "listen: \"127.0.0.1:0\"\n",
        "mqtt-1883:\n      address: \"0.0.0.0:1883\"\n      max-qos: 1\n",
        "mqtt-1884:\n      address: \"127.0.0.1:1884\"\n      login: [anonymous]\n",
        "mqtt-1885:\n      address: \"127.0.0.1:1885\"\n      anonymous: true\n",
        "mqtt-8883:\n      address: \"0.0.0.0:8883\"\n      login: [certificate]\n",
        "mqtt-8884:\n      address: \"0.0.0.0:8884\"\n      login: [password]\n",
        "mqtt-8885:\n      address: \"0.0.0.0:8885\"\n      login: [certificate]\n",
    ] {
        assert!(body(&made).contains(part), "{part}{}", made.yaml);
    }
    // The limits of the only listener are the broker's, and it stays the plain one.
    let alone = one("listener 1883 127.0.0.1\nallow_anonymous true\nmax_connections 9\nmax_qos 0\n");
    let expected = "broker:\n  listen: \"127.0.0.1:1883\"\n  max-connections: 9\n  max-qos: 0\n";
    assert_eq!(body(&alone), expected);
}

#[test]
fn a_bridge_is_carried_over_and_its_password_is_in_a_file_of_its_own() {
    let conf = "connection To the Cloud\naddresses b.example.com:8883 192.0.2.7\nbridge_cafile /c/ca.pem\nremote_username u\n\
                remote_password pass${word}\nremote_clientid site-7\nbridge_protocol_version mqttv50\nbridge_alpn x-mqtt\n\
                topic # out 1 local/ remote/\ntopic cmd/# in 2\ntopic both/+ both 0 \"\" up/\nbridge_outgoing_retain false\nkeepalive_interval 30\n\
                connection empty\naddress 192.0.2.8\nconnection keyed\naddress 192.0.2.9\nbridge_psk 00ff\ntopic #\n";
    let made = one(conf);
    let expected = "bridges:
  to-the-cloud:
    url: \"mqtts://b.example.com:8883\"
    fallback: [\"mqtts://192.0.2.7:1883\"]
    user: \"u\"
    client-id: \"site-7\"
    version: \"5\"
    keep-alive: 30s
    password:
      file: \"/etc/iogate/to-the-cloud.password\"
    tls:
      ca: \"/c/ca.pem\"
      alpn: [\"x-mqtt\"]
    forward:
      - { topic: \"local/#\", qos: 1, strip: \"local/\", prefix: \"remote/\", retain: clear }
      - { topic: \"both/+\", qos: 0, prefix: \"up/\", retain: clear }
    accept:
      - { topic: \"cmd/#\", qos: 1 }
      - { topic: \"up/both/+\", qos: 0, strip: \"up/\" }
";
    assert!(made.yaml.ends_with(expected), "{}", made.yaml);
    assert_eq!((made.files[0].text.as_str(), made.files[0].secret), ("pass${word}\n", true));
    let told = format!("{} {:?}", made.report, made);
    assert!(!told.contains("pass${word}") && !told.contains("00ff"), "{told}");
    assert!(fates(&made, 14).contains(&Fate::Dropped) && fates(&made, 16).contains(&Fate::Dropped));
}

#[test]
fn limits_have_their_keys() {
    let conf = "max_inflight_messages 20\nmax_queued_messages 50\nmax_queued_bytes 1000\nmax_packet_size 100\nmax_keepalive 60\n\
                persistent_client_expiration 2m\nsys_interval 0\nretain_available false\nlistener 1883 127.0.0.1\nallow_anonymous true\nmax_qos 1\n";
    let expected = "broker:\n  listen: \"127.0.0.1:1883\"\n  max-inflight: 20\n  receive-maximum: 20\n  max-queue-messages: 50\n  \
         max-queue-bytes: 1000B\n  pause-bytes: 1000B\n  max-packet: 256B\n  max-keep-alive: 60s\n  max-session-expiry: 1440h\n  \
         sys-interval: 0s\n  max-retained: 0\n  max-qos: 1\n";
    assert_eq!(body(&one(conf)), expected);
}

#[test]
fn what_outlived_mosquitto_outlives_iogate() {
    for (conf, data) in [
        ("persistence true\n", Some("/var/lib/iogate/broker")),
        (
            "persistence true\npersistence_location /var/lib/mosquitto/\nautosave_interval 10\n",
            Some("/var/lib/iogate/broker"),
        ),
        ("persistence_location /mnt/card/mqtt/\npersistence true\n", Some("/mnt/card/mqtt/iogate")),
        ("persistence_location here/\npersistence 1\n", Some("/var/lib/iogate/broker")),
        ("persistence true\npersistence false\npersistence_location /mnt/card\n", None),
        ("persistence_file a.db\nautosave_on_changes true\n", None),
    ] {
        let made = one(conf);
        let expected = data.map_or_else(String::new, |path| format!("  data: \"{path}\"\n"));
        assert_eq!(body(&made), format!("broker:\n  listen: \"127.0.0.1:1883\"\n{expected}"), "{conf}");
        for line in 1..=conf.lines().count() {
            assert_eq!(fates(&made, line).len(), 1, "{conf}: line {line}");
        }
    }
    let wrong = one("persistence yes\n");
    assert_eq!((fates(&wrong, 1), wrong.yaml.contains("data")), (vec![Fate::Dropped], false));
}

#[test]
fn included_files_are_read_in_their_order_and_only_once() {
    let made = imported(&[
        ("/m/m.conf", "include_dir /m/d\ninclude_dir /m/d\n"),
        ("/m/d/b.conf", "max_keepalive 20\ninclude_dir /m\n"),
        ("/m/d/a.conf", "max_keepalive 10\n"),
        ("/m/d/a.txt", "max_keepalive 5\n"),
    ]);
    assert!(body(&made).contains("max-keep-alive: 20s") && !body(&made).contains("5s"));
    assert_eq!((fates(&made, 1), fates(&made, 2)), (vec![Fate::Carried], vec![Fate::Dropped]));
    assert_eq!(made.report.count(Fate::Dropped), 2);
}

/// Every directive of mosquitto.conf(5), of versions 1.6 to 2.
const NAMES: &str = "acl_file address addresses allow_anonymous allow_duplicate_messages allow_zero_length_clientid auth_plugin
    auth_plugin_deny_special_chars auto_id_prefix autosave_interval autosave_on_changes bind_address bind_interface bridge_alpn
    bridge_attempt_unsubscribe bridge_bind_address bridge_cafile bridge_capath bridge_certfile bridge_identity bridge_insecure
    bridge_keyfile bridge_max_packet_size bridge_outgoing_retain bridge_protocol_version bridge_psk bridge_require_ocsp
    bridge_tls_version cafile capath certfile check_retain_source ciphers cleansession clientid_prefixes connection
    connection_messages crlfile dhparamfile http_dir idle_timeout include_dir keepalive_interval keyfile listener
    local_cleansession local_clientid local_password local_username log_dest log_facility log_timestamp log_timestamp_format
    log_type max_connections max_inflight_bytes max_inflight_messages max_keepalive max_packet_size max_qos max_queued_bytes
    max_queued_messages max_topic_alias memory_limit message_size_limit mount_point notification_topic notifications
    notifications_local_only password_file per_listener_settings persistence persistence_file persistence_location
    persistent_client_expiration pid_file port protocol psk_file psk_hint queue_qos0_messages remote_clientid remote_password
    remote_username require_certificate restart_timeout retain_available round_robin set_tcp_nodelay socket_domain start_type
    sys_interval threshold tls_engine tls_keyform tls_version topic try_private upgrade_outgoing_qos use_identity_as_username
    use_subject_as_username use_username_as_clientid user websockets_headers_size websockets_log_level plugin";

fn line() -> impl Strategy<Value = String> {
    let names: Vec<&str> = NAMES.split_whitespace().collect();
    let value = prop_oneof![
        "(true|false|0|1|-1|7|1883|65536|/f|/d|x)",
        "(1884|0|8883) (192.0.2.1|::|localhost|host|/sock)",
        "[a-c#+/]{1,5} (in|out|both) [0-3] [a\"]{1,2} [b/+]{1,2}",
        "(websockets|mqtt|ipv6|lazy|mqttv50|tlsv1.2|3d|9999999999999w)",
        ".{0,12}",
    ];
    prop_oneof![
        9 => (proptest::sample::select(names), value).prop_map(|(name, value)| format!("{name} {value}")),
        1 => ".{0,20}",
    ]
}

proptest! {
    #[test]
    fn every_line_is_carried_or_reported(lines in prop::collection::vec(line(), 0..30), other in ".{0,60}") {
        let text = lines.join("\n");
        let made = imported(&[("/m/m.conf", &text), ("/f", &other), ("/d/x.conf", &other), ("/m/x", &other)]);
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if !line.is_empty() && !line.starts_with('#') {
                prop_assert!(!fates(&made, index + 1).is_empty(), "no note about line {}: {line}\n{text}", index + 1);
            }
        }
    }

    #[test]
    fn no_remote_password_is_shown(secret in "[A-Z]{8}[$'\" {}]{0,3}[A-Z]") {
        let made = one(&format!("connection a\naddress b\nremote_username u\nremote_password {secret}\ntopic #\n"));
        let shown = format!("{made:?} {} {}", made.report, serde_json::to_string(&made.report).unwrap());
        prop_assert!(!shown.contains(&secret[..8]) && !made.yaml.contains(&secret[..8]));
        prop_assert_eq!(made.files.last().map(|file| file.text.trim_end()), Some(secret.as_str()));
    }

    #[test]
    fn what_is_made_is_read_back(lines in prop::collection::vec(line(), 0..30)) {
        let made = one(&lines.join("\n"));
        let read = serde_yaml::from_str::<serde_json::Value>(&made.yaml);
        prop_assert!(read.is_ok(), "{:?}\n{}", read, made.yaml);
    }
}
