//! `steward audit`: verifying and exporting the audit log without a server, or beside a running one.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Write},
    path::Path,
    process::ExitCode,
    sync::Arc,
};

use anyhow::Context;
use domain::{
    AuditFilter, AuditKey,
    audit::{Damage, Hash, Notice, Verified, Verifier},
    ports::{Audit as _, StoreError},
};
use futures::TryStreamExt;
use persistence::{Database, DatabaseOptions, Store};
use secrecy::ExposeSecret;

use crate::{
    command::{Audit, Verify},
    config::Config,
    secret_key,
};

/// Entries read from the database at a time.
const BATCH: u32 = 1000;
/// The longest line of an export that is read; an entry is a few hundred bytes.
const LINE_BYTES_MAX: u64 = 1024 * 1024;
/// The chain is damaged.
const DAMAGED: u8 = 1;
/// Whether the chain is damaged could not be found out.
pub const NOT_CHECKED: u8 = 2;

/// Does what it was asked.
pub async fn run(command: Audit) -> anyhow::Result<ExitCode> {
    match command {
        Audit::Verify(verify) => run_verify(&verify).await,
        Audit::Export { after_seq } => {
            export(&config()?, after_seq).await?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

async fn run_verify(command: &Verify) -> anyhow::Result<ExitCode> {
    let config = config()?;
    let keys = keys(&config, command)?;
    let is_signed = !keys.is_empty();
    let expected = command.expect_head.as_deref().map(hash).transpose()?;
    let verifier = Verifier::from(command.from_seq).signed_with(keys).expecting(expected);
    let outcome = match &command.file {
        Some(path) => verify_file(path, verifier)?,
        None => verify_database(&config, verifier, command.from_seq).await?,
    };
    let mut out = std::io::stdout().lock();
    match outcome {
        Ok(Verified { entries, head }) => {
            writeln!(out, "The chain is whole: {entries} entries, the last is {head}")?;
            if !is_signed {
                writeln!(out, "Its signatures were not checked, because there is no key.")?;
            }
            Ok(ExitCode::SUCCESS)
        }
        Err(Damage { seq, fault }) => {
            writeln!(out, "DAMAGED at entry {seq}: {}", chain(&fault))?;
            Ok(ExitCode::from(DAMAGED))
        }
    }
}

fn verify_file(path: &Path, mut verifier: Verifier) -> anyhow::Result<Result<Verified, Damage>> {
    let failed = || format!("could not read {}", path.display());
    let mut file = BufReader::new(File::open(path).with_context(failed)?);
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = std::io::Read::take(&mut file, LINE_BYTES_MAX).read_until(b'\n', &mut line);
        if read.with_context(failed)? == 0 {
            return Ok(verifier.finish());
        }
        // The last line is whole only with its end: what is cut off must not look like a shorter log.
        let text = line.strip_suffix(b"\n").map(std::str::from_utf8);
        let taken = match text {
            Some(Ok(text)) => verifier.take_line(text),
            Some(Err(error)) => Err(verifier.unreadable(error)),
            None => Err(verifier.unreadable("the line has no end")),
        };
        match taken {
            Ok(notice) => tell(notice)?,
            Err(damage) => return Ok(Err(damage)),
        }
    }
}

async fn verify_database(
    config: &Config,
    verifier: Verifier,
    from_seq: u64,
) -> anyhow::Result<Result<Verified, Damage>> {
    let store = open(config).await?;
    // Asked for first: a running server may add entries meanwhile, and removes none.
    let head = store.head().await.context("could not read the head of the audit log")?;
    let mut verifier = verifier.reaching(head);
    let mut after = from_seq - 1;
    loop {
        let batch = match store.entries_after(after, BATCH, &AuditFilter::default()).await {
            Ok(batch) => batch,
            Err(error @ StoreError::Unavailable(_)) => {
                return Err(error).context("could not read the audit log");
            }
            // The row itself makes no sense, so somebody changed it.
            Err(error) => return Ok(Err(verifier.unreadable(error))),
        };
        let Some(last) = batch.last() else { return Ok(verifier.finish()) };
        after = last.seq;
        for entry in &batch {
            match verifier.take(entry) {
                Ok(notice) => tell(notice)?,
                Err(damage) => return Ok(Err(damage)),
            }
        }
    }
}

async fn export(config: &Config, after_seq: u64) -> anyhow::Result<()> {
    let store = Arc::new(open(config).await?);
    let last = store.head().await.context("could not read the head of the audit log")?.seq;
    let mut lines = std::pin::pin!(engine::audit::lines(store, after_seq, last));
    while let Some(text) = lines.try_next().await.context("could not read the audit log")? {
        std::io::stdout().write_all(text.as_bytes()).context("could not write the export")?;
    }
    std::io::stdout().flush().context("could not write the export")
}

fn config() -> anyhow::Result<Config> {
    Config::load().map_err(|errors| anyhow::anyhow!("failed to {errors}"))
}

async fn open(config: &Config) -> anyhow::Result<Store> {
    let options = DatabaseOptions::new(&config.database.url);
    Ok(Database::open_to_read(&options).await.context("could not open the database")?.store())
}

/// The server's key, if there is one here, and those that were in use before it.
fn keys(config: &Config, command: &Verify) -> anyhow::Result<Vec<AuditKey>> {
    if command.unsigned {
        return Ok(Vec::new());
    }
    let current = match &config.auth.secret_key {
        Some(key) => Some(key.clone()),
        None => secret_key::SECRET.read_if_there(&config.data_dir).context("could not get the secret key")?,
    };
    let mut keys: Vec<AuditKey> =
        current.iter().map(|key| AuditKey::derive(key.expose_secret().as_bytes())).collect();
    for path in &command.previous_key_file {
        let text = fs::read_to_string(path).with_context(|| format!("could not read {}", path.display()))?;
        keys.push(AuditKey::derive(text.trim().as_bytes()));
    }
    Ok(keys)
}

fn hash(text: &str) -> anyhow::Result<Hash> {
    // As the server logs and shows it, with or without the number before it.
    let digits = text.rsplit_once(':').map_or(text, |(_, digits)| digits);
    let mut hash = Hash::default();
    hex::decode_to_slice(digits, &mut hash)
        .context("could not read --expect-head: it is not 64 hexadecimal digits")?;
    Ok(hash)
}

fn tell(notice: Option<Notice>) -> std::io::Result<()> {
    match notice {
        Some(notice) => writeln!(std::io::stderr(), "warning: {notice}"),
        None => Ok(()),
    }
}

/// An error and what led to it, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
