//! A broker that puts out whoever passes its limits: everything that fits arrives, and the rest is told of.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use iogate::bridge::config::{
    BatchConfig, Jwt, JwtAlgorithm, Oversize, Rule, RuleConfig, Sas, SequenceMark, Token, Version,
};
use iogate::bridge::{Config, Profile};
use iogate::broker::QoS;
use iogate::model::units::Period;
use serde_json::Value;

use crate::cloud::{Cloud, Manners, Taken};
use crate::mosquitto::{Site, config, until};
use crate::secure::Authority;

/// A bridge with the profile of AWS IoT Core.
fn aws(cloud: &Cloud, folder: &Path, version: Version) -> Config {
    let mut config = config(&format!("mqtts://localhost:{}", cloud.port), version);
    config.profile = Profile::AwsIotCore;
    config.tls.ca = Some(folder.join("ca.pem"));
    config.ack_timeout = Period::from_secs(5);
    config
}

async fn cloud(manners: Manners) -> (tempfile::TempDir, Cloud) {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new());
    authority.write(folder.path(), "server", "localhost");
    let cloud = Cloud::start(manners, Some(folder.path())).await;
    (folder, cloud)
}

fn user<'a>(taken: &'a Taken, key: &str) -> Option<&'a str> {
    taken.user.iter().find(|(name, _)| name == key).map(|(_, value)| &**value)
}

fn json(taken: &Taken) -> Value {
    serde_json::from_slice(&taken.payload).unwrap()
}

#[tokio::test]
async fn the_profile_keeps_to_every_limit_and_nothing_is_lost() {
    let (folder, cloud) = cloud(Manners::default()).await;
    for version in [Version::V311, Version::V5] {
        let mut config = aws(&cloud, folder.path(), version);
        config.accept = (0..12).map(|n| Rule(RuleConfig::of(&format!("cmd/{n}/#")))).collect();
        let site = Site::start(config);
        let letters = "site/gateway/bridge/cloud/dead-letter";
        let mut letters = site.broker.subscribe(&[(letters, QoS::AtLeastOnce)], 100).unwrap();
        site.publish("site/1/2/3/4/5/6/7/8", "deep");
        site.publish(&format!("site/{}", "x".repeat(260)), "long");
        site.publish("site/large", &"x".repeat((128 << 10) + 1));
        for number in 0..400 {
            site.publish(&format!("site/{}", number % 20), &number.to_string());
        }
        site.drained().await;
        let told = site.handle.snapshot();
        assert_eq!((told.acknowledged, told.gaps, told.missing, told.dead_letters), (400, 3, 3, 3));
        let mut reasons = Vec::new();
        while let Some(letter) = letters.try_recv() {
            let letter: Value = serde_json::from_slice(letter.payload()).unwrap();
            reasons.push(letter["reason"].as_str().unwrap().to_owned());
        }
        reasons.sort();
        for (reason, words) in reasons.iter().zip(["131073 bytes", "265 bytes", "9 levels"]) {
            assert!(reason.contains(words), "{reasons:?}");
        }
        let taken = std::mem::take(&mut cloud.seen.lock().unwrap().taken);
        let (gaps, messages): (Vec<_>, Vec<_>) =
            taken.iter().partition(|taken| taken.topic.ends_with("/gap"));
        let declared: BTreeSet<u64> = gaps.iter().map(|gap| json(gap)["from"].as_u64().unwrap()).collect();
        assert_eq!(declared, BTreeSet::from([1, 2, 3]));
        let mut last: BTreeMap<&str, u64> = BTreeMap::new();
        for message in &messages {
            let number: u64 = String::from_utf8_lossy(&message.payload).parse().unwrap();
            assert!(last.insert(&message.topic, number).is_none_or(|last| last < number), "{message:?}");
        }
        assert_eq!(messages.len(), 400);
        assert_eq!(cloud.seen.lock().unwrap().filters, 12);
        cloud.seen.lock().unwrap().filters = 0;
        assert_eq!(cloud.seen.lock().unwrap().offences, Vec::<String>::new());
        site.stop().await;
    }
}

