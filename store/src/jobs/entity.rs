//! The `jobs` table.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "jobs")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    pub kind: String,
    pub payload: String,
    pub node: Option<String>,
    pub unique_key: Option<String>,
    pub state: String,
    pub attempts: i64,
    pub max_attempts: i64,
    pub run_after_ns: i64,
    pub lease_owner: Option<String>,
    pub lease_token: Option<String>,
    pub lease_until_ns: Option<i64>,
    pub cancel_requested: bool,
    pub progress: f64,
    pub failure: Option<String>,
    pub created_ns: i64,
    pub ended_ns: Option<i64>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
