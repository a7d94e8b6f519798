//! Opening a data directory and its database.

use std::{fmt, fs, io, path::PathBuf, sync::Arc};

use greffier_media::{
    ids::RecordingId,
    time::{Arrival, Clock},
};

use crate::{
    ConfigError, DataDir, DatabaseError, DiskError, DiskSpace, ErrorKind, JournalConfig, LockError, NodeId,
    RetentionConfig, SpaceFloor, StoreConfig,
    claims::Claims,
    database::{Access, Database, Location},
    disk::{self, DataLock},
    files::Files,
    jobs::Jobs,
    journal::{Journal, JournalError},
    objects::{Backend, ObjectError, Objects, Remote},
    recordings::Recordings,
    renders::Renders,
    webhooks::Webhooks,
};

/// A data directory and its database. Cheap to clone; all clones are one.
///
/// What it offers is grouped: [`recordings`](Self::recordings), [`renders`](Self::renders), [`files`](Self::files) …
#[derive(Clone)]
pub struct Store {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) data: DataDir,
    pub(crate) node: NodeId,
    pub(crate) database: Database,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) live: Claims<RecordingId>,
    pub(crate) remote: Option<Remote>,
    pub(crate) journal: JournalConfig,
    pub(crate) retention: RetentionConfig,
    pub(crate) access: Access,
    pub(crate) floor: SpaceFloor,
    /// `None` if opened for reading.
    _lock: Option<DataLock>,
}

impl Inner {
    pub(crate) fn now(&self) -> Arrival {
        self.clock.now()
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("data", &self.inner.data.root())
            .field("node", &self.inner.node)
            .field("access", &self.inner.access)
            .finish_non_exhaustive()
    }
}

impl Store {
    /// Opens the data directory, alone: makes it if it is missing, locks it, connects to the database and brings its
    /// schema up to date.
    ///
    /// What a crash left is not touched yet: see [`recover`](Self::recover).
    pub async fn open(config: &StoreConfig, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        config.validate()?;
        let data = DataDir::new(config.data_dir.clone());
        let now = clock.now();
        let (data, lock, node) = disk::blocking(move || {
            disk::create_dir(data.root())?;
            let lock = DataLock::acquire(&data.lock())?;
            disk::create_dir(&data.recordings())?;
            let node = match read_node(&data)? {
                Some(node) => node,
                None => make_node(&data, now)?,
            };
            Ok::<_, OpenError>((data, lock, node))
        })
        .await?;
        let location = Location::new(config.database_url()?, data.database())?;
        let database = Database::connect(&location, config.database_connections, Access::ReadWrite).await?;
        database.migrate().await?;
        Self::new(config, clock, data, node, database, Some(lock))
    }

    /// Opens the data directory beside the process that has it, if one has: everything can be read, nothing changed.
    pub async fn open_read_only(config: &StoreConfig, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        config.validate()?;
        let data = DataDir::new(config.data_dir.clone());
        let (data, node) = disk::blocking(move || {
            let node = read_node(&data)?.ok_or_else(|| OpenError::Missing(data.root().to_owned()))?;
            Ok::<_, OpenError>((data, node))
        })
        .await?;
        let location = Location::new(config.database_url()?, data.database())?;
        let database = Database::connect(&location, config.database_connections, Access::ReadOnly).await?;
        if !database.is_migrated().await? {
            return Err(OpenError::SchemaOutdated);
        }
        Self::new(config, clock, data, node, database, None)
    }

