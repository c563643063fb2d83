//! Protobuf schemas of the user: `.proto` files, compiled without protoc.

use std::fmt;
use std::io;

use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor};
use protox::Compiler;
use protox::file::{ChainFileResolver, File, FileResolver, GoogleFileResolver};

use super::message::Message;

/// Bytes of a payload that are decoded at most. A message in memory is many times larger than on
/// the wire, so what anybody can send is bounded.
const LARGEST: usize = 1 << 20;

/// Compiled `.proto` files, proto2 or proto3.
#[derive(Clone, Debug)]
pub struct Schema {
    pool: DescriptorPool,
}

/// Why a schema cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SchemaError {
    /// A file cannot be compiled: `FILE:LINE:COLUMN: what is wrong` as far as it is known.
    Compile(String),
    /// No message of this name is in the files.
    UnknownMessage {
        /// The name that was asked for.
        name: String,
        /// Names of messages that there are, some of them if they are many.
        known: Vec<String>,
    },
}

impl fmt::Display for SchemaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Compile(what) => f.write_str(what),
            Self::UnknownMessage { name, known } if known.is_empty() => {
                write!(
                    f,
                    "there is no message {name:?}: the schema has none at all"
                )
            }
            Self::UnknownMessage { name, known } => write!(
                f,
                "there is no message {name:?} in the schema; it has {}",
                known.join(", ")
            ),
        }
    }
}

impl std::error::Error for SchemaError {}

/// Gives the text of a `.proto` file by its import name, `None` where there is no such file.
type Read = dyn Fn(&str) -> Option<io::Result<String>>;

/// Asks the caller for files.
struct Callback(Box<Read>);

impl FileResolver for Callback {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        match (self.0)(name) {
            None => Err(protox::Error::file_not_found(name)),
            Some(Ok(source)) => File::from_source(name, &source),
            Some(Err(error)) => Err(protox::Error::new(format!("{name}: {error}"))),
        }
    }
}

impl Schema {
    /// Compiles files and what they import. `read` gives the text of a file by its name, which
    /// is the one that `import` statements use; the files of `google/protobuf/` are built in.
    ///
    /// # Errors
    ///
    /// [`SchemaError::Compile`] with file, line and column.
    pub fn compile<'n>(
        names: impl IntoIterator<Item = &'n str>,
        read: impl Fn(&str) -> Option<io::Result<String>> + 'static,
    ) -> Result<Self, SchemaError> {
        let mut resolver = ChainFileResolver::new();
        resolver.add(Callback(Box::new(read)));
        resolver.add(GoogleFileResolver::new());
        let mut compiler = Compiler::with_file_resolver(resolver);
        for name in names {
            compiler
                .open_file(name)
                // Its `Debug` form is the one with the place.
                .map_err(|error| SchemaError::Compile(format!("{error:?}")))?;
        }
        Ok(Self {
            pool: compiler.descriptor_pool(),
        })
    }

    /// A message by its full name, `package.Message`.
    ///
    /// # Errors
    ///
    /// [`SchemaError::UnknownMessage`].
    pub fn message(&self, name: &str) -> Result<MessageSchema, SchemaError> {
        const MOST_NAMED: usize = 10;
        if let Some(descriptor) = self.pool.get_message_by_name(name) {
            return Ok(MessageSchema { descriptor });
        }
        let own = |message: &MessageDescriptor| !message.package_name().starts_with("google.");
        let mut known: Vec<String> = self
            .pool
            .all_messages()
            .filter(own)
            .map(|message| message.full_name().to_owned())
            .collect();
        known.sort();
        if known.len() > MOST_NAMED {
            known.truncate(MOST_NAMED);
            known.push("more".to_owned());
        }
        Err(SchemaError::UnknownMessage {
            name: name.to_owned(),
            known,
        })
    }
}

/// A message type.
#[derive(Clone, Debug)]
pub struct MessageSchema {
    descriptor: MessageDescriptor,
}

/// Why bytes are no message of a type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mismatch {
    /// They cannot be parsed; the words of the parser.
    Wire(String),
    /// A required field is missing: its full name.
    Required(String),
    /// No field of the type is in them, only others.
    NothingKnown,
    /// There are more of them than are decoded.
    TooLarge,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wire(what) => f.write_str(what),
            Self::Required(name) => write!(f, "the required field {name} is missing"),
            Self::NothingKnown => f.write_str("only fields that the message does not have"),
            Self::TooLarge => write!(f, "more than {LARGEST} bytes are not decoded"),
        }
    }
}

impl MessageSchema {
    /// Its full name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.descriptor.full_name()
    }

    /// Decodes a whole payload.
    ///
    /// # Errors
    ///
    /// A [`Mismatch`] where the bytes are no such message.
    pub fn decode(&self, bytes: &[u8]) -> Result<Message, Mismatch> {
        let message = self.parse(bytes)?;
        let decoded = Message::new(&message);
        match decoded.missing.first() {
            Some(name) => Err(Mismatch::Required(name.clone())),
            None if nothing_known(&message) => Err(Mismatch::NothingKnown),
            None => Ok(decoded),
        }
    }

    fn parse(&self, bytes: &[u8]) -> Result<DynamicMessage, Mismatch> {
        if bytes.len() > LARGEST {
            return Err(Mismatch::TooLarge);
        }
        DynamicMessage::decode(self.descriptor.clone(), bytes)
            .map_err(|error| Mismatch::Wire(error.to_string()))
    }
}

/// Fields, and none of them is one of the type's.
fn nothing_known(message: &DynamicMessage) -> bool {
    message.unknown_fields().next().is_some()
        && message.fields().next().is_none()
        && message.extensions().next().is_none()
}
