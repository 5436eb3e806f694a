//! This tool as a wrapper of the compiler, which has it count lines: a copy of it, known by the name it is called by.
//!
//! A script would not do. Shells drop variables whose names they could not have given, and cargo has such.

use std::{
    env,
    ffi::OsStr,
    fs,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Error, Result};

/// The name counts up with the arguments, as cargo looks at the name to see whether to build anew.
const NAME: &str = "counting-rustc-1";
/// Names are not compressed, because the tools are built without zlib. Counters are relocated so that they can be in the file
/// from the start: servers that tests kill are counted too.
const ARGUMENTS: [&str; 5] = [
    "-Cinstrument-coverage",
    "-C",
    "llvm-args=-enable-name-compression=false",
    "-C",
    "llvm-args=-runtime-counter-relocation",
];

/// Puts the wrapper into a folder.
pub(super) fn install(folder: &Path) -> Result<PathBuf> {
    let (wrapper, new) = (folder.join(NAME), folder.join("new"));
    let this = env::current_exe().context("this program has no name")?;
    fs::copy(&this, &new).with_context(|| format!("failed to copy {}", this.display()))?;
    fs::rename(&new, &wrapper).context("failed to put the wrapper into its place")?;
    Ok(wrapper)
}

/// Becomes the compiler if this is called as its wrapper: with the compiler and its arguments. Comes back if it is not, or
/// with why it could not.
pub(crate) fn become_the_compiler() -> Option<Error> {
    let mut arguments = env::args_os();
    let called = arguments.next()?;
    if Path::new(&called).file_name() != Some(OsStr::new(NAME)) {
        return None;
    }
    let Some(compiler) = arguments.next() else { return Some(Error::msg("no compiler is named")) };
    let error = Command::new(&compiler).args(arguments).args(ARGUMENTS).exec();
    Some(Error::new(error).context(format!("failed to start {}", compiler.display())))
}
