//! Who may ask for what, over HTTP: each operation of the OpenAPI document by each kind of caller.
//!
//! `access` is tested cell by cell where it is written; here the whole way is: that each handler asks the table, for the
//! right operation and the right room, and that no other way leads around it.

mod fields;
mod signed;
mod table;
mod world;

use std::collections::BTreeSet;

use axum::http::StatusCode;
use table::{CALLERS, Cell, ROWS, Row, Scoped};
use world::{Shown, World};

use crate::{config::Scope, openapi};

#[test]
fn every_operation_has_its_line_and_every_line_its_operation() {
    let mut known = BTreeSet::new();
    for (path, item) in openapi::document().paths.paths {
        for operation in [item.get, item.post, item.patch, item.put, item.delete]
            .into_iter()
            .flatten()
        {
            known.insert(operation.operation_id.unwrap_or_else(|| panic!("{path} has no name")));
        }
    }
    let lines: BTreeSet<String> = ROWS.iter().map(|row| row.operation().to_owned()).collect();
    let missing: Vec<_> = known.difference(&lines).collect();
    let gone: Vec<_> = lines.difference(&known).collect();
    assert!(
        missing.is_empty() && gone.is_empty(),
        "say in `matrix/table.rs` who may: {missing:?}; gone: {gone:?}"
    );
    for row in ROWS {
        assert_eq!(row.cells().len(), CALLERS.len() + 1, "{}", row.name);
    }
}

#[tokio::test]
async fn every_caller_gets_what_the_table_says() {
    let mut world = Box::pin(World::new()).await;
    let mut wrong = Vec::new();
    let mut asked = 0;
    for row in ROWS {
        for (shown, wanted) in callers(row) {
            let (status, told) = world.ask(row, &shown).await;
            asked += 1;
            if !fits(wanted, status, row) {
                wrong.push(format!(
                    "{}, {shown:?}: {status} instead of {wanted:?}: {told}",
                    row.name
                ));
            }
        }
    }
    assert!(asked > 2000, "{asked} requests");
    assert!(wrong.is_empty(), "{} of {asked}:\n{}", wrong.len(), wrong.join("\n"));
}

/// Names of rooms can be guessed, and are nobody's business.
#[tokio::test]
async fn a_stranger_does_not_learn_which_rooms_there_are() {
    let mut world = Box::pin(World::new()).await;
    let mut told_apart = Vec::new();
    // Whoever opens a link to a meeting is told that there is none: a page has to say something.
    let closed = |row: &&Row| row.name == row.operation() && row.name != "join_room";
    for row in ROWS.iter().filter(closed) {
        for shown in [Shown::Nothing, Shown::Stranger] {
            if let Some((there, nowhere)) = world.ask_twice(row, shown).await
                && there != nowhere
            {
                told_apart.push(format!("{}, {shown:?}: {there} and {nowhere}", row.name));
            }
        }
    }
    assert!(told_apart.is_empty(), "{}", told_apart.join("\n"));
}

/// Everybody who asks for it, and what they are to get.
fn callers(row: &Row) -> Vec<(Shown, Cell)> {
    let mut all: Vec<(Shown, Cell)> = CALLERS.iter().copied().zip(row.cells()).collect();
    let stranger = CALLERS.iter().position(|who| *who == Shown::Stranger).unwrap();
    for foreign in [Shown::ForeignSecret, Shown::ForeignPublic] {
        all.push((foreign, row.cells()[stranger]));
    }
    let bad = *row.cells().last().unwrap();
    all.extend(Shown::BAD.map(|shown| (shown, bad)));
    match row.scope {
        Scoped::Needs(scope) => {
            all.push((Shown::KeyWith(scope), Cell::May));
            all.push((Shown::KeyWith(Scope::Admin), Cell::May));
            if scope != Scope::Admin {
                all.push((Shown::KeyWithout(scope), Cell::MayNot));
            }
        }
        Scoped::AnyKey => all.extend(Scope::ALL.map(|scope| (Shown::KeyWith(scope), Cell::May))),
        Scoped::NoKey(cell) => all.extend(Scope::ALL.map(|scope| (Shown::KeyWith(scope), cell))),
    }
    if let Scoped::Needs(Scope::Admin) = row.scope {
        all.push((Shown::KeyWithout(Scope::Admin), Cell::MayNot));
    }
    all
}

fn fits(wanted: Cell, status: StatusCode, row: &Row) -> bool {
    match wanted {
        // Whoever may gets through to what the request is about: no field was wrong, and nothing was missing, unless this
        // world lacks it.
        Cell::May => status.is_success() || matches!(status.as_u16(), 409 | 503) || row.lacks == Some(status.as_u16()),
        Cell::MayNot => status == StatusCode::FORBIDDEN,
        Cell::Unknown => status == StatusCode::UNAUTHORIZED,
        Cell::Hidden => status == StatusCode::NOT_FOUND,
    }
}
