//! What people do in a storm: acknowledge, shelve and take out alarms, and set outputs, until the gateway is gone.

use std::collections::HashMap;
use std::time::Instant;

use serde_json::json;

use super::Gateway;
use super::plant::{ALARMS, LAMPS, LEVELS};

/// What people have done to an alarm last: what was asked, and whether that was answered.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) action: &'static str,
    pub(crate) answered: bool,
}

/// A command that was answered, as its audit record must tell it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Given {
    pub(crate) output: String,
    pub(crate) value: String,
    pub(crate) outcome: String,
}

/// What all people have done over all kills.
#[derive(Default)]
pub(crate) struct People {
    pub(crate) asked: HashMap<String, Asked>,
    /// Comments of what was answered: each must be in the journal.
    pub(crate) done: Vec<String>,
    /// Commands that were answered, and how often.
    pub(crate) given: HashMap<Given, u32>,
    /// A value that no command had before.
    next: u32,
}

impl People {
    pub(crate) fn act(&mut self, gateway: &Gateway, rng: &mut fastrand::Rng, until: Instant) {
        while Instant::now() < until {
            match rng.u32(0..3) {
                0 => self.command(gateway, rng),
                _ => self.attend(gateway, rng),
            }
        }
    }

    fn attend(&mut self, gateway: &Gateway, rng: &mut fastrand::Rng) {
        let alarm = format!("a{}", rng.usize(0..ALARMS));
        let action =
            ["acknowledge", "acknowledge", "shelve", "unshelve", "take-out", "put-back"][rng.usize(0..6)];
        let comment = format!("c{:x}", rng.u64(..));
        let mut body = json!({ "alarm": alarm, "action": action, "user": "kim", "comment": comment });
        if action == "shelve" {
            body["for"] = json!("2h");
        }
        match gateway.ask("POST", "/api/v1/alarms", &body.to_string()) {
            Some((200, _)) => {
                self.done.push(comment);
                if action != "acknowledge" {
                    self.asked.insert(alarm, Asked { action, answered: true });
                }
            }
            Some((409, _)) => {}
            Some((status, answer)) => panic!("{status}: {answer}"),
            None => {
                self.asked.insert(alarm, Asked { action, answered: false });
            }
        }
    }

    /// Sets or holds an output; lamps that an alarm holds refuse it.
    fn command(&mut self, gateway: &Gateway, rng: &mut fastrand::Rng) {
        self.next += 1;
        let (output, value) = match rng.usize(0..LEVELS.len() + 1) {
            place if place < LEVELS.len() => (format!("plant/{}", LEVELS[place]), json!(self.next)),
            _ => (format!("plant/lamp{}", rng.usize(0..LAMPS)), json!(rng.bool())),
        };
        let mut body = json!({ "point": output, "value": value });
        if output.ends_with("held") {
            body["for"] = json!(3600);
        }
        match gateway.ask("POST", "/api/v1/command", &body.to_string()) {
            Some((200, answer)) => {
                let outcome = answer["outcome"].as_str().unwrap().to_owned();
                let value = value.to_string();
                *self.given.entry(Given { output, value, outcome }).or_default() += 1;
            }
            Some((504, _)) | None => {}
            Some((status, answer)) => panic!("{status}: {answer}"),
        }
    }
}
