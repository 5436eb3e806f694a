//! The files that a call uses, as rules see them: not the name, but where it leads.

use crate::{
    CannotJudge, Surroundings, ToolCall,
    paths::{self, Astray, Real, Resolver, Use, expand_home},
    shell::Place,
};
use std::path::{Path, PathBuf};

/// What one call reads and writes.
#[derive(Debug, Default)]
pub(super) struct Files {
    pub(super) used: Vec<(Use, PathBuf)>,
    /// Whether there may be more that are not known.
    pub(super) has_unknown: bool,
}

impl Files {
    /// Looks at the file system.
    pub(super) fn of(call: &ToolCall, surroundings: &Surroundings) -> Result<Self, CannotJudge> {
        let mut files = Self::default();
        let mut resolver = Resolver::new(&call.cwd);
        let expand =
            |text: &str| expand_home(text, &surroundings.home, &call.cwd).unwrap_or_else(|| text.to_owned());
        for access in paths::accesses(call, surroundings)? {
            let (Some(name), Place::Known(place)) = (access.name.known(), &access.place) else {
                files.has_unknown = true;
                continue;
            };
            let (place, name) = (expand(&place.to_string_lossy()), expand(name));
            let real = resolver.resolve(Path::new(&place), Path::new(&name), access.last);
            let path = match real {
                Ok(Real::Path(path)) => path,
                // What is longer than any path is a text that looked like one.
                Err(Astray::TooLong) if access.what == Use::Mention => continue,
                Ok(Real::Stream) => continue,
                Err(astray) => return Err(CannotJudge(format!("{name} cannot be judged: {astray}"))),
            };
            if let Some(target) = access.links_to {
                resolver.link(path.clone(), PathBuf::from(expand(&target)));
            }
            files.used.push((access.what, path));
        }
        Ok(files)
    }
}
