//! What every entity says the same way.

/// Declares the entity of a table: `table! { users = "users" { pub id: String, … } }` makes the module `users`.
macro_rules! table {
    ($module:ident = $name:literal { $($fields:tt)* }) => {
        pub mod $module {
            use sea_orm::entity::prelude::*;

            #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
            #[sea_orm(table_name = $name)]
            pub struct Model {
                $($fields)*
            }

            #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
            pub enum Relation {}

            impl ActiveModelBehavior for ActiveModel {}
        }
    };
}

pub(crate) use table;
