//! Time on a serial line: what an exchange takes, and what is counted.

use std::time::{Duration, Instant};

use super::plant::{Plant, exchange, open, rtu};

/// How many requests a test makes.
const EXCHANGES: u32 = 20;

/// 10 bits at 9600 baud.
const CHARACTER: Duration = Duration::from_nanos(1_041_666);

#[tokio::test(flavor = "multi_thread")]
async fn exchanges_take_the_time_that_the_baud_rate_says() {
    let simulation = Plant::new().start().await;
    let mut port = open(&simulation, "line");
    let ask = rtu(&[17, 3, 0, 10, 0, 4]);
    let started = Instant::now();
    for _ in 0..EXCHANGES {
        assert_eq!(exchange(&mut port, &ask, 13).len(), 13);
    }
    let took = started.elapsed();
    // 8 characters there, 3.5 of silence, 13 back; after that another 3.5 before the next.
    let there_and_back = EXCHANGES * (CHARACTER * 21 + CHARACTER * 7 / 2);
    let computed = there_and_back + EXCHANGES * (CHARACTER * 7 / 2);
    let load = simulation.load("line").unwrap();
    let off = load.busy().as_secs_f64() / computed.as_secs_f64() - 1.0;
    assert!(off.abs() < 0.01, "{:?} instead of {computed:?}", load.busy());
    assert_eq!((load.requests, load.answers, load.characters), (20, 20, 20 * 21));
    // A clock can only prove a lower bound. The last silence is not waited for.
    assert!(took >= there_and_back, "{took:?} is less than {there_and_back:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_answer_begins_to_arrive_before_it_ends() {
    let simulation = Plant::new().start().await;
    let mut port = open(&simulation, "line");
    // Whoever is not scheduled meanwhile finds it whole, so that one answer proves nothing and twenty do.
    let mut parted = 0;
    for _ in 0..EXCHANGES {
        let started = Instant::now();
        let head = exchange(&mut port, &rtu(&[17, 3, 0, 10, 0, 4]), 3);
        let first = started.elapsed();
        let mut tail = [0; 10];
        std::io::Read::read_exact(&mut port, &mut tail).unwrap();
        let all = started.elapsed();
        assert_eq!(head, [17, 3, 8]);
        assert!(first >= CHARACTER * (8 + 3) && all >= CHARACTER * (8 + 13), "{first:?} {all:?}");
        parted += u32::from(all - first >= CHARACTER);
    }
    assert!(parted > 0, "no answer began to arrive before it ended");
}
