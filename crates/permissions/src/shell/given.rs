//! What a command is given to read: its standard input, and files that are nothing but an open descriptor.

use super::{
    Place, Unparsable,
    place::by_name,
    walk::{Scope, Walk},
    words::Expanded,
};
use std::path::Path;

/// What a command reads from its standard input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stdin {
    /// What the shell was given.
    Inherited,
    /// A file.
    File,
    /// This text.
    Known(String),
    /// The output of something; as much of its text as is known.
    Unknown(Option<String>),
}

impl Stdin {
    /// With other text around it, or changed a little on its way.
    pub(super) fn mixed(self) -> Self {
        match self {
            Self::Known(text) => Self::Unknown(Some(text)),
            other => other,
        }
    }
}

/// A descriptor by the name of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Descriptor {
    Stdin,
    Other,
}

/// The descriptor that a path leads to, from anywhere the shell may be. Its end is enough: what else is called so can
/// be asked about.
pub(super) fn descriptor(text: &str, scope: &Scope) -> Option<Descriptor> {
    let from = scope.places.all().iter().filter_map(|place| match place {
        Place::Known(place) => Some(place.join(text)),
        Place::Unknown => None,
    });
    from.chain([Path::new(text).to_owned()]).find_map(|path| {
        let path = by_name(&path);
        let mut names = path.iter().rev().filter_map(|name| name.to_str());
        match (names.next()?, names.next()?, names.next()) {
            ("stdin", "dev", _) | ("0", "fd", Some("dev" | "self" | "thread-self")) => {
                Some(Descriptor::Stdin)
            }
            (number, "fd", _) if number.bytes().all(|byte| byte.is_ascii_digit()) => Some(Descriptor::Other),
            _ => None,
        }
    })
}

impl Walk {
    /// What a command reads from its standard input there.
    pub(super) fn stdin(&self, scope: &Scope) -> Stdin {
        match scope.stdin {
            Stdin::Inherited if self.is_input_replaced => Stdin::Unknown(None),
            ref stdin => stdin.clone(),
        }
    }

    /// A program that is read from the standard input.
    pub(super) fn standard_input(&mut self, scope: &Scope) -> Result<(), Unparsable> {
        match self.stdin(scope) {
            Stdin::Inherited | Stdin::File => Ok(()),
            Stdin::Known(text) => self.subprogram(&text, &Scope { stdin: Stdin::Inherited, ..scope.clone() }),
            Stdin::Unknown(text) => {
                self.unknown("what is piped into a shell cannot be known before it runs".to_owned());
                text.map_or(Ok(()), |text| self.attempt(&text, scope))
            }
        }
    }

    /// A program in a file, if that is the standard input, a pipe from a program or another descriptor.
    pub(super) fn program_file(&mut self, word: &Expanded, scope: &Scope) -> Result<(), Unparsable> {
        let descriptor =
            if word.is_pipe { Some(Descriptor::Other) } else { descriptor(&word.template, scope) };
        match descriptor {
            Some(Descriptor::Stdin) => self.standard_input(scope),
            Some(Descriptor::Other) => {
                self.unknown("what is piped into a shell cannot be known before it runs".to_owned());
                Ok(())
            }
            None => Ok(()),
        }
    }
}
