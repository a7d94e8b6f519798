//! Who may know whom, and who may do what: the invariants that no compiler checks (ARCHITECTURE.md, 1 to 4).

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package, PackageId};
use greffier_tests::folder::repository;

/// Which of our own packages each may use in what it ships; what is not here may use none.
const MAY_KNOW: &[(&str, &[&str])] = &[
    ("greffier-media", &[]),
    ("greffier-store", &["greffier-media"]),
    ("greffier-agent", &["greffier-media", "greffier-store", "libwebrtc"]),
    ("greffier-pipelines", &["greffier-media"]),
    ("greffier-api", &["greffier-media", "greffier-store", "greffier-agent"]),
    (
        "greffier",
        &[
            "greffier-media",
            "greffier-store",
            "greffier-agent",
            "greffier-pipelines",
            "greffier-api",
        ],
    ),
    ("greffier-tests", &[]),
    ("libwebrtc", &[]),
    ("rtc-rtcp", &[]),
];

/// Libraries that only some may name: how the library's name begins, and who may.
const OWNERS: &[(&str, &[&str])] = &[
    ("gstreamer", &["greffier-pipelines"]),
    ("sea-orm", &["greffier-store"]),
    ("sqlx", &["greffier-store"]),
    ("object_store", &["greffier-store"]),
    ("axum", &["greffier-api"]),
    ("utoipa", &["greffier-api"]),
];

/// The same for whole names.
const OWNERS_BY_NAME: &[(&str, &[&str])] = &[
    ("livekit", &["greffier-agent"]),
    ("libwebrtc", &["greffier-agent"]),
    ("rtc", &["libwebrtc"]),
    ("webrtc", &["libwebrtc"]),
];

/// What would give `media` a way to the disk, the network or a thread pool.
const DOES_IO: &[&str] = &[
    "tokio",
    "async-std",
    "smol",
    "mio",
    "socket2",
    "nix",
    "rustix",
    "tempfile",
    "hyper",
    "reqwest",
    "rayon",
];

/// How libraries that decode or encode media are named, and the C++ engine that the façade replaces.
const CODECS: &[&str] = &[
    "gst",
    "ffmpeg",
    "opus",
    "audiopus",
    "openh264",
    "vpx",
    "dav1d",
    "rav1d",
    "rav1e",
    "x264",
    "symphonia",
    "webrtc-sys",
    "cxx",
];

fn metadata() -> Metadata {
    MetadataCommand::new()
        .manifest_path(repository().join("Cargo.toml"))
        .other_options(vec!["--locked".to_owned()])
        .exec()
        .expect("cargo knows its workspace")
}

/// Our packages, by name.
fn ours(metadata: &Metadata) -> BTreeMap<&str, &Package> {
    metadata
        .workspace_packages()
        .into_iter()
        .map(|package| (package.name.as_str(), package))
        .collect()
}

/// Names of what a package ships with: build and run time, not tests.
fn ships_with(package: &Package) -> impl Iterator<Item = &str> {
    package
        .dependencies
        .iter()
        .filter(|dependency| dependency.kind != DependencyKind::Development)
        .map(|dependency| dependency.name.as_str())
}

/// Names of all that a package ships with, directly or not.
fn tree<'a>(metadata: &'a Metadata, package: &Package) -> BTreeSet<&'a str> {
    let resolve = metadata.resolve.as_ref().expect("a resolved workspace");
    let mut open: Vec<&PackageId> = vec![&package.id];
    let mut seen = BTreeSet::new();
    while let Some(id) = open.pop() {
        let node = resolve
            .nodes
            .iter()
            .find(|node| node.id == *id)
            .expect("every package is resolved");
        if seen.insert(&node.id) {
            let shipped = node.deps.iter().filter(|dep| {
                dep.dep_kinds
                    .iter()
                    .any(|kind| kind.kind != DependencyKind::Development)
            });
            open.extend(shipped.map(|dep| &dep.pkg));
        }
    }
    seen.into_iter().map(|id| metadata[id].name.as_str()).collect()
}

#[test]
fn packages_know_only_those_below_them() {
    let metadata = metadata();
    let ours = ours(&metadata);
    let listed: BTreeSet<&str> = MAY_KNOW.iter().map(|(name, _)| *name).collect();
    let there: BTreeSet<&str> = ours.keys().copied().collect();
    assert_eq!(there, listed, "a package came or went: say here what it may know");
    for (name, may) in MAY_KNOW {
        for known in ships_with(ours[name]).filter(|known| ours.contains_key(known)) {
            // Our rtc-rtcp wraps the published one of the same name.
            assert!(
                may.contains(&known) || known == *name || (*name == "libwebrtc" && known == "rtc-rtcp"),
                "{name} depends on {known}"
            );
        }
    }
}

