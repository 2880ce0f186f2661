//! A broker that is started anew: what it kept counts as far as the users and rules of now say.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;

use iogate::broker::auth::hash;
use iogate::broker::{Broker, Config, PublishOptions, QoS};
use tokio::net::TcpStream;

use crate::client::{Client, Connect, Will, until};
use crate::jwt::tokens;
use crate::listen::Site;

fn write_users(folder: &Path, users: &[&str]) {
    let mut lines = String::from("# users\n");
    for user in users {
        writeln!(lines, "{user}:{}", hash(b"secret").unwrap()).unwrap();
    }
    std::fs::write(folder.join("users"), lines).unwrap();
}

fn write_rules(folder: &Path, rules: &str) {
    let rules = format!("users:\n  root: {{ read: ['#'], write: ['#'] }}\n{rules}");
    std::fs::write(folder.join("rules"), rules).unwrap();
}

async fn site(users: &[&str], rules: &str) -> Site {
    let folder = tempfile::tempdir().unwrap();
    write_users(folder.path(), users);
    write_rules(folder.path(), rules);
    let config = Config {
        password_file: Some(folder.path().join("users")),
        access_file: Some(folder.path().join("rules")),
        data: Some(folder.path().join("data")),
        ..Config::default()
    };
    Site::start(config, folder, vec![]).await
}

async fn greeted(site: &Site, connect: &Connect) -> Client {
    let address = SocketAddr::from(([127, 0, 0, 1], site.port("listen")));
    let mut client = Client::over(TcpStream::connect(address).await.unwrap());
    client.greet(connect).await;
    client
}

fn as_user(id: &str, user: &str) -> Connect {
    let mut connect = Connect::v5(id).keeping();
    connect.login = Some((user.to_owned(), "secret".to_owned()));
    connect
}

/// Ends a client's connection and waits until the broker knows.
async fn leaves(site: &Site, client: Client, id: &str) {
    drop(client);
    until("the client's end", || site.broker.client(id).unwrap().info.connection.is_none()).await;
}

#[tokio::test]
async fn what_may_be_read_is_kept_with_its_subscription_and_goes_on() {
    let rules = "  anna: { read: [plant/#], write: [plant/#] }\n";
    let site = site(&["root", "anna"], rules).await;
    let mut anna = greeted(&site, &as_user("panel", "anna")).await;
    anna.subscribe("plant/#", 1).await;
    leaves(&site, anna, "panel").await;
    let mut root = greeted(&site, &as_user("root", "root")).await;
    root.publish(2, "plant/a", "one").await;
    let site = site.again(|_| ()).await;
    let mut root = greeted(&site, &as_user("root", "root")).await;
    root.publish(2, "plant/a", "two").await;
    let mut anna = greeted(&site, &as_user("panel", "anna")).await;
    assert!(anna.session_present());
    assert_eq!(anna.take().await.text(), "one");
    assert_eq!(anna.take().await.text(), "two");
}

#[tokio::test]
async fn what_may_no_longer_be_read_or_written_is_gone_after_a_restart() {
    let rules = "  anna: { read: [plant/#, hall/#], write: [plant/#] }\n";
    let site = site(&["root", "anna"], rules).await;
    for (id, user, topic) in [("watch", "anna", "plant/anna"), ("other", "root", "plant/root")] {
        let mut connect = as_user(id, user);
        let (properties, qos) = (vec![0x18, 0, 0, 14, 16], 1);
        connect.will = Some(Will { topic, payload: b"gone", qos, retain: true, properties });
        leaves(&site, greeted(&site, &connect).await, id).await;
    }
    let mut anna = greeted(&site, &as_user("panel", "anna")).await;
    anna.subscribe("plant/#", 1).await;
    anna.subscribe("hall/#", 2).await;
    let mut root = greeted(&site, &as_user("root", "root")).await;
    // Sent and not acknowledged, at both levels.
    root.publish(2, "plant/sent", "secret").await;
    root.publish(4, "hall/sent", "fine").await;
    assert_eq!((anna.message().await.text(), anna.message().await.text()), ("secret", "fine"));
    leaves(&site, anna, "panel").await;
    for (topic, payload) in [("plant/queued", "secret"), ("hall/queued", "fine")] {
        root.publish(2, topic, payload).await;
    }
    let site = site.again(|folder| write_rules(folder, "  anna: { read: [hall/#] }\n")).await;
    let info = site.broker.client("panel").unwrap();
    assert_eq!(info.filters, ["hall/#"]);
    let mut root = greeted(&site, &as_user("root", "root")).await;
    root.publish(2, "plant/new", "secret").await;
    // Wills that wait are published with the end of their sessions.
    for (id, topic, wills) in [("other", "plant/root", 1), ("watch", "plant/anna", 0)] {
        assert!(site.broker.clear_session(id));
        assert_eq!(site.broker.retained(topic, 0, 1, 9).unwrap().matched, wills, "{topic}");
    }
    let mut anna = greeted(&site, &as_user("panel", "anna")).await;
    assert!(anna.session_present());
    for topic in ["hall/sent", "hall/queued"] {
        let message = anna.take().await;
        assert_eq!((message.topic.as_str(), message.text()), (topic, "fine"));
    }
    anna.quiet().await;
}

