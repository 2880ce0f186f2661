//! Time on a serial line: how long characters take, when an answer may begin, how busy the line was.
//!
//! Pure: time comes in. A pty hands bytes over at once; this is what makes it as slow as the line that it
//! stands for. Invariant: no byte of an answer is released before its last bit would have arrived, and two
//! frames never share the line.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::driver::modbus::LineConfig;
use crate::driver::modbus::config::Parity;

/// The most answers that wait for their time on one channel; more are dropped.
pub const MAX_WAITING: usize = 64;

/// Bytes are handed over in portions of about this much line time, as USB adapters do.
const PORTION: Duration = Duration::from_millis(4);

/// Above this rate the silences of the standard are fixed times (Serial Line 1.02, section 2.5.1.1).
const FAST_BAUD: u32 = 19_200;

/// How long things take on a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LineTiming {
    /// One character with its start, parity and stop bits.
    pub character: Duration,
    /// The silence between frames: 3.5 characters, 1.75 ms above 19200 baud; none in ASCII.
    pub silence: Duration,
}

/// What a channel's line did. Times are line times as computed, not as measured by a clock.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LineLoad {
    /// Requests with a valid check.
    pub requests: u64,
    /// Answers.
    pub answers: u64,
    /// Characters of requests and answers.
    pub characters: u64,
    /// The time that these characters took.
    pub on_wire: Duration,
    /// From the end of requests to the beginning of their answers.
    pub waiting: Duration,
    /// The silence of 3.5 characters after each answer.
    pub silence: Duration,
    /// Bytes that were no frame.
    pub noise_bytes: u64,
    /// Answers dropped because too many waited.
    pub dropped: u64,
}

/// One serial line with what waits to be sent on it.
#[derive(Debug)]
pub struct Line {
    timing: LineTiming,
    /// When the last character known of ends.
    busy_until: Instant,
    waiting: VecDeque<Outgoing>,
    load: LineLoad,
}

#[derive(Debug)]
struct Outgoing {
    due: Instant,
    /// When its first character began; `None` before that.
    began: Option<Instant>,
    bytes: Vec<u8>,
    sent: usize,
}

impl LineTiming {
    /// The times of a line.
    #[must_use]
    pub fn new(line: &LineConfig, ascii: bool) -> Self {
        let parity = u32::from(line.parity != Parity::None);
        let bits = 1 + u32::from(line.data_bits) + parity + u32::from(line.stop_bits);
        let character = Duration::from_secs(1) * bits / line.baud.max(1);
        let silence = match (ascii, line.baud > FAST_BAUD) {
            (true, _) => Duration::ZERO,
            (false, true) => Duration::from_micros(1750),
            (false, false) => character * 7 / 2,
        };
        Self { character, silence }
    }

    fn of(&self, characters: usize) -> Duration {
        self.character * u32::try_from(characters).unwrap_or(u32::MAX)
    }
}

impl LineLoad {
    /// All time in which the line was in use or had to be silent.
    #[must_use]
    pub fn busy(&self) -> Duration {
        self.on_wire + self.waiting + self.silence
    }
}

impl Line {
    /// An idle line.
    #[must_use]
    pub fn new(timing: LineTiming, now: Instant) -> Self {
        Self { timing, busy_until: now, waiting: VecDeque::new(), load: LineLoad::default() }
    }

    /// What the line did so far.
    #[must_use]
    pub const fn load(&self) -> LineLoad {
        self.load
    }

    /// Goes on counting from `load`, after the port was gone for a while.
    pub const fn resume(&mut self, load: LineLoad) {
        self.load = load;
    }

    /// Counts an answer that the client did not take.
    pub const fn overrun(&mut self) {
        self.load.dropped += 1;
    }

    /// Counts bytes that were no frame.
    pub fn noise(&mut self, bytes: usize) {
        self.load.noise_bytes += bytes as u64;
    }

    /// A request of `characters` came in, its first byte at `first`. Returns when its last one ends on a real line.
    pub fn request(&mut self, characters: usize, first: Instant) -> Instant {
        let took = self.timing.of(characters);
        let end = first.max(self.busy_until) + took;
        self.busy_until = end;
        self.load.requests += 1;
        self.load.characters += characters as u64;
        self.load.on_wire += took;
        end
    }

    /// An answer `delay` after the request's `end`, at least the silence that tells a slave that it is over.
    pub fn answer(&mut self, bytes: Vec<u8>, end: Instant, delay: Duration) {
        if self.waiting.len() >= MAX_WAITING {
            self.load.dropped += 1;
            return;
        }
        let delay = delay.max(self.timing.silence);
        let took = self.timing.of(bytes.len());
        self.load.answers += 1;
        self.load.characters += bytes.len() as u64;
        self.load.on_wire += took;
        self.load.waiting += delay;
        self.load.silence += self.timing.silence;
        let due = end + delay;
        let place = self.waiting.partition_point(|other| other.due <= due);
        self.waiting.insert(place, Outgoing { due, began: None, bytes, sent: 0 });
    }

