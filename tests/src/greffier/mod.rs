//! Greffier itself: the real binary, with a data folder and a port of the test's own, beside a test's LiveKit server.

mod answer;
mod caller;
mod recording;

pub use answer::Answer;
pub use caller::Caller;
pub use recording::{Recording, RenderedFile, State};

use std::ffi::OsStr;
use std::fmt::Display;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use livekit_api::access_token::VideoGrants;
use reqwest::Method;
use reqwest::blocking::{Client, RequestBuilder};
use serde_json::Value;

use crate::folder::{Folder, repository};
use crate::missing::Missing;
use crate::network::Network;
use crate::process::{Deadline, Service};
use crate::server::Server;

/// It opens a database and binds a port; a debug build on a busy machine takes a second or two.
const READY_WITHIN: Duration = Duration::from_secs(30);
/// It leaves its rooms and seals its recordings; its own limit is a minute.
const STOP_WITHIN: Duration = Duration::from_secs(65);
/// How long one request may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);
/// The link for the first administrator is printed when it is ready.
const LINK_WITHIN: Duration = Duration::from_secs(10);
/// Between two looks at something that no event tells of.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What kind of Greffier a test wants; [`Greffier::setup`] begins one.
pub struct Setup<'a> {
    server: &'a Server,
    settings: Vec<(String, String)>,
    network: Option<Network>,
    data: Option<PathBuf>,
    number: u16,
}

