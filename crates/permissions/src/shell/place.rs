//! Where a shell may be after `cd`.

use super::{Place, Word, simple::Draft, walk::Walk};
use std::path::{Component, Path, PathBuf};

/// The most places that are told apart.
const MAX_PLACES: usize = 4;

/// Every place where the shell may be now; none if it has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Places(Vec<Place>);

/// Where the shell is after a command, by how it ended.
#[derive(Debug)]
pub(super) struct Ends {
    pub(super) succeeded: Places,
    pub(super) failed: Places,
}

impl Places {
    /// Where the shell began.
    pub(super) fn start() -> Self {
        Self(vec![Place::Known(PathBuf::new())])
    }

    pub(super) fn unknown() -> Self {
        Self(vec![Place::Unknown])
    }

    /// The shell has ended.
    pub(super) fn none() -> Self {
        Self(vec![])
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them. What comes after the shell's end is judged too: it may not have ended.
    pub(super) fn all(&self) -> &[Place] {
        if self.0.is_empty() { &[Place::Unknown] } else { &self.0 }
    }

    pub(super) fn or(&self, other: &Self) -> Self {
        let mut places = [self.0.clone(), other.0.clone()].concat();
        places.sort();
        places.dedup();
        if places.len() > MAX_PLACES || places.contains(&Place::Unknown) {
            Self::unknown()
        } else {
            Self(places)
        }
    }

    /// After `cd directory`. Bash goes up by name, without looking at links, unless told otherwise by `-P`.
    pub(super) fn change(&self, directory: &str, is_physical: bool) -> Self {
        let mut places: Vec<Place> = self
            .all()
            .iter()
            .map(|place| match place {
                Place::Known(from) => {
                    let joined = if directory.starts_with('~') {
                        PathBuf::from(directory)
                    } else {
                        from.join(directory)
                    };
                    Place::Known(if is_physical { joined } else { by_name(&joined) })
                }
                Place::Unknown if Path::new(directory).is_absolute() || directory.starts_with('~') => {
                    Place::Known(by_name(Path::new(directory)))
                }
                Place::Unknown => Place::Unknown,
            })
            .collect();
        places.sort();
        places.dedup();
        Self(places)
    }
}

impl Ends {
    pub(super) fn same(places: &Places) -> Self {
        Self { succeeded: places.clone(), failed: places.clone() }
    }

    pub(super) fn either(&self) -> Places {
        self.succeeded.or(&self.failed)
    }
}

impl Walk {
    /// Where `cd` and `pushd` lead.
    pub(super) fn change_directory(&self, draft: &Draft, places: &Places) -> Places {
        let mut is_physical = false;
        let mut arguments = draft.words.iter().skip(1);
        let target = arguments.find(|word| match word.word.known() {
            Some("-P") => {
                is_physical = true;
                false
            }
            Some("-L" | "-e" | "-@" | "-n" | "--") => false,
            _ => true,
        });
        // `~-` and `~1` are where the shell was before.
        let is_known = |directory: &str| match directory.strip_prefix('~') {
            Some(rest) => {
                !self.home_is_set && !rest.starts_with(|c: char| matches!(c, '-' | '+') || c.is_ascii_digit())
            }
            None => !directory.starts_with(['-', '+']) && !directory.is_empty(),
        };
        match target.map(|word| &word.word) {
            None if !self.home_is_set => places.change("~", is_physical),
            Some(Word::Known(directory)) if is_known(directory) => places.change(directory, is_physical),
            None | Some(_) => Places::unknown(),
        }
    }
}

/// Without `.`, and with each `..` taking back the name before it.
pub(super) fn by_name(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir if matches!(out.components().next_back(), Some(Component::Normal(name)) if name != "~") =>
            {
                out.pop();
            }
            Component::ParentDir if out.has_root() => {}
            component => out.push(component),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn going_up_takes_back_a_name_and_stops_at_the_root() {
        for (path, expected) in [
            ("a/../b", "b"),
            ("../a", "../a"),
            ("/a/../../b", "/b"),
            ("~/../x", "~/../x"),
            ("./a/./b/..", "a"),
        ] {
            assert_eq!(by_name(Path::new(path)), PathBuf::from(expected), "{path}");
        }
    }
}
