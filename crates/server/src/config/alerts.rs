//! Who is told when a budget is used up or something fails.

use hooks::webhook::check_secret;
use monitoring::alerts::{MailAddress, MailTls};
use secrecy::SecretString;

use super::{
    parse::{self, list, non_empty, number},
    reader::Reader,
};

/// How alerts leave the server; they are in the list of alerts in any case.
#[derive(Debug, Clone)]
pub struct AlertsConfig {
    pub webhook: Option<AlertWebhookConfig>,
    pub mail: Option<MailConfig>,
}

/// An endpoint of the operator's.
#[derive(Debug, Clone)]
pub struct AlertWebhookConfig {
    pub url: String,
    pub secret: SecretString,
}

/// The mail server, and who writes to whom.
#[derive(Debug, Clone)]
pub struct MailConfig {
    pub host: String,
    pub port: u16,
    pub tls: MailTls,
    pub credentials: Option<(String, SecretString)>,
    pub from: MailAddress,
    /// Who gets every alert.
    pub operators: Vec<MailAddress>,
    /// A file with a certificate to trust beside the system's.
    pub certificate_file: Option<std::path::PathBuf>,
}

impl AlertsConfig {
    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let webhook = AlertWebhookConfig::read(reader);
        let mail = MailConfig::read(reader);
        Some(Self { webhook: webhook?, mail: mail? })
    }
}

impl AlertWebhookConfig {
    fn read(reader: &mut Reader<'_>) -> Option<Option<Self>> {
        let url = reader.option("ALERT_WEBHOOK_URL", parse::endpoint_url);
        let secret = reader.secret("ALERT_WEBHOOK_SECRET", |text| {
            check_secret(text).map_err(|_| "whsec_ and the base64 of 24 to 64 random bytes".to_owned())
        });
        match (url?, secret?) {
            (Some(url), Some(secret)) => Some(Some(Self { url, secret })),
            (None, None) => Some(None),
            (Some(_), None) => {
                reader.mistake("ALERT_WEBHOOK_SECRET", BOTH_OR_NEITHER);
                None
            }
            (None, Some(_)) => {
                reader.mistake("ALERT_WEBHOOK_URL", BOTH_OR_NEITHER);
                None
            }
        }
    }
}

const BOTH_OR_NEITHER: &str = "both of ALERT_WEBHOOK_URL and ALERT_WEBHOOK_SECRET, or neither";

impl MailConfig {
    fn read(reader: &mut Reader<'_>) -> Option<Option<Self>> {
        let host = reader.option("SMTP_HOST", non_empty);
        let port = reader.value("SMTP_PORT", "587", number(1..=u16::MAX));
        let tls = reader.value("SMTP_TLS", "starttls", |text| match text {
            "starttls" => Ok(MailTls::StartTls),
            "tls" => Ok(MailTls::Implicit),
            "off" => Ok(MailTls::Off),
            _ => Err("starttls, tls or off".to_owned()),
        });
        let certificate_file = reader.option("SMTP_CA_FILE", parse::path);
        let username = reader.option("SMTP_USERNAME", non_empty);
        let password = reader.secret("SMTP_PASSWORD", |_| Ok(()));
        let from = reader.option("SMTP_FROM_EMAIL", mail_address);
        let operators = reader.option("ALERT_EMAIL_TO", |text| {
            list(text).into_iter().map(mail_address).collect::<Result<Vec<_>, _>>()
        });
        let (host, tls, from) = (host?, tls?, from?);
        let (username, password) = (username?, password?);
        let operators = operators?.unwrap_or_default();
        let Some(host) = host else {
            if operators.is_empty() {
                return Some(None);
            }
            reader.mistake("SMTP_HOST", "the mail server by which ALERT_EMAIL_TO is told");
            return None;
        };
        let mistakes = [
            (from.is_none(), "SMTP_FROM_EMAIL", "an address that alerts come from"),
            (
                username.is_some() != password.is_some(),
                "SMTP_PASSWORD",
                "both of SMTP_USERNAME and SMTP_PASSWORD, or neither",
            ),
            (
                tls == MailTls::Off && !is_here(&host),
                "SMTP_TLS",
                "starttls or tls, unless SMTP_HOST is this machine",
            ),
        ];
        let mut is_mistaken = false;
        for (is_wrong, name, allowed) in mistakes {
            if is_wrong {
                reader.mistake(name, allowed);
                is_mistaken = true;
            }
        }
        let mail = Self {
            host,
            port: port?,
            tls,
            credentials: username.zip(password),
            from: from?,
            operators,
            certificate_file: certificate_file?,
        };
        (!is_mistaken).then_some(Some(mail))
    }
}

fn mail_address(text: &str) -> Result<MailAddress, String> {
    text.parse().map_err(|_| "mail addresses such as Ops <ops@example.com>".to_owned())
}

/// Whether what is said to this host stays on the machine.
fn is_here(host: &str) -> bool {
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}
