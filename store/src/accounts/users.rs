//! Accounts.

use greffier_media::time::Arrival;
use sea_orm::{
    ActiveModelTrait as _,
    ActiveValue::Set,
    ColumnTrait as _, Condition, ConnectionTrait, EntityTrait as _, PaginatorTrait as _, QueryFilter as _,
    QueryOrder as _, QuerySelect as _,
    sea_query::{Expr, ExprTrait as _},
};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::{
    AccountError,
    entity::{api_keys, sessions, users},
};
use crate::{
    DatabaseError, UserId,
    database::{
        NotUnique as _,
        column::{Row, contains, from_time, storable, to_name},
    },
    store::Inner,
};

/// What somebody is to the whole installation; what they are to a room is for the room to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UserRole {
    Admin,
    Member,
}

/// A person, as of when they were read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    pub id: UserId,
    /// In lower case.
    pub email: Option<String>,
    pub name: String,
    pub role: UserRole,
    /// `fr`, `en`
    pub language: Option<String>,
    /// They can log in here.
    pub has_password: bool,
    /// They come from another application.
    pub foreign: Option<Foreign>,
    pub created: Arrival,
    pub seen: Option<Arrival>,
    /// They cannot log in.
    pub disabled: Option<Arrival>,
}

/// Who somebody is in another application.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Foreign {
    /// Which application: `iss` of its tokens.
    pub issuer: String,
    /// Who there: `sub` of its tokens.
    pub subject: String,
}

/// An account to be made.
#[derive(Debug, Clone)]
pub struct NewUser {
    pub email: String,
    pub name: String,
    pub role: UserRole,
    pub language: Option<String>,
    pub password: SecretString,
}

/// What is to change; `None` stays.
#[derive(Debug, Clone, Default)]
pub struct UserChange {
    pub email: Option<String>,
    pub name: Option<String>,
    pub role: Option<UserRole>,
    pub language: Option<String>,
    /// All sessions end with the old one, but for the one that the caller keeps.
    pub password: Option<SecretString>,
    pub disabled: Option<bool>,
}

/// Which people: those for which all that is given holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UserFilter {
    /// Somewhere in name or e-mail address, in any case.
    pub text: Option<String>,
    /// Without those who are disabled.
    pub enabled: bool,
}

/// All accounts.
#[derive(Clone, Copy)]
pub struct Users<'a>(pub(crate) &'a Inner);

