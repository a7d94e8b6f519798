//! Settings, and secrets that are kept sealed.

use crate::database::table;

table! { settings = "settings" {
    #[sea_orm(primary_key, auto_increment = false)]
    pub name: String,
    pub value: String,
    pub updated_ns: i64,
} }

table! { secrets = "secrets" {
    #[sea_orm(primary_key, auto_increment = false)]
    pub name: String,
    pub sealed: String,
    pub updated_ns: i64,
} }
