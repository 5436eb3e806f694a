//! Who may write when: a few at once, off the threads that serve requests, and each for a while.

use crate::{WriteError, write};
use async_trait::async_trait;
use bytes::Bytes;
use domain::{
    ReportFormat,
    ports::{RenderError, ReportRenderer},
    report::ReportDocument,
};
use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::Semaphore;

/// What bounds the writing of reports.
#[derive(Debug, Clone)]
pub struct RendererSettings {
    /// Reports that are written at once; each keeps a core busy.
    pub at_once_max: usize,
    /// Reports that wait for those, beside them.
    pub waiting_max: usize,
    /// How long one may wait, and then again how long it may be written.
    pub timeout: Duration,
    /// A folder of fonts for what the built-in ones have no glyphs of, such as Chinese, Japanese and Korean.
    pub fonts: Option<PathBuf>,
}

impl Default for RendererSettings {
    fn default() -> Self {
        Self { at_once_max: 1, waiting_max: 16, timeout: Duration::from_secs(30), fonts: None }
    }
}

/// Writes reports, as many at once as it may.
#[derive(Debug)]
pub struct Renderer {
    settings: Arc<RendererSettings>,
    /// Who writes or waits.
    places: Arc<Semaphore>,
    /// Who writes.
    desks: Arc<Semaphore>,
}

impl Renderer {
    /// A renderer that nobody uses yet; it takes no memory to speak of.
    #[must_use]
    pub fn new(settings: RendererSettings) -> Self {
        Self {
            places: Arc::new(Semaphore::new(settings.at_once_max.saturating_add(settings.waiting_max))),
            desks: Arc::new(Semaphore::new(settings.at_once_max)),
            settings: Arc::new(settings),
        }
    }
}

#[async_trait]
impl ReportRenderer for Renderer {
    async fn render(&self, document: ReportDocument, format: ReportFormat) -> Result<Bytes, RenderError> {
        let place = self.places.clone().try_acquire_owned().map_err(|_| RenderError::Busy)?;
        let desk = tokio::time::timeout(self.settings.timeout, self.desks.clone().acquire_owned()).await;
        let desk = desk.map_err(|_| RenderError::Busy)?.map_err(|_| RenderError::Busy)?;
        let settings = self.settings.clone();
        let writing = tokio::task::spawn_blocking(move || {
            // Given back when it is written, also if nobody waits for it any more.
            let _held = (place, desk);
            let deadline = Instant::now() + settings.timeout;
            write(&document, format, &settings, deadline)
        });
        match writing.await {
            Ok(Ok(file)) => Ok(file.into()),
            Ok(Err(WriteError::Late)) => Err(RenderError::TimedOut),
            Ok(Err(error)) => Err(RenderError::Failed(Box::new(error))),
            // It panicked, and took nothing with it but itself.
            Err(error) => Err(RenderError::Failed(Box::new(error))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sections::tests::document;

    #[tokio::test]
    async fn as_many_wait_as_may_and_no_more() {
        let settings =
            RendererSettings { at_once_max: 1, waiting_max: 1, timeout: Duration::from_mins(5), fonts: None };
        let renderer = Renderer::new(settings);
        let desk = renderer.desks.clone().acquire_owned().await.unwrap();
        let mut waits = Box::pin(renderer.render(document(), ReportFormat::Json));
        assert!(futures_poll(&mut waits).await, "it waits for the desk");
        let mut behind = Box::pin(renderer.render(document(), ReportFormat::Json));
        assert!(futures_poll(&mut behind).await, "one may wait behind the one that writes");
        let refused = renderer.render(document(), ReportFormat::Json).await;
        assert!(matches!(refused, Err(RenderError::Busy)), "{refused:?}");
        drop(desk);
        assert!(waits.await.is_ok() && behind.await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_ever() {
        let renderer = Renderer::new(RendererSettings::default());
        let _desk = renderer.desks.clone().acquire_owned().await.unwrap();
        let refused = renderer.render(document(), ReportFormat::Json).await;
        assert!(matches!(refused, Err(RenderError::Busy)), "{refused:?}");
    }

    #[tokio::test]
    async fn what_takes_too_long_is_given_up() {
        let renderer =
            Renderer::new(RendererSettings { timeout: Duration::ZERO, ..RendererSettings::default() });
        let desk = renderer.render(document(), ReportFormat::Pdf).await;
        assert!(matches!(desk, Err(RenderError::TimedOut | RenderError::Busy)), "{desk:?}");
        let late = write(&document(), ReportFormat::Pdf, &RendererSettings::default(), Instant::now());
        assert!(matches!(late, Err(WriteError::Late)), "{late:?}");
    }

    /// Whether it is still pending after it was asked once.
    async fn futures_poll<F: Future + Unpin>(future: &mut F) -> bool {
        std::future::poll_fn(|context| {
            std::task::Poll::Ready(std::pin::Pin::new(&mut *future).poll(context).is_pending())
        })
        .await
    }
}
