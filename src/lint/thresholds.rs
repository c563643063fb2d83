//! From where on something is worth a finding.

use std::fmt;

/// What a threshold is called, and what it means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThresholdDoc {
    /// Its name, in kebab case.
    pub name: &'static str,
    /// Its value unless another is given.
    pub default: u64,
    /// The least and the greatest value that can be given.
    pub range: (u64, u64),
    /// Beyond what, and which code it belongs to.
    pub text: &'static str,
}

macro_rules! thresholds {
    ($( $name:ident, $spelled:literal, $default:literal, $least:literal..=$most:expr,
        $text:literal; )*) => {
        /// From where on something is worth a finding.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct Thresholds { $( #[doc = $text] pub $name: u64, )* }

        impl Default for Thresholds {
            fn default() -> Self {
                Self { $( $name: $default, )* }
            }
        }

        impl Thresholds {
            /// All there are.
            pub const DOCS: &'static [ThresholdDoc] = &[$( ThresholdDoc {
                name: $spelled,
                default: $default,
                range: ($least, $most),
                text: $text,
            }, )*];

            fn field(&mut self, name: &str) -> Option<&mut u64> {
                match name {
                    $( $spelled => Some(&mut self.$name), )*
                    _ => None,
                }
            }
        }
    };
}

thresholds! {
    topic_bytes, "topic-bytes", 128, 1..=65_535,
        "Bytes of a topic, above which it is topic-too-long.";
    topic_levels, "topic-levels", 7, 1..=65_536,
        "Levels of a topic, above which it is topic-too-deep.";
    topic_publishers, "topic-publishers", 10, 1..=64,
        "Clients that publish to a topic, above which it is topic-shared-by-many.";
    payload_bytes, "payload-bytes", 262_144, 1..=268_435_455,
        "Bytes of a payload, above which it is payload-large.";
    retained_per_minute, "retained-per-minute", 30, 1..=1_000_000,
        "Messages with RETAIN to a topic within a minute, above which it is retained-volatile.";
    reconnects, "reconnects", 5, 2..=64,
        "Connections of a client within reconnect-window-s that are a reconnect-storm.";
    reconnect_window_s, "reconnect-window-s", 60, 1..=86_400,
        "Seconds in which these connections are counted.";
    takeovers, "takeovers", 2, 1..=1_000_000,
        "Connections that a client takes over from another address until it is a client-id-collision.";
    acknowledgment_s, "acknowledgment-s", 10, 0..=86_400,
        "Seconds that an exchange may be open when the capture ends before it is exchange-unacknowledged.";
}

/// A threshold that cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ThresholdError {
    /// Not `NAME=VALUE`.
    Form(String),
    /// There is no such threshold.
    Unknown(String),
    /// Not a number of its range.
    Value {
        /// Which threshold.
        name: &'static str,
        /// What was given.
        text: String,
        /// What can be given.
        range: (u64, u64),
    },
}

impl fmt::Display for ThresholdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Form(text) => write!(f, "{text:?} is no threshold: write NAME=VALUE"),
            Self::Unknown(name) => {
                let names: Vec<&str> = Thresholds::DOCS.iter().map(|doc| doc.name).collect();
                write!(
                    f,
                    "there is no threshold {name:?}; there are {}",
                    names.join(", ")
                )
            }
            Self::Value {
                name,
                text,
                range: (least, most),
            } => write!(
                f,
                "{name}={text}: a whole number from {least} to {most} is needed"
            ),
        }
    }
}

impl std::error::Error for ThresholdError {}

impl Thresholds {
    /// Sets one from `NAME=VALUE`.
    ///
    /// # Errors
    ///
    /// Where the text is not of that form, the name is unknown or the value is out of range.
    pub fn set(&mut self, text: &str) -> Result<(), ThresholdError> {
        let (name, value) = text
            .split_once('=')
            .ok_or_else(|| ThresholdError::Form(text.to_owned()))?;
        let name = name.trim();
        let unknown = || ThresholdError::Unknown(name.to_owned());
        let doc = Self::DOCS.iter().find(|doc| doc.name == name);
        let doc = doc.ok_or_else(unknown)?;
        let (least, most) = doc.range;
        let number = value.trim().parse().ok();
        let number = number.filter(|number| (least..=most).contains(number));
        let number = number.ok_or_else(|| ThresholdError::Value {
            name: doc.name,
            text: value.to_owned(),
            range: doc.range,
        })?;
        *self.field(name).ok_or_else(unknown)? = number;
        Ok(())
    }
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]
mod tests {
    use super::*;

    #[test]
    fn every_threshold_can_be_set_within_its_range() {
        let mut thresholds = Thresholds::default();
        for doc in Thresholds::DOCS {
            let (least, most) = doc.range;
            assert!((least..=most).contains(&doc.default), "{}", doc.name);
            for value in [least, most] {
                thresholds.set(&format!("{}={value}", doc.name)).unwrap();
                assert_eq!(thresholds.field(doc.name), Some(&mut { value }));
            }
            let beyond = thresholds.set(&format!("{}={}", doc.name, u128::from(most) + 1));
            assert!(matches!(beyond, Err(ThresholdError::Value { .. })));
        }
    }

    #[test]
    fn unknown_names_are_answered_with_the_known_ones() {
        let error = Thresholds::default().set("topic-depth=3").unwrap_err();
        assert!(error.to_string().contains("topic-levels"), "{error}");
        assert!(matches!(
            Thresholds::default().set("topic-levels"),
            Err(ThresholdError::Form(_))
        ));
        for text in ["topic-levels=", "topic-levels=-1", "topic-levels=1.5"] {
            assert!(Thresholds::default().set(text).is_err(), "{text}");
        }
    }
}
