//! What the suite has to be told about a connector. One without a profile fails the suite.

use serde_json::{Value, json};

pub struct Profile {
    pub kind: &'static str,
    /// Settings on top of those of the sandbox, one set for each way in that the connector has. Pages are small.
    pub ways: &'static [Way],
    /// A setting that makes its credentials wrong.
    pub wrong_credentials: fn() -> Value,
    /// Switches under which the sandbox has records of every stream.
    pub switches: fn() -> Value,
    /// Time-outs of about a second.
    pub impatient: fn() -> Value,
    /// An edit of the remote side that adds records to `stream`; `None`: nobody can.
    pub add: fn(stream: &str, round: usize) -> Option<Value>,
    /// An edit that changes exactly these records of an incremental `stream`.
    pub change: fn(stream: &str, records: &[Value]) -> Option<Value>,
    /// What a record is known by.
    pub key: fn(stream: &str, record: &Value) -> String,
    /// What the records of one change share, for sources that tell it by more than the record itself.
    pub changed_key: fn(stream: &str, record: &Value) -> String,
}

pub struct Way {
    pub name: &'static str,
    pub settings: fn() -> Value,
}

pub const PROFILES: &[Profile] = &[LOGO];

const LOGO: Profile = Profile {
    kind: "logo",
    ways: &[
        Way { name: "sql", settings: || json!({"via": "sql", "sql_page": 97}) },
        // Asked for more than the service gives.
        Way { name: "rest", settings: || json!({"via": "rest", "page_limit": 60, "stock_source": "off"}) },
    ],
    wrong_credentials: || json!({"password": "yanlış"}),
    switches: || json!({"logo": {"documents": 60}}),
    impatient: || json!({"timeouts": {"connect": 1, "read": "1 s"}, "cmd_timeout": 1}),
    add: |stream, round| match stream {
        "items" => Some(json!({"insert": {"items": 40}})),
        "brands" => Some(json!({"brands": [{"code": format!("YENİ{round}"), "name": "Yeni"}]})),
        "group_codes" => Some(json!({"groups": [{"code": format!("YENİ{round}"), "name": "Yeni"}]})),
        _ => None,
    },
    change: |stream, records| {
        let code = |record: &Value| record["CODE"].clone();
        match stream {
            "items" => {
                let rows: Vec<Value> = records.iter().map(|r| json!({"code": code(r), "name": "Değişti"})).collect();
                Some(json!({"items": rows}))
            }
            "customers" => {
                let rows: Vec<Value> = records.iter().map(|r| json!({"code": code(r), "title": "Değişti"})).collect();
                Some(json!({"customers": rows}))
            }
            "prices" => {
                let rows: Vec<Value> =
                    records.iter().map(|r| json!({"ref": r["INTERNAL_REFERENCE"], "price": 12.5})).collect();
                Some(json!({"prices": rows}))
            }
            "stock" => {
                let rows: Vec<Value> = records
                    .iter()
                    .map(|r| json!({"code": code(r), "warehouse": r["INVENNO"], "onHand": 4242}))
                    .collect();
                Some(json!({"stock": rows}))
            }
            "orders" => {
                let rows: Vec<Value> = records.iter().map(|r| json!({"order": r["NUMBER"], "cancel": true})).collect();
                Some(json!({"orders": rows}))
            }
            "invoices" | "ledger" => {
                let number =
                    |r: &Value| if stream == "ledger" { r["INVOICE_NUMBER"].clone() } else { r["NUMBER"].clone() };
                let rows: Vec<Value> = records.iter().map(|r| json!({"number": number(r), "cancel": true})).collect();
                Some(json!({"invoices": rows}))
            }
            _ => None,
        }
    },
    key: |stream, record| match stream {
        "stock" => format!("{}|{}", record["STOCKREF"], record["INVENNO"]),
        _ => record["INTERNAL_REFERENCE"].to_string(),
    },
    // Slips name items, so all warehouses of an item come.
    changed_key: |stream, record| match stream {
        "stock" => record["STOCKREF"].to_string(),
        _ => record["INTERNAL_REFERENCE"].to_string(),
    },
};
