//! What an owner makes of answers and silence, on a paused clock.

use super::*;
use crate::bus::Bus;
use crate::driver::reach::RETRY;
use crate::driver::snmp::planner::tests::plan;
use crate::model::{PointTable, Quality};

/// An owner of one point that is polled each hour.
fn owner() -> Owner {
    let table = PointTable::new(vec![crate::model::point::tests::point("t")]);
    let context = ChannelContext::plain(Bus::new(Arc::new(table), Vec::new()), "c", ["d".into()]);
    Owner::new(Arc::new(plan("{ address: 192.0.2.1 }", &[3_600_000])), context)
}

#[tokio::test(start_paused = true)]
async fn a_silent_agent_is_tried_again_within_a_second_however_long_it_was_away() {
    let mut owner = owner();
    owner.agent_fails(&Failure::Timeout);
    assert!(!owner.reach.is_down(), "one lost answer is no outage");
    for _ in 0..50 {
        owner.agent_fails(&Failure::Timeout);
        let now = owner.context.clock.mono();
        let Turn::Wait(until) = owner.reach.next_turn(&mut owner.schedule, now) else {
            panic!("there is a pause")
        };
        assert!(until - now <= RETRY.1);
        tokio::time::advance(until - now).await;
        assert!(
            matches!(owner.reach.next_turn(&mut owner.schedule, until), Turn::Run(_)),
            "its hour does not count"
        );
    }
    assert_eq!(owner.context.bus.latest(PointId(0)).quality, Quality::Bad(Reason::Timeout));
    owner.reach.answered(&owner.context);
    assert!(!owner.reach.is_down());
    assert_eq!(owner.context.stats.reconnects.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_refuses_its_user_is_down_at_once() {
    let mut owner = owner();
    owner.agent_fails(&Failure::Refused("unknown user".into()));
    assert!(owner.reach.is_down());
    assert_eq!(owner.context.bus.latest(PointId(0)).quality, Quality::Bad(Reason::ErrorReply));
}
