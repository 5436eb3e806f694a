//! A mail server for tests: it speaks SMTP with TLS and logins, answers as it is told to, and keeps what it took.

use mailin_embedded::{AuthMechanism, Handler, Response, Server, SslConfig, response};
use std::{
    io,
    net::{IpAddr, TcpListener},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tempfile::TempDir;

/// What becomes of mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MailReply {
    Take,
    /// Every letter, with this status after its last line.
    Refuse(u16),
    /// This recipient alone, with this status.
    RefuseRecipient(String, u16),
    /// Each letter is taken after this time.
    Slow(Duration),
}

/// A letter that was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    pub from: String,
    pub to: Vec<String>,
    /// As it came over the wire.
    pub text: String,
    /// Who had logged in, if anybody had.
    pub login: Option<String>,
}

/// What a sink asks for.
#[derive(Debug, Clone, Copy, Default)]
pub struct MailSinkPlan {
    /// The port, if it is to be this one.
    pub port: Option<u16>,
    /// Offers STARTTLS with a certificate of its own for `localhost`.
    pub tls: bool,
    /// Who may send; nobody has to log in without.
    pub login: Option<(&'static str, &'static str)>,
}

/// The server. It runs until the process ends.
#[derive(Debug)]
pub struct MailSink {
    pub port: u16,
    /// Its certificate, in PEM.
    pub certificate: Option<String>,
    shared: Arc<Shared>,
    /// Holds the certificate's files.
    _files: Option<TempDir>,
}

#[derive(Debug)]
struct Shared {
    reply: Mutex<MailReply>,
    taken: Mutex<Vec<Mail>>,
    /// Letters that were brought, whatever became of them.
    brought: Mutex<usize>,
    login: Option<(&'static str, &'static str)>,
}

/// Connections that are served at once.
const THREADS: u32 = 32;

impl MailSink {
    /// Listens on loopback.
    pub fn start(plan: MailSinkPlan) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", plan.port.unwrap_or(0)))?;
        let port = listener.local_addr()?.port();
        let shared = Arc::new(Shared {
            reply: Mutex::new(MailReply::Take),
            taken: Mutex::default(),
            brought: Mutex::default(),
            login: plan.login,
        });
        let (ssl, certificate, files) = if plan.tls { certificate()? } else { (SslConfig::None, None, None) };
        let mut server = Server::new(Conversation { shared: shared.clone(), login: None, letter: None });
        let other = |error: mailin_embedded::err::Error| io::Error::other(error.to_string());
        server.with_name("sink").with_ssl(ssl).map_err(other)?.with_tcp_listener(listener);
        // A connection that is kept open takes a thread of its own here.
        server.with_num_threads(THREADS);
        if plan.login.is_some() {
            server.with_auth(AuthMechanism::Plain);
        }
        std::thread::spawn(move || {
            // It serves until the process ends.
            let _ended = server.serve();
        });
        Ok(Self { port, certificate, shared, _files: files })
    }

    /// Answers like this from now on.
    pub fn reply_with(&self, reply: MailReply) {
        *lock(&self.shared.reply) = reply;
    }

    /// What was taken so far, in the order it came.
    #[must_use]
    pub fn taken(&self) -> Vec<Mail> {
        lock(&self.shared.taken).clone()
    }

    /// How many letters were brought, taken or not.
    #[must_use]
    pub fn brought(&self) -> usize {
        *lock(&self.shared.brought)
    }
}

/// One connection.
#[derive(Debug, Clone)]
struct Conversation {
    shared: Arc<Shared>,
    login: Option<String>,
    letter: Option<Letter>,
}

#[derive(Debug, Clone)]
struct Letter {
    from: String,
    to: Vec<String>,
    text: Vec<u8>,
}

impl Handler for Conversation {
    fn mail(&mut self, _: IpAddr, _: &str, _: &str) -> Response {
        match self.shared.login {
            Some(_) if self.login.is_none() => Response::custom(530, "log in first".to_owned()),
            _ => response::OK,
        }
    }

    fn rcpt(&mut self, to: &str) -> Response {
        match &*lock(&self.shared.reply) {
            MailReply::RefuseRecipient(recipient, status) if recipient == to => {
                *lock(&self.shared.brought) += 1;
                refusal(*status)
            }
            _ => response::OK,
        }
    }

    fn data_start(&mut self, _: &str, from: &str, _: bool, to: &[String]) -> Response {
        self.letter = Some(Letter { from: from.to_owned(), to: to.to_vec(), text: vec![] });
        response::OK
    }

    fn data(&mut self, text: &[u8]) -> io::Result<()> {
        if let Some(letter) = &mut self.letter {
            letter.text.extend_from_slice(text);
        }
        Ok(())
    }

    fn data_end(&mut self) -> Response {
        *lock(&self.shared.brought) += 1;
        let reply = lock(&self.shared.reply).clone();
        match reply {
            MailReply::Refuse(status) => return refusal(status),
            MailReply::Slow(time) => std::thread::sleep(time),
            MailReply::Take | MailReply::RefuseRecipient(..) => {}
        }
        if let Some(Letter { from, to, text }) = self.letter.take() {
            let text = String::from_utf8_lossy(&text).into_owned();
            lock(&self.shared.taken).push(Mail { from, to, text, login: self.login.clone() });
        }
        response::OK
    }

    fn auth_plain(&mut self, _: &str, name: &str, password: &str) -> Response {
        match self.shared.login {
            Some(login) if login == (name, password) => {
                self.login = Some(name.to_owned());
                response::AUTH_OK
            }
            _ => response::INVALID_CREDENTIALS,
        }
    }
}

fn refusal(status: u16) -> Response {
    Response::custom(status, "not now".to_owned())
}

/// A fresh certificate, as the server and as its clients take it.
fn certificate() -> io::Result<(SslConfig, Option<String>, Option<TempDir>)> {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).map_err(io::Error::other)?;
    let files = tempfile::tempdir()?;
    let (cert_path, key_path) = (files.path().join("cert.pem"), files.path().join("key.pem"));
    std::fs::write(&cert_path, made.cert.pem())?;
    std::fs::write(&key_path, made.signing_key.serialize_pem())?;
    let path = |path: std::path::PathBuf| path.display().to_string();
    let ssl = SslConfig::SelfSigned { cert_path: path(cert_path), key_path: path(key_path) };
    Ok((ssl, Some(made.cert.pem()), Some(files)))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
