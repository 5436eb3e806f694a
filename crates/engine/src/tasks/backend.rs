//! What the workers of apalis work on: rows that are this server's already.
//!
//! apalis has its workers see them through, side by side, and begins a worker anew that broke. Who gets a row, for how
//! long, and what becomes of it is said in the store alone: there is nothing to push, to acknowledge or to beat for.

use apalis_core::{
    backend::{Backend, BackendConfig, finalize::Ephemeral},
    layers::Identity,
    task::Task,
    worker::context::WorkerContext,
};
use domain::ExecutionId;
use futures::{Stream, StreamExt, stream::BoxStream};
use std::{
    convert::Infallible,
    task::{Context, Poll},
};

/// Rows in the order in which they are to be begun.
pub(super) struct Rows<T>(BoxStream<'static, T>);

impl<T> Rows<T> {
    pub(super) fn new(rows: impl Stream<Item = T> + Send + 'static) -> Self {
        Self(rows.boxed())
    }
}

impl<T> Backend for Rows<T> {
    type Task = Task<T>;
    /// An error would end the worker and everything that it has begun; a store that is away is waited for instead.
    type Error = Infallible;

    fn poll_ready(&mut self, _: &mut Context<'_>, _: &WorkerContext) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn poll_next(
        &mut self,
        context: &mut Context<'_>,
        _: &WorkerContext,
    ) -> Poll<Option<Result<Task<T>, Infallible>>> {
        self.0.poll_next_unpin(context).map(|row| row.map(|row| Ok(Task::new(row))))
    }

    fn poll_close(&mut self, _: &mut Context<'_>, _: &WorkerContext) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }
}

impl<T> BackendConfig for Rows<T> {
    type Args = T;
    type Id = ExecutionId;
    type Kind = Ephemeral;
    type Config = ();
    type Layer = Identity;

    fn config(&self) -> &() {
        &()
    }

    fn middleware(&mut self, _: &mut WorkerContext) -> Identity {
        Identity::new()
    }
}
