//! Programs of the system's packages, unpacked into the cache folder: nothing is installed, and no rights are needed.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail, ensure};

use crate::{claude::cache_folder, settings::Settings};

/// What to unpack, and how to know that it is there.
pub(crate) struct Wanted<'w> {
    /// The folder it goes to, in the cache folder.
    pub(crate) name: &'w str,
    /// Has apt-get put packages into the folder it runs in.
    pub(crate) download: &'w [&'w str],
    /// Whether what was unpacked into a folder works.
    pub(crate) works: &'w dyn Fn(&Path) -> bool,
    /// What to do if there is no apt-get, or it has no such package.
    pub(crate) advice: &'w str,
}

impl Wanted<'_> {
    /// The folder in which it is and works.
    pub(crate) fn unpacked(&self, settings: &Settings) -> Result<PathBuf> {
        let cache = cache_folder(settings)?;
        fs::create_dir_all(&cache).with_context(|| format!("failed to make {}", cache.display()))?;
        let folder = cache.join(self.name);
        let lock = File::create(cache.join(format!("{}-install.lock", self.name)))?;
        lock.lock().context("failed to lock the cache folder")?;
        if (self.works)(&folder) {
            return Ok(folder);
        }
        println!("unpacking {} into {}", self.name, folder.display());
        // A package that is cut off is downloaded again: nothing that does not work is taken for it.
        fs::create_dir_all(folder.join("partial"))?;
        // The lists of packages may be missing, as in a container; fetching them takes root, which is who is missing them.
        if !self.run("apt-get", self.download, &folder)? {
            self.run("apt-get", &["--quiet", "update"], &folder)?;
            ensure!(self.run("apt-get", self.download, &folder)?, "{}", self.advice);
        }
        let mut count = 0;
        for entry in fs::read_dir(&folder)? {
            let package = entry?.path();
            if package.extension().is_some_and(|extension| extension == "deb") {
                let package = package.to_str().context("the cache folder's name is not UTF-8")?;
                ensure!(self.run("dpkg-deb", &["--extract", package, "."], &folder)?, "{}", self.advice);
                fs::remove_file(package)?;
                count += 1;
            }
        }
        ensure!(count > 0, "apt-get has downloaded nothing: {}", self.advice);
        ensure!((self.works)(&folder), "the unpacked {} does not run: {}", self.name, self.advice);
        Ok(folder)
    }

    fn run(&self, program: &str, arguments: &[&str], folder: &Path) -> Result<bool> {
        match Command::new(program).args(arguments).current_dir(folder).stdin(Stdio::null()).status() {
            Ok(status) => Ok(status.success()),
            Err(error) => bail!("{program} cannot be run ({error}): {}", self.advice),
        }
    }
}
