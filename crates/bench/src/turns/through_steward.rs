//! Turns as a client of the server has them.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use bytes::Bytes;
use http::Method;

use super::{PROMPT, session_wanted};
use crate::{
    connection::Connection,
    steward::{Steward, create_session, query},
};

/// A client with a session whose agent runs.
#[derive(Debug)]
pub(crate) struct ThroughSteward {
    connection: Connection,
    session: String,
}

impl ThroughSteward {
    pub(super) async fn start(server: &Steward) -> Result<Self> {
        let mut connection = server.connect(&server.log_in().await?).await?;
        let session = create_session(&mut connection, &session_wanted()).await?;
        query(&mut connection, &session, PROMPT).await?;
        Ok(Self { connection, session })
    }

    pub(super) fn session(&self) -> &str {
        &self.session
    }

    pub(super) async fn warm(&mut self) -> Result<Duration> {
        let asked = Instant::now();
        query(&mut self.connection, &self.session, PROMPT).await?;
        Ok(asked.elapsed())
    }

    pub(super) async fn cold(&mut self) -> Result<Duration> {
        let session = create_session(&mut self.connection, &session_wanted()).await?;
        let asked = Instant::now();
        query(&mut self.connection, &session, PROMPT).await?;
        let took = asked.elapsed();
        let path = format!("/api/v1/sessions/{session}");
        let (status, _) = self.connection.send(Method::DELETE, &path, Bytes::new()).await?;
        ensure!(status.is_success(), "a session could not be ended: {status}");
        Ok(took)
    }
}
