//! Points (tags): the named places where readings arise and commands go.
//!
//! Invariant: a [`PointTable`] is built once from a validated configuration and never changes; a
//! [`PointId`] is an index into it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{OutputRules, ReportPolicy, Topic, Value, ValueKind};

/// The index of a point in its [`PointTable`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct PointId(pub u32);

impl PointId {
    /// The index as such.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// What may be done with a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Access {
    /// Read only.
    #[default]
    R,
    /// Read and write.
    Rw,
    /// Write only: never polled.
    W,
}

impl Access {
    /// Whether commands may reach the point.
    #[must_use]
    pub const fn writable(self) -> bool {
        matches!(self, Self::Rw | Self::W)
    }

    /// Whether the point is polled.
    #[must_use]
    pub const fn readable(self) -> bool {
        matches!(self, Self::R | Self::Rw)
    }
}

/// The form of a published payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PayloadFormat {
    /// The value alone, as text. Published for good readings only.
    Raw,
    /// `{"value":…,"quality":"good","time":"…","unit":"…"}`, also for readings that are not good.
    #[default]
    Json,
}

/// How a point's readings are published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublishPolicy {
    /// Payload form.
    pub format: PayloadFormat,
    /// MQTT quality of service, 0 to 2.
    pub qos: u8,
    /// Whether the broker keeps the last message for later subscribers.
    pub retain: bool,
    /// With [`PayloadFormat::Raw`]: publish readings that are uncertain as well.
    pub uncertain: bool,
}

/// A point: one measured or controlled quantity of one device.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// Where it stands in the table.
    pub id: PointId,
    /// Device and point name: `press/temperature`. Unique.
    pub name: Arc<str>,
    /// The device's name.
    pub device: Arc<str>,
    /// The channel's name.
    pub channel: Arc<str>,
    /// The full topic under the site: `busan/factory/manufacture/temperature`. Unique.
    pub topic: Topic,
    /// What kind of value it holds.
    pub kind: ValueKind,
    /// Engineering unit as shown: `°C`.
    pub unit: Option<Arc<str>>,
    /// What people call it, where that differs from the name.
    pub label: Option<Arc<str>>,
    /// What may be done with it.
    pub access: Access,
    /// Permitted values of numbers, inclusive.
    pub range: Option<(f64, f64)>,
    /// Report by exception.
    pub report: ReportPolicy,
    /// Form of its messages.
    pub publish: PublishPolicy,
    /// How often it is read.
    pub poll: Duration,
    /// The state an output takes at start, at stop and when its owner is gone.
    pub safe: Option<Value>,
    /// How far a read-back may lie from the setpoint, in engineering units.
    pub tolerance: f64,
    /// How it wants to be handled as an output.
    pub output: OutputRules,
}

/// All points of a configuration.
#[derive(Debug, Default)]
pub struct PointTable {
    points: Vec<Point>,
    by_name: HashMap<Arc<str>, PointId>,
    by_topic: HashMap<Arc<str>, PointId>,
}

impl PointTable {
    /// Builds the table; ids are given by position.
    #[must_use]
    pub fn new(mut points: Vec<Point>) -> Self {
        let mut by_name = HashMap::with_capacity(points.len());
        let mut by_topic = HashMap::with_capacity(points.len());
        for (index, point) in points.iter_mut().enumerate() {
            point.id = PointId(u32::try_from(index).unwrap_or(u32::MAX));
            by_name.insert(Arc::clone(&point.name), point.id);
            by_topic.insert(point.topic.shared(), point.id);
        }
        Self { points, by_name, by_topic }
    }

    /// The point with this id. Ids come from the same configuration, so they are always in range.
    #[must_use]
    pub fn get(&self, id: PointId) -> &Point {
        &self.points[id.index()]
    }

    /// Finds a point by `device/point`.
    #[must_use]
    pub fn by_name(&self, name: &str) -> Option<&Point> {
        self.by_name.get(name).map(|id| self.get(*id))
    }

    /// Finds a point by its full topic.
    #[must_use]
    pub fn by_topic(&self, topic: &str) -> Option<&Point> {
        self.by_topic.get(topic).map(|id| self.get(*id))
    }

    /// All points in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Point> {
        self.points.iter()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.points.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.points.is_empty()
    }
}

impl<'a> IntoIterator for &'a PointTable {
    type Item = &'a Point;
    type IntoIter = std::slice::Iter<'a, Point>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::model::Deadband;

    /// A float point `test/<name>` on topic `site/test/<name>`, for tests of other modules.
    pub(crate) fn point(name: &str) -> Point {
        Point {
            id: PointId(0),
            name: format!("test/{name}").into(),
            device: "test".into(),
            channel: "line".into(),
            topic: Topic::join(&["site", "test", name]).unwrap(),
            kind: ValueKind::Float,
            unit: None,
            label: None,
            access: Access::R,
            range: None,
            report: ReportPolicy { deadband: Deadband::None, always: false, max_silence: None },
            publish: PublishPolicy { format: PayloadFormat::Json, qos: 0, retain: true, uncertain: false },
            poll: Duration::from_secs(1),
            safe: None,
            tolerance: 0.0,
            output: OutputRules::default(),
        }
    }

    #[test]
    fn points_are_found_by_name_and_topic() {
        let table = PointTable::new(vec![point("a"), point("b")]);
        assert_eq!(table.by_name("test/b").unwrap().id, PointId(1));
        assert_eq!(table.by_topic("site/test/a").unwrap().id, PointId(0));
        assert!(table.by_name("test/c").is_none());
    }
}
