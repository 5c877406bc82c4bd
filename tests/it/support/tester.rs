//! The served API against its own description: Schemathesis makes requests that the description allows, and others that
//! it does not, and judges the answers.

use std::{net::SocketAddr, path::PathBuf, process::Command};

const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,\
     response_headers_conformance,unsupported_method,allow_header_conformance,ignored_auth";

/// `scripts/api-tester.sh` puts it there.
fn tester() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/target")),
        |dir| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(dir),
    );
    let tester = target.join("api-tester/bin/schemathesis");
    assert!(tester.exists(), "{} is missing: run scripts/api-tester.sh once (make test does)", tester.display());
    tester
}

/// Asks what is served at `address`, under paths that begin so, as one who sends `header`.
pub async fn no_answer_is_a_surprise(address: SocketAddr, header: &str, paths: &str) {
    let soak = std::env::var_os("KOPRU_SOAK").is_some();
    let mut command = Command::new(tester());
    let scratch = tempfile::tempdir().expect("a directory");
    command.current_dir(scratch.path()).args(["run", &format!("http://{address}/openapi.json"), "--header", header]);
    command.args(["--include-path-regex", &format!("^{paths}"), "--checks", CHECKS, "--no-color"]);
    command.args(["--phases", "examples,coverage,fuzzing", "--max-examples", if soak { "1000" } else { "15" }]);
    if !soak {
        // What is found once is found again, and what lands stays landed.
        command.args(["--seed", "1", "--no-shrink"]);
    }
    let output = tokio::task::spawn_blocking(move || command.output()).await.expect("it ran").expect("it started");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("generated"), "it has tested nothing: {said}");
}
