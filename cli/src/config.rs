//! The configuration: defaults, then the file, then the environment. Each section belongs to the part it configures.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use figment::Figment;
use figment::providers::{Env, Format as _, Serialized, Toml};
use greffier_agent::auto::Rules;
use greffier_agent::livekit::{Ice, LiveKitConfig, Paths};
use greffier_agent::load::HelperConfig;
use greffier_agent::recorder::RecorderConfig;
use greffier_agent::renders::RendersConfig;
use greffier_agent::webhook::{Outbox, WebhookConfig};
use greffier_api::ApiConfig;
use greffier_store::StoreConfig;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::json;
use url::Url;

use crate::logging::LogConfig;
use crate::show;

/// Where the file is looked for when none is named.
const DEFAULT_FILE: &str = "greffier.toml";
/// Known to everybody who has read LiveKit's documentation.
const DEVELOPMENT_KEYS: &[(&str, &str)] = &[("devkey", "secret")];
/// The length LiveKit itself asks for.
const MIN_SECRET_BYTES: usize = 32;

/// Everything that can be configured. `config show` prints what came of it, secrets left out.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// A set-up for trying things out on this machine: keys that everybody knows are accepted.
    #[serde(default)]
    pub development: bool,
    pub livekit: LiveKitSection,
    #[serde(default)]
    pub api: ApiConfig,
    #[serde(default)]
    pub store: StoreConfig,
    #[serde(default)]
    pub recording: RecorderConfig,
    #[serde(default)]
    pub renders: RendersConfig,
    #[serde(default)]
    pub webhooks: Vec<WebhookConfig>,
    #[serde(default)]
    pub load: HelperConfig,
    #[serde(default)]
    pub log: LogConfig,
    /// As the sources had it, for `config show`.
    #[serde(skip)]
    source: Figment,
}

/// The `[livekit]` section.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LiveKitSection {
    /// The server: `ws://127.0.0.1:7880`, `wss://livekit.example.org`.
    pub url: Url,
    pub api_key: Option<String>,
    pub api_secret: Option<SecretString>,
    /// A file that holds `api_secret`.
    pub api_secret_file: Option<PathBuf>,
    /// Which ways media takes: `all`, or `relay` for nothing but the TURN servers that LiveKit names.
    #[serde(default)]
    pub ice: Ice,
    /// Certificates (PEM) that LiveKit's `turns:` servers may be certified by, beside public authorities.
    pub turn_ca: Option<PathBuf>,
}

impl Config {
    /// Reads the configuration.
    ///
    /// # Errors
    /// When a source cannot be read, or says something that has no meaning; the error names file and field.
    pub fn load(file: Option<&Path>) -> anyhow::Result<Self> {
        let mut figment = Figment::from(Serialized::defaults(json!({"livekit": {"url": "ws://127.0.0.1:7880"}})));
        let path = file.unwrap_or_else(|| Path::new(DEFAULT_FILE));
        match path.try_exists() {
            Ok(true) => figment = figment.merge(Toml::file_exact(path)),
            Ok(false) if file.is_none() => {}
            Ok(false) => bail!("there is no configuration file {}", path.display()),
            Err(error) => return Err(error).with_context(|| format!("cannot look for {}", path.display())),
        }
        let livekit = Env::prefixed("LIVEKIT_").only(&["url", "api_key", "api_secret"]);
        let figment = figment
            .merge(livekit.map(|key| format!("livekit.{key}").into()))
            .merge(Env::prefixed("GREFFIER_").ignore(NOT_SETTINGS).split("__"));
        let mut config: Self = figment.extract().context("the configuration is wrong")?;
        config.source = figment;
        Ok(config)
    }