    fn new(
        config: &StoreConfig,
        clock: Arc<dyn Clock>,
        data: DataDir,
        node: NodeId,
        database: Database,
        lock: Option<DataLock>,
    ) -> Result<Self, OpenError> {
        let remote = match &config.objects {
            Some(objects) => Some(Remote::new(Backend::new(objects)?, objects.clone())),
            None => None,
        };
        let inner = Inner {
            data,
            node,
            database,
            clock,
            live: Claims::default(),
            remote,
            journal: config.journal.clone(),
            retention: config.retention.clone(),
            access: if lock.is_some() {
                Access::ReadWrite
            } else {
                Access::ReadOnly
            },
            floor: config.into(),
            _lock: lock,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Ends the connections to the database, once what is under way is done. Every use after it fails. The lock is
    /// kept until the last clone is dropped.
    pub async fn close(&self) -> Result<(), DatabaseError> {
        self.inner.database.close().await
    }

    /// What lies where.
    pub fn data(&self) -> &DataDir {
        &self.inner.data
    }

    /// The identity of this data directory, made with it.
    pub fn node(&self) -> NodeId {
        self.inner.node
    }

    /// How much room is left, and whether it is enough for recordings to begin or go on.
    pub fn disk_space(&self) -> Result<DiskSpace, DiskError> {
        DiskSpace::of(self.inner.data.root(), self.inner.floor)
    }

    /// The right to write a recording's journal; nobody else has it until it, and what becomes of it, is dropped.
    pub fn journal(&self, recording: RecordingId) -> Result<Journal, JournalError> {
        let inner = &self.inner;
        if inner.access == Access::ReadOnly {
            return Err(JournalError::ReadOnly);
        }
        Ok(Journal {
            recording,
            dir: inner.data.recording(recording),
            lost_and_found: inner.data.lost_and_found(),
            settings: inner.journal.clone(),
            claim: inner.live.claim(recording).ok_or(JournalError::InUse(recording))?,
        })
    }

    /// What was, is and will be recorded.
    pub fn recordings(&self) -> Recordings<'_> {
        Recordings(&self.inner)
    }

    /// What is derived from recordings.
    pub fn renders(&self) -> Renders<'_> {
        Renders(&self.inner)
    }

    /// Finished files, wherever they are.
    pub fn files(&self) -> Files<'_> {
        Files(&self.inner)
    }

    /// Their copies in an object store.
    pub fn objects(&self) -> Objects<'_> {
        Objects(&self.inner)
    }

    /// Work that is done once, by whoever is free, even after a crash.
    pub fn jobs(&self) -> Jobs<'_> {
        Jobs(&self.inner)
    }

    /// What is to be told to others.
    pub fn webhooks(&self) -> Webhooks<'_> {
        Webhooks(&self.inner)
    }
}

fn read_node(data: &DataDir) -> Result<Option<NodeId>, OpenError> {
    let path = data.node();
    match fs::read_to_string(&path) {
        Ok(text) => match text.trim().parse() {
            Ok(node) => Ok(Some(node)),
            Err(_) => Err(OpenError::Node(path)),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(DiskError::during("read", &path)(error).into()),
    }
}

fn make_node(data: &DataDir, now: Arrival) -> Result<NodeId, OpenError> {
    let node = NodeId::generate(now);
    disk::write_file(&data.node(), format!("{node}\n").as_bytes())?;
    Ok(node)
}

/// Why a store could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    #[error("the store's configuration is wrong")]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Locked(#[from] LockError),
    #[error(transparent)]
    Disk(#[from] DiskError),
    #[error(transparent)]
    Database(#[from] DatabaseError),
    #[error(transparent)]
    Objects(#[from] ObjectError),
    #[error("there is no data directory at {}", .0.display())]
    Missing(PathBuf),
    #[error("{} does not name a data directory; restore it, or choose another `data_dir`", .0.display())]
    Node(PathBuf),
    #[error("the database is of an earlier version; start the server once to bring it up to date")]
    SchemaOutdated,
}

impl OpenError {
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Config(error) => error.kind(),
            Self::Locked(error) => error.kind(),
            Self::Disk(error) => error.kind(),
            Self::Database(error) => error.kind(),
            Self::Objects(error) => error.kind(),
            Self::Missing(_) => ErrorKind::NotFound,
            Self::Node(_) => ErrorKind::DataLoss,
            Self::SchemaOutdated => ErrorKind::Conflict,
        }
    }
}
