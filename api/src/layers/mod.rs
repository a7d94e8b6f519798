//! What every request passes before it reaches a handler, and every answer on its way out.

mod address;
mod audit;
mod forget;
mod guard;
mod headers;
mod limits;
pub(crate) mod metric;
mod observe;
mod repeat;

pub(crate) use address::{BaseUrl, ClientAddress, find_address};
pub(crate) use audit::{Audited, Changes, audit};
pub(crate) use forget::forget_sessions;
pub(crate) use guard::{panicked, within_time};
pub(crate) use headers::{Policy, security_headers};
pub(crate) use limits::{Limits, limit_addresses};
pub(crate) use observe::observe;
pub(crate) use repeat::once;
