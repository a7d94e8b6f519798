//! Migrations, numbered in the order they are applied. One that has been released is never edited: a later one follows.
//!
//! They are SQL that SQLite and PostgreSQL both understand; where they do not agree, a migration asks which it has.

use sea_orm_migration::prelude::{MigrationTrait, MigratorTrait};

mod m0001_recordings;
mod m0002_meetings;
mod m0003_doors;

pub(super) struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m0001_recordings::Migration),
            Box::new(m0002_meetings::Migration),
            Box::new(m0003_doors::Migration),
        ]
    }
}
