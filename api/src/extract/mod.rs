//! Requests into types. What does not fit is a problem that points at the field.

mod json;
mod object;
mod page;
mod path;
mod query;

pub(crate) use json::{Body, refused as body_refused};
pub(crate) use object::{maybe_object, object, objects};
pub(crate) use page::{Page, PageQuery, Written};
pub(crate) use path::Id;
pub(crate) use query::{Params, given};