    /// Looks at everything that can be judged without starting.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&self) -> anyhow::Result<()> {
        self.livekit()?;
        self.paths().settings().context("[livekit]")?;
        self.store.validate().context("[store]")?;
        Rules::new(&self.recording.rules).context("[recording]")?;
        Outbox::new(&self.webhooks).context("[[webhooks]]")?;
        self.log.check()?;
        self.check_keys()
    }

    /// The server with its keys.
    ///
    /// # Errors
    /// When one is missing.
    pub fn livekit(&self) -> anyhow::Result<LiveKitConfig> {
        let section = &self.livekit;
        if !matches!(section.url.scheme(), "ws" | "wss" | "http" | "https") {
            bail!("`livekit.url` is `{}`; it begins with ws:// or wss://", section.url);
        }
        let hint = "set it in greffier.toml or in the environment (LIVEKIT_API_KEY, LIVEKIT_API_SECRET)";
        let Some(api_key) = section.api_key.clone().filter(|key| !key.is_empty()) else {
            bail!("`livekit.api_key` is missing: {hint}");
        };
        let api_secret = match (&section.api_secret, &section.api_secret_file) {
            (Some(_), Some(_)) => bail!("give either `livekit.api_secret` or `livekit.api_secret_file`, not both"),
            (Some(secret), None) => secret.clone(),
            (None, Some(path)) => std::fs::read_to_string(path)
                .with_context(|| format!("cannot read {}, which `livekit.api_secret_file` names", path.display()))?
                .trim_end_matches(['\r', '\n'])
                .into(),
            (None, None) => bail!("`livekit.api_secret` is missing: {hint}"),
        };
        Ok(LiveKitConfig {
            url: section.url.clone(),
            api_key,
            api_secret,
        })
    }

    /// How media gets to the server.
    pub fn paths(&self) -> Paths {
        Paths {
            ice: self.livekit.ice,
            turn_ca: self.livekit.turn_ca.clone(),
        }
    }

    /// Where people and programs on this machine, or wherever `api.public_url` says, reach the API.
    pub fn api_url(&self) -> anyhow::Result<Url> {
        if let Some(url) = &self.api.public_url {
            return Ok(url.clone());
        }
        let scheme = if self.api.tls.is_some() { "https" } else { "http" };
        let mut listen = self.api.listen;
        if listen.ip().is_unspecified() {
            listen.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
        }
        Ok(format!("{scheme}://{listen}/").parse()?)
    }

    /// Keys that anybody could guess are for set-ups that say so.
    fn check_keys(&self) -> anyhow::Result<()> {
        if self.development {
            return Ok(());
        }
        let livekit = self.livekit()?;
        let secret = livekit.api_secret.expose_secret();
        if DEVELOPMENT_KEYS.contains(&(&*livekit.api_key, secret)) {
            bail!(
                "`{}` with its secret is a development key that everybody knows; make keys of your own \
                 (`livekit-server generate-keys`), or set `development = true` on a machine that only you reach",
                livekit.api_key
            );
        }
        if secret.len() < MIN_SECRET_BYTES {
            bail!(
                "`livekit.api_secret` has {} bytes; a secret of fewer than {MIN_SECRET_BYTES} can be guessed (or set \
                 `development = true` on a machine that only you reach)",
                secret.len()
            );
        }
        Ok(())
    }
}

/// Variables of ours that are not settings.
const NOT_SETTINGS: &[&str] = &[
    "config",
    "server",
    "api_key",
    "profile",
    "run",
    "root",
    "cache",
    "daemon",
    "bin",
    "test_postgres",
];

/// Look at the configuration.
#[derive(Debug, Args)]
pub struct Show {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Say whether the configuration can be used; nothing is started.
    Check,
    /// Print the configuration as it counts, as TOML, secrets left out.
    Show,
}

