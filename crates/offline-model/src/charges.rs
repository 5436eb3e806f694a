//! Remembers what the API would have charged, so that a test can hold somebody's books against it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

use crate::Options;

/// What one answer is charged, but for what only its iterations tell.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Charge {
    /// The model that the answer claims to be from.
    pub model: String,
    pub input: u64,
    /// Of the whole answer, also when it was not sent to its end.
    pub output: u64,
    pub cache_read: u64,
    pub cache_write_5m: u64,
    pub cache_write_1h: u64,
    pub web_searches: u64,
    /// Whether it was sent to its end.
    pub is_complete: bool,
}

/// The first charges since the start or the last reset.
#[derive(Debug)]
pub(crate) struct Charges {
    kept: Mutex<Kept>,
    max: usize,
}

#[derive(Debug, Default)]
struct Kept {
    charges: Vec<Charge>,
    /// Counts resets, so that an answer from before one is not taken for another.
    life: u64,
}

/// Which charge is meant.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    life: u64,
    index: usize,
}

impl Charges {
    pub(crate) fn new(options: &Options) -> Self {
        Self { kept: Mutex::default(), max: options.kept_requests }
    }

    pub(crate) fn add(&self, charge: Charge) -> Place {
        let mut kept = self.lock();
        let place = Place { life: kept.life, index: kept.charges.len() };
        if place.index < self.max {
            kept.charges.push(charge);
        }
        place
    }

    pub(crate) fn complete(&self, place: Place) {
        let mut kept = self.lock();
        if kept.life == place.life
            && let Some(charge) = kept.charges.get_mut(place.index)
        {
            charge.is_complete = true;
        }
    }

    pub(crate) fn all(&self) -> Vec<Charge> {
        self.lock().charges.clone()
    }

    pub(crate) fn to_json(&self) -> Value {
        self.all()
            .iter()
            .map(|charge| {
                json!({
                    "model": charge.model,
                    "input": charge.input,
                    "output": charge.output,
                    "cache_read": charge.cache_read,
                    "cache_write_5m": charge.cache_write_5m,
                    "cache_write_1h": charge.cache_write_1h,
                    "web_searches": charge.web_searches,
                    "is_complete": charge.is_complete,
                })
            })
            .collect()
    }

    pub(crate) fn clear(&self) {
        let mut kept = self.lock();
        *kept = Kept { charges: Vec::new(), life: kept.life + 1 };
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
