//! A running LOGO with a signed-in client.

use kopru_logo::{
    sandbox::{self, CLIENT_ID, CLIENT_SECRET},
    sql::{self, Query},
};
use kopru_sdk::sandbox::{RunningSandbox, Sandbox, SandboxOptions};
use reqwest::{Client, Method, Response, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpListener;

pub struct Logo {
    pub running: RunningSandbox,
    pub http: Client,
    pub token: String,
}

pub fn options(items: u64, switches: Value) -> SandboxOptions {
    SandboxOptions { seed: 5, items, dir: None, switches: json!({"logo": switches}) }
}

impl Logo {
    pub async fn with(options: &SandboxOptions) -> Logo {
        let system = sandbox::build(options).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let running = Sandbox::start(listener, vec![("logo", system)], None).unwrap();
        let http = Client::builder().build().unwrap();
        let mut logo = Logo { running, http, token: String::new() };
        logo.sign_in().await;
        logo
    }

    pub async fn new(items: u64, switches: Value) -> Logo {
        Logo::with(&options(items, switches)).await
    }

    pub async fn small() -> Logo {
        Logo::new(400, json!({"write_millis": 0})).await
    }

    pub async fn sign_in(&mut self) {
        let answer = self.ask_token(Some((CLIENT_ID, CLIENT_SECRET)), &form(&[])).await;
        let body: Value = answer.json().await.unwrap();
        self.token = body["access_token"].as_str().unwrap_or_default().to_owned();
    }

    pub async fn ask_token(&self, basic: Option<(&str, &str)>, form: &str) -> Response {
        let mut request = self.http.post(self.url("/token")).body(form.to_owned());
        if let Some((id, secret)) = basic {
            request = request.basic_auth(id, Some(secret));
        }
        request.header("Content-Type", "application/json").send().await.unwrap()
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}/api/v1{path}", self.running.base_url("logo"))
    }

    pub fn control(&self, path: &str) -> String {
        format!("http://{}/_sandbox{path}", self.running.addr)
    }

    pub async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> (StatusCode, Value) {
        let mut request = self.http.request(method, self.url(path)).bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await.unwrap();
        (answer.status(), answer.json().await.unwrap())
    }

    pub async fn get(&self, path: &str) -> Value {
        let (status, body) = self.call(Method::GET, path, None).await;
        assert_eq!(status, StatusCode::OK, "{path}: {body}");
        body
    }

    pub async fn post(&self, path: &str, body: &Value) -> (StatusCode, Value) {
        self.call(Method::POST, path, Some(body)).await
    }

    pub async fn raw_sql(&self, query: &Query) -> (StatusCode, Value) {
        self.post("/queries/unsafe?cmdTimeout=60", &json!(sql::render(query))).await
    }

    pub async fn sql(&self, query: &Query) -> Vec<Value> {
        let (status, mut body) = self.raw_sql(query).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        let Value::Array(rows) = body["items"].take() else { panic!("no items: {body}") };
        assert_eq!(body["count"], json!(rows.len()));
        rows
    }

    pub async fn change(&self, change: &Value) -> Value {
        let answer = self.http.post(self.control("/change")).json(change).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{}", answer.text().await.unwrap());
        answer.json().await.unwrap()
    }

    pub async fn refused_change(&self, change: &Value) -> String {
        let answer = self.http.post(self.control("/change")).json(change).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
        answer.json::<Value>().await.unwrap()["error"].as_str().unwrap().to_owned()
    }

    pub async fn state(&self, query: &str) -> Value {
        self.http.get(self.control(&format!("/state?{query}"))).send().await.unwrap().json().await.unwrap()
    }

    pub async fn shift_clock(&self, seconds: i64) {
        let body = json!({"shiftSeconds": seconds});
        self.http.post(self.control("/clock")).json(&body).send().await.unwrap();
    }

    /// Some sellable item: its LOGICALREF, code and main unit.
    pub async fn item(&self, n: i64) -> (i64, String, String) {
        let item = self.get(&format!("/items/{}?expandLevel=full", 1_000 + n)).await;
        let unit = item["UNITS"]["items"][0]["UNIT_CODE"].as_str().unwrap().to_owned();
        (1_000 + n, item["CODE"].as_str().unwrap().to_owned(), unit)
    }

    /// Some buyer's code.
    pub async fn buyer(&self) -> String {
        let list = self.get("/Arps?q=ACCOUNT_TYPE eq 1&limit=1").await;
        list["items"][0]["CODE"].as_str().unwrap().to_owned()
    }
}

/// The form of a sign-in with some fields replaced (`""`: left out).
pub fn form(replaced: &[(&str, &str)]) -> String {
    let mut fields = vec![
        ("grant_type", "password".to_owned()),
        ("username", sandbox::USERNAME.to_owned()),
        ("firmno", sandbox::FIRM.to_string()),
        ("password", sandbox::PASSWORD.to_owned()),
    ];
    for (name, value) in replaced {
        fields.retain(|(field, _)| field != name);
        fields.push((name, (*value).to_owned()));
    }
    let encoded = |text: &str| -> String {
        text.bytes()
            .map(
                |byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") },
            )
            .collect()
    };
    let pairs = fields.iter().filter(|(_, value)| !value.is_empty());
    pairs.map(|(name, value)| format!("{name}={}", encoded(value))).collect::<Vec<_>>().join("&")
}

pub fn message(body: &Value) -> String {
    body["Message"].as_str().unwrap_or_default().to_owned()
}
