//! Tests of single exchanges against a scripted other side, on a paused clock.

use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

use super::*;
use crate::driver::modbus::Transport;
use crate::driver::modbus::register::Table;
use crate::driver::modbus::wire::frame::crc16;

const TERMS: Terms =
    Terms { timeout: Duration::from_millis(100), not_after: None, broadcast: false, short_recovery: false };

const READ_ONE: Ask = Ask::Read { table: Table::Holding, address: 5, count: 1 };

fn line(json: &str, framing: Framing) -> (Link, DuplexStream) {
    let transport: Transport = match framing {
        Framing::Tcp => Transport::Tcp(serde_json::from_str(r#"{"address": "x"}"#).unwrap()),
        Framing::Rtu => Transport::Rtu(serde_json::from_str(json).unwrap()),
        Framing::Ascii => Transport::Ascii(serde_json::from_str(json).unwrap()),
    };
    let (ours, theirs) = duplex(1024);
    let keeps = framing != Framing::Tcp;
    (Link::new(Box::new(ours), Pace::Runtime, framing, Timing::of(&transport), keeps), theirs)
}

fn rtu_line() -> (Link, DuplexStream) {
    line(r#"{"port": "p", "baud": 9600}"#, Framing::Rtu)
}

fn rtu(body: &[u8]) -> Vec<u8> {
    let mut frame = body.to_vec();
    frame.extend_from_slice(&crc16(body).to_le_bytes());
    frame
}

async fn request(side: &mut DuplexStream) -> Vec<u8> {
    let mut bytes = vec![0; 300];
    let count = side.read(&mut bytes).await.unwrap();
    bytes.truncate(count);
    bytes
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_decoded_by_tokio_modbus() {
    let (mut link, mut device) = rtu_line();
    let device = tokio::spawn(async move {
        assert_eq!(request(&mut device).await, rtu(&[3, 3, 0, 5, 0, 1]));
        device.write_all(&rtu(&[3, 3, 2, 0x12, 0x34])).await.unwrap();
        assert_eq!(request(&mut device).await, rtu(&[3, 3, 0, 5, 0, 1]));
        device.write_all(&rtu(&[3, 0x83, 2])).await.unwrap();
        device
    });
    assert_eq!(link.exchange(3, &READ_ONE, TERMS).await, Ok(Answer::Words(vec![0x1234])));
    assert_eq!(link.exchange(3, &READ_ONE, TERMS).await, Err(ExchangeError::Exception(2)));
    device.await.unwrap();
    assert!(!link.is_spent());
}

#[tokio::test(start_paused = true)]
async fn a_late_answer_on_a_serial_line_is_thrown_away() {
    let (mut link, mut device) = rtu_line();
    let device = tokio::spawn(async move {
        request(&mut device).await;
        // Begins after the timeout and ends within the longest answer's time.
        tokio::time::sleep(Duration::from_millis(250)).await;
        device.write_all(&rtu(&[3, 3, 2, 0xDE, 0xAD])).await.unwrap();
        assert_eq!(request(&mut device).await, rtu(&[3, 3, 0, 9, 0, 1]));
        device.write_all(&rtu(&[3, 3, 2, 0, 1])).await.unwrap();
        device
    });
    assert_eq!(link.exchange(3, &READ_ONE, TERMS).await, Err(ExchangeError::Timeout));
    let next = Ask::Read { table: Table::Holding, address: 9, count: 1 };
    assert_eq!(link.exchange(3, &next, TERMS).await, Ok(Answer::Words(vec![1])));
    device.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_line_is_silent_for_the_longest_answer_after_a_timeout() {
    let (mut link, mut device) = rtu_line();
    let begun = tokio::time::Instant::now();
    assert_eq!(link.exchange(3, &READ_ONE, TERMS).await, Err(ExchangeError::Timeout));
    // 256 characters of 10 bits at 9600 bit/s are 267 ms.
    assert!(begun.elapsed() >= Duration::from_millis(100 + 266));
    assert!(link.take_busy() >= begun.elapsed());
    request(&mut device).await;
}

#[tokio::test(start_paused = true)]
async fn frames_keep_their_distance() {
    let (mut link, mut device) = rtu_line();
    let device = tokio::spawn(async move {
        let mut answered = None;
        for _ in 0..2 {
            request(&mut device).await;
            if let Some(at) = answered {
                let silence = tokio::time::Instant::now() - at;
                assert!(silence >= Duration::from_micros(3_645), "{silence:?}");
            }
            device.write_all(&rtu(&[3, 3, 2, 0, 1])).await.unwrap();
            answered = Some(tokio::time::Instant::now());
        }
        device
    });
    for _ in 0..2 {
        assert!(link.exchange(3, &READ_ONE, TERMS).await.is_ok());
    }
    device.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_tcp_connection_is_given_up_after_anything_odd() {
    for answer in [
        None,
        Some([0, 1, 0, 0, 0, 5, 3, 3, 2, 0xDE, 0xAD]),
        Some([0, 0, 0, 0, 0, 5, 4, 3, 2, 0xDE, 0xAD]),
        Some([0, 0, 0, 0, 0, 5, 3, 4, 2, 0xDE, 0xAD]),
        Some([0, 0, 0, 0, 0, 5, 3, 3, 4, 0xDE, 0xAD]),
    ] {
        let (mut link, mut device) = line("", Framing::Tcp);
        let device = tokio::spawn(async move {
            assert_eq!(request(&mut device).await, [0, 0, 0, 0, 0, 6, 3, 3, 0, 5, 0, 1]);
            if let Some(answer) = answer {
                device.write_all(&answer).await.unwrap();
            }
            device
        });
        let result = link.exchange(3, &READ_ONE, TERMS).await;
        assert!(matches!(result, Err(ExchangeError::Timeout | ExchangeError::Malformed(_))), "{result:?}");
        assert!(link.is_spent());
        assert!(matches!(link.exchange(3, &READ_ONE, TERMS).await, Err(ExchangeError::Down(_))));
        device.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_cut_in_the_middle_of_an_answer_is_down() {
    let (mut link, mut device) = line("", Framing::Tcp);
    let device = tokio::spawn(async move {
        request(&mut device).await;
        device.write_all(&[0, 0, 0, 0, 0, 5, 3]).await.unwrap();
    });
    assert!(matches!(link.exchange(3, &READ_ONE, TERMS).await, Err(ExchangeError::Down(_))));
    assert!(link.is_spent());
    device.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn bytes_that_nobody_asked_for_end_a_connection_but_not_a_line() {
    let (mut link, mut device) = line("", Framing::Tcp);
    device.write_all(&[0, 0, 0, 0, 0, 5, 3, 3, 2, 0xDE, 0xAD]).await.unwrap();
    assert!(matches!(link.exchange(3, &READ_ONE, TERMS).await, Err(ExchangeError::Down(_))));
    let (mut link, mut device) = rtu_line();
    device.write_all(&rtu(&[3, 3, 2, 0xDE, 0xAD])).await.unwrap();
    assert_eq!(link.exchange(3, &READ_ONE, TERMS).await, Err(ExchangeError::Timeout));
}

#[tokio::test(start_paused = true)]
async fn an_expired_write_puts_no_byte_on_the_line() {
    let (mut link, mut device) = rtu_line();
    let terms = Terms { not_after: Some(now()), ..TERMS };
    let write = Ask::WriteCoil { address: 1, on: true };
    assert_eq!(link.exchange(3, &write, terms).await, Err(ExchangeError::Expired));
    drop(link);
    let mut rest = Vec::new();
    device.read_to_end(&mut rest).await.unwrap();
    assert!(rest.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_broadcast_waits_for_nobody_but_keeps_the_turnaround() {
    let (mut link, mut device) = rtu_line();
    let terms = Terms { broadcast: true, ..TERMS };
    let begun = tokio::time::Instant::now();
    let write = Ask::WriteRegister { address: 1, word: 7 };
    assert_eq!(link.exchange(0, &write, terms).await, Ok(Answer::Done));
    assert!(begun.elapsed() < Duration::from_millis(1));
    assert_eq!(request(&mut device).await, rtu(&[0, 6, 0, 1, 0, 7]));
    assert_eq!(link.exchange(0, &write, terms).await, Ok(Answer::Done));
    assert!(begun.elapsed() >= Duration::from_millis(100));
}

#[tokio::test(start_paused = true)]
async fn ascii_goes_out_and_comes_in_as_text() {
    let (mut link, mut device) = line(r#"{"port": "p"}"#, Framing::Ascii);
    let device = tokio::spawn(async move {
        assert_eq!(request(&mut device).await, b":030300050001F4\r\n");
        device.write_all(b":0303021234B2\r\n").await.unwrap();
        device
    });
    assert_eq!(link.exchange(3, &READ_ONE, TERMS).await, Ok(Answer::Words(vec![0x1234])));
    device.await.unwrap();
}

/// What a reply can suffer on its way.
#[derive(Debug, Clone)]
enum Damage {
    Cut(prop::sample::Index),
    Flip(prop::sample::Index, u8),
    Append(Vec<u8>),
    Replace(Vec<u8>),
}

fn damages() -> impl Strategy<Value = Damage> {
    let bytes = || prop::collection::vec(any::<u8>(), 1..300);
    prop_oneof![
        any::<prop::sample::Index>().prop_map(Damage::Cut),
        (any::<prop::sample::Index>(), 1u8..).prop_map(|(at, flip)| Damage::Flip(at, flip)),
        bytes().prop_map(Damage::Append),
        bytes().prop_map(Damage::Replace),
    ]
}

fn honest(framing: Framing, word: u16) -> Vec<u8> {
    let body = [&[3, 3, 2][..], &word.to_be_bytes()].concat();
    match framing {
        Framing::Tcp => [&[0, 0, 0, 0, 0, 5][..], &body].concat(),
        Framing::Rtu => rtu(&body),
        Framing::Ascii => Framing::Ascii.outgoing(&rtu(&body)),
    }
}

proptest! {
    #[test]
    fn a_damaged_answer_is_never_a_value(word: u16, damage in damages(), kind in 0usize..3) {
        let framing = [Framing::Tcp, Framing::Rtu, Framing::Ascii][kind];
        let mut reply = honest(framing, word);
        match &damage {
            Damage::Cut(at) => reply.truncate(at.index(reply.len())),
            // The contents of a TCP answer carry no checksum of Modbus' own; TCP's has passed them.
            Damage::Flip(at, flip) if framing == Framing::Tcp => reply[at.index(9)] ^= flip,
            // An ASCII digit differs from its lower case in one bit only, and both are read.
            Damage::Flip(at, flip) if *flip != 0x20 => {
                let at = at.index(reply.len());
                reply[at] ^= flip;
            }
            Damage::Flip(..) => reply.clear(),
            Damage::Append(bytes) => reply.extend(bytes),
            Damage::Replace(bytes) => reply.clone_from(bytes),
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let result = runtime.block_on(async {
            let (mut link, mut device) = line(r#"{"port": "p"}"#, framing);
            let device = tokio::spawn(async move {
                request(&mut device).await;
                device.write_all(&reply).await.unwrap();
                device
            });
            let result = link.exchange(3, &READ_ONE, TERMS).await;
            device.await.unwrap();
            result
        });
        let refused = matches!(result, Err(ExchangeError::Malformed(_) | ExchangeError::Timeout));
        prop_assert!(refused, "{framing:?} {damage:?}: {result:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_woken_is_left_alone_and_what_comes_of_it_is_no_answer() {
    let (mut link, mut device) = rtu_line();
    let begun = now();
    let device = tokio::spawn(async move {
        assert_eq!(request(&mut device).await, [0]);
        let woken = now();
        device.write_all(&[0xFF]).await.unwrap();
        assert_eq!(request(&mut device).await, rtu(&[3, 3, 0, 5, 0, 1]));
        assert!(now() - woken >= Duration::from_millis(50));
        device.write_all(&rtu(&[3, 3, 2, 0, 1])).await.unwrap();
        device
    });
    link.wake(&[0], Duration::from_millis(50)).await.unwrap();
    assert_eq!(link.exchange(3, &READ_ONE, TERMS).await, Ok(Answer::Words(vec![1])));
    link.rest(Duration::from_millis(400));
    let mut device = device.await.unwrap();
    let answer = tokio::spawn(async move {
        assert_eq!(request(&mut device).await, rtu(&[3, 3, 0, 5, 0, 1]));
        assert!(now() - begun >= Duration::from_millis(450), "the device is granted its pause");
        device.write_all(&rtu(&[3, 3, 2, 0, 2])).await.unwrap();
        device
    });
    assert_eq!(link.exchange(3, &READ_ONE, TERMS).await, Ok(Answer::Words(vec![2])));
    answer.await.unwrap();
}
