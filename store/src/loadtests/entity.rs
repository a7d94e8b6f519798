//! The `load_tests` table.

use crate::database::table;

table! { load_tests = "load_tests" {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    pub scenario: String,
    pub state: String,
    pub created_by: String,
    pub created_ns: i64,
    pub started_ns: Option<i64>,
    pub ended_ns: Option<i64>,
    pub report: Option<String>,
    pub summary: Option<String>,
    pub failure: Option<String>,
} }
