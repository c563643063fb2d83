//! MQTT 5 properties (section 2.2.2).

use super::packet::Secret;
use super::reader::{Reader, Stop, length_of};
use super::{Field, Malformed, MalformedReason, PacketType, Violation, Violations, text};

macro_rules! properties {
    ($( $variant:ident = $id:literal, $name:literal, $kind:ident; )*) => {
        /// Identifiers of the properties (table 2-4).
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[repr(u8)]
        pub enum PropertyId { $( #[doc = $name] $variant = $id, )* }

        impl PropertyId {
            /// All properties, by identifier.
            pub const ALL: &'static [Self] = &[ $( Self::$variant, )* ];

            /// The property with this identifier.
            #[must_use]
            pub const fn from_number(number: u32) -> Option<Self> {
                match number { $( $id => Some(Self::$variant), )* _ => None }
            }

            /// The property's name as the specification has it.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $( Self::$variant => $name, )* }
            }
        }

        /// One property. Strings are the raw bytes, which may be invalid UTF-8.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum Property<'a> { $( #[doc = $name] $variant(properties!(@type $kind 'a)), )* }

        impl<'a> Property<'a> {
            /// The property's identifier.
            #[must_use]
            pub const fn id(&self) -> PropertyId {
                match self { $( Self::$variant(..) => PropertyId::$variant, )* }
            }

            /// The property's name as the specification has it.
            #[must_use]
            pub const fn name(&self) -> &'static str {
                self.id().name()
            }

            fn read(
                id: PropertyId,
                reader: &mut Reader<'a>,
                violations: &mut Violations,
            ) -> Result<Self, Stop> {
                Ok(match id { $( PropertyId::$variant => {
                    Self::$variant(properties!(@read $kind reader violations))
                } )* })
            }

            /// Data type and value, for the writer.
            pub(super) const fn value(&self) -> Value<'a> {
                match *self { $( Self::$variant(value) => properties!(@value $kind value), )* }
            }
        }
    };
    (@type byte $a:lifetime) => { u8 };
    (@type two $a:lifetime) => { u16 };
    (@type four $a:lifetime) => { u32 };
    (@type integer $a:lifetime) => { u32 };
    (@type text $a:lifetime) => { &$a [u8] };
    (@type binary $a:lifetime) => { &$a [u8] };
    (@type secret $a:lifetime) => { Secret<$a> };
    (@type pair $a:lifetime) => { (&$a [u8], &$a [u8]) };
    (@read byte $r:ident $v:ident) => { $r.byte(Field::PropertyValue)? };
    (@read two $r:ident $v:ident) => { $r.two_bytes(Field::PropertyValue)? };
    (@read four $r:ident $v:ident) => { $r.four_bytes(Field::PropertyValue)? };
    (@read integer $r:ident $v:ident) => { $r.integer(Field::PropertyValue, $v)? };
    (@read text $r:ident $v:ident) => { read_text($r, $v)? };
    (@read binary $r:ident $v:ident) => { $r.prefixed(Field::PropertyValue)? };
    (@read secret $r:ident $v:ident) => { Secret::new($r.prefixed(Field::PropertyValue)?) };
    (@read pair $r:ident $v:ident) => { (read_text($r, $v)?, read_text($r, $v)?) };
    (@value byte $x:ident) => { Value::Byte($x) };
    (@value two $x:ident) => { Value::TwoBytes($x) };
    (@value four $x:ident) => { Value::FourBytes($x) };
    (@value integer $x:ident) => { Value::Integer($x) };
    (@value text $x:ident) => { Value::Prefixed($x) };
    (@value binary $x:ident) => { Value::Prefixed($x) };
    (@value secret $x:ident) => { Value::Prefixed($x.expose()) };
    (@value pair $x:ident) => { Value::Pair($x.0, $x.1) };
}

