//! A word of a vocabulary that may grow.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A word that is normally one of `T`, and else kept as it came.
///
/// A newer GitLab may know a status that this version does not; its answer is still worth reading.
/// A `Word` compares directly with its vocabulary: `pipeline.status == JobStatus::Success`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Word<T> {
    /// A word of the vocabulary.
    Known(T),
    /// Any other word, as it came.
    Other(String),
}

impl<T: Copy> Word<T> {
    /// The value, if the word is known.
    pub fn known(&self) -> Option<T> {
        match self {
            Self::Known(value) => Some(*value),
            Self::Other(_) => None,
        }
    }
}

impl<T: Default> Default for Word<T> {
    fn default() -> Self {
        Self::Known(T::default())
    }
}

impl<T> From<T> for Word<T> {
    fn from(value: T) -> Self {
        Self::Known(value)
    }
}

impl<T: PartialEq> PartialEq<T> for Word<T> {
    fn eq(&self, other: &T) -> bool {
        matches!(self, Self::Known(value) if value == other)
    }
}

impl<T: std::fmt::Display> std::fmt::Display for Word<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Known(value) => value.fmt(f),
            Self::Other(word) => f.write_str(word),
        }
    }
}

impl<T: std::str::FromStr> std::str::FromStr for Word<T> {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(text.parse().map_or_else(|_| Self::Other(text.to_owned()), Self::Known))
    }
}

impl<T: Serialize> Serialize for Word<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Known(value) => value.serialize(serializer),
            Self::Other(word) => serializer.serialize_str(word),
        }
    }
}

impl<'de, T: std::str::FromStr> Deserialize<'de> for Word<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Ok(match text.parse() {
            Ok(value) => Self::Known(value),
            Err(_) => Self::Other(text),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::JobStatus;

    #[test]
    fn a_known_word_is_its_value_and_an_unknown_one_survives_a_round_trip() {
        let words: Vec<Word<JobStatus>> = serde_json::from_str(r#"["running","hibernating"]"#).unwrap();
        assert_eq!(words[0], JobStatus::Running);
        assert_eq!(words[0].known(), Some(JobStatus::Running));
        assert_eq!(words[1].known(), None);
        assert_eq!(serde_json::to_string(&words).unwrap(), r#"["running","hibernating"]"#);
    }
}
