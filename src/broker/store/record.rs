//! The broker's records in the log: what each says, and its bytes.
//!
//! Numbers are varints (seven bits a byte, the lowest first), texts and bytes carry their length in front.
//! docs/broker-log.md lists them. Pure. Invariant: what `encode` wrote, `decode` gives back; anything else is an
//! error, never a wrong record.

mod owner;

use std::sync::Arc;

use super::time::Mark;
use crate::broker::codec::QoS;
pub(in crate::broker) use owner::Owner;

/// A message as the log keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::broker) struct Kept {
    pub(in crate::broker) topic: Arc<str>,
    pub(in crate::broker) publisher: Arc<str>,
    pub(in crate::broker) forward: Box<[u8]>,
    pub(in crate::broker) payload: Box<[u8]>,
    pub(in crate::broker) qos: QoS,
    pub(in crate::broker) dup: bool,
    /// Seconds that were left when it was logged.
    pub(in crate::broker) expiry: Option<u32>,
    /// The log's time when it was logged.
    pub(in crate::broker) log_us: i64,
}

/// A session that a message waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::broker) struct Target {
    pub(in crate::broker) session: u64,
    /// Its number in the session's order of messages.
    pub(in crate::broker) entry: u64,
    pub(in crate::broker) qos: QoS,
    pub(in crate::broker) retain: bool,
    pub(in crate::broker) ids: Box<[u32]>,
}

/// A message that came in: everything about it in one record, so that it is there as a whole or not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::broker) struct Published {
    pub(in crate::broker) message: Arc<Kept>,
    /// It is the topic's retained message from now on, or deletes it.
    pub(in crate::broker) retained: bool,
    /// The session that it came from at QoS 2, and its packet identifier.
    pub(in crate::broker) received: Option<(u64, u16)>,
    pub(in crate::broker) targets: Vec<Target>,
}

/// A will that waits for the end of its connection, or for its delay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::broker) struct Will {
    pub(in crate::broker) message: Kept,
    pub(in crate::broker) retain: bool,
    pub(in crate::broker) delay: u32,
}

/// Options of a subscription.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::broker) struct Options {
    pub(in crate::broker) qos: QoS,
    pub(in crate::broker) no_local: bool,
    pub(in crate::broker) retain_as_published: bool,
    /// Subscription identifier; 0: none.
    pub(in crate::broker) id: u32,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::broker) enum Record {
    /// A message to be kept.
    Published(Published),
    /// A client took a session that is to be kept.
    Attached {
        session: u64,
        client: Arc<str>,
        owner: Option<Owner>,
        expiry: u32,
        will: Option<Box<Will>>,
    },
    /// Its connection ended.
    Detached {
        session: u64,
        expiry: u32,
        will: bool,
        log_us: i64,
    },
    /// The session is over.
    Ended {
        session: u64,
    },
    Subscribed {
        session: u64,
        filter: Box<str>,
        options: Options,
    },
    Unsubscribed {
        session: u64,
        filter: Box<str>,
    },
    /// The client has the message; its packet identifier is free.
    Acknowledged {
        session: u64,
        entry: u64,
    },
    /// The message was taken out of the queue before it was sent.
    Dropped {
        session: u64,
        entry: u64,
    },
    /// QoS 2: the client has the message, and a PUBREL is due.
    Released {
        session: u64,
        entry: u64,
    },
    /// QoS 2: a message with this packet identifier was taken from the client.
    Received {
        session: u64,
        packet_id: u16,
    },
    /// QoS 2: the client may use the packet identifier again.
    Completed {
        session: u64,
        packet_id: u16,
    },
    /// The will was published, or taken back.
    WillGone {
        session: u64,
    },
    /// Everything up to this message was sent at least once.
    Sent {
        session: u64,
        entry: u64,
    },
    /// In snapshots: where the session's packet identifiers and messages go on.
    Base {
        session: u64,
        sequence: u64,
        entry: u64,
    },
    /// How the clocks stand.
    Clock(Mark),
}

/// The bytes are no record of this version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::broker) struct Malformed;

