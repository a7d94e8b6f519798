//! Log-ins that were found going on a moment ago, so that each request need not ask the database again.

use std::{collections::HashMap, sync::Arc, time::Duration};

use greffier_media::time::Arrival;
use greffier_store::{SessionId, accounts::User};
use parking_lot::Mutex;

/// How long what was found counts. What ends log-ins in this process [forgets](LiveSessions::forget) at once; another
/// process that shares the database is heard of after this.
const FRESH: Duration = Duration::from_secs(2);
const MOST: usize = 10_000;

/// By session: whose it is, and when that was found.
#[derive(Default)]
pub(crate) struct LiveSessions(Mutex<HashMap<SessionId, (Arc<User>, Arrival)>>);

impl LiveSessions {
    pub(crate) fn get(&self, session: SessionId, now: Arrival) -> Option<Arc<User>> {
        let found = self.0.lock();
        let (user, at) = found.get(&session)?;
        (now.saturating_since(*at) < FRESH).then(|| Arc::clone(user))
    }

    pub(crate) fn put(&self, session: SessionId, user: &Arc<User>, now: Arrival) {
        let mut found = self.0.lock();
        if found.len() >= MOST {
            found.clear();
        }
        found.insert(session, (Arc::clone(user), now));
    }

    /// A session or an account was changed.
    pub(crate) fn forget(&self) {
        self.0.lock().clear();
    }
}
