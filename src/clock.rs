//! The clocks: monotonic for intervals, wall for stamping.
//!
//! Everything takes its time from here. Monotonic time is tokio's, so that a test with a paused runtime
//! moves both timers and stamps; wall time may be fixed for tests. Absent: corrections after the wall
//! clock was set, which belong to whoever stores stamps.

use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::model::Stamp;

/// Where stamps come from. Cheap to clone.
#[derive(Clone)]
pub struct Clock {
    wall: Arc<dyn Fn() -> i64 + Send + Sync>,
}

impl Clock {
    /// The clocks of the machine.
    #[must_use]
    pub fn system() -> Self {
        Self { wall: Arc::new(unix_us) }
    }

    /// A wall clock under the caller's control, in microseconds since 1970.
    #[must_use]
    pub fn with_wall(wall: impl Fn() -> i64 + Send + Sync + 'static) -> Self {
        Self { wall: Arc::new(wall) }
    }

    /// Monotonic time.
    #[must_use]
    pub fn mono(&self) -> Instant {
        tokio::time::Instant::now().into_std()
    }

    /// Both clocks at once.
    #[must_use]
    pub fn stamp(&self) -> Stamp {
        Stamp { mono: self.mono(), unix_us: (self.wall)() }
    }
}

impl std::fmt::Debug for Clock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Clock")
    }
}

fn unix_us() -> i64 {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_micros()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_micros()).map_or(i64::MIN, |us| -us),
    }
}
