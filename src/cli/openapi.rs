//! `kopru openapi`: the description of the HTTP API, as `/openapi.json` gives it.

use super::{failure::Failure, output};
use crate::http;

/// Always JSON: it is one.
pub(super) fn openapi() -> Result<(), Failure> {
    output::print_json(&http::document())
}
