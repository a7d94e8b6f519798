//! The object store that the configuration names.

use std::{path::PathBuf, sync::Arc};

use object_store::{
    MultipartId, ObjectStore, ObjectStoreScheme,
    aws::{AmazonS3Builder, AmazonS3ConfigKey},
    azure::{AzureConfigKey, MicrosoftAzureBuilder},
    gcp::{GoogleCloudStorageBuilder, GoogleConfigKey},
    local::LocalFileSystem,
    multipart::{MultipartStore, PartId},
    path::Path,
};
use secrecy::{ExposeSecret as _, SecretString};

use super::ObjectError;
use crate::{
    ConfigError, ObjectsConfig,
    config::read_secret,
    disk::{self, DiskError},
};

/// An object store, and the folder of it that is ours.
#[derive(Clone)]
pub(crate) struct Backend {
    store: Arc<dyn ObjectStore>,
    /// Where uploads in parts can be gone on with after a restart.
    parts: Option<Arc<dyn MultipartStore>>,
    prefix: Path,
    /// If it is a folder on this machine.
    root: Option<PathBuf>,
}

impl Backend {
    /// Checks the configuration, and connects to nothing yet. Makes the folder, if it is one on this machine.
    pub(crate) fn new(config: &ObjectsConfig) -> Result<Self, ObjectError> {
        let (scheme, prefix) = ObjectStoreScheme::parse(&config.url).map_err(|_| ObjectError::Url)?;
        let url = config.url.to_string();
        match scheme {
            ObjectStoreScheme::Local => {
                let root = config.url.to_file_path().map_err(|()| ObjectError::Url)?;
                no_options(config)?;
                Self::local(root)
            }
            ObjectStoreScheme::AmazonS3 => {
                let mut builder = AmazonS3Builder::from_env().with_url(url);
                for (key, value) in options::<AmazonS3ConfigKey>(config)? {
                    builder = builder.with_config(key, value.expose_secret());
                }
                Ok(Self::remote(Arc::new(builder.build()?), prefix))
            }
            ObjectStoreScheme::GoogleCloudStorage => {
                let mut builder = GoogleCloudStorageBuilder::from_env().with_url(url);
                for (key, value) in options::<GoogleConfigKey>(config)? {
                    builder = builder.with_config(key, value.expose_secret());
                }
                Ok(Self::remote(Arc::new(builder.build()?), prefix))
            }
            ObjectStoreScheme::MicrosoftAzure => {
                let mut builder = MicrosoftAzureBuilder::from_env().with_url(url);
                for (key, value) in options::<AzureConfigKey>(config)? {
                    builder = builder.with_config(key, value.expose_secret());
                }
                Ok(Self::remote(Arc::new(builder.build()?), prefix))
            }
            _ => Err(ObjectError::Url),
        }
    }

    fn local(root: PathBuf) -> Result<Self, ObjectError> {
        disk::create_dir(&root).map_err(ObjectError::Disk)?;
        let store = LocalFileSystem::new_with_prefix(&root)?
            // An upload that is answered is on the disk.
            .with_fsync(true)
            .with_automatic_cleanup(true);
        Ok(Self {
            store: Arc::new(store),
            parts: None,
            prefix: Path::default(),
            root: Some(root),
        })
    }

    fn remote<S: ObjectStore + MultipartStore>(store: Arc<S>, prefix: Path) -> Self {
        Self {
            store: Arc::clone(&store) as Arc<dyn ObjectStore>,
            parts: Some(store),
            prefix,
            root: None,
        }
    }

    #[cfg(test)]
    pub(crate) fn in_memory(store: Arc<object_store::memory::InMemory>) -> Self {
        Self::remote(store, Path::from("prefix"))
    }

    pub(super) fn store(&self) -> &dyn ObjectStore {
        self.store.as_ref()
    }

    /// The full path of a key of ours.
    pub(super) fn path(&self, key: &str) -> Path {
        self.prefix.parts().chain(Path::from(key).parts()).collect()
    }

    /// The key of a full path; the path itself, if it is none of ours.
    pub(super) fn key(&self, path: &Path) -> String {
        match path.prefix_match(&self.prefix) {
            Some(parts) => parts.collect::<Path>().to_string(),
            None => path.to_string(),
        }
    }

    /// Removes what a crash left of uploads into a folder: files beside their place, named `<place>#<number>`.
    pub(super) async fn sweep(&self, key: &str) -> Result<(), ObjectError> {
        let Some(place) = self.root.as_ref().map(|root| root.join(key)) else {
            return Ok(());
        };
        disk::blocking(move || {
            let (Some(folder), Some(name)) = (place.parent(), place.file_name()) else {
                return Ok(());
            };
            let staged = format!("{}#", name.to_string_lossy());
            for (name, path) in disk::list_dir(folder)? {
                if name.starts_with(&staged) {
                    disk::remove_file(&path)?;
                }
            }
            Ok(())
        })
        .await
    }

    /// What can be gone on with after a restart, if this store has such uploads.
    pub(super) fn resumable(&self) -> Option<Resumable<'_>> {
        self.parts.as_deref().map(|parts| Resumable { parts })
    }
}

/// Uploads in parts, by id.
#[derive(Clone, Copy)]
pub(super) struct Resumable<'a> {
    parts: &'a dyn MultipartStore,
}

impl Resumable<'_> {
    pub(super) async fn begin(self, path: &Path) -> Result<MultipartId, ObjectError> {
        Ok(self.parts.create_multipart(path).await?)
    }

    /// Answers what the store calls the part.
    pub(super) async fn put(
        self,
        path: &Path,
        upload: &MultipartId,
        number: usize,
        bytes: Vec<u8>,
    ) -> Result<String, ObjectError> {
        let part = self.parts.put_part(path, upload, number, bytes.into()).await?;
        Ok(part.content_id)
    }

    pub(super) async fn complete(
        self,
        path: &Path,
        upload: &MultipartId,
        parts: Vec<String>,
    ) -> Result<(), ObjectError> {
        let parts = parts.into_iter().map(|content_id| PartId { content_id }).collect();
        self.parts.complete_multipart(path, upload, parts).await?;
        Ok(())
    }

    /// One that is gone already is fine.
    pub(super) async fn abort(self, path: &Path, upload: &MultipartId) -> Result<(), ObjectError> {
        match self.parts.abort_multipart(path, upload).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// The options of a kind of store, those that stand in files read.
fn options<K: std::str::FromStr>(config: &ObjectsConfig) -> Result<Vec<(K, SecretString)>, ConfigError> {
    let mut options = Vec::with_capacity(config.options.len());
    for (name, value) in &config.options {
        // Some options of the stores' own end in `_file`.
        if let Ok(key) = name.parse() {
            options.push((key, value.clone()));
            continue;
        }
        let field = name.strip_suffix("_file").unwrap_or(name);
        match field.parse() {
            Ok(key) if config.options.contains_key(field) => {
                drop(key);
                return Err(ConfigError::Twice {
                    field: format!("objects.options.{field}"),
                });
            }
            Ok(key) => options.push((key, read_secret(field, value.expose_secret().as_ref())?)),
            Err(_) => return Err(ConfigError::UnknownOption(name.clone())),
        }
    }
    Ok(options)
}

fn no_options(config: &ObjectsConfig) -> Result<(), ConfigError> {
    match config.options.keys().next() {
        Some(name) => Err(ConfigError::UnknownOption(name.clone())),
        None => Ok(()),
    }
}

impl From<DiskError> for ObjectError {
    fn from(error: DiskError) -> Self {
        Self::Disk(error)
    }
}
