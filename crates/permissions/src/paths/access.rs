//! A file that a tool call is going to use, as it names it.

use super::real::LastLink;
use crate::shell::{Place, Word};
use std::path::PathBuf;

/// What is done with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    Read,
    Write,
    /// It is named, to a program or tool of which nothing is known.
    Mention,
}

/// One use of one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Access {
    pub what: Use,
    pub name: Word,
    pub place: Place,
    /// With everything below it.
    pub tree: bool,
    pub last: LastLink,
    /// A link is made here that leads there; later uses go through it.
    pub links_to: Option<String>,
}

impl Access {
    /// The use of a name in the shell's own directory.
    pub(crate) fn new(what: Use, name: Word) -> Self {
        let place = Place::Known(PathBuf::new());
        Self { what, name, place, tree: false, last: LastLink::Follow, links_to: None }
    }

    pub(crate) fn at(self, place: &Place) -> Self {
        Self { place: place.clone(), ..self }
    }

    pub(crate) fn whole(self, tree: bool) -> Self {
        Self { tree, ..self }
    }

    pub(crate) fn keeping_link(self) -> Self {
        Self { last: LastLink::Keep, ..self }
    }
}
