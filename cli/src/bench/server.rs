//! The LiveKit server of a bench: one that runs, or one of our own.

use std::net::{TcpListener, UdpSocket};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail};
use greffier_agent::load::process::Process;
use tokio::process::{Child, Command};
use url::Url;

/// A server to measure with.
pub struct Server {
    pub url: Url,
    pub key: String,
    pub secret: String,
    /// If it is on this machine and may be looked at.
    pub process: Option<Process>,
    /// If it is ours.
    child: Option<Child>,
}

/// Names it is installed under.
const PROGRAM: &str = "livekit-server";
const STARTS_WITHIN: Duration = Duration::from_secs(15);
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// UDP ports of our own server: one for each participant, two to spare.
const MEDIA_PORTS: u16 = 2_000;

impl Server {
    /// Uses the server at `url`.
    pub async fn at(url: Url, key: String, secret: String) -> anyhow::Result<Self> {
        let local = url
            .host_str()
            .is_some_and(|host| matches!(host, "127.0.0.1" | "localhost" | "[::1]"));
        let port = url.port_or_known_default().unwrap_or(80);
        let process = if local { Process::listening_at(port)? } else { None };
        let server = Self {
            url,
            key,
            secret,
            process,
            child: None,
        };
        server
            .answers()
            .await
            .with_context(|| format!("no LiveKit server answers at {}", server.url))?;
        Ok(server)
    }

    /// Starts one on free ports of the loopback interface; it ends with this value.
    pub async fn start(program: Option<&str>) -> anyhow::Result<Self> {
        let program = program.unwrap_or(PROGRAM);
        let (http, tcp) = (free_port()?, free_port()?);
        let first = free_media_ports()?;
        let (key, secret) = ("bench".to_owned(), format!("{:032x}", rand_secret()));
        let last = first + MEDIA_PORTS;
        let config = format!(
            "port: {http}\nbind_addresses: [\"127.0.0.1\"]\nrtc:\n  port_range_start: {first}\n  port_range_end: {last}\n  \
             tcp_port: {tcp}\n  node_ip: 127.0.0.1\n  use_external_ip: false\nkeys:\n  {key}: {secret}\n\
             logging: {{level: error}}\n"
        );
        let child = Command::new(program)
            .env("LIVEKIT_CONFIG", config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("`{program}` cannot be started; name a server that runs with --server-url"))?;
        let url = Url::parse(&format!("ws://127.0.0.1:{http}"))?;
        let process = child.id().map(Process::new);
        let mut server = Self {
            url,
            key,
            secret,
            process,
            child: Some(child),
        };
        tokio::time::timeout(STARTS_WITHIN, server.started())
            .await
            .context("the LiveKit server does not answer")??;
        Ok(server)
    }

    async fn started(&mut self) -> anyhow::Result<()> {
        let mut look = tokio::time::interval(LOOK_EVERY);
        loop {
            look.tick().await;
            if let Some(child) = &mut self.child
                && let Some(status) = child.try_wait()?
            {
                bail!("the LiveKit server ended at once: {status}");
            }
            if self.answers().await.is_ok() {
                return Ok(());
            }
        }
    }

    async fn answers(&self) -> anyhow::Result<()> {
        let http = self.url.as_str().replacen("ws", "http", 1);
        let client = reqwest::Client::builder().timeout(STARTS_WITHIN).no_proxy().build()?;
        client.get(http).send().await?.error_for_status()?;
        Ok(())
    }

    pub async fn end(mut self) -> anyhow::Result<()> {
        if let Some(child) = &mut self.child {
            child.kill().await?;
        }
        Ok(())
    }
}

fn rand_secret() -> u128 {
    use std::hash::{BuildHasher as _, Hasher as _};
    // Keys of a hasher are random; a secret for a server on loopback that lives for a minute needs no more.
    let random = || u128::from(std::collections::hash_map::RandomState::new().build_hasher().finish());
    random() << 64 | random()
}

fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// Where a range of UDP ports is free, below those that the system gives away.
fn free_media_ports() -> anyhow::Result<u16> {
    let free = |first: &u16| {
        let probe = [*first, *first + MEDIA_PORTS / 2, *first + MEDIA_PORTS];
        probe.iter().all(|port| UdpSocket::bind(("0.0.0.0", *port)).is_ok())
    };
    (10_000..30_000)
        .step_by(usize::from(MEDIA_PORTS))
        .find(free)
        .context("no range of UDP ports is free")
}
