//! Opening a data directory and its database.

use std::{fmt, fs, io, path::PathBuf, sync::Arc};

use greffier_media::{
    ids::RecordingId,
    time::{Arrival, Clock},
};

use secrecy::SecretString;

use crate::{
    ConfigError, DataDir, DatabaseError, DiskError, DiskSpace, ErrorKind, JournalConfig, LockError, NodeId,
    RetentionConfig, SettingError, SpaceFloor, StoreConfig,
    accounts::{ApiKeys, Joining, Passwords, Sessions, Users},
    claims::Claims,
    database::{Access, Database, Location},
    disk::{self, DataLock, reserve},
    files::Files,
    jobs::Jobs,
    journal::{Journal, JournalError},
    ledger::Ledger,
    loadtests::LoadTests,
    meetings::{Calls, Guests, Memos, RoomInvitations, Rooms, WaitingRoom},
    notices::Notices,
    objects::{Backend, ObjectError, Objects, Remote},
    recordings::Recordings,
    renders::Renders,
    settings::{SealKey, Settings},
    tokens,
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
    pub(crate) passwords: Passwords,
    pub(crate) memos: Memos,
    pub(crate) seal_key: SealKey,
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
            if read_seal_key(&data)?.is_none() {
                disk::write_private_file(&data.seal_key(), tokens::generate().as_bytes())?;
            }
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
        let seal_key = match config.secrets_key()? {
            Some(key) => key,
            None => read_seal_key(&data)?.ok_or_else(|| OpenError::SealKey(data.seal_key()))?,
        };
        let seal_key = SealKey::new(&seal_key)?;
        let inner = Inner {
            data,
            node,
            database,
            memos: Memos::new(&clock),
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
            passwords: Passwords::default(),
            seal_key,
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

    /// Sets room aside for ending recordings well when the disk is full, unless that is done, or there is too little. Blocks on
    /// the disk.
    pub fn keep_reserve(&self) -> Result<(), DiskError> {
        let kept = reserve::keep(&self.inner.data.reserve(), self.disk_space()?)?;
        if !kept {
            tracing::debug!("no room is set aside for ending recordings on a full disk");
        }
        Ok(())
    }

    /// Gives back what was set aside: the disk is full. Blocks on the disk.
    pub fn release_reserve(&self) -> Result<(), DiskError> {
        reserve::release(&self.inner.data.reserve())
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
            claim: Arc::new(inner.live.claim(recording).ok_or(JournalError::InUse(recording))?),
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

    /// People's accounts.
    pub fn users(&self) -> Users<'_> {
        Users(&self.inner)
    }

    /// How people come to have one.
    pub fn joining(&self) -> Joining<'_> {
        Joining(&self.inner)
    }

    /// Log-ins.
    pub fn sessions(&self) -> Sessions<'_> {
        Sessions(&self.inner)
    }

    /// Keys for machines.
    pub fn api_keys(&self) -> ApiKeys<'_> {
        ApiKeys(&self.inner)
    }

    /// Rooms, and whom they belong to.
    pub fn rooms(&self) -> Rooms<'_> {
        Rooms(&self.inner)
    }

    /// Links into rooms.
    pub fn room_invitations(&self) -> RoomInvitations<'_> {
        RoomInvitations(&self.inner)
    }

    /// People without an account.
    pub fn guests(&self) -> Guests<'_> {
        Guests(&self.inner)
    }

    /// People before the door.
    pub fn waiting_room(&self) -> WaitingRoom<'_> {
        WaitingRoom(&self.inner)
    }

    /// What took place in rooms.
    pub fn calls(&self) -> Calls<'_> {
        Calls(&self.inner)
    }

    /// What people are told.
    pub fn notices(&self) -> Notices<'_> {
        Notices(&self.inner)
    }

    /// Who did what, and which requests were answered.
    pub fn ledger(&self) -> Ledger<'_> {
        Ledger(&self.inner)
    }

    /// What administrators choose, and secrets.
    pub fn settings(&self) -> Settings<'_> {
        Settings(&self.inner)
    }

    pub fn load_tests(&self) -> LoadTests<'_> {
        LoadTests(&self.inner)
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

fn read_seal_key(data: &DataDir) -> Result<Option<SecretString>, OpenError> {
    let path = data.seal_key();
    match fs::read_to_string(&path) {
        Ok(text) => Ok(Some(text.into())),
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
    #[error("{} is missing; start the server once, or set `secrets_key`", .0.display())]
    SealKey(PathBuf),
    #[error(transparent)]
    Setting(#[from] SettingError),
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
            Self::Missing(_) | Self::SealKey(_) => ErrorKind::NotFound,
            Self::Node(_) => ErrorKind::DataLoss,
            Self::Setting(error) => error.kind(),
            Self::SchemaOutdated => ErrorKind::Conflict,
        }
    }
}
