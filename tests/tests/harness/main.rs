//! The harness, tested on itself: before it judges a recorder it must be right about meetings that nobody records.

mod browser;
mod configuration;
mod meeting;
mod network;
mod server;
