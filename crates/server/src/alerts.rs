//! How alerts leave this server, as its settings say.

use std::{fs, sync::Arc};

use anyhow::Context;
use domain::{Clock, ports::Accounts};
use hooks::webhook::{AlertWebhook, Client};
use monitoring::alerts::{MailSettings, Mailer, Teller};

use crate::config::{AlertWebhookConfig, AlertsConfig, MailConfig};

/// The channels that are set up.
pub(crate) fn tellers(
    config: &AlertsConfig,
    client: &Client,
    accounts: Arc<dyn Accounts>,
    clock: Arc<dyn Clock>,
) -> anyhow::Result<Vec<Arc<dyn Teller>>> {
    let mut tellers: Vec<Arc<dyn Teller>> = Vec::new();
    if let Some(AlertWebhookConfig { url, secret }) = &config.webhook {
        let webhook = AlertWebhook::new(client.clone(), clock, url, secret.clone());
        tellers.push(Arc::new(webhook.context("could not use ALERT_WEBHOOK_URL")?));
    }
    if let Some(mail) = &config.mail {
        tellers.push(Arc::new(mailer(mail, accounts)?));
    }
    Ok(tellers)
}

fn mailer(config: &MailConfig, accounts: Arc<dyn Accounts>) -> anyhow::Result<Mailer> {
    let MailConfig { host, port, tls, credentials, from, operators, certificate_file } = config.clone();
    let certificate = certificate_file
        .map(|file| {
            fs::read_to_string(&file)
                .with_context(|| format!("could not read SMTP_CA_FILE {}", file.display()))
        })
        .transpose()?;
    let settings = MailSettings { host, port, tls, credentials, from, operators, certificate };
    Mailer::new(settings, accounts).context("could not set up mail")
}