properties! {
    PayloadFormatIndicator = 1, "Payload Format Indicator", byte;
    MessageExpiryInterval = 2, "Message Expiry Interval", four;
    ContentType = 3, "Content Type", text;
    ResponseTopic = 8, "Response Topic", text;
    CorrelationData = 9, "Correlation Data", binary;
    SubscriptionIdentifier = 11, "Subscription Identifier", integer;
    SessionExpiryInterval = 17, "Session Expiry Interval", four;
    AssignedClientIdentifier = 18, "Assigned Client Identifier", text;
    ServerKeepAlive = 19, "Server Keep Alive", two;
    AuthenticationMethod = 21, "Authentication Method", text;
    AuthenticationData = 22, "Authentication Data", secret;
    RequestProblemInformation = 23, "Request Problem Information", byte;
    WillDelayInterval = 24, "Will Delay Interval", four;
    RequestResponseInformation = 25, "Request Response Information", byte;
    ResponseInformation = 26, "Response Information", text;
    ServerReference = 28, "Server Reference", text;
    ReasonString = 31, "Reason String", text;
    ReceiveMaximum = 33, "Receive Maximum", two;
    TopicAliasMaximum = 34, "Topic Alias Maximum", two;
    TopicAlias = 35, "Topic Alias", two;
    MaximumQos = 36, "Maximum QoS", byte;
    RetainAvailable = 37, "Retain Available", byte;
    UserProperty = 38, "User Property", pair;
    MaximumPacketSize = 39, "Maximum Packet Size", four;
    WildcardSubscriptionAvailable = 40, "Wildcard Subscription Available", byte;
    SubscriptionIdentifierAvailable = 41, "Subscription Identifier Available", byte;
    SharedSubscriptionAvailable = 42, "Shared Subscription Available", byte;
}

/// A property's value by data type.
#[derive(Clone, Copy)]
pub(super) enum Value<'a> {
    Byte(u8),
    TwoBytes(u16),
    FourBytes(u32),
    Integer(u32),
    Prefixed(&'a [u8]),
    Pair(&'a [u8], &'a [u8]),
}

fn read_text<'a>(reader: &mut Reader<'a>, violations: &mut Violations) -> Result<&'a [u8], Stop> {
    let bytes = reader.prefixed(Field::PropertyValue)?;
    *violations = violations.union(text::scan(bytes).violations);
    Ok(bytes)
}

impl PropertyId {
    /// The identifier on the wire.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }

    const fn bit(self) -> u64 {
        1 << self as u8
    }

    /// Whether the property may stand in this packet or will (table 2-4).
    #[must_use]
    pub const fn is_allowed_in(self, owner: PropertyOwner) -> bool {
        allowed(owner) & self.bit() != 0
    }
}

/// What a property block belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum PropertyOwner {
    /// The variable header of a packet.
    Packet(PacketType),
    /// The will of a CONNECT.
    Will,
}

/// The properties of table 2-4 as a set of identifiers.
const fn allowed(owner: PropertyOwner) -> u64 {
    use PropertyId as P;
    let PropertyOwner::Packet(packet_type) = owner else {
        return P::WillDelayInterval.bit() | MESSAGE;
    };
    match packet_type {
        PacketType::Connect => {
            P::SessionExpiryInterval.bit()
                | P::ReceiveMaximum.bit()
                | P::MaximumPacketSize.bit()
                | P::TopicAliasMaximum.bit()
                | P::RequestResponseInformation.bit()
                | P::RequestProblemInformation.bit()
                | P::UserProperty.bit()
                | AUTHENTICATION
        }
        PacketType::Connack => CONNACK,
        PacketType::Publish => MESSAGE | P::TopicAlias.bit() | P::SubscriptionIdentifier.bit(),
        PacketType::Puback
        | PacketType::Pubrec
        | PacketType::Pubrel
        | PacketType::Pubcomp
        | PacketType::Suback
        | PacketType::Unsuback => REASON,
        PacketType::Subscribe => P::SubscriptionIdentifier.bit() | P::UserProperty.bit(),
        PacketType::Unsubscribe => P::UserProperty.bit(),
        PacketType::Disconnect => {
            P::SessionExpiryInterval.bit() | P::ServerReference.bit() | REASON
        }
        PacketType::Auth => AUTHENTICATION | REASON,
        PacketType::Reserved | PacketType::Pingreq | PacketType::Pingresp => 0,
    }
}

