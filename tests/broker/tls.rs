//! TLS as a scanner looks at it: versions, suites, renegotiation, resumption, client certificates and their lists.

use std::process::Stdio;

use iogate::broker::Config;
use iogate::broker::listen::{BrokerListener, BrokerTls};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose,
    SerialNumber, date_time_ymd,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::Command;

use crate::listen::{Site, anywhere, files, revocation_list, tls, tls_site};

/// Whether OpenSSL came to an agreement with the broker.
fn agreed(said: &str) -> bool {
    said.contains("Cipher is") && !said.contains("Cipher is (NONE)")
}

#[tokio::test]
async fn nothing_weak_is_spoken() {
    let (site, _authority) = tls_site(|_| {}).await;
    // By families, as OpenSSL names them: what it no longer has itself it says so.
    for family in [
        "eNULL", "aNULL", "EXPORT", "RC4", "3DES", "DES", "IDEA", "SEED", "CAMELLIA", "kRSA", "kDHE", "SHA1",
        "SHA256", "PSK",
    ] {
        let said = site.openssl("tls", &["-tls1_2", "-cipher", &format!("{family}:@SECLEVEL=0")]).await;
        // The family SHA256 means its use in CBC suites.
        assert!(!agreed(&said) && !said.contains("BEGIN CERTIFICATE"), "{family}: {said}");
    }
    // SSL 3.0, which OpenSSL cannot speak any more, by hand: a ClientHello with 3DES.
    let mut hello = vec![0x16, 3, 0, 0, 45, 1, 0, 0, 41, 3, 0];
    hello.extend([7; 32]);
    hello.extend([0, 0, 2, 0, 0x0a, 1, 0]);
    let mut stream = TcpStream::connect(("127.0.0.1", site.port("tls"))).await.unwrap();
    stream.write_all(&hello).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    assert!(answer.is_empty() || answer[0] == 0x15, "an alert or nothing: {answer:x?}");
    assert_eq!(site.broker.stats().connects, 0);
}

#[tokio::test]
async fn every_suite_keeps_the_past_secret_and_the_client_may_choose_among_them() {
    let (site, _authority) = tls_site(|_| {}).await;
    // A small device without AES in hardware asks for ChaCha first, and gets it: all that is left is strong.
    for (args, expected) in [
        (&["-tls1_2"][..], "Cipher is ECDHE-"),
        (
            &["-tls1_2", "-cipher", "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES256-GCM-SHA384"],
            "ECDHE-ECDSA-CHACHA20-POLY1305",
        ),
        (&["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"], "ECDHE-ECDSA-AES128-GCM-SHA256"),
        (&["-tls1_3"], "Cipher is TLS_"),
        (&["-tls1_3", "-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256"], "TLS_CHACHA20_POLY1305_SHA256"),
        (&["-groups", "X25519"], "X25519"),
        // A name in the handshake, another one, and none.
        (&["-servername", "localhost"], "Verify return code: 0 (ok)"),
        (&["-servername", "other.example.com"], "Verify return code: 0 (ok)"),
        (&["-noservername"], "Verify return code: 0 (ok)"),
    ] {
        let said = site.openssl("tls", args).await;
        assert!(agreed(&said) && said.contains(expected), "{args:?}: {said}");
        assert!(
            said.contains("Compression: NONE")
                && said.contains("Early data was not sent") != args.contains(&"-tls1_2"),
            "{said}"
        );
    }
}

#[tokio::test]
async fn sessions_are_resumed_and_never_renegotiated() {
    let (site, _authority) = tls_site(|_| {}).await;
    let said = site.openssl("tls", &["-tls1_2", "-reconnect"]).await;
    assert!(said.contains("Reused, TLSv1.2"), "{said}");
    assert!(
        said.contains("Secure Renegotiation IS supported") && said.contains("Extended master secret: yes"),
        "{said}"
    );
    let port = site.port("tls");
    let mut child = Command::new("openssl")
        .args(["s_client", "-tls1_2", "-connect", &format!("127.0.0.1:{port}")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    // `R` alone in a line asks for a new handshake; s_client ends when it does not get one.
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"R\n").await.unwrap();
    let output = child.wait_with_output().await.unwrap();
    drop(stdin);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("RENEGOTIATING") && said.contains("no renegotiation"), "{said}");
}