#[tokio::test]
async fn a_user_removed_while_the_broker_was_down_leaves_nothing_behind() {
    let rules = "everyone: { read: ['#'], write: ['#'] }\n";
    let site = site(&["root", "anna", "bert"], rules).await;
    for user in ["anna", "bert"] {
        let mut connect = as_user(user, user);
        let properties = vec![0x18, 0, 0, 0, 0];
        connect.will = Some(Will { topic: "will", payload: b"x", qos: 1, retain: true, properties });
        let mut client = greeted(&site, &connect).await;
        client.subscribe("#", 1).await;
        client.send(&[0xe0, 0]).await;
        client.expect_end().await;
    }
    let site = site.again(|folder| write_users(folder, &["root", "bert"])).await;
    let ids = |site: &Site| site.broker.clients().iter().map(|c| c.client_id.to_string()).collect::<Vec<_>>();
    assert_eq!(ids(&site), ["bert"]);
    assert_eq!((site.broker.stats().sessions, site.broker.stats().subscriptions), (1, 1));
    // Nor does it come back with the next start, though the user does.
    let site = site.again(|folder| write_users(folder, &["root", "anna", "bert"])).await;
    assert_eq!(ids(&site), ["bert"]);
    // One who is restored and removed afterwards is removed like any other.
    write_users(site.folder.path(), &["root"]);
    site.broker.reload();
    assert!(ids(&site).is_empty());
}

#[tokio::test]
async fn what_a_token_granted_is_what_its_session_may_have() {
    let (folder, tokens) = tokens(600);
    write_rules(folder.path(), "roles:\n  operator: { read: [fan/+] }\n");
    let (access_file, data) = (Some(folder.path().join("rules")), Some(folder.path().join("data")));
    let config = Config { access_file, data, ..crate::jwt::config(folder.path()) };
    let site = Site::start(config, folder, vec![]).await;
    let mut connect = Connect::v5("panel").keeping();
    connect.login = Some(("anna".into(), tokens["claims"].clone()));
    let mut anna = greeted(&site, &connect).await;
    for filter in ["plant/+", "fan/1"] {
        anna.subscribe(filter, 1).await;
    }
    leaves(&site, anna, "panel").await;
    let rules = "everyone: { deny: [plant/secret] }\nroles:\n  operator: { read: [fan/+] }\n";
    let site = site.again(|folder| write_rules(folder, rules)).await;
    let options = PublishOptions { qos: QoS::AtLeastOnce, ..PublishOptions::default() };
    for topic in ["plant/secret", "plant/a", "fan/1"] {
        site.broker.publisher("test").publish(topic, topic.as_bytes(), &options).unwrap();
    }
    let mut anna = greeted(&site, &connect).await;
    assert!(anna.session_present());
    assert_eq!(anna.take().await.text(), "plant/a");
    assert_eq!(anna.take().await.text(), "fan/1");
    anna.quiet().await;
}

#[tokio::test]
async fn rules_that_cannot_be_read_stop_the_start_and_lose_nothing() {
    let site = site(&["root", "anna"], "  anna: { read: [plant/#] }\n").await;
    let mut anna = greeted(&site, &as_user("panel", "anna")).await;
    anna.subscribe("plant/#", 1).await;
    leaves(&site, anna, "panel").await;
    let site = site
        .again(|folder| {
            let good = std::fs::read_to_string(folder.join("rules")).unwrap();
            std::fs::write(folder.join("rules"), "users: [").unwrap();
            let config = Config {
                password_file: Some(folder.join("users")),
                access_file: Some(folder.join("rules")),
                data: Some(folder.join("data")),
                ..Config::default()
            };
            let told = Broker::open(config).map(|_| ()).unwrap_err().to_string();
            assert!(told.contains("rules cannot be used"), "{told}");
            std::fs::write(folder.join("rules"), good).unwrap();
        })
        .await;
    assert_eq!(site.broker.client("panel").unwrap().filters, ["plant/#"]);
}
