//! Which state of a thing somebody looked at, so that they change that one and no later one.

use crate::ports::{StoreError, StoreResult};
use sha2::{Digest, Sha256};
use std::{
    fmt::{self, Debug, Write},
    str::FromStr,
};

const BYTES: usize = 16;

/// Names one state of a thing: whatever of it changes, this changes (RFC 9110, a strong entity tag).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntityTag([u8; BYTES]);

impl EntityTag {
    /// The tag of a thing as it is now. It is made of all that `Debug` tells, to which a new field is added by itself.
    #[must_use]
    pub fn of(thing: &impl Debug) -> Self {
        struct Hasher(Sha256);
        impl Write for Hasher {
            fn write_str(&mut self, text: &str) -> fmt::Result {
                self.0.update(text.as_bytes());
                Ok(())
            }
        }
        let mut hasher = Hasher(Sha256::new());
        // Neither the hasher nor a derived `Debug` fails.
        let _ = write!(hasher, "{thing:?}");
        let mut tag = [0; BYTES];
        tag.copy_from_slice(&hasher.0.finalize()[..BYTES]);
        Self(tag)
    }
}

impl fmt::Display for EntityTag {
    /// In hexadecimal, without the quotes of the header.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// The text is no tag of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ForeignTag;

impl FromStr for EntityTag {
    type Err = ForeignTag;

    fn from_str(text: &str) -> Result<Self, ForeignTag> {
        let mut tag = [0; BYTES];
        hex::decode_to_slice(text, &mut tag).map_err(|_| ForeignTag)?;
        Ok(Self(tag))
    }
}

/// In which states a thing may be changed. The store looks at it in the unit of work that makes the change.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expected(Option<Vec<EntityTag>>);

impl Expected {
    /// In any.
    pub const ANY: Self = Self(None);

    /// In one of these; with none of them, in no state.
    #[must_use]
    pub fn one_of(tags: Vec<EntityTag>) -> Self {
        Self(Some(tags))
    }

    /// Whether nobody said which.
    #[must_use]
    pub fn is_any(&self) -> bool {
        self.0.is_none()
    }

    /// In the state of this thing alone, by which it was judged what may be done with it. Refuses as [`Expected::admit`].
    pub fn as_seen(&self, thing: &impl Debug) -> StoreResult<Self> {
        self.admit(thing)?;
        Ok(Self::one_of(vec![EntityTag::of(thing)]))
    }

    /// Refuses with [`StoreError::Changed`] what is in another state.
    pub fn admit(&self, thing: &impl Debug) -> StoreResult<()> {
        match &self.0 {
            None => Ok(()),
            Some(tags) if tags.contains(&EntityTag::of(thing)) => Ok(()),
            Some(_) => Err(StoreError::Changed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_changes_with_its_thing_and_comes_back_from_its_text() {
        let tag = EntityTag::of(&("a", 1));
        assert_eq!(EntityTag::of(&("a", 1)), tag);
        assert_ne!(EntityTag::of(&("a", 2)), tag);
        assert_eq!(tag.to_string().parse(), Ok(tag));
        assert_eq!("xyz".parse::<EntityTag>(), Err(ForeignTag));
    }

    #[test]
    fn what_is_expected_is_compared_with_what_is_there() {
        let thing = "thing";
        assert!(Expected::ANY.admit(&thing).is_ok());
        assert!(Expected::one_of(vec![EntityTag::of(&"other"), EntityTag::of(&thing)]).admit(&thing).is_ok());
        for stale in [vec![], vec![EntityTag::of(&"other")]] {
            assert!(matches!(Expected::one_of(stale).admit(&thing), Err(StoreError::Changed)));
        }
    }

    #[test]
    fn what_was_seen_has_to_be_expected_and_is_all_that_is_expected_then() {
        let both = Expected::one_of(vec![EntityTag::of(&"seen"), EntityTag::of(&"other")]);
        for expected in [Expected::ANY, both] {
            let seen = expected.as_seen(&"seen").unwrap();
            assert!(seen.admit(&"seen").is_ok());
            assert!(matches!(seen.admit(&"other"), Err(StoreError::Changed)));
        }
        assert!(matches!(Expected::one_of(vec![]).as_seen(&"seen"), Err(StoreError::Changed)));
    }
}