impl Record {
    /// The kind in the log.
    pub(in crate::broker) fn kind(&self) -> u8 {
        match self {
            Self::Published(_) => 1,
            Self::Attached { .. } => 2,
            Self::Detached { .. } => 3,
            Self::Ended { .. } => 4,
            Self::Subscribed { .. } => 5,
            Self::Unsubscribed { .. } => 6,
            Self::Acknowledged { .. } => 7,
            Self::Dropped { .. } => 8,
            Self::Released { .. } => 9,
            Self::Received { .. } => 10,
            Self::Completed { .. } => 11,
            Self::WillGone { .. } => 12,
            Self::Sent { .. } => 13,
            Self::Base { .. } => 14,
            Self::Clock(_) => 15,
        }
    }

    /// Appends the record's bytes.
    pub(in crate::broker) fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Published(published) => published.encode(out),
            Self::Attached { session, client, owner, expiry, will } => {
                number(out, *session);
                bytes(out, client.as_bytes());
                option(out, owner.as_ref(), |out, owner| owner.encode(out));
                number(out, u64::from(*expiry));
                option(out, will.as_ref(), |out, will| {
                    will.message.encode(out);
                    out.push(will.retain.into());
                    number(out, will.delay.into());
                });
            }
            Self::Detached { session, expiry, will, log_us } => {
                number(out, *session);
                number(out, u64::from(*expiry));
                out.push((*will).into());
                number(out, log_us.cast_unsigned());
            }
            Self::Ended { session } | Self::WillGone { session } => number(out, *session),
            Self::Subscribed { session, filter, options } => {
                number(out, *session);
                bytes(out, filter.as_bytes());
                let flags = u8::from(options.no_local) << 2 | u8::from(options.retain_as_published) << 3;
                out.push(options.qos as u8 | flags);
                number(out, options.id.into());
            }
            Self::Unsubscribed { session, filter } => {
                number(out, *session);
                bytes(out, filter.as_bytes());
            }
            Self::Acknowledged { session, entry }
            | Self::Dropped { session, entry }
            | Self::Released { session, entry }
            | Self::Sent { session, entry } => {
                number(out, *session);
                number(out, *entry);
            }
            Self::Received { session, packet_id } | Self::Completed { session, packet_id } => {
                number(out, *session);
                number(out, u64::from(*packet_id));
            }
            Self::Base { session, sequence, entry } => {
                number(out, *session);
                number(out, *sequence);
                number(out, *entry);
            }
            Self::Clock(Mark { boot, up_us, wall_us, log_us }) => {
                out.extend_from_slice(boot);
                [up_us, wall_us, log_us].into_iter().for_each(|us| number(out, us.cast_unsigned()));
            }
        }
    }

    /// Reads a record of a kind.
    pub(in crate::broker) fn decode(kind: u8, payload: &[u8]) -> Result<Self, Malformed> {
        let mut from = Source(payload);
        let record = Self::read(kind, &mut from)?;
        if from.0.is_empty() { Ok(record) } else { Err(Malformed) }
    }

    fn read(kind: u8, from: &mut Source<'_>) -> Result<Self, Malformed> {
        match kind {
            1 => return Ok(Self::Published(Published::read(from)?)),
            15 => return Ok(Self::Clock(from.mark()?)),
            _ => {}
        }
        let session = from.number()?;
        Ok(match kind {
            2 => Self::Attached {
                session,
                client: from.text()?.into(),
                owner: from.option(Owner::read)?,
                expiry: from.small()?,
                will: from.option(|from| {
                    let message = Kept::read(from)?;
                    Ok(Box::new(Will { message, retain: from.flag()?, delay: from.small()? }))
                })?,
            },
            3 => Self::Detached {
                session,
                expiry: from.small()?,
                will: from.flag()?,
                log_us: from.number()?.cast_signed(),
            },
            4 => Self::Ended { session },
            5 => {
                let (filter, flags) = (from.text()?.into(), from.byte()?);
                let options = Options {
                    qos: QoS::from_bits(flags & 3).ok_or(Malformed)?,
                    no_local: flags & 4 != 0,
                    retain_as_published: flags & 8 != 0,
                    id: from.small()?,
                };
                Self::Subscribed { session, filter, options }
            }
            6 => Self::Unsubscribed { session, filter: from.text()?.into() },
            7 => Self::Acknowledged { session, entry: from.number()? },
            8 => Self::Dropped { session, entry: from.number()? },
            9 => Self::Released { session, entry: from.number()? },
            10 => Self::Received { session, packet_id: from.small()? },
            11 => Self::Completed { session, packet_id: from.small()? },
            12 => Self::WillGone { session },
            13 => Self::Sent { session, entry: from.number()? },
            14 => Self::Base { session, sequence: from.number()?, entry: from.number()? },
            _ => return Err(Malformed),
        })
    }
}

