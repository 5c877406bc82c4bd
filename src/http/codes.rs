//! Every `code` of a problem document, and which operations give it: the one table. The description lists each operation's
//! as `x-error-codes`.

use serde_json::Value;
use utoipa::openapi::{OpenApi, extensions::ExtensionsBuilder};

use super::shared_answers::operations;

/// What a program can be told.
#[derive(Debug, Clone, Copy)]
pub struct Code {
    pub code: &'static str,
    pub status: u16,
    /// What it means.
    pub means: &'static str,
    on: On,
}

impl Code {
    const fn new(status: u16, code: &'static str, on: On, means: &'static str) -> Code {
        Code { code, status, means, on }
    }

    /// The ids of the operations that it names; none when its kind says which.
    pub const fn operations(&self) -> &'static [&'static str] {
        match self.on {
            On::These(ids) => ids,
            _ => &[],
        }
    }

    /// Whether any operation of the API gives it.
    pub const fn is_given(&self) -> bool {
        !matches!(self.on, On::Elsewhere)
    }
}

/// Which operations give it.
#[derive(Debug, Clone, Copy)]
enum On {
    Everything,
    /// What is asked in a body or in the address.
    Asked,
    Body,
    /// With an `Idempotency-Key`.
    Repeated,
    /// Somebody has to be signed in.
    Person,
    /// A role decides.
    Permission,
    /// An API key passes, or is told that a person is needed.
    Key,
    /// An API key alone passes.
    Scope,
    /// An API key's system has to be configured.
    Pushed,
    /// Those that describe such a status themselves.
    Status,
    /// By their ids.
    These(&'static [&'static str]),
    /// None of the API's own: health, metrics, what the server says before a route is found.
    Elsewhere,
}

const CART: &[&str] = &["showCart", "clearCart", "putCartItem", "removeCartItem", "placeOrder"];
const MOVES: &[&str] =
    &["approveOrder", "cancelOrder", "rejectOrder", "approveReturn", "receiveReturn", "rejectReturn"];
const OWNED: &[&str] = &[
    "editCustomer",
    "activateCustomer",
    "deactivateCustomerById",
    "saveProduct",
    "deleteProduct",
    "setPrices",
    "setStock",
    "addImage",
    "removeImage",
];
const CHANGE_USER: &[&str] = &["changeUser", "adminChangeUser"];
const INVITE: &[&str] = &["inviteUser", "inviteUserAgain", "adminInviteUser", "adminInviteUserAgain"];
const USERS: &[&str] =
    &["inviteUser", "inviteUserAgain", "changeUser", "adminInviteUser", "adminInviteUserAgain", "adminChangeUser"];
const CONFLICTS: &[&str] = &[
    "inviteUserAgain",
    "adminInviteUserAgain",
    "replayDelivery",
    "discardDelivery",
    "editDeadLetter",
    "startReplayPlan",
    "cancelReplayPlan",
    "revokeApiKey",
];
const HOUSE: &[&str] = &[
    "adminListUsers",
    "adminShowUser",
    "adminInviteUser",
    "adminChangeUser",
    "adminInviteUserAgain",
    "enterCustomer",
    "editCustomer",
    "approveCustomer",
    "activateCustomer",
    "deactivateCustomerById",
    "setCustomerPriceLists",
];
const ORDER: &[&str] = &["placeOrder"];
const APPROVED: &[&str] = &["placeOrder", "approveOrder"];

