//! A receiver of webhooks: takes what is posted to `/_sandbox/hooks`, and shows it as it came.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use axum::http::HeaderMap;
use bytes::Bytes;
use serde::Serialize;

/// How many are shown; older ones are forgotten.
const KEPT: usize = 200;

/// A webhook as it came.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Hook {
    pub id: String,
    pub timestamp: String,
    pub signature: String,
    /// What was signed, byte by byte.
    pub body: String,
}

#[derive(Debug, Default)]
pub struct Hooks(Mutex<VecDeque<Hook>>);

impl Hooks {
    fn lock(&self) -> MutexGuard<'_, VecDeque<Hook>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn take(&self, headers: &HeaderMap, body: &Bytes) {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
        let hook = Hook {
            id: text("webhook-id"),
            timestamp: text("webhook-timestamp"),
            signature: text("webhook-signature"),
            body: String::from_utf8_lossy(body).into_owned(),
        };
        let mut kept = self.lock();
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back(hook);
    }

    /// In the order in which they came.
    pub fn all(&self) -> Vec<Hook> {
        self.lock().iter().cloned().collect()
    }
}
