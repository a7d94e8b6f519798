//! Which tables have changed. The database tells it by its hooks, so nobody who writes has to, or can forget to.
//!
//! A commit counts as begun before anybody can see it and as done once the connection that wrote comes back to its pool, which
//! it does however the writing ended: while one is between the two, nothing is known.

use std::{
    array,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
};

use sea_orm::sqlx::{self, Connection as _, Sqlite, pool::PoolOptions};

/// Tables that are watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Watched {
    Rooms,
    RoomMembers,
    Users,
    Calls,
    CallParticipants,
    CallRemovals,
    Recordings,
    RecordingLabels,
    Participants,
}

impl Watched {
    const ALL: [(Self, &str); 9] = [
        (Self::Rooms, "rooms"),
        (Self::RoomMembers, "room_members"),
        (Self::Users, "users"),
        (Self::Calls, "calls"),
        (Self::CallParticipants, "call_participants"),
        (Self::CallRemovals, "call_removals"),
        (Self::Recordings, "recordings"),
        (Self::RecordingLabels, "recording_labels"),
        (Self::Participants, "participants"),
    ];
}

/// A moment in the life of some tables: what is read of them twice at the same one is the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version(u64);

#[cfg(test)]
impl Version {
    pub(crate) fn of(number: u64) -> Self {
        Self(number)
    }
}

#[derive(Debug, Default)]
struct Table {
    /// By the transaction that goes on.
    touched: AtomicBool,
    begun: AtomicU64,
    done: AtomicU64,
}

/// The changes of one database that nobody else writes to.
#[derive(Debug)]
pub(crate) struct Changes([Table; Watched::ALL.len()]);

impl Changes {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(array::from_fn(|_| Table::default())))
    }

    /// The version of what these tables hold now. `None`: they are changing.
    ///
    /// What is read after this was asked is of this version if the version is still the same when it is used.
    pub(crate) fn version(&self, tables: impl IntoIterator<Item = Watched>) -> Option<Version> {
        let mut sum = 0;
        for table in tables {
            let table = &self.0[table as usize];
            let begun = table.begun.load(SeqCst);
            if table.done.load(SeqCst) != begun {
                return None;
            }
            // Each only grows, so the sums of two moments are the same only if each is.
            sum += begun;
        }
        Some(Version(sum))
    }

    /// Has the connections of a pool tell of their changes. The pool must be of one connection: that one alone writes.
    pub(crate) fn watch(self: &Arc<Self>, pool: PoolOptions<Sqlite>) -> PoolOptions<Sqlite> {
        let (hooked, released) = (Arc::clone(self), Arc::clone(self));
        pool.after_connect(move |connection, _| {
            let changes = Arc::clone(&hooked);
            Box::pin(async move {
                changes.settle();
                let mut handle = connection.lock_handle().await?;
                let (touching, committing, rolling_back) = (Arc::clone(&changes), Arc::clone(&changes), changes);
                handle.set_update_hook(move |row| touching.touch(row.table));
                handle.set_commit_hook(move || {
                    committing.begin();
                    true
                });
                handle.set_rollback_hook(move || rolling_back.forget());
                Ok(())
            })
        })
        .after_release(move |connection, _| {
            let changes = Arc::clone(&released);
            Box::pin(async move {
                // Whoever wrote may not have waited for the end of it.
                connection.ping().await?;
                changes.settle();
                Ok::<_, sqlx::Error>(true)
            })
        })
    }

    fn touch(&self, table: &str) {
        if let Some((table, _)) = Watched::ALL.iter().find(|(_, name)| *name == table) {
            self.0[*table as usize].touched.store(true, SeqCst);
        }
    }

    fn begin(&self) {
        for table in &self.0 {
            if table.touched.swap(false, SeqCst) {
                table.begun.fetch_add(1, SeqCst);
            }
        }
    }

    fn forget(&self) {
        for table in &self.0 {
            table.touched.store(false, SeqCst);
        }
    }

    fn settle(&self) {
        for table in &self.0 {
            table.done.store(table.begun.load(SeqCst), SeqCst);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_where_they_are_looked_for() {
        for (place, (table, _)) in Watched::ALL.into_iter().enumerate() {
            assert_eq!(table as usize, place);
        }
    }

    #[test]
    fn a_version_is_known_between_changes() {
        let changes = Changes::new();
        let both = [Watched::Rooms, Watched::Calls];
        let before = changes.version(both).unwrap();
        changes.touch("users");
        changes.begin();
        assert_eq!(changes.version(both), Some(before), "another table");
        changes.touch("calls");
        changes.forget();
        changes.begin();
        assert_eq!(changes.version(both), Some(before), "rolled back");
        changes.touch("calls");
        assert_eq!(changes.version(both), Some(before), "nobody sees it yet");
        changes.begin();
        assert_eq!(changes.version(both), None);
        changes.settle();
        assert_ne!(changes.version(both), Some(before));
        assert_eq!(changes.version([Watched::Rooms]), Some(Version(0)));
    }
}
