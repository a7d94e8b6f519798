//! The tables of a recording.

pub mod recordings {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "recordings")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: String,
        pub node: String,
        pub room_name: String,
        pub room_sid: Option<String>,
        pub name: String,
        pub rule: Option<String>,
        pub request: String,
        pub bot_identity: String,
        pub search_text: String,
        pub state: String,
        pub paused: bool,
        pub stop_reason: Option<String>,
        pub failure_kind: Option<String>,
        pub failure_message: Option<String>,
        pub created_ns: i64,
        pub started_ns: Option<i64>,
        pub stopped_ns: Option<i64>,
        pub ended_ns: Option<i64>,
        pub deleting_ns: Option<i64>,
        pub first_arrival_ns: Option<i64>,
        pub last_arrival_ns: Option<i64>,
        pub bytes: i64,
        pub packets: i64,
        pub lost_packets: i64,
        pub next_event: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

pub mod labels {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "recording_labels")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub recording_id: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub label: String,
        pub value: String,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

pub mod participants {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "participants")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub recording_id: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub identity: String,
        pub name: String,
        pub search_text: String,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

pub mod segments {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "segments")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub recording_id: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub idx: i64,
        pub sealed: bool,
        pub bytes: i64,
        pub sha256: Option<String>,
        pub messages: i64,
        pub packets: i64,
        pub lost_packets: i64,
        pub first_arrival_ns: Option<i64>,
        pub last_arrival_ns: Option<i64>,
        pub torn_at: Option<i64>,
        pub torn_bytes: Option<i64>,
        pub on_disk: bool,
        pub uploaded_ns: Option<i64>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

pub mod tracks {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "tracks")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub recording_id: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub track_sid: String,
        pub name: String,
        pub participant_sid: String,
        pub participant_identity: String,
        pub participant_name: String,
        pub source: String,
        pub kind: String,
        pub mime: String,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

pub mod segment_tracks {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "segment_tracks")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub recording_id: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub idx: i64,
        #[sea_orm(primary_key, auto_increment = false)]
        pub track_sid: String,
        pub ssrcs: String,
        pub packets: i64,
        pub lost_packets: i64,
        pub bytes: i64,
        pub first_arrival_ns: i64,
        pub last_arrival_ns: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

pub mod events {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "events")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub recording_id: String,
        #[sea_orm(primary_key, auto_increment = false)]
        pub source: i64,
        #[sea_orm(primary_key, auto_increment = false)]
        pub seq: i64,
        pub at_ns: i64,
        pub kind: String,
        pub data: String,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}
