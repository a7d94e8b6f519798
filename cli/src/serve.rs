//! `greffier serve`: everything that runs, put together.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use greffier_agent::auto::AutoRecord;
use greffier_agent::capture::metric;
use greffier_agent::clock::SystemClock;
use greffier_agent::livekit::LiveKit;
use greffier_agent::recorder::Recorder;
use greffier_agent::renders::Renders;
use greffier_agent::supervisor::{Shutdown, Supervisor, TaskKind};
use greffier_agent::upkeep;
use greffier_agent::webhook::Outbox;
use greffier_api::Services;
use greffier_store::Store;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tokio::signal::unix::{SignalKind, signal};

use crate::config::Config;

/// How long everything may take to end.
const SHUTDOWN_LIMIT: Duration = Duration::from_mins(1);
/// Seconds; a flush is due every 0.1, a sync every 1.
const LATENCIES: &[f64] = &[
    0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0,
];

/// Runs it until it is told to end.
pub fn run(config: Config) -> anyhow::Result<ExitCode> {
    config.check()?;
    config.log.start()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(serve(config))
}

async fn serve(config: Config) -> anyhow::Result<ExitCode> {
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "greffier starts");
    if config.development {
        tracing::warn!("a development set-up: keys that everybody knows are accepted");
    }
    let metrics = metrics()?;
    let clock = SystemClock::start();
    let supervisor = Supervisor::new();
    let store = Store::open(&config.store, Arc::new(clock)).await?;
    let recovered = store.recover().await?;
    config.paths().apply().context("[livekit]")?;
    let livekit = LiveKit::new(config.livekit()?);
    let outbox = Outbox::new(&config.webhooks)?;
    let program = std::env::current_exe().context("where this program is cannot be told")?;
    let renders = Renders::new(store.clone(), clock, outbox.clone(), config.renders.clone(), program);
    let recorder = Recorder::new(
        store.clone(),
        livekit.clone(),
        clock,
        supervisor.clone(),
        outbox.clone(),
        renders.clone(),
        config.recording.clone(),
    )?;
    let (auto, hints) = AutoRecord::new(recorder.clone(), livekit.clone(), store.clone())?;

    // What was interrupted goes on before anything new begins.
    recorder.recover(recovered.interrupted).await;
    renders.start(&supervisor);
    supervisor.spawn(TaskKind::Reconcile, "rules", |token| done(auto.run(token)));
    supervisor.spawn(TaskKind::Upload, "upload", |token| {
        done(upkeep::upload(store.clone(), token))
    });
    supervisor.spawn(TaskKind::Retention, "sweep", |token| {
        done(upkeep::sweep(store.clone(), clock, token))
    });
    supervisor.spawn(TaskKind::Webhooks, "deliver", |token| {
        outbox.clone().deliver(store.clone(), clock, token)
    });

    let services = Services {
        store: store.clone(),
        recorder,
        renders,
        hints,
        livekit,
        clock,
        outbox,
        supervisor: supervisor.clone(),
        load: config.load.clone(),
        metrics: Some(metrics),
    };
    let config_link = config.api_url()?;
    let router = greffier_api::router(config.api.clone(), services).context("[api]")?;
    let (api, spawner) = (config.api, supervisor.clone());
    supervisor.spawn(TaskKind::HttpServer, "http", |token| async move {
        greffier_api::serve(&api, router, &spawner, token).await
    });

    if let Some(token) = store.joining().setup_token().await? {
        // Printed once, for whoever started this; it ends with the first administrator.
        tracing::info!("setup link: {}", config_link.join(&format!("setup?token={token}"))?);
    }

    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        () = supervisor.stop_requested() => {}
        interrupted = tokio::signal::ctrl_c() => interrupted?,
        _ = terminate.recv() => {}
    }
    tracing::info!("stopping; a second signal stops at once");
    let force = async {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminate.recv() => {}
        }
    };
    let shutdown = supervisor.shutdown(SHUTDOWN_LIMIT, force).await;
    store.close().await?;
    tracing::info!(clean = shutdown == Shutdown::Clean, "greffier ends");
    Ok(if supervisor.has_failed() || shutdown == Shutdown::Forced {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

/// A task that cannot fail.
async fn done(task: impl Future<Output = ()>) -> Result<(), std::convert::Infallible> {
    task.await;
    Ok(())
}

fn metrics() -> anyhow::Result<PrometheusHandle> {
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), LATENCIES)?
        .install_recorder()?;
    metric::describe();
    Ok(handle)
}
