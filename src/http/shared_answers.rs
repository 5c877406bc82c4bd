//! Answers that a route gives because of what it takes: a body, an `Idempotency-Key`, a caller. They are described here once,
//! for every route, and not at each.

use utoipa::openapi::{
    Content, OpenApi, Ref, RefOr, Response, ResponseBuilder,
    path::{Operation, Parameter, PathItem},
};

struct Shared {
    status: &'static str,
    /// Of the component that the answers refer to.
    name: &'static str,
    description: &'static str,
    when: fn(&Operation) -> bool,
}

const SHARED: &[Shared] = &[
    Shared { status: "400", name: "BadRequest", description: "It cannot be read as it was sent", when: always },
    Shared {
        status: "404",
        name: "NotThere",
        description: "There is none with this id, or it is not the caller's",
        when: names_one,
    },
    Shared {
        status: "405",
        name: "MethodNotAllowed",
        description: "The address is known by other methods, which `Allow` names",
        when: always,
    },
    Shared {
        status: "408",
        name: "BodyTooSlow",
        description: "The body did not come to its end in time",
        when: takes_a_body,
    },
    Shared {
        status: "409",
        name: "InProgress",
        description: "A request with this `Idempotency-Key` is under way, or the present state does not allow it",
        when: may_be_repeated,
    },
    Shared {
        status: "413",
        name: "BodyTooLarge",
        description: "The body is larger than this server takes",
        when: takes_a_body,
    },
    Shared {
        status: "415",
        name: "UnsupportedMediaType",
        description: "The body's type or encoding is none that this route takes",
        when: takes_a_body,
    },
    Shared {
        status: "422",
        name: "KeyReused",
        description: "The `Idempotency-Key` was used for another request",
        when: may_be_repeated,
    },
    Shared {
        status: "500",
        name: "Internal",
        description: "A failure of ours; the correlation id leads to it",
        when: always,
    },
    Shared {
        status: "503",
        name: "Unavailable",
        description: "Not at the moment; `Retry-After` says when to come back",
        when: always,
    },
];

fn always(_: &Operation) -> bool {
    true
}

fn takes_a_body(operation: &Operation) -> bool {
    operation.request_body.is_some()
}

/// One thing, by its id.
fn names_one(operation: &Operation) -> bool {
    let is_id = |parameter: &RefOr<Parameter>| match parameter {
        RefOr::T(parameter) => parameter.name == "id",
        RefOr::Ref(_) => false,
    };
    operation.parameters.iter().flatten().any(is_id)
}

fn may_be_repeated(operation: &Operation) -> bool {
    let is_key = |parameter: &RefOr<Parameter>| match parameter {
        RefOr::T(parameter) => parameter.name.eq_ignore_ascii_case("idempotency-key"),
        RefOr::Ref(_) => false,
    };
    operation.parameters.iter().flatten().any(is_key)
}

/// Adds to every operation what it may answer by its kind, where it does not say so itself. Health and metrics say all
/// that they answer.
pub(super) fn describe(document: &mut OpenApi) {
    for (path, item) in &mut document.paths.paths {
        if path.starts_with("/health/") || path == "/metrics" {
            continue;
        }
        for operation in operations(item) {
            for shared in SHARED {
                if (shared.when)(operation) {
                    let answer = RefOr::Ref(Ref::from_response_name(shared.name));
                    operation.responses.responses.entry(shared.status.to_owned()).or_insert(answer);
                }
            }
        }
    }
    let components = document.components.get_or_insert_default();
    for shared in SHARED {
        components.responses.insert(shared.name.to_owned(), RefOr::T(problem(shared.description)));
    }
}

pub(super) fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.get, &mut item.put, &mut item.post, &mut item.delete, &mut item.patch].into_iter().flatten()
}

fn problem(description: &str) -> Response {
    let content = Content::new(Some(Ref::from_schema_name("Problem")));
    ResponseBuilder::new().description(description).content("application/problem+json", content).build()
}