const MESSAGE: u64 = PropertyId::PayloadFormatIndicator.bit()
    | PropertyId::MessageExpiryInterval.bit()
    | PropertyId::ContentType.bit()
    | PropertyId::ResponseTopic.bit()
    | PropertyId::CorrelationData.bit()
    | PropertyId::UserProperty.bit();
const AUTHENTICATION: u64 =
    PropertyId::AuthenticationMethod.bit() | PropertyId::AuthenticationData.bit();
const REASON: u64 = PropertyId::ReasonString.bit() | PropertyId::UserProperty.bit();
const CONNACK: u64 = PropertyId::SessionExpiryInterval.bit()
    | PropertyId::ReceiveMaximum.bit()
    | PropertyId::MaximumQos.bit()
    | PropertyId::RetainAvailable.bit()
    | PropertyId::MaximumPacketSize.bit()
    | PropertyId::AssignedClientIdentifier.bit()
    | PropertyId::TopicAliasMaximum.bit()
    | PropertyId::WildcardSubscriptionAvailable.bit()
    | PropertyId::SubscriptionIdentifierAvailable.bit()
    | PropertyId::SharedSubscriptionAvailable.bit()
    | PropertyId::ServerKeepAlive.bit()
    | PropertyId::ResponseInformation.bit()
    | PropertyId::ServerReference.bit()
    | REASON
    | AUTHENTICATION;

/// A property block, as far as it could be parsed. Empty where the level has no properties.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Properties<'a> {
    /// Whole properties only.
    bytes: &'a [u8],
    /// The identifiers that occur, so that most look-ups need no walk.
    present: u64,
}

impl<'a> Properties<'a> {
    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The bytes of the block without its length, up to where it could be parsed.
    #[must_use]
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The properties in the order of the packet.
    #[must_use]
    pub fn iter(&self) -> PropertyIter<'a> {
        PropertyIter {
            reader: Reader::of_properties(self.bytes, 0),
        }
    }

    /// Whether one with this identifier occurs.
    #[must_use]
    pub const fn contains(&self, id: PropertyId) -> bool {
        self.present & id.bit() != 0
    }

    /// The first one with this identifier.
    #[must_use]
    #[inline]
    pub fn get(&self, id: PropertyId) -> Option<Property<'a>> {
        // Nearly always that is all there is to say.
        if self.contains(id) {
            self.find(id)
        } else {
            None
        }
    }

    #[cold]
    fn find(&self, id: PropertyId) -> Option<Property<'a>> {
        self.iter().find(|property| property.id() == id)
    }

    /// The topic alias of a PUBLISH; 0 is given although it is a violation.
    #[must_use]
    pub fn topic_alias(&self) -> Option<u16> {
        match self.get(PropertyId::TopicAlias) {
            Some(Property::TopicAlias(alias)) => Some(alias),
            _ => None,
        }
    }

    /// Name and value of every user property.
    pub fn user_properties(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        self.iter().filter_map(|property| match property {
            Property::UserProperty(pair) => Some(pair),
            _ => None,
        })
    }
}

impl<'a> IntoIterator for &Properties<'a> {
    type Item = Property<'a>;
    type IntoIter = PropertyIter<'a>;
    fn into_iter(self) -> PropertyIter<'a> {
        self.iter()
    }
}

impl core::fmt::Debug for Properties<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Iterates over the properties of a block.
pub struct PropertyIter<'a> {
    reader: Reader<'a>,
}

impl<'a> Iterator for PropertyIter<'a> {
    type Item = Property<'a>;
    fn next(&mut self) -> Option<Property<'a>> {
        // The block was checked when it was parsed, so an error cannot come; it would end the walk.
        let mut checked_before = Violations::NONE;
        read_one(&mut self.reader, &mut checked_before)
            .ok()
            .flatten()
    }
}

#[inline]
fn read_one<'a>(
    reader: &mut Reader<'a>,
    violations: &mut Violations,
) -> Result<Option<Property<'a>>, Stop> {
    if reader.remaining() == 0 {
        return Ok(None);
    }
    let offset = reader.position();
    let number = reader.integer(Field::PropertyIdentifier, violations)?;
    let Some(id) = PropertyId::from_number(number) else {
        // 2.2.2.2: "A Control Packet which contains an Identifier which is not valid for its
        // packet type, or contains a value not of the specified data type, is a Malformed Packet."
        return Err(Stop::Malformed(Malformed {
            reason: MalformedReason::UnknownProperty,
            field: Field::PropertyIdentifier,
            offset,
            needed: number,
            available: reader.remaining(),
        }));
    };
    Property::read(id, reader, violations).map(Some)
}

