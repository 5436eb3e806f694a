//! A server that speaks S3, for tests and benchmarks: installed into the cache folder, on a folder that is gone
//! afterwards.

use std::{
    fs::{self, File},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

use crate::{cargo::cargo, claude::cache_folder, process, settings::Settings};

const PACKAGE: &str = "s3s-fs";
/// Later ones need a newer compiler than this repository does.
const VERSION: &str = "0.14.1";
const VERSION_TIMEOUT: Duration = Duration::from_secs(10);
const READY_TIMEOUT: Duration = Duration::from_secs(30);
const POLL_INTERVAL: Duration = Duration::from_millis(20);
const BUCKET: &str = "archives";
/// Made up: it listens on the loopback interface only, and there is nothing in it.
const ACCESS_KEY_ID: &str = "steward-test";
const SECRET_ACCESS_KEY: &str = "made-up-for-tests";

/// A server that runs until this is dropped.
#[derive(Debug)]
pub(crate) struct S3Server {
    child: Child,
    address: SocketAddr,
    // After the child, so that it is dropped after it has ended.
    _folder: TempDir,
}

impl S3Server {
    /// Starts one with an empty bucket.
    pub(crate) fn start(root: &Path, settings: &Settings) -> Result<Self> {
        let program = find_or_install(root, settings)?;
        let folder = TempDir::with_prefix("s3-")?;
        // Buckets are its folders.
        fs::create_dir(folder.path().join(BUCKET))?;
        // Only bad luck gives the port to somebody else before it is used.
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let child = Command::new(&program)
            .args(["--host", "127.0.0.1", "--port", &address.port().to_string()])
            .args(["--access-key", ACCESS_KEY_ID, "--secret-key", SECRET_ACCESS_KEY])
            .arg(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("failed to start {}", program.display()))?;
        let mut server = Self { child, address, _folder: folder };
        server.wait_until_ready()?;
        Ok(server)
    }

    /// Where it is and how to log in, for whoever is started.
    pub(crate) fn variables(&self) -> [(&'static str, String); 4] {
        [
            ("STEWARD_TEST_S3_ENDPOINT", format!("http://{}", self.address)),
            ("STEWARD_TEST_S3_BUCKET", BUCKET.to_owned()),
            ("STEWARD_TEST_S3_ACCESS_KEY_ID", ACCESS_KEY_ID.to_owned()),
            ("STEWARD_TEST_S3_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY.to_owned()),
        ]
    }

    fn wait_until_ready(&mut self) -> Result<()> {
        let deadline = Instant::now() + READY_TIMEOUT;
        while TcpStream::connect(self.address).is_err() {
            if let Some(status) = self.child.try_wait()? {
                bail!("{PACKAGE} ended by itself: {status}");
            }
            ensure!(Instant::now() < deadline, "{PACKAGE} does not listen within {READY_TIMEOUT:?}");
            thread::sleep(POLL_INTERVAL);
        }
        Ok(())
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        if let Err(error) = self.child.kill().and_then(|()| self.child.wait()) {
            eprintln!("xtask: failed to end {PACKAGE}: {error}");
        }
    }
}

fn find_or_install(root: &Path, settings: &Settings) -> Result<PathBuf> {
    let cache = cache_folder(settings)?;
    fs::create_dir_all(&cache).with_context(|| format!("failed to make {}", cache.display()))?;
    // Two of these at once would wait for each other in the middle.
    let lock = File::create(cache.join(format!("{PACKAGE}-install.lock")))?;
    lock.lock().context("failed to lock the cache folder")?;
    let folder = cache.join(format!("{PACKAGE}-{VERSION}"));
    let program = folder.join("bin").join(PACKAGE);
    if works(&program) {
        return Ok(program);
    }
    println!("installing {PACKAGE} {VERSION} into {}; it is compiled, which takes minutes", folder.display());
    // Built apart from this repository, whose features and flags are none of its business.
    let target = TempDir::with_prefix_in("build-", &cache)?;
    let status = cargo(root)
        .current_dir(&cache)
        .args([
            "install",
            PACKAGE,
            "--version",
            VERSION,
            "--features",
            "binary",
            "--locked",
            "--force",
            "--quiet",
        ])
        .arg("--root")
        .arg(&folder)
        .env("CARGO_TARGET_DIR", target.path())
        .stdin(Stdio::null())
        .status()
        .context("failed to start cargo")?;
    ensure!(status.success(), "cargo install {PACKAGE} ended with {status}, see above");
    ensure!(works(&program), "{PACKAGE} is installed and does not work");
    Ok(program)
}

fn works(program: &Path) -> bool {
    process::output_within(Command::new(program).arg("--version"), VERSION_TIMEOUT).is_ok()
}
