//! A configuration with certificates that openssl made, served by Mosquitto and then by iogate.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::{Running, iogate, path, text};

fn openssl(folder: &Path, arguments: &[&str]) {
    let output = Command::new("openssl").args(arguments).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "openssl {arguments:?}: {}", text(&output.stderr));
}

/// `<name>.crt` and `<name>.key`, signed by an authority; the subject alternative names stand in `more`.
fn certificate(folder: &Path, authority: &str, name: &str, more: &str) {
    let (key, csr, crt, ext) =
        (format!("{name}.key"), format!("{name}.csr"), format!("{name}.crt"), format!("{name}.ext"));
    std::fs::write(folder.join(&ext), more).unwrap();
    let subject = format!("/O=Example plant/CN={name}");
    let new =
        ["req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", &key, "-out", &csr, "-subj", &subject];
    openssl(folder, &new);
    let (ca, ca_key) = (format!("{authority}.crt"), format!("{authority}.key"));
    let sign = ["x509", "-req", "-in", &csr, "-CA", &ca, "-CAkey", &ca_key, "-CAcreateserial", "-days", "30"];
    openssl(folder, &[&sign[..], &["-extfile", &ext, "-out", &crt]].concat());
}

fn authority(folder: &Path, name: &str) {
    let (key, crt, subject) = (format!("{name}.key"), format!("{name}.crt"), format!("/CN=Example {name}"));
    openssl(
        folder,
        &[
            "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-keyout", &key, "-out", &crt,
            "-subj", &subject,
        ],
    );
}

/// The folder of a site whose machines show certificates, and its configuration.
fn site(folder: &Path, port: u16) -> String {
    authority(folder, "ca");
    authority(folder, "other");
    certificate(folder, "ca", "server", "subjectAltName = DNS:localhost, IP:127.0.0.1");
    certificate(folder, "ca", "press", "extendedKeyUsage = clientAuth");
    certificate(folder, "ca", "gone", "extendedKeyUsage = clientAuth");
    certificate(folder, "other", "stranger", "extendedKeyUsage = clientAuth");
    std::fs::write(folder.join("index"), "").unwrap();
    std::fs::write(folder.join("number"), "01\n").unwrap();
    std::fs::write(
        folder.join("ca.cnf"),
        "[ca]\ndefault_ca = d\n[d]\ndatabase = index\ncrlnumber = number\ndefault_md = sha256\n",
    )
    .unwrap();
    let ca = ["ca", "-config", "ca.cnf", "-cert", "ca.crt", "-keyfile", "ca.key"];
    openssl(folder, &[&ca[..], &["-revoke", "gone.crt"]].concat());
    openssl(folder, &[&ca[..], &["-gencrl", "-crldays", "30", "-out", "crl.pem"]].concat());
    std::fs::create_dir(folder.join("store")).unwrap();
    std::fs::write(folder.join("acl"), "pattern readwrite plant/%u/#\nuser press\ntopic read notices/#\n")
        .unwrap();
    let file = |name: &str| path(folder, name);
    let conf = format!(
        "user root\nlog_dest stderr\npersistence true\npersistence_location {}/\nautosave_interval 60\n\n\
         listener {port} 127.0.0.1\ncafile {}\ncertfile {}\nkeyfile {}\ncrlfile {}\ntls_version tlsv1.2\n\
         require_certificate true\nuse_identity_as_username true\nacl_file {}\nallow_anonymous false\n",
        file("store"),
        file("ca.crt"),
        file("server.crt"),
        file("server.key"),
        file("crl.pem"),
        file("acl"),
    );
    std::fs::write(folder.join("m.conf"), conf).unwrap();
    file("m.conf")
}

fn client(folder: &Path, program: &str, port: u16, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(["-h", "127.0.0.1", "-p", &port.to_string(), "-V", "mqttv5"]).args(arguments);
    command.current_dir(folder).stdin(Stdio::null());
    command
}

const TRUSTS: [&str; 2] = ["--cafile", "ca.crt"];

/// Whether a message with this certificate is taken, not permitted, or nobody is let in.
fn publishes(folder: &Path, port: u16, who: &[&str], topic: &str) -> &'static str {
    let message = ["-q", "1", "-r", "-t", topic, "-m", "kept"];
    let output = client(folder, "mosquitto_pub", port, &[&message, who].concat()).output().unwrap();
    let denied = text(&output.stderr).to_lowercase().contains("not authorized");
    match (output.status.success(), denied) {
        (true, false) => "permitted",
        (true, true) => "denied",
        (false, _) => "not let in",
    }
}

/// What is retained for the client that shows this certificate.
fn reads(folder: &Path, port: u16, topic: &str) -> String {
    let who = ["--cert", "press.crt", "--key", "press.key", "-t", topic, "-C", "1", "-W", "20"];
    let output = client(folder, "mosquitto_sub", port, &[&TRUSTS[..], &who].concat()).output().unwrap();
    text(&output.stdout).trim().to_owned()
}

fn verdicts(folder: &Path, port: u16) -> Vec<String> {
    let shows = |name: &str| {
        [
            TRUSTS.map(str::to_owned),
            ["--cert".into(), format!("{name}.crt")],
            ["--key".into(), format!("{name}.key")],
        ]
        .concat()
    };
    let mut table = Vec::new();
    for (name, topic) in [
        ("press", "plant/press/state"),
        ("press", "plant/fan/state"),
        ("press", "notices/1"),
        ("gone", "plant/gone/state"),
        ("stranger", "plant/stranger/state"),
    ] {
        let who = shows(name);
        let who: Vec<&str> = who.iter().map(String::as_str).collect();
        table.push(format!("{name} writes {topic}: {}", publishes(folder, port, &who, topic)));
    }
    table.push(format!("no certificate: {}", publishes(folder, port, &TRUSTS, "plant/press/x")));
    table.push(format!("no TLS: {}", publishes(folder, port, &[], "plant/press/x")));
    table.push(format!("press reads: {}", reads(folder, port, "plant/press/#")));
    table
}

#[test]
fn certificates_and_what_is_kept_mean_the_same_as_in_mosquitto() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    // Taken again at once by the broker of this test.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let conf = site(folder, port);
    let theirs = {
        let _broker = Running::mosquitto(&conf);
        verdicts(folder, port)
    };
    let made = path(folder, "made/");
    let imported = iogate(&["import", "mosquitto", &conf, "-o", &made]);
    assert_eq!(imported.status.code(), Some(0), "{}", text(&imported.stderr));
    let yaml = format!("{made}iogate.yaml");
    let written = std::fs::read_to_string(&yaml).unwrap();
    assert!(written.contains(&format!("data: \"{}\"", path(folder, "store/iogate"))), "{written}");
    {
        let _broker = Running::iogate(&yaml);
        assert_eq!(verdicts(folder, port), theirs);
    }
    let expected =
        ["permitted", "denied", "denied", "not let in", "not let in", "not let in", "not let in", "kept"];
    for (verdict, expected) in theirs.iter().zip(expected) {
        assert!(verdict.ends_with(expected), "{theirs:#?}");
    }
    let _broker = Running::iogate(&yaml);
    assert_eq!(reads(folder, port, "plant/press/#"), "kept", "after a restart");
}