#[test]
fn a_library_has_one_owner() {
    let metadata = metadata();
    for (name, package) in ours(&metadata) {
        for library in ships_with(package) {
            let owners = OWNERS
                .iter()
                .find(|(prefix, _)| library.starts_with(prefix))
                .or_else(|| OWNERS_BY_NAME.iter().find(|(whole, _)| library == *whole));
            if let Some((_, owners)) = owners {
                assert!(
                    owners.contains(&name),
                    "{name} names {library}, which is for {owners:?}"
                );
            }
        }
    }
}

#[test]
fn media_can_neither_reach_a_device_nor_ask_the_time() {
    let metadata = metadata();
    let tree = tree(&metadata, ours(&metadata)["greffier-media"]);
    assert!(tree.contains("mcap"), "the tree is that of media: {tree:?}");
    for library in DOES_IO {
        assert!(!tree.contains(library), "media brings in {library}");
    }
    for (file, source) in shipped_sources("media") {
        for way in [
            "std::fs",
            "std::net::Tcp",
            "std::net::Udp",
            "std::process",
            "std::thread",
            "std::env",
            "SystemTime",
            "Instant::now",
            "Ulid::new",
            "rand::",
        ] {
            assert!(!source.contains(way), "{} uses {way}", file.display());
        }
    }
}

#[test]
fn capture_brings_in_no_codec() {
    let metadata = metadata();
    let ours = ours(&metadata);
    for name in ["greffier-agent", "greffier-store", "greffier-media", "libwebrtc"] {
        let tree = tree(&metadata, ours[name]);
        for library in &tree {
            assert!(
                !CODECS.iter().any(|codec| library.starts_with(codec)),
                "{name} brings in {library}"
            );
        }
    }
}

/// Where time may be asked and tasks may be spawned: everything else gets a clock, and the supervisor.
const ASKS_THE_SYSTEM: &[&str] = &["agent/src/clock.rs", "agent/src/supervisor/", "patch/", "tests/"];

#[test]
fn time_and_tasks_come_from_one_place() {
    let metadata = metadata();
    for (name, package) in ours(&metadata) {
        let manifest = std::fs::read_to_string(&package.manifest_path).expect("a manifest");
        assert!(
            manifest.contains("[lints]\nworkspace = true"),
            "{name} does not obey the workspace's lints"
        );
    }
    let clippy = std::fs::read_to_string(repository().join("clippy.toml")).expect("clippy.toml");
    for banned in [
        "std::time::Instant::now",
        "std::time::SystemTime::now",
        "tokio::spawn",
        "tokio::sync::mpsc::unbounded_channel",
        "std::path::Path::exists",
        "std::thread::sleep",
    ] {
        assert!(
            clippy.contains(&format!("path = \"{banned}\"")),
            "{banned} is not banned any more"
        );
    }
    let mut asking = 0;
    for folder in ["media", "store", "agent", "pipelines", "api", "cli", "patch"] {
        for (file, source) in shipped_sources(folder) {
            let name = file.to_string_lossy();
            if source.contains("clippy::disallowed_methods") {
                asking += 1;
                assert!(
                    ASKS_THE_SYSTEM.iter().any(|place| name.starts_with(place)),
                    "{name} goes around the clock or the supervisor"
                );
            }
        }
    }
    assert!(asking > 0, "nobody asks the time: the test looks in the wrong place");
}

/// The Rust sources below `<folder>/src`, relative to the repository, without what is there for tests only.
fn shipped_sources(folder: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut open = vec![repository().join(folder)];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder of sources") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                if !is_for_tests(&path) {
                    open.push(path);
                }
            } else if path.extension().is_some_and(|extension| extension == "rs") && !is_for_tests(&path) {
                let source = std::fs::read_to_string(&path).expect("a source");
                // Test modules stand at the end.
                let shipped = source.split("#[cfg(test)]\nmod ").next().unwrap_or_default().to_owned();
                let name = path.strip_prefix(repository()).expect("in the repository").to_owned();
                found.push((name, shipped));
            }
        }
    }
    assert!(!found.is_empty(), "no sources in {folder}");
    found
}

fn is_for_tests(path: &Path) -> bool {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    matches!(
        &*stem,
        "tests" | "testing" | "benches" | "fuzz" | "examples" | "target" | "build" | "node_modules"
    ) || stem.ends_with("_tests")
}
