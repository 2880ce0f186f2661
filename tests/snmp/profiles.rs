//! Profiles for agents: what snmpd holds in the place of the device comes out as the profile says.

use super::bench::{Running, plan};
use super::peers::{Agent, near};

/// A UPS on its battery (RFC 1628), as snmpd can hold it.
const UPS: &str = "
rocommunity public 127.0.0.1
override 1.3.6.1.2.1.33.1.1.1.0 octet_str Maker
override 1.3.6.1.2.1.33.1.1.2.0 octet_str Model
override 1.3.6.1.2.1.33.1.2.1.0 integer 3
override 1.3.6.1.2.1.33.1.2.2.0 integer 95
override 1.3.6.1.2.1.33.1.2.3.0 integer 12
override 1.3.6.1.2.1.33.1.2.4.0 integer 87
override 1.3.6.1.2.1.33.1.2.5.0 integer 273
override 1.3.6.1.2.1.33.1.2.6.0 integer -15
override 1.3.6.1.2.1.33.1.2.7.0 integer 31
override 1.3.6.1.2.1.33.1.3.3.1.2.1 integer 499
override 1.3.6.1.2.1.33.1.3.3.1.3.1 integer 229
override 1.3.6.1.2.1.33.1.4.1.0 integer 5
override 1.3.6.1.2.1.33.1.4.2.0 integer 500
override 1.3.6.1.2.1.33.1.4.4.1.2.1 integer 230
override 1.3.6.1.2.1.33.1.4.4.1.3.1 integer 45
override 1.3.6.1.2.1.33.1.4.4.1.4.1 integer 1035
override 1.3.6.1.2.1.33.1.4.4.1.5.1 integer 33
override 1.3.6.1.2.1.33.1.6.1.0 uinteger 2
";

#[tokio::test]
async fn a_ups_tells_its_battery_its_load_and_its_alarms() {
    let agent = Agent::start(UPS);
    let yaml = format!(
        "site: s\ndefaults: {{ poll: 50ms }}\nchannels: {{ ups: {{ snmp: {{ address: \"{}\", timeout: 3s }} }} }}\n\
         devices: {{ ups: {{ channel: ups, profile: rfc1628/ups }} }}\n",
        agent.address
    );
    let running = Running::as_configured(plan(&yaml));
    for (point, value) in [
        ("battery-charge", 87.0),
        ("battery-minutes", 12.0),
        ("seconds-on-battery", 95.0),
        ("battery-voltage", 27.3),
        ("battery-current", -1.5),
        ("temperature", 31.0),
        ("input-frequency", 49.9),
        ("input-voltage", 229.0),
        ("output-frequency", 50.0),
        ("output-voltage", 230.0),
        ("output-current", 4.5),
        ("output-power", 1035.0),
        ("output-load", 33.0),
        ("alarms", 2.0),
    ] {
        let point = format!("ups/{point}");
        running.until(&point, |this| near(this, &point, value)).await;
    }
    running.until_value("ups/battery-status", "low").await;
    running.until_value("ups/output-source", "battery").await;
    running.until_value("ups/maker", "Maker").await;
    running.stop().await;
}
