//! The words of the trade as types: points, values, readings, quality, topics, commands.
//!
//! Absent on purpose: transports, tasks, sockets, clocks. Nothing here does I/O or knows tokio, so every
//! rule in it can be tested by calling a function.

pub mod alarm;
pub mod audit;
pub mod behaviour;
pub mod command;
pub mod control;
pub mod conversion;
pub mod csv;
pub mod expression;
pub mod point;
pub mod quality;
pub mod reading;
pub mod report;
pub mod secret;
pub mod topic;
pub mod units;
pub mod value;

pub use alarm::{
    AlarmAction, AlarmAnswer, AlarmChange, AlarmEvent, AlarmFigures, AlarmGroup, AlarmJournal, AlarmNews,
    AlarmOperator, AlarmOrder, AlarmOverview, AlarmQuery, AlarmRecord, AlarmRefusal, AlarmRequest,
    AlarmState, AlarmStatus, AlarmTarget, FLOOD, FirstOut, NotifierTally, Severity, Texts,
};
pub use audit::{AuditAnchor, AuditPage, AuditQuery, AuditReader, AuditRecord, ClockQuality};
pub use behaviour::{Behaviour, Motion};
pub use command::{CommandId, CommandRecord, CommandRequest, Origin, Outcome, Stage};
pub use control::{AfterLoss, ControlClass, ControlOrder, OutputRules};
pub use conversion::Conversion;
pub use point::{Access, PayloadFormat, Point, PointId, PointTable, PublishPolicy};
pub use quality::{Quality, Reason};
pub use reading::{Reading, Stamp};
pub use report::{Deadband, ReportPolicy};
pub use secret::Secret;
pub use topic::{Filter, Topic, TopicError};
pub use value::{Value, ValueKind};
