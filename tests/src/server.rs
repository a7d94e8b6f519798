//! A LiveKit server of the test's own: free ports, its own keys, its log in a file; ended with the test.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use livekit_api::access_token::{AccessToken, VideoGrants};
use serde_json::{Value, json};

use crate::folder::{Folder, repository};
use crate::missing::Missing;
use crate::ports::Ports;
use crate::process::{Deadline, Service, preferred};

/// A server on an idle machine answers within 0.2 s; a busy one needs longer, and a broken one never answers.
const READY_WITHIN: Duration = Duration::from_secs(30);
/// After SIGTERM an empty server takes five seconds; one with participants waits for them, for ever.
const STOP_WITHIN: Duration = Duration::from_secs(10);
/// Credentials of every test's server. LiveKit asks for secrets of 32 characters or more.
const KEY: &str = "testkey";
const SECRET: &str = "the secret of a server that lives for one test only";

/// How media over UDP reaches the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Udp {
    /// A port for each peer connection, as `livekit.yaml` has it.
    Range,
    /// One port for all.
    Mux,
    /// None: media must come over TCP.
    Off,
}

/// What kind of server a test wants; [`Server::setup`] begins one.
pub struct Setup {
    address: Ipv4Addr,
    udp: Udp,
    webhook: Option<String>,
    tells_greffier_at: Option<Ipv4Addr>,
    log_level: &'static str,
    change: Box<dyn FnOnce(&mut Value)>,
}

impl Setup {
    /// Listens on (and puts into its candidates) this address of the machine instead of 127.0.0.1.
    #[must_use]
    pub fn address(mut self, address: Ipv4Addr) -> Self {
        self.address = address;
        self
    }

    /// How UDP is laid out; [`Udp::Range`] unless told.
    #[must_use]
    pub fn udp(mut self, udp: Udp) -> Self {
        self.udp = udp;
        self
    }

    /// Sends its webhooks there.
    #[must_use]
    pub fn webhook(mut self, url: impl Into<String>) -> Self {
        self.webhook = Some(url.into());
        self
    }

    /// Sends its webhooks to the [`crate::Greffier`] that will be beside it.
    #[must_use]
    pub fn tells_greffier(self) -> Self {
        self.tells_greffier_at(Ipv4Addr::LOCALHOST)
    }

    /// The same for one that is behind a network, at this address.
    #[must_use]
    pub fn tells_greffier_at(mut self, address: Ipv4Addr) -> Self {
        self.tells_greffier_at = Some(address);
        self
    }

    /// `debug`, `info` (unless told), `warn`, `error`.
    #[must_use]
    pub fn log_level(mut self, level: &'static str) -> Self {
        self.log_level = level;
        self
    }

    /// Changes anything else in the server's configuration (JSON, with the names of `config-sample.yaml`).
    #[must_use]
    pub fn configure(mut self, change: impl FnOnce(&mut Value) + 'static) -> Self {
        self.change = Box::new(change);
        self
    }

    /// Starts it and waits until it answers.
    pub fn start(self) -> Result<Server> {
        let program = find()?;
        let ports = Ports::take()?;
        let folder = Folder::of_test()?;
        let config_file = folder.join(format!("livekit-{}.json", ports.http()));
        let mut config = json!({
            "port": ports.http(),
            "bind_addresses": ["127.0.0.1"],
            "rtc": {
                "tcp_port": ports.tcp(),
                "use_external_ip": false,
                "node_ip": self.address.to_string(),
                "enable_loopback_candidate": self.address.is_loopback(),
                "ips": { "includes": [format!("{}/32", self.address)] },
                // Else clients are told to ask public STUN servers.
                "stun_servers": [format!("127.0.0.1:{}", ports.silent())],
            },
            "prometheus": { "port": ports.metrics() },
            "keys": { KEY: SECRET },
            "room": { "auto_create": true, "empty_timeout": 300, "departure_timeout": 20 },
            "logging": { "level": self.log_level, "json": true },
        });
        if !self.address.is_loopback() {
            config["bind_addresses"] = json!(["127.0.0.1", self.address.to_string()]);
        }
        let (first, last) = ports.udp();
        match self.udp {
            Udp::Range => {
                config["rtc"]["port_range_start"] = first.into();
                config["rtc"]["port_range_end"] = last.into();
            }
            Udp::Mux => config["rtc"]["udp_port"] = first.into(),
            Udp::Off => config["rtc"]["force_tcp"] = true.into(),
        }
        let greffier = |address| format!("http://{address}:{}/webhooks/livekit", ports.own());
        if let Some(url) = self.webhook.or(self.tells_greffier_at.map(greffier)) {
            config["webhook"] = json!({ "api_key": KEY, "urls": [url] });
        }
        (self.change)(&mut config);
        // JSON is YAML.
        std::fs::write(&config_file, serde_json::to_vec_pretty(&config)?).context("cannot write the configuration")?;

        let mut command = preferred(program)?;
        command.arg("--config").arg(&config_file);
        let service = Service::start(
            "livekit-server",
            command,
            &folder.join(format!("livekit-{}.log", ports.http())),
        )?;
        let server = Server {
            ports,
            folder,
            address: self.address,
            service,
        };
        server.wait_until_ready()?;
        Ok(server)
    }
}

