//! Accepting connections, until told to stop.

use std::{io, net::SocketAddr, path::PathBuf, pin::pin, time::Duration};

use axum::Router;
use axum_server::{Handle, tls_rustls::RustlsConfig};
use greffier_agent::supervisor::{Supervisor, TaskKind};
use tokio_util::sync::CancellationToken;

use crate::config::{ApiConfig, TlsConfig};

/// How long answers that are under way may take once the process is to stop.
const GRACE: Duration = Duration::from_secs(5);

/// Why nobody can be served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    #[error("{address} cannot be listened on; is something else there, or another Greffier?")]
    Bind { address: SocketAddr, source: io::Error },
    #[error("the certificate `{}` or its key `{}` cannot be used", certificate.display(), key.display())]
    Certificate {
        certificate: PathBuf,
        key: PathBuf,
        source: io::Error,
    },
    #[error("connections are accepted no more")]
    Accept(#[source] io::Error),
}

/// Serves `router` at the configured address until `token` is cancelled; then finishes what is under way.
///
/// # Errors
/// When the address is taken, or the certificate cannot be used.
pub async fn serve(
    config: &ApiConfig,
    router: Router,
    supervisor: &Supervisor,
    token: CancellationToken,
) -> Result<(), ServeError> {
    let address = config.listen;
    let failed = |source| ServeError::Bind { address, source };
    let listener = std::net::TcpListener::bind(address).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    let handle = Handle::new();
    match &config.tls {
        None => {
            tracing::info!(%address, "serving http");
            let server = axum_server::from_tcp(listener).map_err(failed)?;
            run(server.handle(handle.clone()).serve(service), handle, token).await
        }
        Some(tls) => {
            tracing::info!(%address, "serving https");
            let certificates = load(tls).await?;
            reload(tls.clone(), certificates.clone(), supervisor);
            let server = axum_server::from_tcp_rustls(listener, certificates).map_err(failed)?;
            run(server.handle(handle.clone()).serve(service), handle, token).await
        }
    }
}

async fn run(
    serving: impl Future<Output = io::Result<()>>,
    handle: Handle<SocketAddr>,
    token: CancellationToken,
) -> Result<(), ServeError> {
    let mut serving = pin!(serving);
    tokio::select! {
        ended = &mut serving => return ended.map_err(ServeError::Accept),
        () = token.cancelled() => handle.graceful_shutdown(Some(GRACE)),
    }
    serving.await.map_err(ServeError::Accept)
}

async fn load(tls: &TlsConfig) -> Result<RustlsConfig, ServeError> {
    let loaded = RustlsConfig::from_pem_file(&tls.certificate, &tls.key).await;
    loaded.map_err(|source| ServeError::Certificate {
        certificate: tls.certificate.clone(),
        key: tls.key.clone(),
        source,
    })
}

/// Reads the certificate again now and then: connections made afterwards use it.
fn reload(tls: TlsConfig, certificates: RustlsConfig, supervisor: &Supervisor) {
    supervisor.spawn(TaskKind::Housekeeping, "certificate", |token| async move {
        let mut due = tokio::time::interval(tls.reload.max(Duration::from_secs(1)));
        due.tick().await;
        loop {
            tokio::select! {
                () = token.cancelled() => return Ok::<(), std::convert::Infallible>(()),
                _ = due.tick() => {}
            }
            match certificates.reload_from_pem_file(&tls.certificate, &tls.key).await {
                Ok(()) => tracing::debug!("certificate read again"),
                Err(error) => tracing::error!(%error, "the certificate cannot be read again; the old one stays"),
            }
        }
    });
}
