//! subscriptions.csv.

use super::table;
use crate::results::Text;
use crate::time::Timestamp;

table! {
    /// One topic filter of a SUBSCRIBE.
    pub struct SubscriptionRow<'a> in "subscriptions.csv" {
        /// The number of its connection.
        pub connection: u64,
        /// The subscriber's client identifier.
        pub client_id: Option<Text<'a>>,
        /// The topic filter.
        pub filter: Text<'a>,
        /// The QoS that the client asked for.
        pub requested_qos: u8,
        /// The QoS that the broker granted; missing where it refused or did not answer.
        pub granted_qos: Option<u8>,
        /// The return code or reason code of SUBACK.
        pub reason_code: Option<u8>,
        /// When SUBSCRIBE was whole.
        pub subscribe_ns: Timestamp,
        /// When SUBACK was whole.
        pub suback_ns: Option<Timestamp>,
        /// When the UNSUBSCRIBE that ended it was whole.
        pub unsubscribe_ns: Option<Timestamp>,
        /// The tap.
        pub tap: u16,
    }
}
