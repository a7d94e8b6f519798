//! API keys: `gk_<id>_<secret>`, of which only the id and a hash of the secret are kept.

use greffier_media::time::Arrival;
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _, sea_query::Expr,
};

use super::{AccountError, entity::api_keys, users::check_name};
use crate::{
    ApiKeyId, DatabaseError, UserId,
    database::column::{Row, from_time, to_json},
    store::Inner,
    tokens,
};

const PREFIX: &str = "gk_";

/// An API key to be made.
#[derive(Debug, Clone)]
pub struct NewApiKey {
    pub name: String,
    /// What it may be used for; whoever checks knows them.
    pub scopes: Vec<String>,
    /// Who made it, and with whose account it goes.
    pub user: Option<UserId>,
    pub expires: Option<Arrival>,
}

/// An API key, as of when it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    pub id: ApiKeyId,
    pub name: String,
    pub scopes: Vec<String>,
    pub user: Option<UserId>,
    pub created: Arrival,
    pub expires: Option<Arrival>,
    /// To the minute.
    pub used: Option<Arrival>,
}

/// All API keys.
#[derive(Clone, Copy)]
pub struct ApiKeys<'a>(pub(crate) &'a Inner);

impl ApiKeys<'_> {
    /// Makes a key. The whole of it is answered once.
    pub async fn create(&self, new: &NewApiKey) -> Result<(ApiKey, String), AccountError> {
        let now = self.0.now();
        let id = ApiKeyId::generate(now);
        let secret = tokens::generate();
        let model = api_keys::ActiveModel {
            id: Set(id.to_string()),
            secret_hash: Set(tokens::hash(&secret)),
            name: Set(check_name(&new.name)?),
            scopes: Set(to_json(&new.scopes)),
            user_id: Set(new.user.map(|user| user.to_string())),
            created_ns: Set(from_time(now)),
            expires_ns: Set(new.expires.map(from_time)),
            used_ns: Set(None),
            revoked_ns: Set(None),
        };
        let model = api_keys::Entity::insert(model)
            .exec_with_returning(self.0.database.write())
            .await?;
        let id = id.to_string();
        let shown = format!("{PREFIX}{}_{secret}", id.trim_start_matches("key_"));
        Ok((ApiKey::from_model(model)?, shown))
    }

    /// The key that somebody shows, if it is one, and neither revoked nor expired.
    pub async fn find(&self, shown: &str) -> Result<Option<ApiKey>, AccountError> {
        let Some((id, secret)) = shown.strip_prefix(PREFIX).and_then(|rest| rest.split_once('_')) else {
            return Ok(None);
        };
        let now = self.0.now();
        // Both are looked up, so nothing is compared that could tell how nearly right it was.
        let model = api_keys::Entity::find_by_id(format!("key_{id}"))
            .filter(api_keys::Column::SecretHash.eq(tokens::hash(secret)))
            .filter(api_keys::Column::RevokedNs.is_null())
            .one(self.0.database.read())
            .await?;
        let Some(key) = model.map(ApiKey::from_model).transpose()? else {
            return Ok(None);
        };
        if key.expires.is_some_and(|expires| expires <= now) {
            return Ok(None);
        }
        if key.used.is_none_or(|used| now.saturating_since(used).as_secs() >= 60) {
            api_keys::Entity::update_many()
                .col_expr(api_keys::Column::UsedNs, Expr::value(from_time(now)))
                .filter(api_keys::Column::Id.eq(key.id.to_string()))
                .exec(self.0.database.write())
                .await?;
        }
        Ok(Some(key))
    }

    /// Keys that were not revoked, the newest first: all, or those of one person.
    pub async fn list(&self, user: Option<UserId>) -> Result<Vec<ApiKey>, AccountError> {
        let mut wanted = api_keys::Entity::find().filter(api_keys::Column::RevokedNs.is_null());
        if let Some(user) = user {
            wanted = wanted.filter(api_keys::Column::UserId.eq(user.to_string()));
        }
        let models = wanted
            .order_by_desc(api_keys::Column::Id)
            .all(self.0.database.read())
            .await?;
        Ok(models.into_iter().map(ApiKey::from_model).collect::<Result<_, _>>()?)
    }

    pub async fn get(&self, id: ApiKeyId) -> Result<ApiKey, AccountError> {
        let model = api_keys::Entity::find_by_id(id.to_string())
            .filter(api_keys::Column::RevokedNs.is_null())
            .one(self.0.database.read())
            .await?;
        Ok(ApiKey::from_model(model.ok_or(AccountError::NoKey(id))?)?)
    }

    /// Ends a key, for good.
    pub async fn revoke(&self, id: ApiKeyId) -> Result<(), AccountError> {
        let revoked = api_keys::Entity::update_many()
            .col_expr(api_keys::Column::RevokedNs, Expr::value(from_time(self.0.now())))
            .filter(api_keys::Column::Id.eq(id.to_string()))
            .filter(api_keys::Column::RevokedNs.is_null())
            .exec(self.0.database.write())
            .await?;
        match revoked.rows_affected {
            0 => Err(AccountError::NoKey(id)),
            _ => Ok(()),
        }
    }
}

impl ApiKey {
    fn from_model(model: api_keys::Model) -> Result<Self, DatabaseError> {
        let row = Row::new("api_keys", &model.id);
        Ok(Self {
            id: row.parse("id", &model.id)?,
            scopes: row.json("scopes", &model.scopes)?,
            user: row.parse_opt("user_id", model.user_id.as_deref())?,
            created: row.time("created_ns", model.created_ns)?,
            expires: row.time_opt("expires_ns", model.expires_ns)?,
            used: row.time_opt("used_ns", model.used_ns)?,
            name: model.name,
        })
    }
}