const TABLE: &[Code] = &[
    Code::new(400, "bad_request", On::Everything, "the request cannot be read"),
    Code::new(400, "invalid", On::Asked, "fields break a rule; `errors` names each"),
    Code::new(400, "idempotency_key_invalid", On::Repeated, "the `Idempotency-Key` is malformed"),
    Code::new(400, "link_invalid", On::These(&["resetPassword", "verifyEmail"]), "the link was used or has expired"),
    Code::new(401, "token_missing", On::Person, "nobody is signed in"),
    Code::new(401, "token_invalid", On::Person, "the access token is not one of ours"),
    Code::new(401, "token_expired", On::Person, "the access token has expired"),
    Code::new(401, "session_ended", On::Person, "the session of the access token has ended"),
    Code::new(401, "credentials_wrong", On::These(&["login"]), "the address or the password is wrong"),
    Code::new(401, "refresh_token_invalid", On::These(&["refreshTokens"]), "the refresh token is not good any more"),
    Code::new(401, "api_key_missing", On::Scope, "there is no API key"),
    Code::new(401, "api_key_unknown", On::Key, "the API key is not one of ours"),
    Code::new(401, "api_key_revoked", On::Key, "the API key was revoked"),
    Code::new(401, "api_key_expired", On::Key, "the API key has expired"),
    Code::new(403, "address_not_allowed", On::Key, "the API key is not good from this address"),
    Code::new(403, "scope_missing", On::Scope, "the API key may not do this"),
    Code::new(403, "instance_not_configured", On::Pushed, "the API key's system is not configured"),
    Code::new(403, "permission_missing", On::Permission, "the caller's role may not do this"),
    Code::new(403, "person_needed", On::Person, "an API key cannot do this"),
    Code::new(403, "forbidden", On::These(HOUSE), "not for this caller"),
    Code::new(403, "account_pending", On::These(&["login"]), "the registration waits for approval"),
    Code::new(403, "account_disabled", On::These(&["login"]), "the account is switched off"),
    Code::new(403, "role_not_yours", On::These(USERS), "the caller may not give or take this role"),
    Code::new(403, "no_cart", On::These(CART), "the caller has no cart"),
    Code::new(404, "not_found", On::Status, "there is none, or it is not the caller's"),
    Code::new(405, "method_not_allowed", On::Everything, "the address is known by other methods"),
    Code::new(408, "timeout", On::Body, "the body did not come to its end in time"),
    Code::new(409, "conflict", On::These(CONFLICTS), "the present state does not allow it"),
    Code::new(409, "idempotency_key_in_use", On::Repeated, "a request with this `Idempotency-Key` is under way"),
    Code::new(
        409,
        "email_taken",
        On::These(&["inviteUser", "adminInviteUser", "approveRegistration"]),
        "the address belongs to another user",
    ),
    Code::new(409, "last_owner", On::These(CHANGE_USER), "a company keeps an active owner"),
    Code::new(409, "last_super_admin", On::These(CHANGE_USER), "the house keeps an active super admin"),
    Code::new(409, "not_yet_active", On::These(CHANGE_USER), "the user has no password yet"),
    Code::new(
        409,
        "registration_decided",
        On::These(&["approveRegistration", "rejectRegistration"]),
        "somebody has decided before",
    ),
    Code::new(409, "source_owned", On::These(OWNED), "a source owns these fields; `owner` names it"),
    Code::new(409, "not_source_owned", On::These(&["setOverride"]), "no source writes this record: change it itself"),
    Code::new(409, "reading_overtaken", On::Pushed, "levels of a reading of the stock that is not the last one"),
    Code::new(
        409,
        "stock_is_polled",
        On::These(&["beginStockReading"]),
        "the hub reads the stock of this system itself",
    ),
    Code::new(409, "state_conflict", On::These(MOVES), "the state does not allow it; `allowed` names what may follow"),
    Code::new(409, "insufficient_stock", On::These(ORDER), "there is not enough in stock; `errors` names the lines"),
    Code::new(409, "cart_changed", On::These(ORDER), "prices of the cart have changed; `errors` names the items"),
    Code::new(409, "cart_empty", On::These(ORDER), "there is nothing in the cart"),
    Code::new(409, "customer_barred", On::These(APPROVED), "the customer may not order"),
    Code::new(409, "credit_limit_exceeded", On::These(APPROVED), "the credit limit does not suffice"),
    Code::new(409, "payment_overdue", On::These(APPROVED), "something is overdue"),
    Code::new(413, "body_too_large", On::Body, "the body is larger than this server takes"),
    Code::new(415, "unsupported_media_type", On::Body, "the body is of another type"),
    Code::new(415, "unsupported_encoding", On::Body, "the body is compressed with something else than gzip"),
    Code::new(422, "idempotency_key_reused", On::Repeated, "the `Idempotency-Key` was used for another request"),
    Code::new(422, "unprocessable", On::Elsewhere, "the content does not have the expected shape"),
    Code::new(429, "rate_limited", On::Everything, "too many requests; `Retry-After` says when to come back"),
    Code::new(
        429,
        "sign_in_locked",
        On::These(&["login", "changeMyPassword"]),
        "too many failed attempts; `Retry-After` says when to come back",
    ),
    Code::new(500, "internal", On::Everything, "a failure of ours; the correlation id leads to it"),
    Code::new(503, "unavailable", On::Everything, "not at the moment; `Retry-After` says when to come back"),
    Code::new(503, "mail_not_configured", On::These(INVITE), "no mail can be sent"),
    Code::new(
        503,
        "no_master_key",
        On::These(&["createWebhookEndpoint", "rotateWebhookSecret", "showWebhookSecrets"]),
        "no master key is configured, and secrets cannot be kept",
    ),
    Code::new(503, "not_ready", On::Elsewhere, "the server cannot work"),
    // Any other status of the server below the routes.
    Code::new(400, "refused", On::Elsewhere, "the request was refused"),
];

/// Every code there is.
pub fn codes() -> &'static [Code] {
    TABLE
}

/// Lists the codes of every operation of the API in its description.
pub(super) fn describe(document: &mut OpenApi) {
    for (path, item) in &mut document.paths.paths {
        if !path.starts_with("/api/") {
            continue;
        }
        for operation in operations(item) {
            let shown = serde_json::to_value(&*operation).unwrap_or_default();
            let given: Vec<&str> =
                TABLE.iter().filter(|code| gives(code, path, &shown)).map(|code| code.code).collect();
            let extensions = ExtensionsBuilder::new().add("x-error-codes", given).build();
            operation.extensions.get_or_insert_default().merge(extensions);
        }
    }
}

fn gives(code: &Code, path: &str, operation: &Value) -> bool {
    let takes = |name: &str| {
        let security = operation["security"].as_array();
        security.is_some_and(|ways| ways.iter().any(|way| way.get(name).is_some()))
    };
    let parameter =
        |holds: &dyn Fn(&Value) -> bool| operation["parameters"].as_array().is_some_and(|all| all.iter().any(holds));
    let body = operation.get("requestBody").is_some();
    let own = path.starts_with("/api/v1/me") || path.starts_with("/api/v1/auth");
    match code.on {
        On::Everything => true,
        On::Asked => body || parameter(&|one| one["in"] == "query"),
        On::Body => body,
        On::Repeated => {
            parameter(&|one| one["name"].as_str().is_some_and(|name| name.eq_ignore_ascii_case("idempotency-key")))
        }
        On::Person => takes("bearer"),
        On::Permission => takes("bearer") && !own,
        On::Key => takes("bearer") || takes("apiKey"),
        On::Scope => takes("apiKey") && !takes("bearer"),
        On::Pushed => path.starts_with("/api/integration/"),
        On::Status => operation["responses"].get(code.status.to_string()).is_some(),
        On::These(ids) => operation["operationId"].as_str().is_some_and(|id| ids.contains(&id)),
        On::Elsewhere => false,
    }
}
