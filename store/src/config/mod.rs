//! What an operator may choose about the store; each field's text is its reference.

pub mod duration;

use std::{
    collections::BTreeMap,
    fmt, fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize, Serializer};
use url::Url;

use self::duration::optional as optional_duration;
use crate::ErrorKind;

/// The `[store]` section.
///
/// Durations are written as `"100ms"`, `"5m"`, `"30d"`. Wherever a secret stands, `<name>_file` may stand instead and
/// names a file that holds it.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct StoreConfig {
    /// Where everything lives: the lock, the database (if it is SQLite), `recordings/`, `lost+found/`. Made if it is
    /// missing. One process at a time may use it.
    pub data_dir: PathBuf,
    /// The database: `postgres://user:password@host/name` or `sqlite:///path/to/file`. Without it,
    /// `greffier.db` in `data_dir`.
    #[serde(serialize_with = "redacted", skip_serializing_if = "Option::is_none")]
    pub database: Option<SecretString>,
    /// A file that holds `database`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database_file: Option<PathBuf>,
    /// Most connections to the database at a time. SQLite has one writer besides, whatever this says. At least 1.
    pub database_connections: u32,
    /// What secrets in the database are sealed with: at least 32 random characters. Without it, `secrets.key` in
    /// `data_dir`, which is made with it. Data directories that share a database need the same.
    #[serde(serialize_with = "redacted", skip_serializing_if = "Option::is_none")]
    pub secrets_key: Option<SecretString>,
    /// A file that holds `secrets_key`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secrets_key_file: Option<PathBuf>,
    /// Another home for finished files: sealed segments go there while the meeting goes on, renders once they are ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub objects: Option<ObjectsConfig>,
    /// New recordings are refused, and running ones stop cleanly, when fewer bytes than this are free on the disk of
    /// `data_dir`.
    pub min_free_bytes: u64,
    /// The same as a part of the disk, in percent from 0 to 99. The larger of the two counts.
    pub min_free_percent: u8,
    /// How journals are written.
    pub journal: JournalConfig,
    /// How long recordings are kept.
    pub retention: RetentionConfig,
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::from("data"),
            database: None,
            database_file: None,
            database_connections: 4,
            secrets_key: None,
            secrets_key_file: None,
            objects: None,
            min_free_bytes: 1 << 30,
            min_free_percent: 2,
            journal: JournalConfig::default(),
            retention: RetentionConfig::default(),
        }
    }
}

/// The `[store.journal]` section: how much a crash may cost, and how large files get.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct JournalConfig {
    /// What was received is handed to the kernel after this long at most: what a killed process may lose. 1 ms to 1 s.
    #[serde(with = "duration")]
    pub flush: Duration,
    /// What was received is on the disk after this long at most, as long as the disk keeps up: what a power failure may
    /// lose. Not shorter than `flush`, not longer than 1 minute.
    #[serde(with = "duration")]
    pub sync: Duration,
    /// A segment is sealed, and the next one begun, after this long; a recording's first after half of it at least. 1 s to
    /// 1 day.
    #[serde(with = "duration")]
    pub segment: Duration,
    /// The same by size. 1 MiB to 1 TiB.
    pub segment_bytes: u64,
}

impl Default for JournalConfig {
    fn default() -> Self {
        Self {
            flush: Duration::from_millis(100),
            sync: Duration::from_secs(1),
            segment: Duration::from_mins(5),
            segment_bytes: 256 << 20,
        }
    }
}

/// The `[store.retention]` section. A recording's age counts from its end.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetentionConfig {
    /// Recordings older than this are deleted, unless `rules` says otherwise. Without it they are kept for ever.
    #[serde(with = "optional_duration", skip_serializing_if = "Option::is_none")]
    pub max_age: Option<Duration>,
    /// By the name of the rule that started the recording: how long to keep what it recorded.
    pub rules: BTreeMap<String, RetentionRule>,
}

/// How long to keep what one rule recorded.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RetentionRule {
    /// Recordings older than this are deleted. Without it they are kept for ever, whatever the general rule says.
    #[serde(default, with = "optional_duration", skip_serializing_if = "Option::is_none")]
    pub max_age: Option<Duration>,
}

/// The `[store.objects]` section: an object store.
#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ObjectsConfig {
    /// `s3://bucket/prefix`, `gs://bucket/prefix`, `az://container/prefix` or `file:///folder`.
    pub url: Url,
    /// What the store needs besides, by the names the `object_store` crate gives them: `aws_endpoint`, `aws_region`,
    /// `aws_access_key_id`, `aws_secret_access_key`, `google_service_account_path`, `azure_storage_account_name` … All
    /// are kept as secrets.
    #[serde(default, serialize_with = "redacted_values")]
    pub options: BTreeMap<String, SecretString>,
    /// How an upload is verified before it counts.
    #[serde(default)]
    pub verify: Verify,
    /// How long the local copy of an uploaded file stays, once its recording is sealed. Without it, always.
    #[serde(default, with = "optional_duration", skip_serializing_if = "Option::is_none")]
    pub local_copy: Option<Duration>,
    /// Bytes of one part of an upload, which is also what an interrupted upload has to repeat at most. 5 MiB to 1 GiB.
    #[serde(default = "default_part_bytes")]
    pub part_bytes: u64,
}