impl Users<'_> {
    pub async fn get(&self, id: UserId) -> Result<User, AccountError> {
        Ok(User::from_model(find(self.0.database.read(), id).await?)?)
    }

    /// Whoever has an e-mail address, in whatever case it is written.
    pub async fn by_email(&self, email: &str) -> Result<Option<User>, AccountError> {
        let found = by_email(self.0.database.read(), email).await?;
        Ok(found.map(User::from_model).transpose()?)
    }

    /// People by name, up to `limit` after `after` (name and id of the last of the page before). Answers whether there
    /// is more.
    pub async fn list(
        &self,
        filter: &UserFilter,
        after: Option<(&str, UserId)>,
        limit: u64,
    ) -> Result<(Vec<User>, bool), AccountError> {
        let mut wanted = Condition::all().add(users::Column::DeletedNs.is_null());
        if filter.enabled {
            wanted = wanted.add(users::Column::DisabledNs.is_null());
        }
        if let Some(text) = filter.text.as_deref().filter(|text| !text.is_empty()) {
            wanted = wanted.add(Expr::col(users::Column::SearchText).like(contains(text)));
        }
        if let Some((name, id)) = after {
            let same = Condition::all()
                .add(users::Column::Name.eq(name))
                .add(users::Column::Id.gt(id.to_string()));
            wanted = wanted.add(Condition::any().add(users::Column::Name.gt(name)).add(same));
        }
        let mut models = users::Entity::find()
            .filter(wanted)
            .order_by_asc(users::Column::Name)
            .order_by_asc(users::Column::Id)
            .limit(limit.saturating_add(1))
            .all(self.0.database.read())
            .await?;
        let more = models.len() as u64 > limit;
        models.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        let users = models.into_iter().map(User::from_model).collect::<Result<_, _>>()?;
        Ok((users, more))
    }

    /// How many there are.
    pub async fn count(&self) -> Result<u64, AccountError> {
        let all = users::Entity::find().filter(users::Column::DeletedNs.is_null());
        Ok(all.count(self.0.database.read()).await?)
    }

    /// Whoever an e-mail address and a password belong to.
    pub async fn sign_in(&self, email: &str, password: &SecretString) -> Result<User, AccountError> {
        let found = by_email(self.0.database.read(), email).await?;
        let hash = found.as_ref().and_then(|model| model.password_hash.as_deref());
        if !self.0.passwords.verify(password, hash).await {
            return Err(AccountError::WrongPassword);
        }
        let user = User::from_model(found.ok_or(AccountError::WrongPassword)?)?;
        if user.disabled.is_some() {
            return Err(AccountError::Disabled);
        }
        Ok(user)
    }

    /// Whether this is somebody's password.
    pub async fn is_password(&self, id: UserId, password: &SecretString) -> Result<bool, AccountError> {
        let model = find(self.0.database.read(), id).await?;
        Ok(self.0.passwords.verify(password, model.password_hash.as_deref()).await)
    }

    /// Whoever another application calls so: made when they first come, and called from then on as it says. An account
    /// with the same e-mail address becomes theirs only if `trust_email`.
    pub async fn foreign(
        &self,
        foreign: &Foreign,
        email: Option<&str>,
        name: &str,
        role: UserRole,
        trust_email: bool,
    ) -> Result<User, AccountError> {
        let known = Condition::all()
            .add(users::Column::ForeignIssuer.eq(storable(&foreign.issuer)))
            .add(users::Column::ForeignSubject.eq(storable(&foreign.subject)))
            .add(users::Column::DeletedNs.is_null());
        let name = check_name(name)?;
        let email = email.map(check_email).transpose().unwrap_or_default();
        let found = users::Entity::find()
            .filter(known.clone())
            .one(self.0.database.read())
            .await?;
        if let Some(model) = &found
            && model.name == name
            && model.role == to_name(&role)
        {
            return Ok(User::from_model(model.clone())?);
        }
        let transaction = self.0.database.begin().await?;
        let found = users::Entity::find().filter(known).one(&transaction).await?;
        let holder = match &email {
            Some(email) => by_email(&transaction, email).await?,
            None => None,
        };
        let model = match (found, holder) {
            (Some(model), _) => {
                let search = search_text(&name, model.email.as_deref());
                let mut model: users::ActiveModel = model.into();
                model.name = Set(name);
                model.search_text = Set(search);
                model.role = Set(to_name(&role));
                model.update(&transaction).await?
            }
            (None, Some(holder)) if trust_email && holder.foreign_subject.is_none() => {
                let mut model: users::ActiveModel = holder.into();
                model.foreign_issuer = Set(Some(storable(&foreign.issuer)));
                model.foreign_subject = Set(Some(storable(&foreign.subject)));
                model.update(&transaction).await?
            }
            (None, holder) => {
                let email = email.filter(|_| holder.is_none());
                let mut model = new_model(self.0, email, name, role);
                model.foreign_issuer = Set(Some(storable(&foreign.issuer)));
                model.foreign_subject = Set(Some(storable(&foreign.subject)));
                users::Entity::insert(model).exec_with_returning(&transaction).await?
            }
        };
        transaction.commit().await?;
        Ok(User::from_model(model)?)
    }

    /// Changes an account. `keep` is the session that goes on when the password changes.
    pub async fn update(
        &self,
        id: UserId,
        change: &UserChange,
        keep: Option<crate::SessionId>,
    ) -> Result<User, AccountError> {
        let hash = match &change.password {
            Some(password) => Some(self.0.passwords.hash(password).await?),
            None => None,
        };
        let name = change.name.as_deref().map(check_name).transpose()?;
        let email = change.email.as_deref().map(check_email).transpose()?;
        let language = change.language.as_deref().map(check_language).transpose()?;
        let now = self.0.now();
        let transaction = self.0.database.begin().await?;
        let old = find(&transaction, id).await?;
        let stays = old.role == to_name(&UserRole::Admin)
            && change.role.is_none_or(|role| role == UserRole::Admin)
            && change.disabled != Some(true);
        if !stays {
            not_the_last(&transaction, &old).await?;
        }
        let search = search_text(
            name.as_deref().unwrap_or(&old.name),
            email.as_deref().or(old.email.as_deref()),
        );
        let disabled = old.disabled_ns;
        let mut model: users::ActiveModel = old.into();
        model.search_text = Set(search);
        if let Some(name) = name {
            model.name = Set(name);
        }
        if let Some(email) = email {
            model.email = Set(Some(email));
        }
        if let Some(role) = change.role {
            model.role = Set(to_name(&role));
        }
        if let Some(language) = language {
            model.language = Set(Some(language));
        }
        match change.disabled {
            Some(true) => model.disabled_ns = Set(disabled.or(Some(from_time(now)))),
            Some(false) => model.disabled_ns = Set(None),
            None => {}
        }
        let ends = hash.is_some() || change.disabled == Some(true);
        if let Some(hash) = hash {
            model.password_hash = Set(Some(hash));
        }
        let model = model.update(&transaction).await.map_err(taken)?;
        if ends {
            super::sessions::end_of_user(&transaction, id, keep, now).await?;
        }
        transaction.commit().await?;
        Ok(User::from_model(model)?)
    }

    /// Deletes an account: nobody can log in with it, and its address is free. History goes on naming the person.
    pub async fn delete(&self, id: UserId) -> Result<(), AccountError> {
        let now = self.0.now();
        let transaction = self.0.database.begin().await?;
        let model = find(&transaction, id).await?;
        not_the_last(&transaction, &model).await?;
        let mut model: users::ActiveModel = model.into();
        model.email = Set(None);
        model.password_hash = Set(None);
        model.foreign_issuer = Set(None);
        model.foreign_subject = Set(None);
        model.deleted_ns = Set(Some(from_time(now)));
        model.update(&transaction).await?;
        sessions::Entity::delete_many()
            .filter(sessions::Column::UserId.eq(id.to_string()))
            .exec(&transaction)
            .await?;
        api_keys::Entity::delete_many()
            .filter(api_keys::Column::UserId.eq(id.to_string()))
            .exec(&transaction)
            .await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Notes that somebody is here; at most once a minute, so that reading stays reading.
    pub async fn seen(&self, user: &User) -> Result<(), AccountError> {
        let now = self.0.now();
        if user.seen.is_some_and(|seen| now.saturating_since(seen).as_secs() < 60) {
            return Ok(());
        }
        users::Entity::update_many()
            .col_expr(users::Column::SeenNs, Expr::value(from_time(now)))
            .filter(users::Column::Id.eq(user.id.to_string()))
            .exec(self.0.database.write())
            .await?;
        Ok(())
    }
}