impl Setup<'_> {
    /// Sets one value of the configuration, by its path: `("recording.max_recordings", "1")`. It goes in by the environment.
    #[must_use]
    pub fn set(mut self, path: &str, value: impl Display) -> Self {
        self.settings.push((path.to_owned(), format!("{value}")));
        self
    }

    /// Records rooms whose names match this pattern without being asked.
    #[must_use]
    pub fn records(self, pattern: &str) -> Self {
        self.set("recording.rules", format!(r#"[{{name="test",rooms=["{pattern}"]}}]"#))
    }

    /// A recording ends when a room has been empty for so many seconds.
    #[must_use]
    pub fn empty_timeout(self, seconds: u32) -> Self {
        self.set("recording.empty_timeout", format!("{seconds}s"))
    }

    /// Is behind this network, which may lose packets, instead of beside the server.
    #[must_use]
    pub fn behind(mut self, network: &Network) -> Self {
        self.network = Some(network.clone());
        self
    }

    /// Is one of several beside the same server: each number has a port, a log and a data folder of its own.
    #[must_use]
    pub fn number(mut self, number: u16) -> Self {
        self.number = number;
        self
    }

    /// Keeps its data there instead of in the test's folder.
    #[must_use]
    pub fn data(mut self, folder: impl Into<PathBuf>) -> Self {
        self.data = Some(folder.into());
        self
    }

    /// Starts it and waits until it is ready.
    pub fn start(self) -> Result<Greffier> {
        let greffier = self.launch()?;
        greffier.wait_until_ready()?;
        Ok(greffier)
    }

    /// Starts it, for a test that expects it not to become ready.
    pub fn launch(self) -> Result<Greffier> {
        let program = program()?;
        let folder = self.server.folder().clone();
        let name = |name: &str| match self.number {
            0 => name.to_owned(),
            number => format!("{name}-{number}"),
        };
        let data = self.data.unwrap_or_else(|| folder.join(name("data")));
        let (address, listen) = match &self.network {
            Some(network) => (network.inner_address(), Ipv4Addr::UNSPECIFIED),
            None => (Ipv4Addr::LOCALHOST, Ipv4Addr::LOCALHOST),
        };
        let port = self.server.ports().own() + self.number;
        let mut environment = vec![
            ("LIVEKIT_URL".to_owned(), self.server.url()),
            ("LIVEKIT_API_KEY".to_owned(), self.server.api_key().to_owned()),
            ("LIVEKIT_API_SECRET".to_owned(), self.server.api_secret().to_owned()),
            ("RUST_BACKTRACE".to_owned(), "1".to_owned()),
        ];
        let own = [
            ("store.data_dir".to_owned(), data.display().to_string()),
            ("api.listen".to_owned(), format!("{listen}:{port}")),
            // A test machine's disk may be nearly full; suites about that say so themselves.
            ("store.min_free_bytes".to_owned(), "1000000".to_owned()),
            ("store.min_free_percent".to_owned(), "0".to_owned()),
        ];
        for (path, value) in own.into_iter().chain(self.settings) {
            let name = format!("GREFFIER_{}", path.replace('.', "__").to_uppercase());
            environment.retain(|(known, _)| *known != name);
            environment.push((name, value));
        }
        let runner = Runner {
            program,
            network: self.network,
            environment,
            folder: folder.path().to_owned(),
        };
        let service = Service::start(
            "greffier",
            runner.command(["serve"])?,
            &folder.join(name("greffier") + ".log"),
        )?;
        let client = Client::builder()
            .timeout(ANSWER_WITHIN)
            .no_proxy()
            .build()
            .context("no HTTP client")?;
        let token = self.server.token_with(
            "tester",
            VideoGrants {
                room_record: true,
                room_admin: true,
                room_list: true,
                room_create: true,
                ..VideoGrants::default()
            },
        )?;
        let nobody = Caller::nobody(client, format!("http://{}:{port}", IpAddr::V4(address)));
        Ok(Greffier {
            runner,
            service,
            tester: nobody.with(token),
            nobody,
            data,
            folder,
        })
    }
}

/// How the binary is called: the same way for the server and for each subcommand.
#[derive(Debug)]
struct Runner {
    program: PathBuf,
    network: Option<Network>,
    environment: Vec<(String, String)>,
    folder: PathBuf,
}

impl Runner {
    fn command<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Result<Command> {
        let mut command = match &self.network {
            Some(network) => network.command(&self.program)?,
            None => Command::new(&self.program),
        };
        command.args(arguments).current_dir(&self.folder);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        Ok(command)
    }
}

/// A running Greffier. It is killed when this value is dropped.
#[derive(Debug)]
pub struct Greffier {
    runner: Runner,
    service: Service,
    nobody: Caller,
    /// With LiveKit's token that may do everything.
    tester: Caller,
    data: PathBuf,
    folder: Folder,
}

impl Greffier {
    /// Begins one beside this server, which should have been set up to tell it of its rooms
    /// ([`crate::server::Setup::tells_greffier`]).
    pub fn setup(server: &Server) -> Setup<'_> {
        Setup {
            server,
            settings: Vec::new(),
            network: None,
            data: None,
            number: 0,
        }
    }

    /// Where it answers, e.g. `http://127.0.0.1:20004`.
    pub fn url(&self) -> &str {
        self.nobody.url()
    }

    /// Its data folder.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// The running test's folder.
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// The process: its log, its id, signals.
    pub fn service(&mut self) -> &mut Service {
        &mut self.service
    }

    /// Kills it at once (`kill -9`), as a crash would.
    pub fn crash(&mut self) -> Result<()> {
        self.service.crash()
    }

    /// Asks it to end (SIGTERM) and gives how it ended.
    pub fn stop(&mut self) -> Result<ExitStatus> {
        self.service.stop(STOP_WITHIN)
    }

    /// Starts it again with the same configuration, and waits until it is ready.
    pub fn restart(&mut self) -> Result<()> {
        self.service.restart()?;
        self.wait_until_ready()
    }

    /// Waits until it says that it is ready to take work.
    pub fn wait_until_ready(&self) -> Result<()> {
        let deadline = Deadline::within(READY_WITHIN);
        let ready = eventually(deadline, || {
            let answer = self.request(Method::GET, "/readyz").send();
            Ok(answer.is_ok_and(|answer| answer.status().is_success()).then_some(()))
        })?;
        if ready.is_none() {
            // Its last lines say why.
            self.service
                .wait_for_line("its readiness", Deadline::within(Duration::ZERO), |_| false)?;
        }
        Ok(())
    }

    /// The link for the first administrator, as it is printed when nobody is.
    pub fn setup_link(&mut self) -> Result<String> {
        let deadline = Deadline::within(LINK_WITHIN);
        let line = self
            .service
            .wait_for_line("the link for the administrator", deadline, |line| {
                line.contains("setup link: ")
            })?;
        let (_, after) = line.split_once("setup link: ").context("a link")?;
        Ok(after.trim().to_owned())
    }

    /// Somebody without an account.
    pub fn nobody(&self) -> Caller {
        self.nobody.clone()
    }

    /// The first administrator, who has just followed the link.
    #[track_caller]
    pub fn administrator(&mut self) -> Caller {
        let link = self.setup_link().expect("it is printed on the first start");
        let nobody = self.nobody();
        nobody.known_by(&nobody.set_up(&link).expect(201))
    }

    /// A request without credentials.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.nobody.request(method, path)
    }

    /// Sends a request with the tester's token, which may do everything.
    pub fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Answer> {
        let mut request = self.tester.request(method, path);
        if let Some(body) = body {
            request = request.json(body);
        }
        Answer::of(request)
    }

    /// GET.
    pub fn get(&self, path: &str) -> Result<Answer> {
        self.ask(Method::GET, path, None)
    }

    /// POST.
    pub fn post(&self, path: &str, body: &Value) -> Result<Answer> {
        self.ask(Method::POST, path, Some(body))
    }

    /// Runs a subcommand with the configuration of the one that runs, and waits for its end.
    pub fn run<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Result<Output> {
        self.runner.command(arguments)?.output().context("cannot run greffier")
    }

    /// `greffier check` finds nothing wrong.
    #[track_caller]
    pub fn expect_check_clean(&self) {
        let output = self.run(["check"]).expect("it can be called");
        assert!(output.status.success(), "{}", text_of(&output));
    }

    /// It runs and never panicked.
    #[track_caller]
    pub fn expect_healthy(&mut self) {
        assert!(self.service.is_running().expect("its state"), "greffier has ended");
        self.expect_no_panic();
    }

    /// It never panicked, whether it runs or not.
    #[track_caller]
    pub fn expect_no_panic(&self) {
        let log = std::fs::read_to_string(self.service.log_file()).expect("its log");
        let panic = log.lines().find(|line| line.contains("panicked"));
        assert_eq!(panic, None, "see {}", self.service.log_file().display());
    }
}

/// All that a finished command wrote, and how it ended.
pub fn text_of(output: &Output) -> String {
    format!(
        "{}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// Looks again and again until there is something, or the deadline has passed.
pub fn eventually<T>(deadline: Deadline, mut look: impl FnMut() -> Result<Option<T>>) -> Result<Option<T>> {
    loop {
        if let Some(found) = look()? {
            return Ok(Some(found));
        }
        if deadline.has_passed() {
            return Ok(None);
        }
        Deadline::within(LOOK_EVERY.min(deadline.left())).wait();
    }
}

/// The binary: `$GREFFIER_BIN`, else the newer one of those that cargo built.
pub fn program() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("GREFFIER_BIN") {
        return Ok(PathBuf::from(path));
    }
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| repository().join("target"), PathBuf::from);
    let built = ["release", "debug"].map(|profile| target.join(profile).join("greffier"));
    let newest = built
        .into_iter()
        .filter_map(|path| Some((path.metadata().ok()?.modified().ok()?, path)))
        .max();
    match newest {
        Some((_, path)) => Ok(path),
        None => bail!(Missing::new("the greffier binary", "cargo build -p greffier")),
    }
}
