//! Counters of the broker.
//!
//! Hot paths add up locally and call here once per batch. Gauges (sessions, retained, …) are kept by
//! whoever owns the thing. Nothing is ever reset.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// The live counters.
        #[derive(Debug, Default)]
        pub(super) struct Counters {
            $(pub(super) $name: AtomicU64,)*
        }

        /// The broker's counters and gauges at one moment.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
        #[non_exhaustive]
        pub struct Stats {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl Counters {
            pub(super) fn snapshot(&self) -> Stats {
                Stats { $($name: self.$name.load(Relaxed),)* }
            }
        }
    };
}

counters! {
    /// Connections now, including those that have not sent their CONNECT.
    connections,
    /// Connections accepted since the start.
    connections_total,
    /// Connections refused because `max-connections` (the broker's or the listener's) or `max-connections-per-address` was reached.
    connections_refused,
    /// CONNECTs refused because `max-connections-per-user` was reached.
    user_connections_refused,
    /// Connections from others than a listener's proxies, or with a PROXY header that is missing or damaged.
    proxy_refused,
    /// Connections whose CONNECT was refused or did not come in time.
    connects_refused,
    /// Connections of those that sent no CONNECT within `connect-timeout`.
    connects_late,
    /// CONNECTs accepted since the start.
    connects,
    /// Logins refused: wrong user name or password, or too many tries.
    logins_refused,
    /// Connections ended because of what the client sent.
    protocol_errors,
    /// Connections ended because of a packet larger than `max-packet`; protocol errors and refused CONNECTs include them.
    packets_too_large,
    /// Connections ended because the client was silent for too long.
    keep_alive_timeouts,
    /// Connections ended because another one took the session over.
    takeovers,
    /// Connections ended by the operator.
    kicked,
    /// Sessions now, connected or not.
    sessions,
    /// Sessions that ended because their client stayed away for too long.
    sessions_expired,
    /// Connections refused because `max-sessions` was reached.
    sessions_refused,
    /// Subscriptions now.
    subscriptions,
    /// Shared subscriptions now, which the subscriptions include.
    shared_subscriptions,
    /// Subscriptions refused: invalid, over a limit, or not served.
    subscriptions_refused,
    /// Subscriptions refused because the client may read nothing that they select; refused ones include them.
    subscriptions_denied,
    /// Subscriptions taken away because their clients may no longer read what they select.
    subscriptions_revoked,
    /// Messages published by clients.
    messages_in,
    /// Messages published inside the program.
    messages_local,
    /// Messages given to clients, retained ones included.
    messages_out,
    /// Messages given to subscriptions inside the program.
    messages_local_out,
    /// Packets of any kind received from clients.
    packets_in,
    /// Packets other than messages sent to clients.
    packets_out,
    /// Bytes of payload received in messages from clients.
    payload_bytes_in,
    /// Bytes of payload given to clients.
    payload_bytes_out,
    /// Bytes read from clients.
    bytes_in,
    /// Bytes written to clients.
    bytes_out,
    /// Publications refused: topic over a limit, not writable, too many user properties.
    publishes_refused,
    /// Publications and wills refused because the client may not write the topic; refused ones include them.
    publishes_denied,
    /// Messages that a subscription selected and its client may not read.
    withheld,
    /// Messages dropped because a session's queue was full.
    dropped_queue_full,
    /// Messages dropped because they were larger than the client accepts.
    dropped_too_large,
    /// Messages dropped because they expired while they waited.
    dropped_expired,
    /// Messages missed by subscriptions inside the program.
    dropped_local,
    /// Messages that a tap, such as a bridge with a full buffer, had no room for.
    refused_taps,
    /// Times a publisher waited for a subscriber.
    pauses,
    /// Times a client was not read for a while because it published faster than it may.
    throttled,
    /// Retained messages now.
    retained,
    /// Bytes of all retained messages now, topics included.
    retained_bytes,
    /// Retained messages refused because of a limit.
    retained_refused,
    /// Retained messages removed because they expired.
    retained_expired,
    /// Messages that were to be kept and were not taken by the log; those with an acknowledgement were not acknowledged.
    unlogged,
    /// Wills published.
    wills,
    /// Acknowledgements for packet identifiers that were not in flight.
    unknown_acks,
}

/// Adds to a counter.
pub(super) fn add(counter: &AtomicU64, amount: u64) {
    if amount > 0 {
        counter.fetch_add(amount, Relaxed);
    }
}

/// Takes from a gauge.
pub(super) fn sub(gauge: &AtomicU64, amount: u64) {
    if amount > 0 {
        gauge.fetch_sub(amount, Relaxed);
    }
}