/// Adds an account to what a transaction does.
pub(super) async fn insert(
    connection: &impl ConnectionTrait,
    inner: &Inner,
    new: &NewUser,
    hash: String,
) -> Result<User, AccountError> {
    let mut model = new_model(inner, Some(check_email(&new.email)?), check_name(&new.name)?, new.role);
    model.password_hash = Set(Some(hash));
    model.language = Set(new.language.as_deref().map(check_language).transpose()?);
    let model = users::Entity::insert(model)
        .exec_with_returning(connection)
        .await
        .map_err(taken)?;
    Ok(User::from_model(model)?)
}

fn new_model(inner: &Inner, email: Option<String>, name: String, role: UserRole) -> users::ActiveModel {
    let now = inner.now();
    users::ActiveModel {
        id: Set(UserId::generate(now).to_string()),
        search_text: Set(search_text(&name, email.as_deref())),
        email: Set(email),
        name: Set(name),
        role: Set(to_name(&role)),
        language: Set(None),
        password_hash: Set(None),
        foreign_issuer: Set(None),
        foreign_subject: Set(None),
        created_ns: Set(from_time(now)),
        seen_ns: Set(None),
        disabled_ns: Set(None),
        deleted_ns: Set(None),
    }
}

/// One that is deleted is gone.
pub(crate) async fn find(connection: &impl ConnectionTrait, id: UserId) -> Result<users::Model, AccountError> {
    let model = users::Entity::find_by_id(id.to_string())
        .filter(users::Column::DeletedNs.is_null())
        .one(connection)
        .await?;
    model.ok_or(AccountError::NotFound(id))
}

