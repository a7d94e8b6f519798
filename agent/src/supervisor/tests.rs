use std::sync::Mutex;

use super::*;

type Log = Arc<Mutex<Vec<&'static str>>>;

fn record(log: &Log, entry: &'static str) {
    log.lock().expect("not poisoned").push(entry);
}

fn until_cancelled(supervisor: &Supervisor, kind: TaskKind, log: &Log, entry: &'static str) {
    let log = Arc::clone(log);
    supervisor.spawn(kind, entry, |token| async move {
        token.cancelled().await;
        tokio::task::yield_now().await;
        record(&log, entry);
        Ok::<(), String>(())
    });
}

#[tokio::test(start_paused = true)]
async fn phases_stop_in_order() {
    let (supervisor, log) = (Supervisor::new(), Log::default());
    until_cancelled(&supervisor, TaskKind::HttpServer, &log, "http");
    until_cancelled(&supervisor, TaskKind::Jobs, &log, "jobs");
    until_cancelled(&supervisor, TaskKind::Recording, &log, "recording");
    until_cancelled(&supervisor, TaskKind::Reconcile, &log, "reconcile");
    let outcome = supervisor
        .shutdown(Duration::from_mins(1), std::future::pending())
        .await;
    assert_eq!(outcome, Shutdown::Clean);
    assert_eq!(
        *log.lock().expect("not poisoned"),
        ["reconcile", "recording", "jobs", "http"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_task_that_does_not_end_is_abandoned_in_time() {
    let supervisor = Supervisor::new();
    supervisor.spawn(TaskKind::Recording, "stuck", |_| {
        std::future::pending::<Result<(), String>>()
    });
    let outcome = supervisor
        .shutdown(Duration::from_mins(1), std::future::pending())
        .await;
    assert_eq!(outcome, Shutdown::Forced);
    let second = supervisor
        .shutdown(Duration::from_mins(1), std::future::ready(()))
        .await;
    assert_eq!(second, Shutdown::Forced, "a second signal ends the waiting at once");
}

#[tokio::test]
async fn failures_mean_what_their_kind_says() {
    let supervisor = Supervisor::new();
    supervisor.spawn(TaskKind::Recording, "unlucky", |_| async { Err("no luck") });
    tokio::task::yield_now().await;
    assert!(!supervisor.has_failed());
    supervisor.spawn(TaskKind::Webhooks, "needed", |_| async {
        panic!("a fault") as Result<(), String>
    });
    supervisor.stop_requested().await;
    assert!(supervisor.has_failed());
}

#[tokio::test]
async fn threads_are_tracked_too() {
    let (supervisor, log) = (Supervisor::new(), Log::default());
    let written = Arc::clone(&log);
    let (started, wait) = std::sync::mpsc::sync_channel(1);
    supervisor
        .spawn_thread(TaskKind::JournalWriter, "writer", move |token| {
            started.send(()).expect("the test waits");
            while !token.is_cancelled() {
                std::thread::yield_now();
            }
            record(&written, "writer");
            Ok::<(), String>(())
        })
        .expect("a thread");
    wait.recv().expect("started");
    assert_eq!(
        supervisor
            .shutdown(Duration::from_mins(1), std::future::pending())
            .await,
        Shutdown::Clean
    );
    assert_eq!(*log.lock().expect("not poisoned"), ["writer"]);
}
