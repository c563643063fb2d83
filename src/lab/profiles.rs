//! Links by name: those that come with the program, and those of a file.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::impairment::{Impairment, ImpossibleSetting, Loss};

/// The file that comes with the program.
const SHIPPED: &str = include_str!("profiles.toml");
/// What `lossy:N%` begins with.
const LOSSY: &str = "lossy:";
/// The profile that `lossy:N%` adds its loss to.
const LOSSY_BASE: &str = "wired";

/// What a link does in each direction. A link joins a host and the broker.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Profile {
    /// Its name.
    pub name: String,
    /// What it stands for, in a few words.
    pub summary: String,
    /// From the host to the broker.
    pub to_broker: Impairment,
    /// From the broker to the host.
    pub to_host: Impairment,
}

/// Profiles by name.
#[derive(Clone, Debug, PartialEq)]
pub struct Profiles(BTreeMap<String, Profile>);

/// What is wrong with a file of profiles, or with a name.
#[derive(Clone, Debug, PartialEq)]
pub enum ProfileError {
    /// The text is no TOML, or has keys that no profile has; with line and column.
    Syntax(String),
    /// `both_ways` stands beside `to_broker` or `to_host`.
    Directions {
        /// The profile's name.
        profile: String,
    },
    /// A setting is out of its range.
    Setting {
        /// The profile's name.
        profile: String,
        /// Which of its tables.
        direction: &'static str,
        /// The setting.
        setting: ImpossibleSetting,
    },
    /// No profile has this name.
    Unknown {
        /// The name.
        name: String,
        /// Those there are.
        known: Vec<String>,
    },
    /// `lossy:` without a share from 0 to 100 behind it.
    Lossy {
        /// The name.
        name: String,
    },
}

impl fmt::Display for ProfileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax(message) => write!(f, "the link profiles cannot be read: {message}"),
            Self::Directions { profile } => write!(
                f,
                "link profile {profile:?}: both_ways excludes to_broker and to_host; give either"
            ),
            Self::Setting {
                profile,
                direction,
                setting,
            } => write!(f, "link profile {profile:?}, {direction}: {setting}"),
            Self::Unknown { name, known } => write!(
                f,
                "there is no link profile {name:?}; there are {}, and lossy:N%",
                known.join(", ")
            ),
            Self::Lossy { name } => write!(
                f,
                "link profile {name:?}: lossy: is followed by a share from 0 to 100, as in lossy:5%"
            ),
        }
    }
}

impl std::error::Error for ProfileError {}

/// A profile as it stands in a file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    summary: String,
    both_ways: Option<Impairment>,
    to_broker: Option<Impairment>,
    to_host: Option<Impairment>,
}

impl Profile {
    /// A link that does the same in both directions.
    #[must_use]
    pub fn symmetric(name: &str, settings: Impairment) -> Self {
        Self {
            name: name.to_owned(),
            summary: String::new(),
            to_broker: settings.clone(),
            to_host: settings,
        }
    }

    /// Checks the settings of both directions.
    ///
    /// # Errors
    ///
    /// The first that is out of its range.
    pub fn check(&self) -> Result<(), ProfileError> {
        let directions = [("to_broker", &self.to_broker), ("to_host", &self.to_host)];
        directions
            .into_iter()
            .try_for_each(|(direction, settings)| {
                settings.check().map_err(|setting| ProfileError::Setting {
                    profile: self.name.clone(),
                    direction,
                    setting,
                })
            })
    }
}

impl Profiles {
    /// Those that come with the program: `wired` and `wireless`.
    ///
    /// # Panics
    ///
    /// Never: a test reads the file.
    #[must_use]
    #[allow(
        clippy::missing_panics_doc,
        clippy::expect_used,
        reason = "the file is part of the program, and a test reads it"
    )]
    pub fn shipped() -> Self {
        Self::parse(SHIPPED).expect("the profiles that come with the program")
    }

    /// Reads profiles from TOML: a table for each, with `summary`, and `both_ways` or `to_broker`
    /// and `to_host` (a direction that is left out does nothing), each an [`Impairment`].
    ///
    /// # Errors
    ///
    /// What is wrong with the text: unknown keys, impossible values.
    pub fn parse(text: &str) -> Result<Self, ProfileError> {
        let written: BTreeMap<String, Written> =
            toml::from_str(text).map_err(|e| ProfileError::Syntax(e.to_string()))?;
        let mut profiles = BTreeMap::new();
        for (name, written) in written {
            let profile = resolve(&name, written)?;
            profile.check()?;
            profiles.insert(name, profile);
        }
        Ok(Self(profiles))
    }

    /// Adds others; of two with the same name, the other's stays.
    pub fn extend(&mut self, others: Self) {
        self.0.extend(others.0);
    }

    /// The names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The profile with this name, or the one that `lossy:N%` describes: `wired`, and of the
    /// packets each way N % lost, independently.
    ///
    /// # Errors
    ///
    /// Where there is none, or N is no share.
    pub fn get(&self, name: &str) -> Result<Profile, ProfileError> {
        if let Some(profile) = self.0.get(name) {
            return Ok(profile.clone());
        }
        match name.strip_prefix(LOSSY) {
            Some(share) => self.lossy(name, share),
            None => Err(self.unknown(name)),
        }
    }

    fn lossy(&self, name: &str, share: &str) -> Result<Profile, ProfileError> {
        let percent = share
            .strip_suffix('%')
            .and_then(|number| number.trim().parse::<f64>().ok())
            .filter(|percent| (0.0..=100.0).contains(percent))
            .ok_or_else(|| ProfileError::Lossy {
                name: name.to_owned(),
            })?;
        let base = self
            .0
            .get(LOSSY_BASE)
            .ok_or_else(|| self.unknown(LOSSY_BASE))?;
        let mut profile = base.clone();
        name.clone_into(&mut profile.name);
        profile.summary = format!("{}, and {percent} % of packets lost each way", base.summary);
        for direction in [&mut profile.to_broker, &mut profile.to_host] {
            direction.loss = Some(Loss::Independent { percent });
        }
        Ok(profile)
    }

    fn unknown(&self, name: &str) -> ProfileError {
        ProfileError::Unknown {
            name: name.to_owned(),
            known: self.names().map(str::to_owned).collect(),
        }
    }
}

fn resolve(name: &str, written: Written) -> Result<Profile, ProfileError> {
    let (to_broker, to_host) = match (written.both_ways, written.to_broker, written.to_host) {
        (Some(both), None, None) => (both.clone(), both),
        (None, to_broker, to_host) => (to_broker.unwrap_or_default(), to_host.unwrap_or_default()),
        _ => {
            return Err(ProfileError::Directions {
                profile: name.to_owned(),
            });
        }
    };
    Ok(Profile {
        name: name.to_owned(),
        summary: written.summary,
        to_broker,
        to_host,
    })
}
