//! The OpenAPI document as a promise: what it allows may be asked, what comes back is what it says, and a client made from
//! it and nothing else can hold a meeting.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use greffier_tests::folder::repository;
use greffier_tests::greffier::text_of;
use greffier_tests::python::python;
use greffier_tests::{Stage, need};
use serde_json::{Value, json};

/// A stage on which somebody may ask as often as they like, with an administrator's access token.
fn stage() -> Option<(Stage, String)> {
    let mut stage = need(Stage::start(|greffier| {
        greffier
            .set("recording.rules", "[]")
            .set("api.limits.requests_per_second", "0")
            .set("api.limits.caller_requests_per_second", "0")
            .set("api.limits.failures_per_minute", "0")
    }))?;
    let access = stage.greffier.administrator().access().to_owned();
    Some((stage, access))
}

/// A program of the contract's own Python.
fn program(python: &Path, name: &str) -> Command {
    let mut command = Command::new(python.with_file_name(name));
    // No proxy and no user's configuration comes between.
    for variable in [
        "http_proxy",
        "https_proxy",
        "all_proxy",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "ALL_PROXY",
    ] {
        command.env_remove(variable);
    }
    command.env("PYTHONUTF8", "1").env("NO_COLOR", "1");
    command
}

fn contract_python() -> Option<PathBuf> {
    need(python("contract", "contract"))
}

#[test]
fn whatever_the_document_allows_is_answered_as_it_says() {
    let Some(python) = contract_python() else { return };
    let Some((mut stage, access)) = stage() else { return };
    let url = stage.greffier.url().to_owned();
    let output = program(&python, "schemathesis")
        .arg("--config-file")
        .arg(repository().join("tests/contract/schemathesis.toml"))
        .args(["run", "--max-time", "90", "--url", &url, "--header"])
        .arg(format!("Authorization: Bearer {access}"))
        .arg(format!("{url}/api/openapi.json"))
        .current_dir(stage.greffier.folder().path())
        .output()
        .expect("it can be called");
    std::fs::write(stage.greffier.folder().join("schemathesis.txt"), &output.stdout).expect("written");
    let told = text_of(&output);
    assert!(output.status.success(), "{told}");
    let (asked, operations) = counted(&told);
    println!("{asked} requests to {operations} operations");
    assert!(asked > 1000 && operations > 80, "{told}");
    stage.greffier.expect_healthy();
}

/// How many requests were made, and to how many operations, by the summary.
fn counted(told: &str) -> (u64, u64) {
    let beside = |word: &str| {
        let words: Vec<_> = told.split_whitespace().collect();
        let at = words.iter().position(|found| found.trim_end_matches(',') == word)?;
        [at.checked_sub(1)?, at + 1]
            .into_iter()
            .find_map(|beside| words.get(beside)?.trim_end_matches(',').parse().ok())
    };
    (
        beside("generated").unwrap_or_default(),
        beside("Tested:").unwrap_or_default(),
    )
}

#[test]
fn a_client_made_from_the_document_holds_a_meeting() {
    let Some(python) = contract_python() else { return };
    let Some((mut stage, access)) = stage() else { return };
    let folder = stage.greffier.folder().sub("client").expect("a folder");
    let made = program(&python, "openapi-python-client")
        .args(["generate", "--meta", "none", "--overwrite", "--output-path"])
        .arg(folder.join("greffier_client"))
        .args(["--url", &format!("{}/api/openapi.json", stage.greffier.url())])
        .current_dir(folder.path())
        .output()
        .expect("it can be called");
    let told = text_of(&made);
    assert!(made.status.success(), "{told}");
    // It does not understand requests for renders, which are one of several; what is asked here it does.
    assert!(
        !told.contains("within rooms") && !told.contains("within invitations"),
        "{told}"
    );
    let settings = json!({
        "url": stage.greffier.url(), "token": access,
        "livekit_http": stage.server.http_url(),
        "livekit_key": stage.server.api_key(), "livekit_secret": stage.server.api_secret(),
    });
    let held = client(&python, folder.path(), &settings);
    assert!(held.status.success(), "{}", text_of(&held));
    let said = String::from_utf8_lossy(&held.stdout).into_owned();
    assert!(said.lines().count() >= 25 && said.ends_with("done\n"), "{said}");
    stage.greffier.expect_healthy();
}

fn client(python: &Path, folder: &Path, settings: &Value) -> Output {
    program(python, "python")
        .arg("-B")
        .arg(repository().join("tests/contract/client.py"))
        .arg(folder)
        .arg(settings.to_string())
        .env("RUST_LOG", "warn")
        .output()
        .expect("it can be called")
}