#[tokio::test]
async fn batches_carry_more_than_the_rate_and_deeper_topics_in_order() {
    let (folder, cloud) = cloud(Manners::default()).await;
    for version in [Version::V311, Version::V5] {
        let mut config = aws(&cloud, folder.path(), version);
        config.batch = Some(BatchConfig::default());
        let site = Site::start(config);
        for number in 0..5000 {
            site.publish(&format!("site/1/2/3/4/5/6/7/8/{}", number % 20), &number.to_string());
        }
        site.drained().await;
        let told = site.handle.snapshot();
        assert_eq!((told.acknowledged, told.gaps, told.dead_letters), (5000, 0, 0));
        let taken = std::mem::take(&mut cloud.seen.lock().unwrap().taken);
        assert!(taken.iter().all(|taken| taken.topic == "site/gateway/bridge/cloud/batch"));
        let (mut seq, mut publishes) = (1, 0);
        for list in &taken {
            publishes += 1;
            let list = json(list);
            assert_eq!(list["stream"].as_str().unwrap().len(), 16);
            for entry in list["messages"].as_array().unwrap() {
                assert_eq!(entry["seq"].as_u64(), Some(seq));
                assert_eq!(entry["payload"].as_u64(), Some(seq - 1));
                assert_eq!(entry["topic"], format!("site/1/2/3/4/5/6/7/8/{}", (seq - 1) % 20));
                seq += 1;
            }
        }
        assert_eq!(seq, 5001);
        assert!(publishes <= 400, "{publishes} publishes for 5000 messages");
        assert_eq!(cloud.seen.lock().unwrap().offences, Vec::<String>::new());
        site.stop().await;
    }
}

#[tokio::test]
async fn what_is_too_large_arrives_in_parts_when_it_may() {
    let (folder, cloud) = cloud(Manners::default()).await;
    let whole: Vec<u8> = (0..300_000u32).map(|n| (n * 7 % 251) as u8).collect();
    for (version, mark) in [
        (Version::V5, SequenceMark::Properties),
        (Version::V5, SequenceMark::Json),
        (Version::V311, SequenceMark::Properties),
    ] {
        let mut config = aws(&cloud, folder.path(), version);
        (config.oversize, config.sequence) = (Oversize::Split, mark);
        let site = Site::start(config);
        site.publish("site/a", "before");
        site.broker
            .publisher("device")
            .publish("site/a", &whole, &crate::mosquitto::at_least_once())
            .unwrap();
        site.publish("site/a", "after");
        site.drained().await;
        let told = site.handle.snapshot();
        assert_eq!((told.acknowledged, told.gaps, told.dead_letters), (3, 0, 0), "{version:?} {mark:?}");
        let taken = std::mem::take(&mut cloud.seen.lock().unwrap().taken);
        assert_eq!((&*taken[0].payload, &*taken.last().unwrap().payload), (&b"before"[..], &b"after"[..]));
        let parts = &taken[1..taken.len() - 1];
        assert!(parts.len() >= 3);
        let mut together = Vec::new();
        for (index, part) in parts.iter().enumerate() {
            if (version, mark) == (Version::V5, SequenceMark::Properties) {
                assert_eq!(user(part, "part"), Some(&*format!("{}/{}", index + 1, parts.len())));
                assert_eq!(user(part, "seq"), Some("2"));
                together.extend_from_slice(&part.payload);
            } else {
                let part = json(part);
                assert_eq!((part["part"].as_u64(), part["seq"].as_u64()), (Some(index as u64 + 1), Some(2)));
                together.extend(
                    data_encoding::BASE64.decode(part["base64"].as_str().unwrap().as_bytes()).unwrap(),
                );
            }
        }
        assert_eq!(together, whole);
        assert_eq!(cloud.seen.lock().unwrap().offences, Vec::<String>::new());
        site.stop().await;
    }
}

#[tokio::test]
async fn a_quota_that_is_used_up_is_told_in_words_and_costs_no_message() {
    let cloud = Cloud::start(Manners { short: 3, lax: true, ..Manners::default() }, None).await;
    let site = Site::start(config(&format!("mqtt://127.0.0.1:{}", cloud.port), Version::V5));
    let mut told = BTreeSet::new();
    for number in 0..50 {
        site.publish("site/a", &number.to_string());
    }
    until("the end of the quota's trouble", || {
        told.extend(site.handle.snapshot().last_error);
        site.handle.snapshot().queued == 0
    })
    .await;
    for words in ["quota exceeded", "message rate too high", "too much today"] {
        let wanted =
            |error: &String| error.starts_with("a quota of the broker is used up") && error.contains(words);
        assert!(told.iter().any(wanted), "{words}: {told:?}");
    }
    let told = site.handle.snapshot();
    assert_eq!((told.acknowledged, told.gaps, told.dead_letters), (50, 0, 0));
    let numbers: Vec<u64> =
        cloud.taken().iter().map(|taken| String::from_utf8_lossy(&taken.payload).parse().unwrap()).collect();
    let mut next = 0;
    for number in numbers {
        assert!(number <= next, "{number} came before {next}");
        next = next.max(number + 1);
    }
    assert_eq!(next, 50);
    site.stop().await;
}