#[tokio::test]
async fn client_certificates_that_are_not_right_are_refused_with_the_alert_for_it() {
    let (folder, mut authority) = files();
    let gone = authority.issue("gone", "gone", &[]);
    authority.issue("good", "good", &[]);
    authority.revoke(&[gone]);
    let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
    (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
    let key = KeyPair::generate().unwrap();
    let expired = params.signed_by(&key, &authority.issuer).unwrap();
    std::fs::write(folder.path().join("expired.pem"), expired.pem()).unwrap();
    std::fs::write(folder.path().join("expired.key"), key.serialize_pem()).unwrap();
    let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, "good");
    let key = KeyPair::generate().unwrap();
    std::fs::write(folder.path().join("stranger.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
    std::fs::write(folder.path().join("stranger.key"), key.serialize_pem()).unwrap();
    let section = BrokerTls {
        client_ca: Some(folder.path().join("ca.pem")),
        crl: Some(folder.path().join("crl.pem")),
        require_client_cert: true,
        ..tls(folder.path())
    };
    let listener = BrokerListener { tls: Some(section), ..anywhere() };
    let site = Site::start(Config::default(), folder, vec![("tls", listener)]).await;
    for (name, alert) in [
        ("gone", "alert certificate revoked"),
        ("expired", "alert certificate expired"),
        ("stranger", "alert unknown ca"),
        ("", "alert certificate required"),
    ] {
        let (cert, key) = (format!("{name}.pem"), format!("{name}.key"));
        let args =
            if name.is_empty() { vec!["-tls1_2"] } else { vec!["-tls1_2", "-cert", &cert, "-key", &key] };
        let said = site.openssl("tls", &args).await;
        // TLS 1.2 has no alert of its own for a certificate that is missing.
        let fits = said.contains(alert) || (name.is_empty() && said.contains("alert handshake failure"));
        assert!(fits, "{name}: {said}");
    }
    let said = site.openssl("tls", &["-tls1_2", "-cert", "good.pem", "-key", "good.key"]).await;
    assert!(agreed(&said) && !said.contains("alert"), "{said}");
}

/// A client below an intermediate authority, whose own certificate may be revoked by the root.
#[tokio::test]
async fn lists_of_the_whole_chain_and_lists_out_of_date_count_where_that_is_said() {
    let (folder, authority) = files();
    let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.distinguished_name.push(DnType::CommonName, "workshop authority");
    params.serial_number = Some(SerialNumber::from(77));
    let middle = CertifiedIssuer::signed_by(params, KeyPair::generate().unwrap(), &authority.issuer).unwrap();
    let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, "press");
    let key = KeyPair::generate().unwrap();
    let press = params.signed_by(&key, &middle).unwrap();
    std::fs::write(folder.path().join("press.pem"), press.pem() + &middle.pem()).unwrap();
    std::fs::write(folder.path().join("press.key"), key.serialize_pem()).unwrap();
    let from_middle = |until| {
        let list = rcgen::CertificateRevocationListParams {
            this_update: date_time_ymd(2024, 1, 1),
            next_update: date_time_ymd(until, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: Vec::new(),
            key_identifier_method: rcgen::KeyIdMethod::Sha256,
        };
        list.signed_by(&middle).unwrap().pem().unwrap()
    };
    let own = folder.path().to_owned();
    let write = |root: String, middle: String| std::fs::write(own.join("crl.pem"), root + &middle).unwrap();
    write(revocation_list(&authority.issuer, &[], 2090), from_middle(2090));
    let listener = |whole, strict| {
        let section = BrokerTls {
            client_ca: Some(own.join("ca.pem")),
            crl: Some(own.join("crl.pem")),
            require_client_cert: true,
            crl_whole_chain: whole,
            crl_refuse_outdated: strict,
            ..tls(&own)
        };
        BrokerListener { tls: Some(section), ..anywhere() }
    };
    let listeners = vec![
        ("own", listener(false, false)),
        ("whole", listener(true, false)),
        ("strict", listener(false, true)),
    ];
    let site = Site::start(Config::default(), folder, listeners).await;
    let press = ["-tls1_2", "-cert", "press.pem", "-cert_chain", "press.pem", "-key", "press.key"];
    let refused = async |listener: &str| {
        let said = site.openssl(listener, &press).await;
        let alert = said.lines().find_map(|line| line.split("alert ").nth(1)).map(str::to_owned);
        alert.unwrap_or_default().split(':').next().unwrap_or_default().to_owned()
    };
    for listener in ["own", "whole", "strict"] {
        assert_eq!(refused(listener).await, "", "{listener}");
    }
    write(revocation_list(&authority.issuer, &[77], 2090), from_middle(2090));
    site.broker.reload();
    assert_eq!((refused("own").await, refused("whole").await), (String::new(), "certificate revoked".into()));
    write(revocation_list(&authority.issuer, &[], 2090), from_middle(2025));
    site.broker.reload();
    assert_eq!(refused("own").await, "");
    assert_ne!(refused("strict").await, "");
}