impl ObjectsConfig {
    /// The store at `url`, with the defaults for all else.
    pub fn new(url: Url) -> Self {
        Self {
            url,
            options: BTreeMap::new(),
            verify: Verify::default(),
            local_copy: None,
            part_bytes: default_part_bytes(),
        }
    }
}

/// The values of `options` are secrets, so only their names are shown; the URL may hold a password too.
impl fmt::Debug for ObjectsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObjectsConfig")
            .field("url", &without_password(&self.url).as_str())
            .field("options", &self.options.keys())
            .field("verify", &self.verify)
            .field("local_copy", &self.local_copy)
            .field("part_bytes", &self.part_bytes)
            .finish()
    }
}

const fn default_part_bytes() -> u64 {
    16 << 20
}

/// How an upload is verified before it counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verify {
    /// The object is read back and its SHA-256 compared: the price is one download.
    #[default]
    Contents,
    /// Its size is compared. What happened to the bytes on the way is for the store's own checksums to notice.
    Size,
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// `field` is a path from the section on: `journal.flush`.
    #[error("`{field}` must be {rule}")]
    Value { field: &'static str, rule: &'static str },
    #[error("give either `{field}` or `{field}_file`, not both")]
    Twice { field: String },
    #[error("the file `{path}` that `{field}_file` names cannot be read")]
    SecretFile {
        field: String,
        path: PathBuf,
        source: io::Error,
    },
    #[error("`objects.options` has `{0}`, which this kind of object store does not know")]
    UnknownOption(String),
}

impl ConfigError {
    pub fn kind(&self) -> ErrorKind {
        ErrorKind::Invalid
    }
}

impl StoreConfig {
    /// A store in `data_dir`, with the defaults for all else.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            ..Self::default()
        }
    }

    /// Checks every rule the fields' texts state.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let JournalConfig {
            flush,
            sync,
            segment,
            segment_bytes,
        } = self.journal;
        let part_bytes = self.objects.as_ref().map_or(default_part_bytes(), |o| o.part_bytes);
        let ms = Duration::from_millis;
        let day = Duration::from_hours(24);
        for (holds, field, rule) in [
            (!self.data_dir.as_os_str().is_empty(), "data_dir", "a folder"),
            (self.database_connections >= 1, "database_connections", "at least 1"),
            (self.min_free_percent <= 99, "min_free_percent", "from 0 to 99"),
            (ms(1) <= flush && flush <= ms(1000), "journal.flush", "from 1 ms to 1 s"),
            (
                flush <= sync && sync <= ms(60_000),
                "journal.sync",
                "at least `journal.flush` and at most 1 minute",
            ),
            (
                ms(1000) <= segment && segment <= day,
                "journal.segment",
                "from 1 s to 1 day",
            ),
            (
                (1 << 20..=1 << 40).contains(&segment_bytes),
                "journal.segment_bytes",
                "from 1 MiB to 1 TiB",
            ),
            (
                (5 << 20..=1 << 30).contains(&part_bytes),
                "objects.part_bytes",
                "from 5 MiB to 1 GiB",
            ),
        ] {
            if !holds {
                return Err(ConfigError::Value { field, rule });
            }
        }
        Ok(())
    }

    /// The database's URL, if one is configured, wherever it is written.
    pub(crate) fn database_url(&self) -> Result<Option<SecretString>, ConfigError> {
        secret("database", self.database.as_ref(), self.database_file.as_deref())
    }

    /// What secrets are sealed with, if it is configured, wherever it is written.
    pub(crate) fn secrets_key(&self) -> Result<Option<SecretString>, ConfigError> {
        let key = secret(
            "secrets_key",
            self.secrets_key.as_ref(),
            self.secrets_key_file.as_deref(),
        )?;
        match key {
            Some(key) if key.expose_secret().len() < 32 => Err(ConfigError::Value {
                field: "secrets_key",
                rule: "at least 32 characters long",
            }),
            key => Ok(key),
        }
    }
}

/// A secret that stands in the configuration or in a file.
fn secret(field: &str, value: Option<&SecretString>, file: Option<&Path>) -> Result<Option<SecretString>, ConfigError> {
    match (value, file) {
        (Some(_), Some(_)) => Err(ConfigError::Twice {
            field: field.to_owned(),
        }),
        (Some(secret), None) => Ok(Some(secret.clone())),
        (None, Some(path)) => read_secret(field, path).map(Some),
        (None, None) => Ok(None),
    }
}

