//! What the system is asked to hand over, so that the rest costs nothing.

/// Frames that are wanted from an interface, as an expression in libpcap's syntax.
///
/// Ports can be asked for only where MQTT is looked for on these alone; where a connection on any
/// port can turn out to be MQTT, all of TCP is needed. Either way, what may carry TCP without
/// showing it to such an expression is needed too: fragments of IP but the first, packets with
/// extension headers of IPv6, and the tunnels that are read ([`crate::capture`] hands them on,
/// and they are opened later).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KernelFilter {
    /// The only ports that matter; empty for all.
    pub ports: Vec<u16>,
    /// The user's own expression: only frames that match it, too.
    pub user: Option<String>,
}

/// IP fragments but the first; IPv6 with extension headers before what it carries; VXLAN; GRE;
/// IPv4 and IPv6 within IP; MPLS and PPPoE.
const WRAPPED: &str = "(ip[6:2] & 0x1fff != 0) or ip proto 47 or ip proto 4 or ip proto 41 \
     or (ip6 and (ip6[6] = 0 or ip6[6] = 43 or ip6[6] = 44 or ip6[6] = 60 or ip6[6] = 51 \
     or ip6[6] = 47 or ip6[6] = 4 or ip6[6] = 41)) or udp port 4789 or udp port 8472";
/// The same below Ethernet.
const WRAPPED_ON_ETHERNET: &str = "ether proto 0x8847 or ether proto 0x8848 or ether proto 0x8864 \
     or ether proto 0x88a8 or ether proto 0x9100 or ether proto 0x9200";

/// Words that move where the rest of an expression looks: such an expression is not put together
/// with another.
const SHIFTS: [&str; 6] = ["vlan", "mpls", "pppoed", "pppoes", "geneve", "vxlan"];

impl KernelFilter {
    /// Expressions to try in this order: the first that libpcap can compile for the interface is
    /// the right one. Each lets through at least what those before it do. The last, empty one
    /// lets everything through.
    #[must_use]
    pub fn candidates(&self) -> Vec<String> {
        let inner = self.plain();
        let on_ethernet = format!("{inner} or {WRAPPED_ON_ETHERNET}");
        let mut candidates = match &self.user {
            Some(user) if shifts(user) => vec![format!("({user})")],
            Some(user) => vec![
                format!("({user}) and ({on_ethernet})"),
                format!("({user}) and ({inner})"),
                format!("({user})"),
            ],
            // `vlan` moves what comes after it for good, so it stands last. A frame with two tags
            // is let through whatever it carries.
            None => vec![
                format!("{on_ethernet} or (vlan and ({inner} or vlan))"),
                on_ethernet,
                inner,
            ],
        };
        if self.user.is_none() {
            candidates.push(String::new());
        }
        candidates
    }

    fn plain(&self) -> String {
        let tcp = if self.ports.is_empty() {
            "tcp".to_owned()
        } else {
            let ports: Vec<String> = self
                .ports
                .iter()
                .map(|port| format!("tcp port {port}"))
                .collect();
            ports.join(" or ")
        };
        format!("{tcp} or {WRAPPED}")
    }
}

/// Whether the expression has one of the words that move the rest of it.
fn shifts(expression: &str) -> bool {
    expression
        .split(|letter: char| !letter.is_ascii_alphanumeric())
        .any(|word| SHIFTS.contains(&word))
}

#[cfg(all(test, feature = "live"))]
#[allow(
    clippy::unwrap_used,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing
)]
mod tests;
