//! The HTTP API: extract, validate, call one function, answer.
//!
//! | module | |
//! |---|---|
//! | [`config`](ApiConfig) | the `[api]` section |
//! | `auth` | who asks: API keys, `LiveKit` tokens, signed links |
//! | [`access`] | who may do what: one table |
//! | `extract` | requests into types, with problems that point at the field |
//! | `problem` | failures into `application/problem+json` (RFC 9457): one table |
//! | `meetings` | who comes in and how, what moderators do, what the server tells |
//! | `layers` | what every request passes: address, request id, limits, headers |
//! | `v1` | one folder for each resource, one file for each verb |
//! | `files` | bytes of recordings: ranges and validators |
//! | `bus` | what happens, for whoever listens now |
//! | `loadtests` | the load test that runs, and reports of those that ran |
//! | `push` | notifications to browsers that have no page open |
//! | `web` | the web application, built into the binary |

pub mod access;
mod auth;
mod bus;
mod config;
mod extract;
mod files;
mod layers;
mod loadtests;
mod meetings;
mod openapi;
mod problem;
mod push;
mod router;
mod serve;
mod services;
mod v1;
mod web;

#[cfg(test)]
mod matrix;
#[cfg(test)]
mod testing;

pub use auth::{ForeignConfig, LiveKitGrants, Principal};
pub use config::{ApiConfig, KeyConfig, LimitsConfig, Scope, TlsConfig};
pub use openapi::document;
pub use push::PushConfig;
pub use router::router;
pub use serve::{ServeError, serve};
pub use services::{Services, SetupError};
