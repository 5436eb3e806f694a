//! Alerts by e-mail: a user's go to the user and to the operators, all others to the operators.

use super::{NotTold, Teller, letter::letter, limits};
use async_trait::async_trait;
use domain::{Alert, AlertChannel, AlertId, UserId, ports::Accounts};
use futures::future::join_all;
use lettre::{
    Address, AsyncSmtpTransport, AsyncTransport, Tokio1Executor,
    message::Mailbox,
    transport::smtp::{
        Error as SmtpError, PoolConfig,
        authentication::Credentials,
        client::{Certificate, Tls, TlsParameters},
    },
};
use secrecy::{ExposeSecret, SecretString};
use std::{
    collections::{HashMap, HashSet},
    error::Error,
    fmt,
    str::FromStr,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::Semaphore;

/// An address that mail can be sent to, with or without a name: `Ops <ops@example.com>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailAddress(pub(super) Mailbox);

/// The text is no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("read the mail address {0:?}")]
pub struct BadMailAddress(String);

impl FromStr for MailAddress {
    type Err = BadMailAddress;

    fn from_str(text: &str) -> Result<Self, BadMailAddress> {
        text.parse().map(Self).map_err(|_| BadMailAddress(text.to_owned()))
    }
}

/// How the connection to the mail server is secured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailTls {
    /// Begins in clear and must be secured before anything is said.
    StartTls,
    /// Secured from the first byte.
    Implicit,
    /// Not at all: for a server on the same machine.
    Off,
}

/// Which mail server is used, and for whom.
#[derive(Debug, Clone)]
pub struct MailSettings {
    pub host: String,
    pub port: u16,
    pub tls: MailTls,
    pub credentials: Option<(String, SecretString)>,
    pub from: MailAddress,
    /// Who gets every alert.
    pub operators: Vec<MailAddress>,
    /// A certificate, in PEM, that is trusted beside those the system trusts.
    pub certificate: Option<String>,
}

/// The certificate is none, or the system's cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("set up the connection to the mail server")]
pub struct BadCertificate(#[source] SmtpError);

/// Sends alerts by SMTP.
pub struct Mailer {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: MailAddress,
    operators: Vec<MailAddress>,
    accounts: Arc<dyn Accounts>,
    connections: Semaphore,
    /// Who has got an alert that others have not got yet, so that they do not get it each time the others are tried.
    half_told: Mutex<HashMap<AlertId, HashSet<Address>>>,
}

impl Mailer {
    /// Sets the connection up; the server is called when there is something to send.
    pub fn new(settings: MailSettings, accounts: Arc<dyn Accounts>) -> Result<Self, BadCertificate> {
        let tls = tls(&settings).map_err(BadCertificate)?;
        let pool = PoolConfig::new().max_size(limits::MAIL_CONNECTIONS_MAX);
        let builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(settings.host)
            .port(settings.port)
            .tls(tls)
            .timeout(Some(limits::SMTP_STEP_MAX))
            .pool_config(pool);
        let builder = match settings.credentials {
            Some((name, password)) => {
                builder.credentials(Credentials::new(name, password.expose_secret().to_owned()))
            }
            None => builder,
        };
        Ok(Self {
            transport: builder.build(),
            from: settings.from,
            operators: settings.operators,
            accounts,
            connections: Semaphore::new(limits::MAIL_CONNECTIONS_MAX as usize),
            half_told: Mutex::default(),
        })
    }

    /// Everybody who is to have it, each once.
    async fn recipients(&self, alert: &Alert) -> Result<Vec<Mailbox>, NotTold> {
        let mut recipients = match alert.user_id {
            Some(user) => self.user(user).await?,
            None => vec![],
        };
        recipients.extend(self.operators.iter().map(|operator| operator.0.clone()));
        let mut seen = HashSet::new();
        recipients.retain(|recipient| seen.insert(recipient.email.clone()));
        Ok(recipients)
    }

    /// The user's mailbox, if they have one and may still come in.
    async fn user(&self, id: UserId) -> Result<Vec<Mailbox>, NotTold> {
        let user = self.accounts.user(id).await;
        let user =
            user.map_err(|error| NotTold(format!("has a recipient who could not be looked up: {error}")))?;
        let Some(user) = user.filter(|user| user.is_active) else { return Ok(vec![]) };
        // Of an account such as admin@localhost nobody knows whether mail gets there; the server says so if not.
        let Ok(address) = user.email.parse::<Address>() else {
            tracing::warn!(user_id = %id, "the address of a user is none that mail can be sent to");
            return Ok(vec![]);
        };
        Ok(vec![Mailbox::new(None, address)])
    }

    async fn send(&self, alert: &Alert, to: Mailbox) -> Result<(), String> {
        let letter = letter(alert, &self.from, to).map_err(|error| error.to_string())?;
        // Nobody closes it.
        let _connection = self.connections.acquire().await.map_err(|closed| closed.to_string())?;
        self.transport.send(letter).await.map(drop).map_err(|error| said(&error))
    }

    fn half_told(&self) -> std::sync::MutexGuard<'_, HashMap<AlertId, HashSet<Address>>> {
        self.half_told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has(&self, alert: AlertId, recipient: &Address) -> bool {
        self.half_told().get(&alert).is_some_and(|told| told.contains(recipient))
    }

    fn note(&self, alert: AlertId, recipient: Address) {
        let mut half_told = self.half_told();
        if half_told.len() >= limits::HALF_TOLD_MAX && !half_told.contains_key(&alert) {
            // Some will hear of something twice, under the same id.
            half_told.clear();
        }
        half_told.entry(alert).or_default().insert(recipient);
    }
}

#[async_trait]
impl Teller for Mailer {
    fn channel(&self) -> AlertChannel {
        AlertChannel::Email
    }

    async fn tell(&self, alert: &Alert) -> Result<(), NotTold> {
        let recipients = self.recipients(alert).await?;
        let missing = recipients.into_iter().filter(|recipient| !self.has(alert.id, &recipient.email));
        // One letter each, beside each other: a recipient that the server refuses must not keep the others from theirs.
        let sending = missing.map(|recipient| async {
            let address = recipient.email.clone();
            self.send(alert, recipient).await.map(|()| self.note(alert.id, address))
        });
        let failures: Vec<String> = join_all(sending).await.into_iter().filter_map(Result::err).collect();
        if failures.is_empty() {
            self.half_told().remove(&alert.id);
            return Ok(());
        }
        Err(NotTold(format!("was not taken by the mail server: {}", failures.join("; "))))
    }
}

fn tls(settings: &MailSettings) -> Result<Tls, SmtpError> {
    if settings.tls == MailTls::Off {
        return Ok(Tls::None);
    }
    let mut parameters = TlsParameters::builder(settings.host.clone());
    if let Some(pem) = &settings.certificate {
        parameters = parameters.add_root_certificate(Certificate::from_pem(pem.as_bytes())?);
    }
    let parameters = parameters.build_rustls()?;
    Ok(match settings.tls {
        MailTls::StartTls => Tls::Required(parameters),
        MailTls::Implicit => Tls::Wrapper(parameters),
        MailTls::Off => Tls::None,
    })
}

/// What went wrong, with its causes; neither the address nor the password is among them.
fn said(error: &SmtpError) -> String {
    let causes = std::iter::successors(error.source(), |cause: &&dyn Error| (*cause).source());
    causes.fold(error.to_string(), |text, cause| {
        let cause = cause.to_string();
        if text.contains(&cause) { text } else { format!("{text}: {cause}") }
    })
}

impl fmt::Debug for Mailer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mailer").field("operators", &self.operators.len()).finish_non_exhaustive()
    }
}
