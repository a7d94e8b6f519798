//! What is installed by scripts, by containers and by dashboards agrees with each other and with the program.
//!
//! Of docker/, this runs what needs no Docker engine and no cluster: yamllint, hadolint, and Kubernetes' own schemas. Not
//! run: `docker compose config` (Debian 12 has no Compose that reads today's files), building the image, starting
//! anything, applying the manifests.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use greffier_tests::folder::repository;
use greffier_tests::greffier::text_of;
use greffier_tests::{need, tools};
use serde_json::Value;

fn read(path: &str) -> String {
    std::fs::read_to_string(repository().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The packages of a list of `scripts/install`.
fn packages(list: &str) -> Vec<String> {
    read(&format!("scripts/install/{list}.txt"))
        .lines()
        .map(|line| line.split('#').next().unwrap_or_default())
        .filter_map(|line| Some(line.split_whitespace().next()?.to_owned()))
        .collect()
}

#[test]
fn the_container_installs_what_the_scripts_install() {
    let dockerfile = read("docker/Dockerfile");
    let stage = |name: &str| {
        let from = dockerfile.find(name).unwrap_or_else(|| panic!("no stage {name}"));
        let rest = &dockerfile[from..];
        rest[..rest[1..].find("\nFROM ").map_or(rest.len(), |end| end + 1)].to_owned()
    };
    for (list, stage) in [
        ("build", stage("FROM rust:")),
        ("run", stage("FROM debian:bookworm-slim")),
    ] {
        let words: BTreeSet<&str> = stage.split_whitespace().collect();
        for package in packages(list) {
            assert!(words.contains(&*package), "the stage for {list} lacks {package}");
        }
    }
}

#[test]
fn versions_are_the_same_everywhere() {
    let script = read("scripts/install/livekit_server.sh");
    let livekit = script
        .lines()
        .find_map(|line| line.strip_prefix("VERSION="))
        .expect("a version");
    assert!(read("docker/compose.yaml").contains(&format!("livekit/livekit-server:v{livekit}")));
    let manifest = read("Cargo.toml");
    let rust = manifest
        .lines()
        .find_map(|line| line.strip_prefix("rust-version = "))
        .expect("a version")
        .trim_matches('"');
    assert!(read("docker/Dockerfile").contains(&format!("FROM rust:{rust}-")));
    assert!(read("docker/compose.test.yaml").contains(&format!("image: rust:{rust}-")));
}

#[test]
fn the_dashboard_shows_figures_that_are_given() {
    let dashboard: Value = serde_json::from_str(&read("docker/grafana/dashboards/greffier.json")).expect("JSON");
    let given = given_metrics();
    let mut shown = 0;
    for panel in dashboard["panels"].as_array().expect("panels") {
        for target in panel["targets"].as_array().expect("targets") {
            let query = target["expr"].as_str().expect("a query");
            for word in query.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')) {
                if word.starts_with("greffier_") {
                    let name = word.trim_end_matches("_bucket");
                    assert!(
                        given.contains(name),
                        "{} asks for {name}, which nobody gives",
                        panel["title"]
                    );
                    shown += 1;
                }
            }
        }
    }
    assert!(shown >= 10, "the dashboard shows {shown} figures");
}

/// Names of all metrics: constants whose value begins with `greffier_`.
fn given_metrics() -> BTreeSet<String> {
    let mut given = BTreeSet::new();
    let mut open = vec![repository().join("agent/src"), repository().join("api/src")];
    while let Some(path) = open.pop() {
        if path.is_dir() {
            let entries = std::fs::read_dir(&path).expect("a folder");
            open.extend(entries.map(|entry| entry.expect("an entry").path()));
        } else if path.extension() == Some("rs".as_ref()) {
            let source = std::fs::read_to_string(&path).expect("a source");
            for line in source.lines().filter(|line| line.contains("const ")) {
                if let Some(name) = line.split('"').nth(1).filter(|name| name.starts_with("greffier_")) {
                    given.insert(name.to_owned());
                }
            }
        }
    }
    given
}

#[test]
fn livekit_in_a_container_tells_greffier() {
    let config: Value = serde_saphyr::from_str(&read("docker/livekit.yaml")).expect("YAML");
    assert_eq!(config["webhook"]["urls"][0], "http://127.0.0.1:8000/webhooks/livekit");
    let key = config["webhook"]["api_key"].as_str().expect("a key").to_owned();
    assert!(read("docker/example.env").contains(&format!("LIVEKIT_API_KEY={key}\n")));
    assert!(config.get("keys").is_none(), "keys come from the environment");
    assert!(Path::new(&repository().join("docker/greffier.toml")).is_file());
}

#[test]
fn container_files_are_clean() {
    let Some(tools) = need(tools()) else { return };
    let docker = repository().join("docker");
    let lines = "{extends: default, rules: {line-length: disable, document-start: disable, braces: {max-spaces-inside: 1}, \
                 comments: {min-spaces-from-content: 1}}}";
    for (tool, arguments) in [
        (
            "yamllint",
            vec!["--strict", "--config-data", lines, ".", "../livekit.yaml"],
        ),
        ("hadolint", vec!["--failure-threshold", "style", "Dockerfile"]),
        (
            "kubernetes-validate",
            vec!["--strict", "--kubernetes-version", "1.33", "kubernetes/greffier.yaml"],
        ),
    ] {
        let output = Command::new(tools.join(tool))
            .args(arguments)
            .current_dir(&docker)
            .output()
            .expect("it can be called");
        assert!(output.status.success(), "{tool}: {}", text_of(&output));
    }
}

/// A lint that finds nothing anywhere says nothing.
#[test]
fn the_lints_find_what_is_wrong() {
    let Some(tools) = need(tools()) else { return };
    let folder = greffier_tests::Folder::of_test().expect("a folder");
    let wrong = [
        ("yamllint", "wrong.yaml", "a: 1\na: 2\n"),
        (
            "hadolint",
            "Dockerfile",
            "FROM debian\nRUN cd /tmp && apt-get install curl\n",
        ),
        (
            "kubernetes-validate",
            "wrong-service.yaml",
            "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {ports: [{port: many}]}\n",
        ),
    ];
    for (tool, file, text) in wrong {
        let path = folder.join(file);
        std::fs::write(&path, text).expect("written");
        let output = Command::new(tools.join(tool))
            .arg(&path)
            .output()
            .expect("it can be called");
        assert!(!output.status.success(), "{tool}: {}", text_of(&output));
    }
}
