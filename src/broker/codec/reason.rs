//! MQTT 5 reason codes, and what is left of them on a 3.1/3.1.1 connection.
//!
//! Knows only the codes a server sends or must understand; names follow MQTT 5.0 section 2.4.

/// One byte that says how an operation went. Values from 0x80 are failures.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ReasonCode(pub u8);

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $value:literal, $text:literal;)*) => {
        impl ReasonCode {
            $($(#[$doc])* pub const $name: Self = Self($value);)*

            /// The code in words, as the specification names it.
            #[must_use]
            pub fn text(self) -> &'static str {
                match self.0 {
                    $($value => $text,)*
                    _ => "unknown reason",
                }
            }
        }
    };
}

codes! {
    /// 0x00: done (also: granted QoS 0, normal disconnection).
    SUCCESS = 0x00, "success";
    /// 0x04: the client leaves and wants its will published.
    DISCONNECT_WITH_WILL = 0x04, "disconnect with will message";
    /// 0x10: accepted, but nobody subscribes to the topic.
    NO_MATCHING_SUBSCRIBERS = 0x10, "no matching subscribers";
    /// 0x11: there was no such subscription.
    NO_SUBSCRIPTION_EXISTED = 0x11, "no subscription existed";
    /// 0x18: the authentication goes on.
    CONTINUE_AUTHENTICATION = 0x18, "continue authentication";
    /// 0x19: the client authenticates itself anew.
    REAUTHENTICATE = 0x19, "re-authenticate";
    /// 0x80: refused for a reason without a code of its own.
    UNSPECIFIED = 0x80, "unspecified error";
    /// 0x81: the bytes do not follow the specification.
    MALFORMED = 0x81, "malformed packet";
    /// 0x82: well-formed, but not allowed here.
    PROTOCOL_ERROR = 0x82, "protocol error";
    /// 0x84: protocol name or level not served.
    UNSUPPORTED_VERSION = 0x84, "unsupported protocol version";
    /// 0x85: the client identifier is not acceptable.
    CLIENT_ID_INVALID = 0x85, "client identifier not valid";
    /// 0x86: no such user, or another password.
    BAD_USER_NAME_OR_PASSWORD = 0x86, "bad user name or password";
    /// 0x87: not allowed for this client.
    NOT_AUTHORIZED = 0x87, "not authorized";
    /// 0x8B: the server stops.
    SHUTTING_DOWN = 0x8b, "server shutting down";
    /// 0x8C: enhanced authentication by a method that is not served.
    BAD_AUTHENTICATION_METHOD = 0x8c, "bad authentication method";
    /// 0x8D: nothing heard for one and a half keep-alive periods.
    KEEP_ALIVE_TIMEOUT = 0x8d, "keep alive timeout";
    /// 0x8E: another connection uses the same client identifier.
    TAKEN_OVER = 0x8e, "session taken over";
    /// 0x8F: the topic filter is well-formed UTF-8 but not a valid filter.
    FILTER_INVALID = 0x8f, "topic filter invalid";
    /// 0x90: the topic name is well-formed UTF-8 but not a valid name.
    TOPIC_INVALID = 0x90, "topic name invalid";
    /// 0x92: nothing is in flight under this packet identifier.
    PACKET_ID_NOT_FOUND = 0x92, "packet identifier not found";
    /// 0x93: more unacknowledged publications than the receiver allows.
    RECEIVE_MAXIMUM_EXCEEDED = 0x93, "receive maximum exceeded";
    /// 0x94: topic alias zero, above the maximum, or not yet set.
    TOPIC_ALIAS_INVALID = 0x94, "topic alias invalid";
    /// 0x95: larger than the receiver allows.
    PACKET_TOO_LARGE = 0x95, "packet too large";
    /// 0x96: the client publishes too fast for the server.
    MESSAGE_RATE_TOO_HIGH = 0x96, "message rate too high";
    /// 0x97: a limit of this server is reached.
    QUOTA_EXCEEDED = 0x97, "quota exceeded";
    /// 0x98: the operator ended the connection.
    ADMINISTRATIVE_ACTION = 0x98, "administrative action";
    /// 0x9B: a QoS above what the server serves.
    QOS_NOT_SUPPORTED = 0x9b, "qos not supported";
    /// 0x9E: shared subscriptions are not served.
    SHARED_NOT_SUPPORTED = 0x9e, "shared subscriptions not supported";
    /// 0x9F: too many connections.
    CONNECTION_RATE_EXCEEDED = 0x9f, "connection rate exceeded";
    /// 0xA0: what the client logged in with has expired.
    MAXIMUM_CONNECT_TIME = 0xa0, "maximum connect time";
}

impl ReasonCode {
    /// Whether the code says that the operation failed.
    #[must_use]
    pub fn is_failure(self) -> bool {
        self.0 >= 0x80
    }

    /// The CONNACK return code of MQTT 3.1.1 (section 3.2.2.3) nearest in meaning.
    #[must_use]
    pub fn connack_v3(self) -> u8 {
        match self {
            Self::SUCCESS => 0,
            Self::UNSUPPORTED_VERSION => 1,
            Self::CLIENT_ID_INVALID => 2,
            Self::BAD_USER_NAME_OR_PASSWORD | Self::BAD_AUTHENTICATION_METHOD => 4,
            Self::NOT_AUTHORIZED => 5,
            _ => 3,
        }
    }
}

impl std::fmt::Display for ReasonCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} (0x{:02x})", self.text(), self.0)
    }
}

impl std::fmt::Debug for ReasonCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}
