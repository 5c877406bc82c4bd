//! The simulated LOGO.

use std::sync::Arc;

use axum::Router;
use kopru_sdk::sandbox::{ControlError, SandboxOptions, SandboxSystem};
use serde_json::Value;

struct Nobody;

impl SandboxSystem for Nobody {
    fn router(self: Arc<Self>) -> Router {
        Router::new()
    }
    fn state(&self, _kind: Option<&str>, _reference: Option<&str>) -> Value {
        Value::Null
    }
    fn change(&self, _change: &Value) -> Result<Value, ControlError> {
        Err("nothing to change".to_owned())
    }
    fn settings(&self, _base_url: &str) -> Value {
        Value::Null
    }
    fn expire_tokens(&self) {}
    fn shift_clock(&self, _seconds: i64) {}
}

pub fn system(_options: &SandboxOptions) -> Result<Arc<dyn SandboxSystem>, kopru_sdk::BadSettings> {
    Ok(Arc::new(Nobody))
}
