//! Sound: one unbroken line of Opus packets out of what was received, and what is made of it.

mod line;

pub(crate) use line::{Line, Packet, RATE, samples_at};
