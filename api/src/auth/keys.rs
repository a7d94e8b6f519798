//! API keys of the configuration.

use std::{
    collections::{BTreeSet, HashMap},
    fs, io,
    path::PathBuf,
};

use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};

use super::Principal;
use crate::config::{KeyConfig, Scope};

/// Keys by their SHA-256: they are long and random, so nothing slower is needed, and what is looked up tells nothing
/// about what was nearly right.
#[derive(Debug, Default)]
pub(crate) struct Keys(HashMap<[u8; 32], (String, BTreeSet<Scope>)>);

/// Why a key cannot be configured so.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeysError {
    #[error("an API key needs a name, of at most 64 bytes without control characters")]
    Name,
    #[error("two API keys are called `{0}`")]
    Twice(String),
    #[error("the API keys `{0}` and `{1}` are the same")]
    Same(String, String),
    #[error("the API key `{0}` needs `key` or `key_file`, and not both")]
    Sources(String),
    #[error("the API key `{0}` is shorter than 16 bytes")]
    Short(String),
    #[error("the API key `{0}` has no scopes, so it is good for nothing")]
    NoScopes(String),
    #[error("the file `{}` of the API key `{name}` cannot be read", path.display())]
    File {
        name: String,
        path: PathBuf,
        source: io::Error,
    },
}

impl Keys {
    pub(crate) fn new(configs: &[KeyConfig]) -> Result<Self, KeysError> {
        let mut keys: HashMap<[u8; 32], (String, BTreeSet<Scope>)> = HashMap::new();
        for config in configs {
            let name = config.name.clone();
            if name.is_empty() || name.len() > 64 || name.contains(char::is_control) {
                return Err(KeysError::Name);
            }
            if keys.values().any(|(other, _)| *other == name) {
                return Err(KeysError::Twice(name));
            }
            if config.scopes.is_empty() {
                return Err(KeysError::NoScopes(name));
            }
            let secret = secret(config)?;
            if secret.expose_secret().len() < 16 {
                return Err(KeysError::Short(name));
            }
            let scopes = config.scopes.iter().copied().collect();
            if let Some((other, _)) = keys.insert(hash(secret.expose_secret()), (name.clone(), scopes)) {
                return Err(KeysError::Same(other, name));
            }
        }
        Ok(Self(keys))
    }

    pub(crate) fn find(&self, shown: &str) -> Option<Principal> {
        let (name, scopes) = self.0.get(&hash(shown))?;
        Some(Principal::Key {
            name: name.clone(),
            scopes: scopes.clone(),
            user: None,
        })
    }
}

fn secret(config: &KeyConfig) -> Result<SecretString, KeysError> {
    match (&config.key, &config.key_file) {
        (Some(key), None) => Ok(key.clone()),
        (None, Some(path)) => match fs::read_to_string(path) {
            Ok(text) => Ok(text.trim_end_matches(['\r', '\n']).into()),
            Err(source) => Err(KeysError::File {
                name: config.name.clone(),
                path: path.clone(),
                source,
            }),
        },
        _ => Err(KeysError::Sources(config.name.clone())),
    }
}

fn hash(key: &str) -> [u8; 32] {
    Sha256::digest(key).into()
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json};

    use super::*;

    fn keys(entries: serde_json::Value) -> Result<Keys, KeysError> {
        Keys::new(&from_value::<Vec<KeyConfig>>(entries).unwrap())
    }

    #[test]
    fn a_key_is_found_whole_or_not_at_all() {
        let keys = keys(json!([{"name": "ci", "key": "0123456789abcdef", "scopes": ["recordings:read"]}])).unwrap();
        let found = keys.find("0123456789abcdef").unwrap();
        assert_eq!(found.name(), "key:ci");
        for wrong in ["", "0123456789abcde", "0123456789abcdef ", "ci", "0123456789ABCDEF"] {
            assert_eq!(keys.find(wrong), None, "{wrong}");
        }
        assert!(!format!("{keys:?}").contains("0123456789abcdef"));
    }

    #[test]
    fn nonsense_is_refused() {
        let good = json!({"name": "a", "key": "0123456789abcdef", "scopes": ["admin"]});
        let with = |field: &str, value: serde_json::Value| {
            let mut entry = good.clone();
            entry[field] = value;
            entry
        };
        assert!(matches!(keys(json!([with("name", json!(""))])), Err(KeysError::Name)));
        assert!(matches!(
            keys(json!([with("key", json!("short"))])),
            Err(KeysError::Short(_))
        ));
        assert!(matches!(
            keys(json!([with("scopes", json!([]))])),
            Err(KeysError::NoScopes(_))
        ));
        assert!(matches!(
            keys(json!([with("key_file", json!("/x"))])),
            Err(KeysError::Sources(_))
        ));
        assert!(matches!(keys(json!([good, good])), Err(KeysError::Twice(_))));
        assert!(matches!(
            keys(json!([good, with("name", json!("b"))])),
            Err(KeysError::Same(..))
        ));
    }
}
