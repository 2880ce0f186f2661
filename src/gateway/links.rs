//! Who hears of devices that answer again or no longer: subscribers, alarms and the arbiter.
//!
//! Invariant: no loss is missed, however short: a device that was away between two looks may have dropped its outputs.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::alarm;
use crate::command::Commander;
use crate::driver::{ChannelStats, LinkState};
use crate::publish::Publisher;

/// How often the notices of devices are looked at.
const NOTICE_PERIOD: Duration = Duration::from_secs(1);

/// What was told of a device last: its link, how often it was lost, and what is odd about it.
type Told = (LinkState, u64, Option<Arc<str>>);

/// Publishes each device's availability, and what is odd about it, when they change, and tells the alarms who answers.
pub(super) async fn announce(
    stats: Vec<Arc<ChannelStats>>,
    publisher: Arc<Publisher>,
    alarms: Arc<alarm::Engine>,
    commander: Commander,
    shutdown: CancellationToken,
) {
    let changed = Arc::new(Notify::new());
    for device in stats.iter().flat_map(|channel| &channel.devices) {
        device.link.tell(Arc::clone(&changed));
    }
    let nothing: Told = (LinkState::Unknown, 0, None);
    let mut told: Vec<Vec<Told>> =
        stats.iter().map(|channel| vec![nothing.clone(); channel.devices.len()]).collect();
    // Links tell at once; what is odd about a device is looked at now and then.
    let mut ticks = tokio::time::interval(NOTICE_PERIOD);
    loop {
        tokio::select! {
            () = changed.notified() => {}
            _ = ticks.tick() => {}
            () = shutdown.cancelled() => return,
        }
        for (channel, told) in stats.iter().zip(&mut told) {
            for (device, told) in channel.devices.iter().zip(told) {
                // The losses first: one that comes later is seen by its own notice.
                let (losses, link, notice) = (device.link.losses(), device.link.get(), device.notice());
                if link == LinkState::Online && told.0 != LinkState::Offline && losses != told.1 {
                    // Away and back in between: it may have dropped its outputs.
                    commander.link(&device.name, false);
                    commander.link(&device.name, true);
                }
                if link != told.0 {
                    publisher.device_availability(&device.name, link);
                    let answers = match link {
                        LinkState::Online => Some(true),
                        LinkState::Offline => Some(false),
                        LinkState::Unknown => None,
                    };
                    if let Some(answers) = answers {
                        alarms.link(&device.name, answers);
                        commander.link(&device.name, answers);
                    }
                }
                if notice != told.2 {
                    publisher.device_notice(&device.name, notice.as_deref());
                }
                *told = (link, losses, notice);
            }
        }
    }
}