impl Published {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(u8::from(self.retained) | u8::from(self.received.is_some()) << 1);
        self.message.encode(out);
        if let Some((session, packet_id)) = self.received {
            number(out, session);
            number(out, packet_id.into());
        }
        number(out, self.targets.len() as u64);
        for target in &self.targets {
            number(out, target.session);
            number(out, target.entry);
            out.push(target.qos as u8 | u8::from(target.retain) << 2);
            number(out, target.ids.len() as u64);
            target.ids.iter().for_each(|&id| number(out, id.into()));
        }
    }

    fn read(from: &mut Source<'_>) -> Result<Self, Malformed> {
        let flags = from.byte()?;
        let message = Arc::new(Kept::read(from)?);
        let received = if flags & 2 != 0 { Some((from.number()?, from.small()?)) } else { None };
        let count = from.number()?;
        let mut targets = Vec::new();
        for _ in 0..count {
            let (session, entry, flags) = (from.number()?, from.number()?, from.byte()?);
            let qos = QoS::from_bits(flags & 3).ok_or(Malformed)?;
            let mut ids = Vec::new();
            for _ in 0..from.number()? {
                ids.push(from.small()?);
            }
            targets.push(Target { session, entry, qos, retain: flags & 4 != 0, ids: ids.into() });
        }
        Ok(Self { message, retained: flags & 1 != 0, received, targets })
    }
}

impl Kept {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(self.qos as u8 | u8::from(self.dup) << 2 | u8::from(self.expiry.is_some()) << 3);
        bytes(out, self.topic.as_bytes());
        bytes(out, self.publisher.as_bytes());
        bytes(out, &self.forward);
        bytes(out, &self.payload);
        if let Some(expiry) = self.expiry {
            number(out, expiry.into());
        }
        number(out, self.log_us.cast_unsigned());
    }

    fn read(from: &mut Source<'_>) -> Result<Self, Malformed> {
        let flags = from.byte()?;
        Ok(Self {
            qos: QoS::from_bits(flags & 3).ok_or(Malformed)?,
            dup: flags & 4 != 0,
            topic: from.text()?.into(),
            publisher: from.text()?.into(),
            forward: from.bytes()?.into(),
            payload: from.bytes()?.into(),
            expiry: if flags & 8 != 0 { Some(from.small()?) } else { None },
            log_us: from.number()?.cast_signed(),
        })
    }
}

fn number(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn bytes(out: &mut Vec<u8>, value: &[u8]) {
    number(out, value.len() as u64);
    out.extend_from_slice(value);
}

fn option<T>(out: &mut Vec<u8>, value: Option<&T>, put: impl FnOnce(&mut Vec<u8>, &T)) {
    out.push(value.is_some().into());
    if let Some(value) = value {
        put(out, value);
    }
}

/// What is left of a payload.
struct Source<'a>(&'a [u8]);

impl<'a> Source<'a> {
    fn byte(&mut self) -> Result<u8, Malformed> {
        let (&byte, rest) = self.0.split_first().ok_or(Malformed)?;
        self.0 = rest;
        Ok(byte)
    }

    fn flag(&mut self) -> Result<bool, Malformed> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Malformed),
        }
    }

    fn number(&mut self) -> Result<u64, Malformed> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Malformed)
    }

    fn small<T: TryFrom<u64>>(&mut self) -> Result<T, Malformed> {
        T::try_from(self.number()?).map_err(|_| Malformed)
    }

    fn bytes(&mut self) -> Result<&'a [u8], Malformed> {
        let len: usize = self.small()?;
        let (bytes, rest) = self.0.split_at_checked(len).ok_or(Malformed)?;
        self.0 = rest;
        Ok(bytes)
    }

    fn mark(&mut self) -> Result<Mark, Malformed> {
        let (&boot, rest) = self.0.split_first_chunk().ok_or(Malformed)?;
        self.0 = rest;
        let mut us = || Ok(self.number()?.cast_signed());
        Ok(Mark { boot, up_us: us()?, wall_us: us()?, log_us: us()? })
    }

    fn text(&mut self) -> Result<&'a str, Malformed> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Malformed)
    }

    fn option<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, Malformed>,
    ) -> Result<Option<T>, Malformed> {
        if self.flag()? { read(self).map(Some) } else { Ok(None) }
    }
}

#[cfg(test)]
mod tests;