#[tokio::test]
async fn a_profile_connects_no_oftener_than_its_broker_takes() {
    let (folder, cloud) = cloud(Manners { brief: 3, ..Manners::default() }).await;
    let site = Site::start(aws(&cloud, folder.path(), Version::V5));
    site.publish("site/a", "1");
    site.drained().await;
    assert_eq!(site.handle.snapshot().acknowledged, 1);
    site.stop().await;
    let seen = cloud.seen.lock().unwrap();
    assert_eq!((seen.logins.len(), &seen.offences), (4, &Vec::new()));
}

/// Publishes for longer than a token lives and sees to it that no token ever expired on the broker.
async fn renews(token: Token, version: Version) -> Vec<String> {
    let cloud = Cloud::start(Manners { tokens: true, lax: true, ..Manners::default() }, None).await;
    let mut config = config(&format!("mqtt://127.0.0.1:{}", cloud.port), version);
    (config.user, config.token) = (Some("gateway".into()), Some(token));
    // A life that is short enough to watch is too short to be configured.
    let site = Site::start_unchecked(config);
    let mut number = 0;
    until("a second login", || {
        site.publish("site/a", &number.to_string());
        number += 1;
        cloud.seen.lock().unwrap().logins.len() >= 2
    })
    .await;
    site.drained().await;
    assert_eq!(site.handle.snapshot().acknowledged, number);
    site.stop().await;
    let seen = cloud.seen.lock().unwrap();
    assert_eq!(seen.offences, Vec::<String>::new(), "the bridge came before the end of its token");
    let distinct: BTreeSet<&[u8]> = seen.taken.iter().map(|taken| &*taken.payload).collect();
    assert_eq!(distinct.len() as u64, number);
    seen.logins.clone()
}

#[tokio::test]
async fn a_signed_token_is_renewed_before_it_expires() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key");
    std::fs::write(&key, "a secret of sufficient length, 32").unwrap();
    let jwt = Jwt {
        key,
        algorithm: JwtAlgorithm::HS256,
        audience: Some("cloud".into()),
        issuer: None,
        subject: None,
        key_id: None,
        claims: indexmap::IndexMap::new(),
        lifetime: Period::from_secs(10),
    };
    let logins = renews(Token::Jwt(jwt), Version::V5).await;
    assert_eq!(logins.iter().collect::<BTreeSet<_>>().len(), logins.len(), "each token is a new one");
}

#[tokio::test]
async fn a_shared_access_signature_is_renewed_before_it_expires() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key");
    std::fs::write(&key, "c2VjcmV0").unwrap();
    let sas =
        Sas { key, resource: Some("hub/devices/gw".into()), policy: None, lifetime: Period::from_secs(10) };
    let logins = renews(Token::Sas(sas), Version::V311).await;
    assert!(logins.iter().all(|login| login.starts_with("SharedAccessSignature ")));
}

#[tokio::test]
async fn a_token_of_a_file_is_read_anew_before_it_expires() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    let now = || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let write = |life: u64| {
        let claims =
            data_encoding::BASE64URL_NOPAD.encode(format!("{{\"exp\":{}}}", now() + life).as_bytes());
        std::fs::write(file.with_extension("new"), format!("e30.{claims}.c2ln\n")).unwrap();
        std::fs::rename(file.with_extension("new"), &file).unwrap();
    };
    write(12);
    let stop = tokio_util::sync::CancellationToken::new();
    let writer = async {
        while !stop.is_cancelled() {
            tokio::time::sleep(Duration::from_millis(300)).await;
            write(12);
        }
    };
    let renewed = async {
        let logins = renews(Token::File(file.clone()), Version::V5).await;
        stop.cancel();
        logins
    };
    let ((), logins) = tokio::join!(writer, renewed);
    assert_eq!(logins.iter().collect::<BTreeSet<_>>().len(), logins.len(), "each token is a new one");
}
