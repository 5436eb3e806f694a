//! Programs of the system's packages, unpacked into the cache folder: nothing is installed, and no rights are needed.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail, ensure};

use crate::{
    claude::{cache_folder, remove},
    settings::Settings,
};

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
        self.put(&cache, |partial| self.unpack(partial))?;
        Ok(folder)
    }

    /// Fills a folder beside the place and moves it there when it works: what was cut off is never taken for whole.
    fn put(&self, cache: &Path, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
        let (folder, partial) = (cache.join(self.name), cache.join(format!("{}.partial", self.name)));
        remove(&partial)?;
        fs::create_dir(&partial)?;
        fill(&partial)?;
        ensure!((self.works)(&partial), "the unpacked {} does not run: {}", self.name, self.advice);
        remove(&folder)?;
        fs::rename(&partial, &folder).with_context(|| format!("failed to move {} to its place", self.name))
    }

    fn unpack(&self, folder: &Path) -> Result<()> {
        // apt-get keeps what it has not yet whole there.
        fs::create_dir(folder.join("partial"))?;
        // The lists of packages may be missing, as in a container; fetching them takes root, which is who is missing them.
        if !self.run("apt-get", self.download, folder)? {
            self.run("apt-get", &["--quiet", "update"], folder)?;
            ensure!(self.run("apt-get", self.download, folder)?, "{}", self.advice);
        }
        let mut count = 0;
        for entry in fs::read_dir(folder)? {
            let package = entry?.path();
            if package.extension().is_some_and(|extension| extension == "deb") {
                let package = package.to_str().context("the cache folder's name is not UTF-8")?;
                ensure!(self.run("dpkg-deb", &["--extract", package, "."], folder)?, "{}", self.advice);
                fs::remove_file(package)?;
                count += 1;
            }
        }
        ensure!(count > 0, "apt-get has downloaded nothing: {}", self.advice);
        Ok(())
    }

    fn run(&self, program: &str, arguments: &[&str], folder: &Path) -> Result<bool> {
        match Command::new(program).args(arguments).current_dir(folder).stdin(Stdio::null()).status() {
            Ok(status) => Ok(status.success()),
            Err(error) => bail!("{program} cannot be run ({error}): {}", self.advice),
        }
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn what_was_cut_off_is_never_taken_for_whole() {
        let cache = TempDir::new().unwrap();
        let place = cache.path().join("thing");
        let wanted = Wanted {
            name: "thing",
            download: &[],
            works: &|folder| folder.join("program").exists(),
            advice: "advice",
        };
        let write = |folder: &Path, name: &str| fs::write(folder.join(name), "").unwrap();
        // The program is there, what it needs is not.
        let cut_off = |folder: &Path| {
            write(folder, "program");
            bail!("interrupted")
        };
        wanted.put(cache.path(), cut_off).unwrap_err();
        assert!(!place.exists());

        let incomplete = |folder: &Path| {
            write(folder, "something else");
            Ok(())
        };
        let error = wanted.put(cache.path(), incomplete).unwrap_err();
        assert!(error.to_string().contains("advice"), "{error}");
        assert!(!place.exists());

        // What does not work is replaced as a whole.
        fs::create_dir(&place).unwrap();
        write(&place, "old");
        let whole = |folder: &Path| {
            write(folder, "program");
            Ok(())
        };
        wanted.put(cache.path(), whole).unwrap();
        assert!(place.join("program").exists() && !place.join("old").exists());
        assert_eq!(fs::read_dir(cache.path()).unwrap().count(), 1);
    }
}
