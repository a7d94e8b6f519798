//! What an operator may choose about renders; each field's text is its reference.

use std::time::Duration;

use greffier_store::config::duration;
use serde::{Deserialize, Serialize};

/// The `[renders]` section.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RendersConfig {
    /// How many copies (`tracks`, `export`) are made at a time. They are bound by the disk.
    pub copies_at_once: usize,
    /// How many encodings (`composite`, `audio`) are made at a time. Each takes all the cores it can get, at low
    /// priority.
    pub encodings_at_once: usize,
    /// A render that makes no progress for this long is ended and tried again.
    #[serde(with = "duration")]
    pub stall_timeout: Duration,
    /// How often a render is tried before it has failed.
    pub attempts: u32,
}

impl Default for RendersConfig {
    fn default() -> Self {
        Self {
            copies_at_once: 2,
            encodings_at_once: 1,
            stall_timeout: Duration::from_mins(2),
            attempts: 3,
        }
    }
}