    /// Forgets all answers that wait: the line was cut.
    pub fn cut(&mut self) {
        self.waiting.clear();
    }

    /// When [`Line::release`] has something to do.
    #[must_use]
    pub fn next_release(&self) -> Option<Instant> {
        let first = self.waiting.front()?;
        let began = first.began.unwrap_or(first.due.max(self.busy_until));
        Some(began + self.timing.of(self.portion_end(first)))
    }

    /// The bytes whose time has passed at `now`.
    pub fn release(&mut self, now: Instant) -> Vec<u8> {
        let mut released = Vec::new();
        while let Some(at) = self.next_release()
            && at <= now
        {
            let (timing, busy_until) = (self.timing, self.busy_until);
            let end = self.waiting.front().map_or(0, |first| self.portion_end(first));
            let Some(first) = self.waiting.front_mut() else { break };
            let began = *first.began.get_or_insert(first.due.max(busy_until));
            released.extend_from_slice(&first.bytes[first.sent..end]);
            first.sent = end;
            self.busy_until = self.busy_until.max(began + timing.of(end));
            if first.sent == first.bytes.len() {
                self.waiting.pop_front();
            }
        }
        released
    }

    /// Where the next portion of an answer ends.
    fn portion_end(&self, outgoing: &Outgoing) -> usize {
        let portion = (PORTION.as_nanos() / self.timing.character.as_nanos().max(1)).max(1) as usize;
        outgoing.bytes.len().min(outgoing.sent.saturating_add(portion))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn timing(yaml: &str) -> LineTiming {
        LineTiming::new(&serde_yaml::from_str(yaml).unwrap(), false)
    }

    #[test]
    fn characters_and_silences_of_usual_lines() {
        let slow = timing("{ port: x, baud: 9600 }");
        assert_eq!(slow.character, Duration::from_nanos(1_041_666));
        assert_eq!(slow.silence, Duration::from_nanos(3_645_831));
        assert_eq!(
            timing("{ port: x, baud: 9600, parity: even }").character,
            Duration::from_nanos(1_145_833)
        );
        assert_eq!(timing("{ port: x, baud: 115200 }").silence, Duration::from_micros(1750));
    }

    #[test]
    fn an_exchange_takes_what_the_baud_rate_says() {
        let start = Instant::now();
        let timing = timing("{ port: x, baud: 9600 }");
        let mut line = Line::new(timing, start);
        let end = line.request(8, start);
        assert_eq!(end, start + timing.character * 8);
        line.answer(vec![7; 25], end, Duration::from_millis(2));
        assert!(line.release(end).is_empty());
        let done = end + timing.silence + timing.character * 25;
        assert_eq!(
            line.release(done - Duration::from_nanos(1)).len(),
            24,
            "the last character is still on the wire"
        );
        assert_eq!((line.release(done).len(), line.next_release()), (1, None));
        let load = line.load();
        assert_eq!((load.characters, load.waiting), (33, timing.silence));
        assert_eq!(load.busy(), timing.character * 33 + timing.silence * 2);
    }

    #[test]
    fn a_late_answer_waits_until_the_line_is_free() {
        let start = Instant::now();
        let timing = timing("{ port: x, baud: 9600 }");
        let mut line = Line::new(timing, start);
        let end = line.request(8, start);
        line.answer(vec![1; 5], end, Duration::from_millis(500));
        let second = line.request(8, start + Duration::from_millis(505));
        line.answer(vec![2; 5], second, Duration::ZERO);
        let mut all = Vec::new();
        while let Some(at) = line.next_release() {
            assert!(at > second, "nothing is sent while a request is on the wire");
            all.extend(line.release(at));
        }
        assert_eq!(all, [1, 1, 1, 1, 1, 2, 2, 2, 2, 2]);
        for _ in 0..=MAX_WAITING {
            line.answer(vec![0], second, Duration::ZERO);
        }
        assert_eq!(line.load().dropped, 1);
    }

    proptest! {
        #[test]
        fn no_byte_is_released_before_its_time(
            lengths in prop::collection::vec(1usize..256, 1..5), baud in 300u32..200_000,
            looks in prop::collection::vec(0u64..3_000, 0..40),
        ) {
            let start = Instant::now();
            let timing = timing(&format!("{{ port: x, baud: {baud} }}"));
            let mut line = Line::new(timing, start);
            let end = line.request(8, start);
            for length in &lengths {
                line.answer(vec![0; *length], end, Duration::ZERO);
            }
            let mut looks = looks;
            looks.sort_unstable();
            let mut released = 0;
            for ms in looks {
                let now = start + Duration::from_millis(ms);
                released += line.release(now).len();
                prop_assert!(released == 0 || now >= end + timing.silence + timing.of(released));
            }
            while let Some(at) = line.next_release() {
                released += line.release(at).len();
            }
            prop_assert_eq!(released, lengths.iter().sum::<usize>());
        }
    }
}
