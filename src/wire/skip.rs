//! Why a frame yields no TCP segment.

use std::fmt;

use crate::frame::LinkType;

/// A layer of a frame, to say where a decode ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Layer {
    /// The link-layer header (Ethernet, cooked capture, loopback) and LLC.
    Link,
    /// A VLAN tag.
    Vlan,
    /// An MPLS label.
    Mpls,
    /// A PPPoE session header.
    Pppoe,
    /// The IPv4 header.
    Ipv4,
    /// The IPv6 header.
    Ipv6,
    /// An IPv6 extension header, or an authentication header.
    Extension,
    /// A fragment of a datagram.
    Fragment,
    /// The TCP header.
    Tcp,
    /// The UDP header.
    Udp,
    /// The VXLAN header.
    Vxlan,
    /// The GRE header.
    Gre,
}

/// Why there is no segment in a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skip {
    /// The link layer carries something else than IP (ARP, LLDP, ...).
    NotIp,
    /// IP carries something else than TCP or a tunnel known here.
    NotTcp {
        /// The IP protocol number.
        protocol: u8,
        /// Source and destination port of a UDP datagram.
        ports: Option<(u16, u16)>,
    },
    /// A fragment, kept until its datagram is complete.
    FragmentHeld,
    /// A fragment that was seen before.
    FragmentDuplicate,
    /// A fragment that cannot be used: it contradicts others, or the datagram was given up.
    FragmentDropped,
    /// The snap length cut the frame within this layer's header.
    Truncated(Layer),
    /// This layer's header contradicts itself or the layer around it.
    Malformed(Layer),
    /// More tunnels, tags or extension headers within each other than are followed.
    NestedTooDeep,
    /// A link type that is not decoded.
    UnsupportedLinkType(LinkType),
    /// The second sight of a frame from a mirror port.
    Mirrored,
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Link => "link-layer header",
            Self::Vlan => "VLAN tag",
            Self::Mpls => "MPLS label",
            Self::Pppoe => "PPPoE header",
            Self::Ipv4 => "IPv4 header",
            Self::Ipv6 => "IPv6 header",
            Self::Extension => "IP extension header",
            Self::Fragment => "IP fragment",
            Self::Tcp => "TCP header",
            Self::Udp => "UDP header",
            Self::Vxlan => "VXLAN header",
            Self::Gre => "GRE header",
        })
    }
}

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotIp => f.write_str("not IP"),
            Self::NotTcp {
                ports: Some((source, destination)),
                ..
            } => write!(f, "UDP from port {source} to port {destination}"),
            Self::NotTcp { protocol, .. } => write!(f, "IP protocol {protocol}"),
            Self::FragmentHeld => f.write_str("fragment, waiting for the rest"),
            Self::FragmentDuplicate => f.write_str("fragment seen before"),
            Self::FragmentDropped => f.write_str("unusable fragment"),
            Self::Truncated(layer) => write!(f, "cut off within the {layer}"),
            Self::Malformed(layer) => write!(f, "malformed {layer}"),
            Self::NestedTooDeep => f.write_str("too many layers within each other"),
            Self::UnsupportedLinkType(LinkType(number)) => {
                write!(f, "link type {number} is not supported")
            }
            Self::Mirrored => f.write_str("second sight of a mirrored frame"),
        }
    }
}