/// Reads a secret from the file that `<field>_file` names; one line's end is not part of it.
pub(crate) fn read_secret(field: &str, path: &Path) -> Result<SecretString, ConfigError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(text.trim_end_matches(['\r', '\n']).into()),
        Err(source) => Err(ConfigError::SecretFile {
            field: field.to_owned(),
            path: path.to_owned(),
            source,
        }),
    }
}

fn without_password(url: &Url) -> Url {
    let mut url = url.clone();
    // It fails only for URLs that cannot hold a password.
    let _ = url.set_password(None);
    url
}

const REDACTED: &str = "[redacted]";

#[expect(clippy::ref_option, reason = "serde gives a reference to the field")]
fn redacted<S: Serializer>(secret: &Option<SecretString>, serializer: S) -> Result<S::Ok, S::Error> {
    secret
        .as_ref()
        .map(|secret| {
            if secret.expose_secret().is_empty() {
                ""
            } else {
                REDACTED
            }
        })
        .serialize(serializer)
}

fn redacted_values<S: Serializer>(options: &BTreeMap<String, SecretString>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(options.keys().map(|key| (key, REDACTED)))
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json, to_value};

    use super::*;

    #[test]
    fn the_defaults_are_valid_and_keep_the_promise() {
        let config = StoreConfig::default();
        config.validate().unwrap();
        assert_eq!(config.journal.flush, Duration::from_millis(100));
        assert_eq!(config.journal.sync, Duration::from_secs(1));
        assert_eq!(config.journal.segment, Duration::from_mins(5));
    }

    #[test]
    fn reads_what_an_operator_writes() {
        let config: StoreConfig = from_value(json!({
            "data_dir": "/srv/greffier",
            "database": "postgres://greffier:hunter2@db/greffier",
            "objects": {
                "url": "s3://bucket/greffier",
                "options": {"aws_secret_access_key": "hunter2"},
                "local_copy": "7d",
            },
            "journal": {"flush": "50ms", "segment": "1m"},
            "retention": {"max_age": "90d", "rules": {"board": {}, "daily": {"max_age": "36h"}}},
        }))
        .unwrap();
        config.validate().unwrap();
        assert_eq!(config.journal.flush, Duration::from_millis(50));
        assert_eq!(config.journal.sync, Duration::from_secs(1));
        assert_eq!(config.retention.rules["board"].max_age, None);
        assert_eq!(config.retention.rules["daily"].max_age, Some(Duration::from_hours(36)));
        let shown = format!("{config:?} {}", to_value(&config).unwrap());
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(shown.contains("aws_secret_access_key"), "{shown}");
    }

    #[test]
    fn refuses_what_makes_no_sense() {
        for (bad, field) in [
            (json!({"data_dir": ""}), "data_dir"),
            (json!({"database_connections": 0}), "database_connections"),
            (json!({"min_free_percent": 100}), "min_free_percent"),
            (json!({"journal": {"flush": "0ms"}}), "journal.flush"),
            (json!({"journal": {"flush": "1m", "sync": "1m"}}), "journal.flush"),
            (json!({"journal": {"flush": "2s", "sync": "3s"}}), "journal.flush"),
            (json!({"journal": {"sync": "50ms"}}), "journal.sync"),
            (json!({"journal": {"segment": "10ms"}}), "journal.segment"),
            (json!({"journal": {"segment_bytes": 1024}}), "journal.segment_bytes"),
            (
                json!({"objects": {"url": "file:///x", "part_bytes": 1}}),
                "objects.part_bytes",
            ),
        ] {
            let config: StoreConfig = from_value(bad).unwrap();
            match config.validate() {
                Err(ConfigError::Value { field: found, .. }) => assert_eq!(found, field),
                other => panic!("{field}: {other:?}"),
            }
        }
        for unreadable in [
            json!({"datadir": "x"}),
            json!({"journal": {"flush": "soon"}}),
            json!({"journal": {"flush": "-1s"}}),
            json!({"objects": {"url": "bucket"}}),
        ] {
            assert!(from_value::<StoreConfig>(unreadable.clone()).is_err(), "{unreadable}");
        }
    }

    #[test]
    fn secrets_may_stand_in_files() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("url");
        fs::write(&path, "postgres://a:b@c/d\n").unwrap();
        let mut config = StoreConfig {
            database_file: Some(path.clone()),
            ..StoreConfig::default()
        };
        assert_eq!(
            config.database_url().unwrap().unwrap().expose_secret(),
            "postgres://a:b@c/d"
        );
        config.database = Some("postgres://x".into());
        assert!(matches!(config.database_url(), Err(ConfigError::Twice { .. })));
        config.database = None;
        fs::remove_file(path).unwrap();
        assert!(matches!(config.database_url(), Err(ConfigError::SecretFile { .. })));
    }
}
