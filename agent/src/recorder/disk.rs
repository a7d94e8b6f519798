//! The watch over the disk: recordings end while there is still room to end them well.

use std::time::Duration;

use greffier_media::journal::event::StopReason;

use super::Recorder;
use crate::capture::metric;
use crate::supervisor::TaskKind;

const LOOK_EVERY: Duration = Duration::from_secs(2);

impl Recorder {
    pub(super) fn watch_disk(&self) {
        let recorder = self.clone();
        self.inner
            .supervisor
            .spawn(TaskKind::DiskWatch, "disk", |token| async move {
                let mut look = tokio::time::interval(LOOK_EVERY);
                loop {
                    tokio::select! {
                        () = token.cancelled() => return Ok::<(), std::convert::Infallible>(()),
                        _ = look.tick() => recorder.look_at_disk().await,
                    }
                }
            });
    }

    async fn look_at_disk(&self) {
        let space = match self.inner.store.disk_space() {
            Ok(space) => space,
            Err(error) => {
                tracing::error!(%error, "how full the disk is cannot be told");
                return;
            }
        };
        metrics::gauge!(metric::DISK_AVAILABLE).set(space.available as f64);
        if space.is_enough() {
            let store = self.inner.store.clone();
            match tokio::task::spawn_blocking(move || store.keep_reserve()).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    tracing::warn!(%error, "no room can be set aside for ending recordings on a full disk");
                }
                Err(error) => tracing::error!(%error, "the work on the disk panicked"),
            }
            return;
        }
        let running: Vec<_> = self.inner.running.lock().keys().copied().collect();
        for id in running {
            tracing::error!(recording = %id, available = space.available, floor = space.floor, "disk nearly full: stopping");
            // One that ended meanwhile is as well.
            if let Err(error) = self.stop(id, StopReason::DiskFull).await {
                tracing::debug!(recording = %id, %error, "not stopped");
            }
        }
    }
}
