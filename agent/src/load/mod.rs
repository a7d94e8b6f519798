//! Load tests: how many meetings a server carries, how good they are, and where it breaks.
//!
//! ```text
//! scenario (YAML) ─▶ plan: who does what when, by the seed ─▶ workers: child processes
//!   worker: actors (one per participant) on a stage ─▶ a tick each second, everything at the end
//!   the same on other machines: `machine` asks over a WebSocket, `helper` plays there
//! ticks and results ─▶ merged with their distributions whole ─▶ report: verdict, JSON, JUnit, HTML, comparison
//! ```
//!
//! Every lost packet is put down to somebody: the impairment that was asked for, the tester itself, or the server.

mod actor;
mod error;
pub mod helper;
pub mod layout;
mod limit;
mod machine;
pub mod measure;
pub mod plan;
pub mod process;
pub mod report;
mod run;
pub mod scenario;
mod seat;
mod seconds;
mod server;
mod stage;
pub mod worker;
mod workers;

pub use error::LoadError;
pub use helper::{Helper, HelperConfig};
pub use limit::{Limit, LimitStep, Limiting, find_limit};
pub use machine::Machine;
pub use report::LoadReport;
pub use run::{JOINS_PER_SECOND, LoadOptions, LoadStopper, LoadTest, Progress};
pub use scenario::Scenario;
