//! Tokens with fixed times: what is accepted, and every reason to refuse.

use std::os::unix::fs::OpenOptionsExt;

use proptest::prelude::*;
use ring::hmac;
use serde_json::json;

use super::*;

const NOW: i64 = 1_800_000_000;

const SECRET: [u8; 32] = [42; 32];

fn section(yaml: &str) -> BrokerJwt {
    let least = "keys: [{ secret: /none }], issuer: https://login.example.com, audience: plant";
    serde_yaml::from_str(&format!("{{ {least}, {yaml} }}")).unwrap()
}

fn keys(kid: Option<&str>) -> Keys {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).unwrap();
    std::io::Write::write_all(&mut file, &[&SECRET[..], b"\n"].concat()).unwrap();
    let key = JwtKey { secret: Some(path), kid: kid.map(Into::into), ..JwtKey::default() };
    Keys::read(&BrokerJwt { keys: vec![key], ..section("") }).unwrap()
}

fn good() -> Value {
    json!({ "iss": "https://login.example.com", "aud": "plant", "sub": "anna", "exp": NOW + 60 })
}

fn signed(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
    let message = format!("{}.{}", part(header), part(claims));
    let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &SECRET), message.as_bytes());
    format!("{message}.{}", BASE64URL_NOPAD.encode(signature.as_ref()))
}

fn with(claims: &Value, yaml: &str) -> Result<Token, Refusal> {
    verify(&signed(&json!({ "alg": "HS256" }), claims), &section(yaml), &keys(None), NOW)
}

fn changed(name: &str, value: Value) -> Result<Token, Refusal> {
    let mut claims = good();
    claims[name] = value;
    with(&claims, "")
}

fn told(result: &Result<Token, Refusal>) -> String {
    result.as_ref().map_or_else(ToString::to_string, |claims| format!("{claims:?}"))
}

#[test]
fn claims_become_user_roles_and_lists() {
    let mut claims = good();
    claims["aud"] = json!(["other", "plant"]);
    claims["exp"] = json!(NOW as f64 + 0.5);
    claims["realm_access"] = json!({ "roles": ["operator", "viewer"] });
    claims["https://example.com/write"] = json!(["a/#"]);
    claims["scope"] = json!("b/+ c");
    let yaml = "roles-claim: realm_access.roles, write-claim: 'https://example.com/write', read-claim: scope, subscribe-claim: none";
    let read = with(&claims, yaml).unwrap();
    let list = |all: &[&str]| all.iter().map(|&one| one.into()).collect::<Vec<Box<str>>>();
    let granted =
        Claims::new(list(&["operator", "viewer"]), list(&["b/+", "c"]), list(&["a/#"]), vec![]).unwrap();
    assert_eq!((&*read.user, &*read.claims, read.expires), ("anna", &granted, NOW));
    claims["scope"] = json!("a#");
    assert_eq!(with(&claims, yaml), Err(Refusal::Filter));
}

#[test]
fn tokens_of_others_for_others_or_of_other_times_are_refused() {
    assert_eq!(changed("iss", json!("https://login.example.com/")), Err(Refusal::Issuer));
    assert_eq!(changed("iss", json!(null)), Err(Refusal::Issuer));
    for other in [json!("Plant"), json!(["x"]), json!([["plant"]]), json!(null), json!({ "plant": 1 })] {
        assert_eq!(changed("aud", other), Err(Refusal::Audience));
    }
    assert!(changed("exp", json!(NOW - 29)).is_ok(), "within the leeway");
    assert_eq!(changed("exp", json!(NOW - 30)), Err(Refusal::Expired(30)));
    assert!(changed("nbf", json!(NOW + 30)).is_ok(), "within the leeway");
    assert_eq!(changed("nbf", json!(NOW + 31)), Err(Refusal::NotYet(31)));
    for damaged in [json!("1800000060"), json!(-1), json!(1e300), json!(null)] {
        assert!(told(&changed("exp", damaged.clone())).contains("`exp`"), "{damaged}");
        assert!(told(&changed("nbf", damaged)).contains("`nbf`"));
    }
    let mut claims = good();
    claims.as_object_mut().unwrap().remove("exp");
    assert!(told(&with(&claims, "")).contains("`exp`: is missing"));
}