/// Reads a property length and its block into `properties`, and checks it. What could be parsed
/// stays in `properties` when the block is damaged.
#[inline]
pub(super) fn parse<'a>(
    reader: &mut Reader<'a>,
    owner: PropertyOwner,
    properties: &mut Properties<'a>,
    violations: &mut Violations,
) -> Result<(), Stop> {
    let length = reader.integer(Field::PropertyLength, violations)?;
    if length == 0 {
        return Ok(());
    }
    let offset = reader.position();
    let block = reader.take(length, Field::Properties)?;
    parse_block(block, offset, owner, properties, violations)
}

fn parse_block<'a>(
    block: &'a [u8],
    offset: u32,
    owner: PropertyOwner,
    properties: &mut Properties<'a>,
    violations: &mut Violations,
) -> Result<(), Stop> {
    let mut reader = Reader::of_properties(block, offset);
    let end = loop {
        let good = length_of(block).saturating_sub(reader.remaining());
        match read_one(&mut reader, violations) {
            Ok(Some(property)) => check(&property, owner, properties.present, violations, |bit| {
                properties.present |= bit;
            }),
            Ok(None) => break Ok(()),
            Err(stop) => {
                let good = usize::try_from(good).unwrap_or(usize::MAX);
                properties.bytes = block.get(..good).unwrap_or(block);
                break Err(stop);
            }
        }
    };
    if end.is_ok() {
        properties.bytes = block;
    }
    // 3.1.2.11.10: "It is a Protocol Error to include Authentication Data if there is no
    // Authentication Method."
    violations.insert_if(
        properties.contains(PropertyId::AuthenticationData)
            && !properties.contains(PropertyId::AuthenticationMethod)
            && end.is_ok(),
        Violation::AuthenticationDataWithoutMethod,
    );
    end
}

fn check(
    property: &Property<'_>,
    owner: PropertyOwner,
    present: u64,
    violations: &mut Violations,
    note: impl FnOnce(u64),
) {
    let id = property.id();
    violations.insert_if(!id.is_allowed_in(owner), Violation::PropertyNotAllowed);
    // A server names every subscription that a message matched (3.3.2.3.8).
    let repeatable = id == PropertyId::UserProperty
        || (id == PropertyId::SubscriptionIdentifier
            && owner == PropertyOwner::Packet(PacketType::Publish));
    violations.insert_if(
        !repeatable && present & id.bit() != 0,
        Violation::PropertyRepeated,
    );
    note(id.bit());
    match *property {
        Property::PayloadFormatIndicator(value)
        | Property::RequestProblemInformation(value)
        | Property::RequestResponseInformation(value)
        | Property::MaximumQos(value)
        | Property::RetainAvailable(value)
        | Property::WildcardSubscriptionAvailable(value)
        | Property::SubscriptionIdentifierAvailable(value)
        | Property::SharedSubscriptionAvailable(value) => {
            violations.insert_if(value > 1, Violation::PropertyValue);
        }
        Property::SubscriptionIdentifier(value) => {
            violations.insert_if(value == 0, Violation::SubscriptionIdentifierZero);
        }
        Property::ReceiveMaximum(value) => {
            violations.insert_if(value == 0, Violation::ReceiveMaximumZero);
        }
        Property::MaximumPacketSize(value) => {
            violations.insert_if(value == 0, Violation::MaximumPacketSizeZero);
        }
        Property::TopicAlias(value) => {
            violations.insert_if(value == 0, Violation::TopicAliasZero);
        }
        Property::ResponseTopic(topic) => {
            violations.insert_if(topic.is_empty(), Violation::EmptyTopic);
            violations.insert_if(text::scan(topic).wildcard, Violation::ResponseTopicWildcard);
        }
        _ => {}
    }
}
