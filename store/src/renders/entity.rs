//! The `renders` table, and `render_files` beside it.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "renders")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    pub recording_id: String,
    pub job_id: String,
    pub kind: String,
    pub request: String,
    pub state: String,
    pub progress: f64,
    pub failure_kind: Option<String>,
    pub failure_message: Option<String>,
    pub created_ns: i64,
    pub started_ns: Option<i64>,
    pub ended_ns: Option<i64>,
    pub deleting_ns: Option<i64>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

pub mod files {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "render_files")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub render_id: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub name: String,
        pub recording_id: String,
        pub position: i64,
        pub attempt: i64,
        pub media_type: String,
        pub bytes: i64,
        pub sha256: String,
        pub probe: String,
        pub on_disk: bool,
        pub uploaded_ns: Option<i64>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}