#[test]
fn names_and_lists_that_cannot_be_are_refused() {
    for name in [json!(""), json!("a/b"), json!("#"), json!(7), json!(null), json!("x".repeat(257))] {
        assert!(told(&changed("sub", name)).contains("`sub`"));
    }
    let mut claims = good();
    for list in [json!(7), json!([7]), json!(vec!["x"; 257]), json!(["x".repeat(1_025)])] {
        claims["roles"] = list;
        assert!(told(&with(&claims, "roles-claim: roles")).contains("`roles`"));
    }
    assert!(with(&claims, "").is_ok(), "a claim that nobody asked for");
}

#[test]
fn a_clock_that_was_never_set_accepts_nothing() {
    let mut claims = good();
    claims["exp"] = json!(2_000_000_000);
    let token = signed(&json!({ "alg": "HS256" }), &claims);
    let at = |now| verify(&token, &section(""), &keys(None), now);
    assert_eq!(at(12), Err(Refusal::Clock));
    assert_eq!(at(-5), Err(Refusal::Clock));
    assert!(at(CLOCK_FLOOR).is_ok());
}

#[test]
fn headers_choose_among_keys_and_never_an_algorithm() {
    let header = |header: Value, kid| verify(&signed(&header, &good()), &section(""), &keys(kid), NOW);
    assert!(header(json!({ "alg": "HS256", "kid": "a", "typ": "JWT" }), Some("a")).is_ok());
    assert!(header(json!({ "alg": "HS256" }), Some("a")).is_ok());
    assert!(header(json!({ "alg": "HS256", "kid": "b" }), None).is_ok());
    assert_eq!(header(json!({ "alg": "HS256", "kid": "b" }), Some("a")), Err(Refusal::NoKey));
    assert_eq!(header(json!({ "alg": "RS256" }), None), Err(Refusal::NoKey));
    for bad in [
        json!({ "alg": "none" }),
        json!({ "alg": "hs256" }),
        json!({ "alg": "HS512" }),
        json!({}),
        json!({ "alg": "HS256", "crit": ["exp"] }),
        json!({ "alg": "HS256", "b64": false }),
        json!({ "alg": "HS256", "kid": 7 }),
    ] {
        assert!(matches!(header(bad.clone(), None), Err(Refusal::Malformed(_))), "{bad}");
    }
}

#[test]
fn a_token_that_was_touched_is_no_token() {
    let token = signed(&json!({ "alg": "HS256" }), &good());
    let check = |token: &str| verify(token, &section(""), &keys(None), NOW);
    assert!(check(&token).is_ok());
    let (message, signature) = token.rsplit_once('.').unwrap();
    let mut claims = good();
    claims["sub"] = json!("root");
    let other = signed(&json!({ "alg": "HS256" }), &claims);
    let forged = format!("{}.{signature}", other.rsplit_once('.').unwrap().0);
    assert_eq!(check(&forged), Err(Refusal::Signature));
    assert_eq!(check(&format!("{message}.")), Err(Refusal::Signature));
    for bad in [format!("{token}="), format!("{message}.%"), message.to_owned(), String::new(), "..".into()] {
        assert!(matches!(check(&bad), Err(Refusal::Malformed(_))), "{bad}");
    }
    assert!(matches!(check(&format!("e{}", "x".repeat(MAX_TOKEN))), Err(Refusal::Malformed(_))));
    assert_eq!(super::token(token.as_bytes()), Some(&*token));
    assert_eq!(super::token(b"e.secret"), None);
}

#[test]
fn connections_outlive_their_token_by_the_grace_alone() {
    let claims = with(&good(), "").unwrap();
    let expired = |yaml: &str, after: i64| Tokens::new(section(yaml)).expired(&claims, NOW + 60 + after);
    assert!(!expired("", 29) && expired("", 30));
    assert!(!expired("leeway: 0s, grace: 5m", 299) && expired("leeway: 0s, grace: 5min", 300));
}

proptest! {
    #[test]
    fn any_text_is_refused_and_does_no_harm(text in "e?[A-Za-z0-9_-]{0,40}(\\.[A-Za-z0-9_=-]{0,40}){0,3}") {
        prop_assert!(verify(&text, &section(""), &Keys::default(), NOW).is_err());
    }

    #[test]
    fn any_claims_are_read_or_refused(claims in "\\{(\"(exp|aud|iss|sub|nbf)\":(\"x\"|[0-9eE+-]{1,9}|\\[\\]|null),?){0,5}\\}") {
        if let Ok(value) = serde_json::from_str::<Value>(&claims) {
            prop_assert!(with(&value, "").is_err());
        }
    }
}