/// A running LiveKit server. It is killed when this value is dropped.
#[derive(Debug)]
pub struct Server {
    ports: Ports,
    folder: Folder,
    address: Ipv4Addr,
    service: Service,
}

impl Server {
    /// Starts a server for this test, with the defaults of [`Setup`].
    pub fn start() -> Result<Self> {
        Self::setup().start()
    }

    /// Begins a server that differs from the default one.
    pub fn setup() -> Setup {
        Setup {
            address: Ipv4Addr::LOCALHOST,
            udp: Udp::Range,
            webhook: None,
            tells_greffier_at: None,
            log_level: "info",
            change: Box::new(|_| {}),
        }
    }

    /// Where clients connect, e.g. `ws://127.0.0.1:20000`.
    pub fn url(&self) -> String {
        format!("ws://{}:{}", self.address, self.ports.http())
    }

    /// Where the server API is, e.g. `http://127.0.0.1:20000`.
    pub fn http_url(&self) -> String {
        format!("http://{}:{}", self.address, self.ports.http())
    }

    /// Where its Prometheus metrics are.
    pub fn metrics_url(&self) -> String {
        format!("http://127.0.0.1:{}/metrics", self.ports.metrics())
    }

    /// API key.
    pub fn api_key(&self) -> &'static str {
        KEY
    }

    /// API secret.
    pub fn api_secret(&self) -> &'static str {
        SECRET
    }

    /// The block of ports that is this test's own.
    pub fn ports(&self) -> &Ports {
        &self.ports
    }

    /// The running test's folder, where the server's log is too.
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// A token to enter a room as an ordinary participant: publishes, subscribes, may change its own metadata.
    pub fn token(&self, room: &str, identity: &str) -> Result<String> {
        self.token_with(
            identity,
            VideoGrants {
                room_join: true,
                room: room.to_owned(),
                can_publish: Some(true),
                can_subscribe: Some(true),
                can_publish_data: Some(true),
                can_update_own_metadata: Some(true),
                ..VideoGrants::default()
            },
        )
    }

    /// A token with these grants.
    pub fn token_with(&self, identity: &str, grants: VideoGrants) -> Result<String> {
        AccessToken::with_api_key(KEY, SECRET)
            .with_identity(identity)
            .with_name(identity)
            .with_grants(grants)
            .to_jwt()
            .context("cannot sign a token")
    }

    /// The process: its log, its id, signals.
    pub fn service(&mut self) -> &mut Service {
        &mut self.service
    }

    /// Kills it at once (`kill -9`), as a crash would.
    pub fn crash(&mut self) -> Result<()> {
        self.service.crash()
    }

    /// Asks it to end (SIGTERM).
    pub fn stop(&mut self) -> Result<()> {
        self.service.stop(STOP_WITHIN).map(|_| ())
    }

    /// Starts it again with the same configuration on the same ports, and waits until it answers.
    pub fn restart(&mut self) -> Result<()> {
        self.service.restart()?;
        self.wait_until_ready()
    }

    fn wait_until_ready(&self) -> Result<()> {
        let deadline = Deadline::within(READY_WITHIN);
        // Its listeners are open when it says so.
        let is_open = |line: &str| line.contains("starting LiveKit server");
        self.service.wait_for_line("its start", deadline, is_open)?;
        answers(self.ports.http(), deadline)
    }
}

/// Waits for the answer to a request; the connection is accepted as soon as the listener is open.
fn answers(port: u16, deadline: Deadline) -> Result<()> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let ask = || -> std::io::Result<String> {
        let left = deadline.left().max(Duration::from_millis(1));
        let mut stream = TcpStream::connect_timeout(&address, left)?;
        stream.set_read_timeout(Some(left))?;
        stream.write_all(format!("GET / HTTP/1.0\r\nHost: {address}\r\n\r\n").as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    let answer = ask().context("livekit-server does not answer")?;
    ensure!(
        answer.starts_with("HTTP/1.0 200"),
        "livekit-server answers {:?}",
        answer.lines().next()
    );
    Ok(())
}

/// Where livekit-server is, installed by the script that everybody uses if it is not there yet.
fn find() -> Result<PathBuf> {
    static FOUND: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let found = FOUND.get_or_init(|| {
        let script = repository().join("scripts/install/livekit_server.sh");
        let output = Command::new("bash")
            .arg(script)
            .output()
            .map_err(|error| error.to_string())?;
        if output.status.success() {
            Ok(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()))
        } else {
            Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
        }
    });
    Ok(found
        .clone()
        .map_err(|why| Missing::new(format!("livekit-server: {why}"), "scripts/install/livekit_server.sh"))?)
}
