//! What this process is busy with, so that it does nothing twice at once.

use std::{collections::HashSet, fmt, hash::Hash, sync::Arc};

use parking_lot::Mutex;

/// A set of things that are claimed. Cheap to clone; all clones are one.
#[derive(Debug)]
pub(crate) struct Claims<K: Eq + Hash>(Arc<Mutex<HashSet<K>>>);

impl<K: Eq + Hash> Default for Claims<K> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<K: Eq + Hash> Clone for Claims<K> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K: Eq + Hash + Clone> Claims<K> {
    /// `None` if somebody has it.
    pub(crate) fn claim(&self, key: K) -> Option<ClaimGuard<K>> {
        self.0.lock().insert(key.clone()).then(|| ClaimGuard {
            claims: self.clone(),
            key,
        })
    }

    pub(crate) fn contains(&self, key: &K) -> bool {
        self.0.lock().contains(key)
    }
}

/// Kept by whoever has something; given back when dropped.
pub(crate) struct ClaimGuard<K: Eq + Hash> {
    claims: Claims<K>,
    key: K,
}

impl<K: Eq + Hash + fmt::Debug> fmt::Debug for ClaimGuard<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ClaimGuard").field(&self.key).finish()
    }
}

impl<K: Eq + Hash> Drop for ClaimGuard<K> {
    fn drop(&mut self) {
        self.claims.0.lock().remove(&self.key);
    }
}
