//! Whether the device is the one that the configuration means: its model page, or a Web-IO's terminals.
//!
//! A wrong device gives a warning that names both, once. Terminals that a Web-IO does not have make their
//! points bad; a device that only has more than expected is still read.

use std::collections::HashSet;
use std::sync::Arc;

use super::{Owner, Task};
use crate::driver::http::Device;
use crate::driver::http::config::{IdentifyConfig, PortsConfig};
use crate::driver::http::request::Request;
use crate::driver::http::wire::{Failure, Terms};
use crate::driver::http::wut::{Kind, PortInfo, REFRESH, REFRESH_FAILED, portinfo_request};
use crate::driver::schedule::EntryId;

/// The longest part of a foreign page that a warning shows, in characters.
const MAX_SHOWN: usize = 60;

impl Owner {
    /// Reads what the device says of itself.
    pub(super) async fn identify(&mut self, id: EntryId, device: usize) {
        let plan = Arc::clone(&self.plan);
        let this = &plan.devices[device];
        let mut found = HashSet::new();
        let mut failed = false;
        if let Some(identify) = &this.config.identify {
            match self.exchange(device, &Request::get(identify.page.as_str()), Terms::default()).await {
                Ok(reply) => found.extend(foreign(this, identify, reply.text())),
                Err(failure) => failed |= self.unidentified(this, &failure, &mut found),
            }
        }
        if this.is_web_io() && !self.reach.is_down() {
            match self.exchange(device, &portinfo_request(), Terms::default()).await {
                Ok(reply) => match PortInfo::parse(reply.text()) {
                    Ok(info) => {
                        found.extend(differences(this, &info));
                        self.terminals[device] = Some(info);
                    }
                    Err(problem) => {
                        failed |= self.unidentified(this, &Failure::Malformed(problem), &mut found);
                    }
                },
                Err(failure) => failed |= self.unidentified(this, &failure, &mut found),
            }
        }
        let now = self.context.clock.mono();
        if failed || self.reach.is_down() {
            self.schedule.defer(id, now + REFRESH_FAILED, REFRESH);
        }
        if !self.reach.is_down() {
            for complaint in found.difference(&self.complaints[device]) {
                tracing::warn!(channel = %plan.name, device = %this.name, "{complaint}");
            }
            let mut odd: Vec<&str> = found.iter().map(String::as_str).collect();
            odd.sort_unstable();
            let odd = odd.join("; ");
            self.context.stats.devices[device].set_notice((!odd.is_empty()).then_some(&odd));
            self.complaints[device] = found;
        }
    }

    /// Says that the device could not be identified, unless the host is silent, which is said elsewhere.
    fn unidentified(&self, device: &Device, failure: &Failure, found: &mut HashSet<String>) -> bool {
        if !self.reach.is_down() {
            found.insert(format!("whether this is a {} cannot be told: {failure}", device.model));
        }
        true
    }

    /// After an outage.
    pub(super) fn identify_again(&mut self) {
        let now = self.context.clock.mono();
        for (place, task) in self.tasks.iter().enumerate() {
            if matches!(task, Task::Identify(_)) {
                self.schedule.defer(EntryId::of(place), now, REFRESH);
            }
        }
    }
}

fn foreign(device: &Device, identify: &IdentifyConfig, text: &str) -> Option<String> {
    let wanted = &identify.contains;
    if text.contains(wanted.as_str()) {
        return None;
    }
    let shown: String = text.chars().filter(|c| !c.is_control()).take(MAX_SHOWN).collect();
    Some(format!(
        "wrong device: {} shows `{wanted}` at {}, this one shows `{shown}`",
        device.model, identify.page
    ))
}

/// What the device has otherwise than its profile says, and the terminals that its points miss.
fn differences(device: &Device, info: &PortInfo) -> Vec<String> {
    let mut found = Vec::new();
    let wanted = device.config.wut_ports.unwrap_or_default();
    let counts = expected(&wanted).into_iter().filter_map(|(kind, count)| Some((kind, usize::from(count?))));
    let differs = counts.clone().any(|(kind, count)| info.count(kind) != count);
    if differs {
        let words: Vec<String> = counts.map(|(kind, count)| format!("{count} {}", kind.word())).collect();
        found.push(format!("wrong device: {} has {}, this one has {info}", device.model, words.join(", ")));
    }
    let slots = device.points.iter().filter_map(|point| point.wiring.slot);
    let missing: Vec<String> = slots
        .filter(|slot| !info.has(slot.kind, slot.number))
        .map(|slot| format!("{} {}", slot.kind.word(), slot.number))
        .collect();
    if !missing.is_empty() {
        let model = &device.model;
        let missing = missing.join(", ");
        found.push(format!(
            "the points of {model} need {missing}, which this device ({info}) does not list in /portinfo"
        ));
    }
    found
}

fn expected(ports: &PortsConfig) -> [(Kind, Option<u16>); 4] {
    [
        (Kind::AnalogIn, ports.analog_in),
        (Kind::AnalogOut, ports.analog_out),
        (Kind::DigitalIn, ports.digital_in),
        (Kind::DigitalOut, ports.digital_out),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::http::config::PointConfig;
    use crate::driver::http::{DeviceConfig, Point};
    use crate::model::{Access, Conversion, PointId};

    /// A thermometer by its profile.
    fn thermometer(ports: &str) -> Device {
        let config: DeviceConfig = serde_yaml::from_str(ports).unwrap();
        let written: PointConfig = serde_yaml::from_str("{ analog-in: 1 }").unwrap();
        let point = Point {
            id: PointId(0),
            wiring: written
                .wiring(&crate::driver::text::ExtractConfig::default(), &config, true, false)
                .unwrap(),
            conversion: Conversion::default(),
            poll: REFRESH,
            access: Access::R,
            tolerance: 0.0,
        };
        Device { name: "hall".into(), model: "wut/57714".into(), config, points: vec![point] }
    }

    fn info(kinds: &[(&str, u16)]) -> PortInfo {
        let lines = kinds.iter().map(|(kind, slot)| format!("0|||||{kind}|||{slot}|||\r\n"));
        PortInfo::parse(&format!("1.0|{}\r\n{}", kinds.len(), lines.collect::<String>())).unwrap()
    }

    #[test]
    fn a_wrong_device_is_named_together_with_the_right_one() {
        let device = thermometer("{ wut-ports: { analog-in: 1 } }");
        assert_eq!(differences(&device, &info(&[("1", 1)])), Vec::<String>::new());
        let found = differences(&device, &info(&[("2", 0), ("2", 1), ("3", 0)]));
        assert_eq!(
            found,
            [
                "wrong device: wut/57714 has 1 analog in, this one has 2 digital in, 1 digital out",
                "the points of wut/57714 need analog in 1, which this device (2 digital in, 1 digital out) does not list in /portinfo",
            ]
        );
        assert_eq!(differences(&thermometer("{}"), &info(&[("1", 1), ("1", 2)])), Vec::<String>::new());
    }

    #[test]
    fn a_page_without_its_text_is_another_device() {
        let identify = IdentifyConfig { page: "/shelly".into(), contains: "SNSW-001".into() };
        let device = thermometer("{}");
        assert_eq!(foreign(&device, &identify, "{\"model\":\"SNSW-001X\"}"), None);
        let complaint = foreign(&device, &identify, "<html>\r\nnginx</html>").unwrap();
        assert!(complaint.contains("wut/57714") && complaint.contains("SNSW-001"), "{complaint}");
        assert!(complaint.ends_with("this one shows `<html>nginx</html>`"), "{complaint}");
    }
}