impl Show {
    pub fn run(self, config: &Config) -> anyhow::Result<ExitCode> {
        match self.what {
            What::Check => {
                config.check()?;
                show::line("the configuration can be used");
            }
            What::Show => show::line(config.shown()?.trim_end()),
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Config {
    /// What was said, over the defaults; without what is secret.
    fn shown(&self) -> anyhow::Result<String> {
        let mut said: toml::Value = self.source.extract()?;
        let defaults = toml::Value::try_from(json!({
            "development": false,
            "livekit": { "ice": Ice::default() },
            "store": StoreConfig::default(),
            "recording": RecorderConfig::default(),
            "renders": RendersConfig::default(),
            "load": HelperConfig::default(),
            "log": LogConfig::default(),
        }))?;
        fill(&mut said, defaults);
        redact(&mut said);
        Ok(toml::to_string_pretty(&said)?)
    }
}

/// Adds what was not said.
fn fill(said: &mut toml::Value, defaults: toml::Value) {
    let (Some(said), toml::Value::Table(defaults)) = (said.as_table_mut(), defaults) else {
        return;
    };
    for (key, default) in defaults {
        match said.get_mut(&key) {
            Some(value) => fill(value, default),
            None => {
                said.insert(key, default);
            }
        }
    }
}

/// Values of fields that hold secrets; `*_file` and the names of options stay.
fn redact(value: &mut toml::Value) {
    match value {
        toml::Value::Table(table) => {
            for (key, value) in table.iter_mut() {
                let secret = matches!(
                    &**key,
                    "api_secret" | "secret" | "key" | "database" | "password" | "private_key"
                );
                match value {
                    toml::Value::String(text) if secret && !text.is_empty() => "[redacted]".clone_into(text),
                    toml::Value::Table(options) if key == "options" => {
                        options.iter_mut().for_each(|(_, option)| *option = "[redacted]".into());
                    }
                    other => redact(other),
                }
            }
        }
        toml::Value::Array(values) => values.iter_mut().for_each(redact),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn load(text: &str) -> anyhow::Result<Config> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("greffier.toml");
        fs::write(&path, text)?;
        Config::load(Some(&path))
    }

    const KEYS: &str = "[livekit]\napi_key = 'mykey'\napi_secret = 'a secret that is long enough for anybody'\n";

    #[test]
    fn the_sample_can_be_used() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../greffier.toml");
        let config = Config::load(Some(&path)).expect("parses");
        config.check().expect("makes sense");
        assert!(config.development);
    }

    #[test]
    fn keys_that_everybody_knows_are_for_development() {
        let text = "[livekit]\napi_key = 'devkey'\napi_secret = 'secret'\n";
        let refused = load(text).expect("parses").check().expect_err("refused").to_string();
        assert!(refused.contains("development = true"), "{refused}");
        load(&format!("development = true\n{text}"))
            .expect("parses")
            .check()
            .expect("development");
        load(KEYS).expect("parses").check().expect("own keys");
        let short = KEYS.replace("a secret that is long enough for anybody", "short");
        assert!(load(&short).expect("parses").check().is_err());
    }

    #[test]
    fn mistakes_name_their_field() {
        for (text, named) in [
            ("[livekit]\nurll = 'x'\n", "urll"),
            ("[livekit]\nice = 'relays'\n", "ice"),
            ("[store]\nmin_free_percent = 'much'\n", "min_free_percent"),
            ("[recording]\nempty_timeout = 'soon'\n", "empty_timeout"),
            ("colour = 1\n", "colour"),
        ] {
            let error = format!("{:#}", load(text).expect_err(text));
            assert!(error.contains(named), "{error}");
        }
        let error = format!(
            "{:#}",
            load("[livekit]\napi_key = 'k'\n")
                .expect("parses")
                .check()
                .expect_err("no secret")
        );
        assert!(error.contains("livekit.api_secret"), "{error}");
    }

    #[test]
    fn what_is_shown_has_no_secrets() {
        let text = format!(
            "{KEYS}[[webhooks]]\nurl = 'https://x/'\nsecret = 'hunter2hunter2'\n\
             [store.objects]\nurl = 's3://b'\n[store.objects.options]\naws_secret_access_key = 'hunter2'\n"
        );
        let shown = load(&text).expect("parses").shown().expect("shown");
        assert!(!shown.contains("hunter2") && !shown.contains("long enough"), "{shown}");
        assert!(
            shown.contains("aws_secret_access_key") && shown.contains("flush = \"100ms\""),
            "{shown}"
        );
    }
}
