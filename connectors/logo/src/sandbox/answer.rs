//! Answers as the service words them.

use axum::{
    body::Body,
    http::{HeaderValue, Response, StatusCode, header},
};
use serde_json::{Map, Value, json};

pub type Answer = Response<Body>;

pub fn json_bytes(status: StatusCode, body: Vec<u8>) -> Answer {
    let mut answer = Response::new(Body::from(body));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    headers.insert(header::SERVER, HeaderValue::from_static("Microsoft-HTTPAPI/2.0"));
    answer
}

pub fn json_value(status: StatusCode, body: &Value) -> Answer {
    json_bytes(status, body.to_string().into_bytes())
}

pub fn ok(body: &Value) -> Answer {
    json_value(StatusCode::OK, body)
}

/// `{"Message": …}`
pub fn message(status: StatusCode, text: &str) -> Answer {
    json_value(status, &json!({"Message": text}))
}

pub fn unauthorized() -> Answer {
    message(StatusCode::UNAUTHORIZED, "Authorization has been denied for this request.")
}

/// Why Logo Objects refused a document: the members of its model state, in the order in which they were found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Refusal {
    pub logo: Vec<String>,
    /// One `ValErrorN` each.
    pub values: Vec<String>,
    /// `_iDoCode.String` and the like, with their text.
    pub fields: Vec<(String, String)>,
    pub database: Vec<String>,
}

impl Refusal {
    pub fn logo(text: impl Into<String>) -> Refusal {
        Refusal { logo: vec![text.into()], ..Refusal::default() }
    }

    /// Another record has that unique key.
    pub fn duplicate() -> Refusal {
        Refusal { database: vec!["23000".to_owned()], ..Refusal::default() }
    }

    pub fn is_empty(&self) -> bool {
        self.logo.is_empty() && self.values.is_empty() && self.fields.is_empty() && self.database.is_empty()
    }

    pub fn answer(&self) -> Answer {
        let mut state = Map::new();
        for (key, text) in &self.fields {
            state.insert(key.clone(), json!([text]));
        }
        if self.fields.is_empty() {
            state.insert("LOError:".to_owned(), json!(self.logo));
            for (n, text) in self.values.iter().enumerate() {
                state.insert(format!("ValError{n}"), json!([text]));
            }
            state.insert("DBError".to_owned(), json!(self.database));
            state.insert("OtherError".to_owned(), json!([]));
        }
        model_state(state)
    }
}

/// A refused query text.
pub fn sql_error(text: &str) -> Answer {
    let mut state = Map::new();
    state.insert("207".to_owned(), json!([text]));
    model_state(state)
}

fn model_state(state: Map<String, Value>) -> Answer {
    json_value(StatusCode::BAD_REQUEST, &json!({"Message": "The request is invalid.", "ModelState": state}))
}
