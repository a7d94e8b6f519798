//! What administrators choose while the server runs, and secrets it makes for itself.

pub(crate) mod entity;
mod seal;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use sea_orm::{ActiveValue::Set, DbErr, EntityTrait as _, sea_query::OnConflict};
use serde_json::Value;

use self::entity::{secrets, settings};
pub(crate) use self::seal::SealKey;
use crate::{
    DatabaseError, ErrorKind,
    database::column::{Row, from_time, storable, to_json},
    store::Inner,
};

/// Settings and secrets.
#[derive(Clone, Copy)]
pub struct Settings<'a>(pub(crate) &'a Inner);

impl Settings<'_> {
    /// All that was ever chosen, by name.
    pub async fn all(&self) -> Result<BTreeMap<String, Value>, SettingError> {
        let models = settings::Entity::find().all(self.0.database.read()).await?;
        let setting = |model: settings::Model| {
            let value = Row::new("settings", &model.name).json("value", &model.value)?;
            Ok((model.name, value))
        };
        models
            .into_iter()
            .map(setting)
            .collect::<Result<_, DatabaseError>>()
            .map_err(Into::into)
    }

    /// Chooses some, all or none of them; `null` forgets a choice.
    pub async fn set(&self, chosen: &BTreeMap<String, Value>) -> Result<(), SettingError> {
        let now = from_time(self.0.now());
        let transaction = self.0.database.begin().await?;
        for (name, value) in chosen {
            if value.is_null() {
                settings::Entity::delete_by_id(storable(name))
                    .exec(&transaction)
                    .await?;
                continue;
            }
            let model = settings::ActiveModel {
                name: Set(storable(name)),
                value: Set(to_json(value)),
                updated_ns: Set(now),
            };
            let replace = OnConflict::column(settings::Column::Name)
                .update_columns([settings::Column::Value, settings::Column::UpdatedNs])
                .to_owned();
            settings::Entity::insert(model)
                .on_conflict(replace)
                .exec_without_returning(&transaction)
                .await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    /// A secret that lasts: made by `make` when it is first asked for, kept sealed, the same from then on.
    pub async fn secret(&self, name: &str, make: impl FnOnce() -> Vec<u8> + Send) -> Result<Vec<u8>, SettingError> {
        let transaction = self.0.database.begin().await?;
        if let Some(model) = secrets::Entity::find_by_id(name).one(&transaction).await? {
            return self.0.seal_key.open(name, &model.sealed);
        }
        let secret = make();
        let model = secrets::ActiveModel {
            name: Set(name.to_owned()),
            sealed: Set(self.0.seal_key.seal(name, &secret)?),
            updated_ns: Set(from_time(self.0.now())),
        };
        let same = OnConflict::column(secrets::Column::Name).do_nothing().to_owned();
        secrets::Entity::insert(model)
            .on_conflict(same)
            .exec_without_returning(&transaction)
            .await?;
        let kept = secrets::Entity::find_by_id(name).one(&transaction).await?;
        transaction.commit().await?;
        match kept {
            Some(kept) => self.0.seal_key.open(name, &kept.sealed),
            None => Ok(secret),
        }
    }
}

/// Why a setting or secret is not as asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SettingError {
    #[error("secrets cannot be sealed")]
    Seal,
    #[error("the secret `{0}` was sealed with another key, or is damaged")]
    CannotOpen(String),
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

impl SettingError {
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Seal => ErrorKind::Internal,
            Self::CannotOpen(_) => ErrorKind::DataLoss,
            Self::Database(error) => error.kind(),
        }
    }
}

impl From<DbErr> for SettingError {
    fn from(error: DbErr) -> Self {
        Self::Database(error.into())
    }
}
