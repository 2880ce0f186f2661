//! What an agent answers (RFC 1157, section 4.1; RFC 3416, section 4.2).
//!
//! Pure but for the lock of its points. Besides the plan's objects it has `sysDescr` and `sysUpTime`. A message of
//! another version or community, and whatever is no request, is not answered.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::ber::{self, INTEGER, NULL, OBJECT, OCTETS, SEQUENCE};
use super::set::{self, Sessions};
use crate::driver::snmp::config::Version;
use crate::driver::snmp::{Plan, Wiring};
use crate::model::{Behaviour, PointId, PointTable};
use crate::simulate::StartError;
use crate::simulate::fault::{Fault, FaultError};
use crate::simulate::listen::{Said, Talker};
use crate::simulate::text::{Cell, Operated, Planned, State, Station, compose};

/// `sysDescr.0` and `sysUpTime.0` (RFC 3418).
const DESCRIPTION: [u32; 9] = [1, 3, 6, 1, 2, 1, 1, 1, 0];
const UPTIME: [u32; 9] = [1, 3, 6, 1, 2, 1, 1, 3, 0];

/// Kinds of requests, and the answer's.
const GET: u8 = 0xa0;
const GET_NEXT: u8 = 0xa1;
const RESPONSE: u8 = 0xa2;
const SET: u8 = 0xa3;
const GET_BULK: u8 = 0xa5;

/// Tags of values that are no plain ASN.1 (RFC 2578), and of what is not there (RFC 3416).
const COUNTER32: u8 = 0x41;
const TIME_TICKS: u8 = 0x43;
const NO_SUCH_INSTANCE: u8 = 0x81;
const END_OF_VIEW: u8 = 0x82;

/// The status of version 1 for an object that is not there.
const NO_SUCH_NAME: i64 = 2;

/// The most objects in one answer.
const MAX_OBJECTS: usize = 256;

/// One simulated agent.
#[derive(Debug)]
pub(super) struct Agent {
    version: Version,
    community: Vec<u8>,
    /// The one for SET.
    write_community: Vec<u8>,
    sessions: Mutex<Sessions>,
    start: Instant,
    delay: Duration,
    station: Arc<Station<Wiring>>,
}

/// A request in its parts.
struct Request<'a> {
    community: &'a [u8],
    kind: u8,
    id: &'a [u8],
    /// What stands where an answer has status and place: of a GETBULK, what is asked once and how often the rest is.
    once: i64,
    times: i64,
    objects: Vec<Vec<u32>>,
    /// Their values, which count in a SET.
    values: Vec<(u8, Vec<u8>)>,
}

/// Objects in their order, each with the tag and content of its value.
type View = BTreeMap<Vec<u32>, (u8, Vec<u8>)>;

/// An object with its value.
pub(super) type Binding = (Vec<u32>, (u8, Vec<u8>));

impl Agent {
    /// The agent of a plan.
    ///
    /// # Errors
    /// When a behaviour does not suit its point.
    pub(super) fn new(
        points: &PointTable,
        plan: &Plan,
        behaviours: (&BTreeMap<PointId, Behaviour>, u64),
        delay: Duration,
    ) -> Result<Self, StartError> {
        let planned = plan.devices.iter().flat_map(|device| &device.points).map(|point| Planned {
            id: point.id,
            wiring: point.wiring.clone(),
            extract: &point.wiring.extract,
            conversion: &point.conversion,
        });
        let station = Station::new(points, planned, behaviours, plan.config.timeout.0, suits)?;
        let community = plan.config.community.as_ref().map_or("public", |secret| secret.reveal());
        let own = plan.config.write_community.as_ref().map_or(community, |secret| secret.reveal());
        Ok(Self {
            write_community: own.as_bytes().to_vec(),
            sessions: Mutex::new(Sessions::new(plan)),
            version: plan.config.spoken(),
            community: community.as_bytes().to_vec(),
            start: Instant::now(),
            delay,
            station: Arc::new(station),
        })
    }

    /// What can be done to it by hand.
    pub(super) fn operated(&self) -> Arc<dyn Operated> {
        Arc::clone(&self.station) as Arc<dyn Operated>
    }

