//! The hash chain: what makes a changed, removed or inserted record show.
//!
//! Pure. A record's hash is SHA-256 over the hash before it and all its fields, each with its length, so that no
//! two records have the same bytes. Absent: keys. Whoever may write the file can build a whole new chain, which
//! shows only against a hash that was noted elsewhere: see [`Walk::new`] and its `known`.

use ring::digest::{Context, SHA256};

use crate::model::{AuditAnchor, AuditRecord};

/// What every chain begins with.
const BEGINNING: &[u8] = b"iogate audit 1";

/// The anchor of a chain that nothing was cut from.
#[must_use]
pub fn beginning() -> AuditAnchor {
    let mut context = Context::new(&SHA256);
    context.update(BEGINNING);
    AuditAnchor { id: 0, hash: hex(context.finish().as_ref()) }
}

/// The hash of a record behind a record with the hash `before`.
#[must_use]
pub fn hash(before: &str, record: &AuditRecord) -> String {
    let mut context = Context::new(&SHA256);
    let mut put = |bytes: &[u8]| {
        context.update(&(bytes.len() as u64).to_le_bytes());
        context.update(bytes);
    };
    put(before.as_bytes());
    put(&record.id.to_le_bytes());
    put(&record.unix_us.to_le_bytes());
    put(record.clock.word().as_bytes());
    put(&record.took_us.to_le_bytes());
    for text in [&record.kind, &record.origin, &record.subject, &record.outcome] {
        put(text.as_bytes());
    }
    for text in [&record.old, &record.new, &record.detail] {
        // Nothing is not the same as an empty text.
        put(&[u8::from(text.is_some())]);
        put(text.as_deref().unwrap_or_default().as_bytes());
    }
    hex(context.finish().as_ref())
}

/// What is wrong with a chain, or how far it reaches.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// A record is not the one that was written, or the one before it is not.
    #[error("record {0} was changed, or one before it was")]
    Hash(i64),
    /// Records are missing or were put in.
    #[error("record {expected} is expected, and {found} follows: records were removed or put in")]
    Order {
        /// The id that should come.
        expected: i64,
        /// The id that comes.
        found: i64,
    },
    /// A record that was noted elsewhere is another one here.
    #[error("record {0} has another hash than the one that was noted: the log was written anew")]
    Known(i64),
    /// A record that was noted elsewhere is gone, though older ones are kept.
    #[error("record {0}, which was noted, is missing: the log was cut at its end")]
    Missing(i64),
}

/// Walks along a chain, record by record.
#[derive(Debug, Clone)]
pub struct Walk {
    last: AuditAnchor,
    known: Option<AuditAnchor>,
    first_kept: i64,
}

impl Walk {
    /// Begins behind the anchor; `known` is a record that was noted elsewhere and must be there.
    #[must_use]
    pub fn new(anchor: AuditAnchor, known: Option<AuditAnchor>) -> Self {
        let first_kept = anchor.id + 1;
        Self { last: anchor, known, first_kept }
    }

    /// Takes the next record, in the order of ids.
    ///
    /// # Errors
    /// It does not follow.
    pub fn step(&mut self, record: &AuditRecord) -> Result<(), Broken> {
        let expected = self.last.id + 1;
        if record.id != expected {
            return Err(Broken::Order { expected, found: record.id });
        }
        if hash(&self.last.hash, record) != record.hash {
            return Err(Broken::Hash(record.id));
        }
        if self.known.as_ref().is_some_and(|known| known.id == record.id && known.hash != record.hash) {
            return Err(Broken::Known(record.id));
        }
        self.last = AuditAnchor { id: record.id, hash: record.hash.clone() };
        Ok(())
    }

    /// The last record, once all have been taken.
    ///
    /// # Errors
    /// The noted record has not come.
    pub fn end(self) -> Result<AuditAnchor, Broken> {
        match &self.known {
            Some(known) if known.id >= self.first_kept && known.id > self.last.id => {
                Err(Broken::Missing(known.id))
            }
            _ => Ok(self.last),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}

#[cfg(test)]
#[path = "chain_tests.rs"]
mod tests;