async fn by_email(connection: &impl ConnectionTrait, email: &str) -> Result<Option<users::Model>, DatabaseError> {
    let email = storable(&email.trim().to_lowercase());
    Ok(users::Entity::find()
        .filter(users::Column::Email.eq(email))
        .one(connection)
        .await?)
}

async fn not_the_last(connection: &impl ConnectionTrait, model: &users::Model) -> Result<(), AccountError> {
    if model.role != to_name(&UserRole::Admin) || model.disabled_ns.is_some() {
        return Ok(());
    }
    let others = users::Entity::find()
        .filter(users::Column::Role.eq(to_name(&UserRole::Admin)))
        .filter(users::Column::Id.ne(model.id.as_str()))
        .filter(users::Column::DisabledNs.is_null())
        .filter(users::Column::DeletedNs.is_null())
        .count(connection)
        .await?;
    if others == 0 {
        Err(AccountError::LastAdministrator)
    } else {
        Ok(())
    }
}

fn taken(error: sea_orm::DbErr) -> AccountError {
    if error.is_not_unique() {
        AccountError::EmailTaken
    } else {
        error.into()
    }
}

fn search_text(name: &str, email: Option<&str>) -> String {
    format!("{name}\n{}", email.unwrap_or_default()).to_lowercase()
}

pub(super) fn check_name(name: &str) -> Result<String, AccountError> {
    let name = name.trim();
    if name.is_empty() || name.len() > 200 || name.contains(char::is_control) {
        return Err(AccountError::Invalid {
            field: "name",
            rule: "1 to 200 bytes without control characters",
        });
    }
    Ok(name.to_owned())
}

/// Something before one `@`, and a domain after it; whether mail arrives is for mail to say.
pub(super) fn check_email(email: &str) -> Result<String, AccountError> {
    let email = email.trim().to_lowercase();
    let fits = email.len() <= 254
        && !email.contains(|character: char| {
            character.is_control() || character.is_whitespace() || "<>,;\"".contains(character)
        })
        && email.split_once('@').is_some_and(|(local, domain)| {
            let labels_fit = domain.split('.').all(|label| !label.is_empty());
            !local.is_empty() && labels_fit && !domain.contains('@')
        });
    if fits {
        Ok(email)
    } else {
        Err(AccountError::Invalid {
            field: "email",
            rule: "an e-mail address of at most 254 bytes",
        })
    }
}

fn check_language(language: &str) -> Result<String, AccountError> {
    let fits = (2..=35).contains(&language.len())
        && language
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if fits {
        Ok(language.to_owned())
    } else {
        Err(AccountError::Invalid {
            field: "language",
            rule: "a language tag, such as `fr`",
        })
    }
}

impl User {
    pub(crate) fn from_model(model: users::Model) -> Result<Self, DatabaseError> {
        let row = Row::new("users", &model.id);
        let foreign = model.foreign_issuer.zip(model.foreign_subject);
        Ok(Self {
            id: row.parse("id", &model.id)?,
            role: row.name("role", &model.role)?,
            created: row.time("created_ns", model.created_ns)?,
            seen: row.time_opt("seen_ns", model.seen_ns)?,
            disabled: row.time_opt("disabled_ns", model.disabled_ns)?,
            has_password: model.password_hash.is_some(),
            foreign: foreign.map(|(issuer, subject)| Foreign { issuer, subject }),
            email: model.email,
            name: model.name,
            language: model.language,
        })
    }
}