    /// The request of a message, if it is for this agent.
    fn request<'a>(&self, mut message: &'a [u8]) -> Option<Request<'a>> {
        let mut message = ber::expect(&mut message, SEQUENCE)?;
        let version = ber::integer(ber::expect(&mut message, INTEGER)?)?;
        if version != i64::from(self.version == Version::V2c) {
            return None;
        }
        let community = ber::expect(&mut message, OCTETS)?;
        let (kind, mut pdu) = ber::take(&mut message)?;
        let reads = community == self.community && kind != SET;
        if !reads && community != self.write_community {
            return None;
        }
        let known =
            matches!(kind, GET | GET_NEXT | SET) || (kind == GET_BULK && self.version == Version::V2c);
        let id = ber::expect(&mut pdu, INTEGER).filter(|_| known)?;
        let once = ber::integer(ber::expect(&mut pdu, INTEGER)?)?;
        let times = ber::integer(ber::expect(&mut pdu, INTEGER)?)?;
        let mut bindings = ber::expect(&mut pdu, SEQUENCE)?;
        let (mut objects, mut values) = (Vec::new(), Vec::new());
        while !bindings.is_empty() {
            let mut binding = ber::expect(&mut bindings, SEQUENCE)?;
            objects.push(ber::object(ber::expect(&mut binding, OBJECT)?)?);
            let (tag, value) = ber::take(&mut binding)?;
            values.push((tag, value.to_vec()));
        }
        Some(Request { community, kind, id, once, times, objects, values })
    }

    /// Everything that it has.
    fn view(&self, state: &State<Wiring>, now: Instant) -> View {
        let mut view = View::new();
        let ticks = now.saturating_duration_since(self.start).as_millis() / 10;
        let ticks = i64::from(u32::try_from(ticks).unwrap_or(u32::MAX));
        view.insert(UPTIME.to_vec(), (TIME_TICKS, ber::number(ticks)));
        view.insert(DESCRIPTION.to_vec(), (OCTETS, b"simulated by iogate".to_vec()));
        for cell in &state.cells {
            let numbers = cell.wiring.oid.arcs().to_vec();
            if view.contains_key(&numbers) && numbers != UPTIME && numbers != DESCRIPTION {
                continue;
            }
            let same: Vec<&Cell<Wiring>> =
                state.cells.iter().filter(|other| other.wiring.oid == cell.wiring.oid).collect();
            if let Some(value) = value(&same) {
                view.insert(numbers, value);
            }
        }
        view
    }

    /// The objects of an answer; the place of the first that is not there, from 1, in version 1.
    fn bindings(&self, request: &Request<'_>, view: &View) -> Result<Vec<Binding>, i64> {
        let after = |object: &Vec<u32>| {
            let beyond = (std::ops::Bound::Excluded(object.clone()), std::ops::Bound::Unbounded);
            view.range(beyond).next().map(|(object, value)| (object.clone(), value.clone()))
        };
        let missing = |object: &Vec<u32>, tag: u8| (object.clone(), (tag, Vec::new()));
        if request.kind == GET_BULK {
            let once = usize::try_from(request.once).unwrap_or(0).min(request.objects.len());
            let times = usize::try_from(request.times).unwrap_or(0);
            let (first, mut rest) = (&request.objects[..once], request.objects[once..].to_vec());
            let next = |object: &Vec<u32>| after(object).unwrap_or_else(|| missing(object, END_OF_VIEW));
            let mut all: Vec<Binding> = first.iter().map(next).collect();
            for _ in 0..times {
                if all.len() + rest.len() > MAX_OBJECTS || rest.is_empty() {
                    break;
                }
                let row: Vec<Binding> = rest.iter().map(next).collect();
                rest = row.iter().map(|(object, _)| object.clone()).collect();
                all.extend(row);
            }
            return Ok(all);
        }
        let each = request.objects.iter().zip(1..).map(|(object, place)| {
            let (found, otherwise) = match request.kind {
                GET => (view.get(object).map(|value| (object.clone(), value.clone())), NO_SUCH_INSTANCE),
                _ => (after(object), END_OF_VIEW),
            };
            match (found, self.version) {
                (Some(found), _) => Ok(found),
                (None, Version::V1) => Err(place),
                (None, _) => Ok(missing(object, otherwise)),
            }
        });
        each.collect()
    }

    /// What a SET leads to: the objects come back as they were sent.
    fn set(&self, request: &Request<'_>, state: &mut State<Wiring>) -> (i64, i64, Vec<Binding>) {
        let bindings: Vec<Binding> = request.objects.iter().cloned().zip(request.values.clone()).collect();
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        match sessions.set(state, &bindings) {
            Ok(()) => (0, 0, bindings),
            Err((place, refusal)) => {
                state.counts.exceptions += 1;
                (refusal.status(self.version == Version::V1), place, bindings)
            }
        }
    }

    fn got(&self, request: &Request<'_>, view: &View) -> (i64, i64, Vec<Binding>) {
        match self.bindings(request, view) {
            Ok(bindings) => (0, 0, bindings),
            // The objects come back as they were asked for.
            Err(place) => {
                let asked = request.objects.iter().map(|object| (object.clone(), (NULL, Vec::new())));
                (NO_SUCH_NAME, place, asked.collect())
            }
        }
    }

    fn answer(&self, request: &Request<'_>, (status, place, bindings): (i64, i64, Vec<Binding>)) -> Vec<u8> {
        let mut list = Vec::new();
        for (object, (tag, value)) in bindings {
            let mut binding = Vec::new();
            ber::put(&mut binding, OBJECT, &ber::numbers(&object));
            ber::put(&mut binding, tag, &value);
            ber::put(&mut list, SEQUENCE, &binding);
        }
        let mut pdu = Vec::new();
        ber::put(&mut pdu, INTEGER, request.id);
        ber::put(&mut pdu, INTEGER, &ber::number(status));
        ber::put(&mut pdu, INTEGER, &ber::number(place));
        ber::put(&mut pdu, SEQUENCE, &list);
        let mut message = Vec::new();
        ber::put(&mut message, INTEGER, &ber::number(i64::from(self.version == Version::V2c)));
        ber::put(&mut message, OCTETS, request.community);
        ber::put(&mut message, RESPONSE, &pdu);
        let mut whole = Vec::new();
        ber::put(&mut whole, SEQUENCE, &message);
        whole
    }
}

