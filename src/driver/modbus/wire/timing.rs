//! How long things take on a line: characters, silences, answers.
//!
//! Pure. The bus budget and the running driver both count with these figures.

use std::time::Duration;

use super::frame::Framing;
use crate::driver::modbus::Transport;
use crate::driver::modbus::config::{LineConfig, Parity};

/// The silence between frames above 19200 bit/s (Serial Line 1.02, section 2.5.1.1).
const FAST_SILENCE: Duration = Duration::from_micros(1_750);

/// Above this speed the silence no longer shrinks.
const FAST_ABOVE_BAUD: u32 = 19_200;

/// The time figures of one channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// One character on the line; zero for TCP.
    pub character: Duration,
    /// The least silence between two frames.
    pub silence: Duration,
    /// A pause after every answer that devices of this channel need beyond that.
    pub pause: Duration,
    /// The silence after a broadcast.
    pub turnaround: Duration,
}

impl Timing {
    /// The figures of a transport.
    #[must_use]
    pub fn of(transport: &Transport) -> Self {
        match transport {
            Transport::Tcp(config) | Transport::RtuOverTcp(config) => Self {
                character: Duration::ZERO,
                silence: Duration::ZERO,
                pause: config.pause.0,
                turnaround: BROADCAST_TURNAROUND,
            },
            Transport::Rtu(line) => Self::line(line, rtu_silence(line)),
            // The colon and the line end delimit ASCII frames; no silence is called for.
            Transport::Ascii(line) => Self::line(line, Duration::ZERO),
        }
    }

    fn line(line: &LineConfig, silence: Duration) -> Self {
        let (pause, turnaround) = (line.pause.0, line.turnaround.0);
        Self { character: character(line), silence, pause, turnaround }
    }

    /// How long this many characters take.
    #[must_use]
    pub fn characters(&self, count: usize) -> Duration {
        self.character.saturating_mul(u32::try_from(count).unwrap_or(u32::MAX))
    }

    /// From the end of one exchange to the earliest begin of the next.
    #[must_use]
    pub fn gap(&self) -> Duration {
        self.silence + self.pause
    }

    /// How long the answer to a request takes at most, once it has begun: exceptions are shorter.
    #[must_use]
    pub fn answer(&self, framing: Framing, pdu_len: usize) -> Duration {
        self.characters(framing.frame_len(pdu_len))
    }
}

/// Serial servers pass broadcasts to a line whose speed is unknown here; this is the standard's lower value.
const BROADCAST_TURNAROUND: Duration = Duration::from_millis(100);

/// A character: start bit, data, parity, stop bits.
fn character(line: &LineConfig) -> Duration {
    let parity = u32::from(line.parity != Parity::None);
    let bits = 1 + u32::from(line.data_bits) + parity + u32::from(line.stop_bits);
    Duration::from_nanos(u64::from(bits) * 1_000_000_000 / u64::from(line.baud.max(1)))
}

fn rtu_silence(line: &LineConfig) -> Duration {
    if line.baud > FAST_ABOVE_BAUD { FAST_SILENCE } else { character(line).mul_f64(3.5) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silences_of_the_standard() {
        let line = |json: &str| Timing::of(&Transport::Rtu(serde_json::from_str(json).unwrap()));
        let slow = line(r#"{"port": "p", "baud": 9600, "parity": "even"}"#);
        assert_eq!(slow.character, Duration::from_nanos(1_145_833));
        assert_eq!(slow.silence.as_micros(), 4_010);
        assert_eq!(line(r#"{"port": "p", "baud": 115200}"#).silence, FAST_SILENCE);
        assert_eq!(slow.answer(Framing::Rtu, 5).as_micros(), 9_166);
    }
}
