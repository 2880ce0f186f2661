//! HTTPS: a device is trusted by its certificate or not at all.

use std::sync::Arc;

use iogate::model::Reason;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use super::bench::{Running, plan};

/// Answers every request with 21.5 behind TLS; returns its port.
async fn serve(certified: &rcgen::CertifiedKey<rcgen::KeyPair>) -> u16 {
    let key = PrivateKeyDer::try_from(certified.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut request = [0; 4096];
            while stream.read(&mut request).await.is_ok_and(|count| count > 0) {
                let answer =
                    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n21\r\n2\r\n.5\r\n0\r\n\r\n";
                if stream.write_all(answer).await.is_err() {
                    break;
                }
            }
        }
    });
    port
}

/// A point behind TLS, at the port itself: a plan that is led elsewhere goes without TLS.
fn config(host: &str, port: u16, ca: &std::path::Path) -> String {
    let ca = ca.display();
    format!(
        "site: s\ndefaults: {{ poll: 20ms }}\nchannels: {{ c: {{ http: {{ address: \"{host}:{port}\", tls: {{ ca: {ca} }} }} }} }}\n\
         devices: {{ d: {{ channel: c, points: {{ t: {{ get: /t }} }} }} }}\n"
    )
}

#[tokio::test]
async fn only_a_device_with_a_trusted_certificate_is_read() {
    let certified = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let other = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let port = serve(&certified).await;
    let folder = tempfile::tempdir().unwrap();
    let (right, wrong) = (folder.path().join("right.pem"), folder.path().join("wrong.pem"));
    std::fs::write(&right, certified.cert.pem()).unwrap();
    std::fs::write(&wrong, other.cert.pem()).unwrap();

    let running = Running::as_configured(plan(&config("localhost", port, &right)));
    running.until_value("d/t", 21.5).await;
    running.stop().await;
    for (host, ca) in
        [("localhost", &wrong), ("127.0.0.1", &right), ("localhost", &folder.path().join("none"))]
    {
        let running = Running::as_configured(plan(&config(host, port, ca)));
        running.until_bad("d/t", Reason::NoConnection).await;
        running.stop().await;
    }
}
