//! The kinds of tasks, in one table.

use std::fmt;

/// When a task stops, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// What begins new work: rules, schedules, claims.
    Intake,
    /// What is in rooms, and what writes what it hears.
    Rooms,
    /// Child processes, uploads, deliveries: they go on at the next start.
    Background,
    /// Answers to whoever asks, until the end.
    Serving,
}

impl Phase {
    pub const ALL: [Self; 4] = [Self::Intake, Self::Rooms, Self::Background, Self::Serving];
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Intake => "intake",
            Self::Rooms => "rooms",
            Self::Background => "background",
            Self::Serving => "serving",
        })
    }
}

/// What the end of a task by failure means for the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    /// It is told; everything else goes on.
    Log,
    /// Nothing works without it.
    Shutdown,
}

macro_rules! task_kinds {
    ($($(#[$doc:meta])* $kind:ident = $name:literal, $phase:ident, $on_failure:ident;)+) => {
        /// What a task is for. The kind decides when it stops and what its failure means.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum TaskKind { $($(#[$doc])* $kind),+ }

        impl TaskKind {
            pub fn phase(self) -> Phase {
                match self { $(Self::$kind => Phase::$phase),+ }
            }

            pub fn on_failure(self) -> OnFailure {
                match self { $(Self::$kind => OnFailure::$on_failure),+ }
            }
        }

        impl fmt::Display for TaskKind {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$kind => $name),+ })
            }
        }
    };
}

task_kinds! {
    /// Compares the server's rooms with the rules.
    Reconcile = "reconcile", Intake, Log;
    /// Watches how full the disk is.
    DiskWatch = "disk-watch", Intake, Log;
    /// Deletes what is older than the rules keep it.
    Retention = "retention", Intake, Log;
    /// One recording, from joining to sealing.
    Recording = "recording", Rooms, Log;
    /// A helper of a recording, such as a text stream being read.
    RecordingHelper = "recording-helper", Rooms, Log;
    /// Drains every recording's queue to its journal.
    JournalWriter = "journal-writer", Rooms, Shutdown;
    /// Brings written journals to the platter.
    JournalSync = "journal-sync", Rooms, Shutdown;
    /// A participant of ours that is not a recorder.
    Participant = "participant", Rooms, Log;
    /// Claims jobs and runs each in a child process.
    Jobs = "jobs", Background, Shutdown;
    /// Watches one child process.
    Job = "job", Background, Log;
    /// Carries segments and renders to the object store.
    Upload = "upload", Background, Log;
    /// Delivers webhooks.
    Webhooks = "webhooks", Background, Shutdown;
    /// One change that somebody asked for: it is done to its end, whether they wait for it or not.
    Change = "change", Serving, Log;
    /// Accepts connections.
    HttpServer = "http-server", Serving, Shutdown;
    /// Small recurring work of the server: sessions, metrics.
    Housekeeping = "housekeeping", Serving, Log;
}
