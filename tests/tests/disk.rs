//! The disk fills up in the middle of a meeting.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use greffier_tests::greffier::State;
use greffier_tests::pattern::BEEP_S;
use greffier_tests::{Camera, Folder, Microphone, Missing, Plan, Server, Stage, judge, need};
use serde_json::json;

/// A file system of a few megabytes, gone with this value.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn new(folder: &Path, megabytes: u32) -> Result<Self> {
        let path = folder.join("small-disk");
        std::fs::create_dir_all(&path)?;
        let size = format!("size={megabytes}m");
        let mounted = Missing::tool("mount")?
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(&path)
            .output()
            .context("cannot run mount")?;
        if !mounted.status.success() {
            let why = String::from_utf8_lossy(&mounted.stderr).trim().to_owned();
            return Err(Missing::new(format!("a file system of its own ({why})"), "run as root").into());
        }
        Ok(Self(path))
    }

    /// Leaves so many bytes free.
    fn fill_up_to(&self, free: u64) -> Result<()> {
        let stat = nix::sys::statvfs::statvfs(&self.0)?;
        let now = stat.blocks_available() * stat.fragment_size();
        std::fs::write(
            self.0.join("filler"),
            vec![0; usize::try_from(now.saturating_sub(free))?],
        )?;
        Ok(())
    }
}

impl SmallDisk {
    /// Leaves nothing free.
    fn fill(&self) -> Result<()> {
        let mut filler = std::fs::File::create(self.0.join("filler"))?;
        loop {
            match filler.write_all(&[0; 4096]) {
                Ok(()) => {}
                Err(error) if error.kind() == std::io::ErrorKind::StorageFull => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Whoever still uses it keeps it; it goes with them.
        if let Ok(mut umount) = Missing::tool("umount") {
            let _ = umount.arg("--lazy").arg(&self.0).status();
        }
    }
}

const MEGABYTE: u64 = 1 << 20;

#[test]
fn a_full_disk_ends_recordings_well_and_refuses_new_ones() {
    let Some(folder) = need(Folder::of_test()) else { return };
    let Some(disk) = need(SmallDisk::new(folder.path(), 64)) else {
        return;
    };
    let Some(stage) = need(Stage::start(|greffier| {
        greffier.data(&disk.0).set("store.min_free_bytes", 16 * MEGABYTE)
    })) else {
        return;
    };
    let meeting = Plan::new("full")
        .peer("ana", |p| {
            p.at(0.5)
                .join()
                .publish(Camera::vp8())
                .publish(Microphone::opus())
                .at(20.5)
                .leave()
        })
        .start(&stage.server)
        .expect("a meeting");
    stage
        .greffier
        .wait_for_state("full", State::Capturing, Duration::from_secs(15))
        .expect("it captures");
    meeting.wait_until(8.5);
    disk.fill_up_to(15 * MEGABYTE).expect("filled");
    let recording = stage.sealed("full").expect("it ends by itself");
    assert_eq!(
        recording.stop_reason.as_deref(),
        Some("disk_full"),
        "{}",
        recording.view
    );

    // New ones are refused, and told why.
    let refused = stage
        .greffier
        .post("/api/recordings", &json!({ "room": "full" }))
        .expect("an answer");
    println!("{}", refused.text());
    assert!(
        (400..600).contains(&refused.status) && refused.status != 500,
        "{}",
        refused.text()
    );
    let problem = refused.clone().expect_problem(refused.status);
    assert!(problem["code"].as_str().expect("a code").contains("disk"), "{problem}");

    // Everything captured is there and plays.
    let truth = meeting.finish().expect("the meeting ends");
    let copies = stage.copies(&recording).expect("copies");
    let file = stage.greffier.fetch(&copies.files, "ana.webm").expect("a file");
    let verdict = judge(&file).expect("readable").against(truth.peer("ana"));
    println!("{verdict}");
    let beeps = verdict.beeps.as_ref().expect("sound");
    let heard: Vec<i64> = beeps.found.iter().map(|(second, _)| *second).collect();
    let until = heard.iter().max().copied().expect("a beep");
    let missing: Vec<_> = beeps.missing.iter().filter(|second| **second <= until).collect();
    assert!(heard.len() >= 5 && missing.is_empty(), "{verdict}");
    verdict.expect_clean_decoding().expect_nobody_else();
}

#[test]
fn a_disk_that_is_full_all_at_once_loses_nothing_of_before() {
    let Some(folder) = need(Folder::of_test()) else { return };
    let Some(disk) = need(SmallDisk::new(folder.path(), 64)) else {
        return;
    };
    // Nothing warns of it: the disk is full before anybody looks.
    let Some(stage) = need(Stage::start(|greffier| {
        greffier.data(&disk.0).set("store.min_free_bytes", 0)
    })) else {
        return;
    };
    let meeting = Plan::new("full")
        .peer("ana", |p| {
            p.at(0.5)
                .join()
                .publish(Camera::vp8())
                .publish(Microphone::opus())
                .at(12.5)
                .leave()
        })
        .start(&stage.server)
        .expect("a meeting");
    stage
        .greffier
        .wait_for_state("full", State::Capturing, Duration::from_secs(15))
        .expect("it captures");
    meeting.wait_until(8.5);
    let full = greffier_tests::process::now();
    disk.fill().expect("filled");
    let recording = stage.sealed("full").expect("it ends by itself");
    assert_eq!(
        recording.stop_reason.as_deref(),
        Some("disk_full"),
        "{}",
        recording.view
    );
    std::fs::remove_file(disk.0.join("filler")).expect("room again");
    let truth = meeting.finish().expect("the meeting ends");
    let log = std::fs::read_to_string(folder.join("greffier.log")).expect("its log");
    assert!(log.contains("the disk is full"), "it never was");

    let copies = stage.copies(&recording).expect("copies");
    let file = stage.greffier.fetch(&copies.files, "ana.webm").expect("a file");
    let verdict = judge(&file).expect("readable").against(truth.peer("ana"));
    println!("{verdict}");
    let beeps = verdict.beeps.as_ref().expect("sound");
    let missing = beeps
        .missing
        .iter()
        .filter(|second| **second as f64 + BEEP_S[1] < full.0);
    assert_eq!(missing.count(), 0, "something of before is missing\n{verdict}");
    assert!(beeps.found.len() >= 5, "{verdict}");
    verdict.expect_clean_decoding().expect_nobody_else();
    stage.greffier.expect_check_clean();
}

#[test]
fn a_second_process_on_the_same_data_is_refused() {
    let Some(stage) = need(Stage::start(|greffier| greffier)) else {
        return;
    };
    let Some(other) = need(Server::start()) else { return };
    let second = greffier_tests::Greffier::setup(&other)
        .data(stage.greffier.data())
        .start();
    let error = format!("{:#}", second.expect_err("the data are in use"));
    println!("{error}");
    assert!(
        error.contains("another process") || error.contains("in use") || error.contains("lock"),
        "{error}"
    );
}