/// The value of an object that these points are found in.
fn value(cells: &[&Cell<Wiring>]) -> Option<(u8, Vec<u8>)> {
    if let [cell] = cells
        && let Some(value) = set::value(cell)
    {
        return Some(value);
    }
    let text = compose(cells, &[" "])?;
    if cells.iter().any(|cell| cell.wiring.counter.is_some()) {
        let count = text.parse::<f64>().ok().filter(|count| *count >= 0.0).unwrap_or(0.0);
        // A counter begins anew at its end.
        return Some((COUNTER32, ber::number((count % 4_294_967_296.0) as i64)));
    }
    Some(match text.parse::<i32>() {
        Ok(number) => (INTEGER, ber::number(i64::from(number))),
        Err(_) => (OCTETS, text.into_bytes()),
    })
}

/// The faults that agents have.
const fn suits(fault: Fault) -> Result<Fault, FaultError> {
    match fault {
        Fault::Dead | Fault::Slow(_) | Fault::Late(_) | Fault::Cut | Fault::Corrupt | Fault::Frozen => {
            Ok(fault)
        }
        _ => Err(FaultError::NotHere("agents have nothing of that kind")),
    }
}

impl Talker for Agent {
    fn answers(&self, datagram: &[u8], now: Instant) -> Vec<Said> {
        let Some(request) = self.request(datagram) else { return Vec::new() };
        let Some((mut state, effects)) = self.station.asked(now) else { return Vec::new() };
        let found = match request.kind {
            SET => self.set(&request, &mut state),
            _ => self.got(&request, &self.view(&state, now)),
        };
        let mut bytes = self.answer(&request, found);
        state.counts.answers += 1;
        if effects.cut {
            bytes.truncate(bytes.len() / 2);
        }
        if effects.corrupt
            && let Some(first) = bytes.first_mut()
        {
            *first ^= 0xff;
        }
        vec![Said { bytes, delay: self.delay + effects.delay, hang_up: false }]
    }
}
