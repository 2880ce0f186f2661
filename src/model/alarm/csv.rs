//! Events of the journal as CSV (RFC 4180).
//!
//! Absent: how fields are written, which is `model::csv`'s.

use super::AlarmRecord;
use crate::model::csv::write_line;

impl AlarmRecord {
    /// The first line.
    pub const CSV_HEAD: &str = "id,time,alarm,event,from,to,condition,severity,value,message,by,comment\r\n";

    /// Writes the event as a line; `time` is its moment as a text.
    pub fn write_csv(&self, time: &str, out: &mut String) {
        let (record, id) = (self, self.id.to_string());
        let or_empty = |text: &Option<String>| text.clone().unwrap_or_default();
        let fields: [String; 12] = [
            id,
            time.to_owned(),
            record.alarm.clone(),
            record.event.clone(),
            record.from.clone(),
            record.to.clone(),
            or_empty(&record.condition),
            record.severity.clone(),
            or_empty(&record.value),
            or_empty(&record.message),
            or_empty(&record.by),
            or_empty(&record.comment),
        ];
        write_line(&fields, out);
    }
}
