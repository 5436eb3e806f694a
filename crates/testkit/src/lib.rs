//! For tests only: stores in memory, the suite that every store must pass, a clock that can be set, a database, a mail
//! server, TLS.

mod archive_store;
mod clock;
pub mod conformance;
mod mail_sink;
mod memory;
mod postgres;
mod tls;

pub use archive_store::MemoryArchives;
pub use clock::TestClock;
pub use mail_sink::{Mail, MailReply, MailSink, MailSinkPlan};
pub use memory::MemoryStore;
pub use postgres::PostgresDatabase;
pub use tls::{TestAuthority, TlsFront};
