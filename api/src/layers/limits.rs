//! How often somebody may ask.

use std::{collections::HashMap, net::IpAddr, num::NonZeroU32, time::Duration};

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use governor::{DefaultKeyedRateLimiter, Quota, clock::Clock as _, clock::DefaultClock};
use greffier_media::time::{Arrival, Clock as _};
use parking_lot::Mutex;

use super::ClientAddress;
use crate::{
    Principal,
    config::LimitsConfig,
    problem::{ApiError, ApiResult},
    services::App,
};
use greffier_agent::clock::SystemClock;

/// A burst may be so many times the average.
const BURST: u32 = 10;
/// Addresses that are put off at a time; when there are more, those put off longest go first.
const PUT_OFF: usize = 10_000;

/// What is counted of whom.
pub(crate) struct Limits {
    clock: SystemClock,
    addresses: Option<DefaultKeyedRateLimiter<IpAddr>>,
    callers: Option<DefaultKeyedRateLimiter<String>>,
    failures: Option<DefaultKeyedRateLimiter<IpAddr>>,
    /// Wrong passwords, by account.
    accounts: Option<DefaultKeyedRateLimiter<String>>,
    /// Until when tries from an address are refused unseen.
    put_off: Mutex<HashMap<IpAddr, Arrival>>,
    /// Until when log-ins to an account are.
    accounts_put_off: Mutex<HashMap<String, Arrival>>,
}

impl Limits {
    pub(crate) fn new(config: &LimitsConfig, clock: SystemClock) -> Self {
        let per_second = |rate| {
            let rate = NonZeroU32::new(rate)?;
            let burst = rate.saturating_mul(NonZeroU32::new(BURST)?);
            Some(Quota::per_second(rate).allow_burst(burst))
        };
        Self {
            clock,
            addresses: per_second(config.requests_per_second).map(DefaultKeyedRateLimiter::keyed),
            callers: per_second(config.caller_requests_per_second).map(DefaultKeyedRateLimiter::keyed),
            failures: NonZeroU32::new(config.failures_per_minute)
                .map(last_puts_off)
                .map(DefaultKeyedRateLimiter::keyed),
            accounts: NonZeroU32::new(config.account_failures_per_minute)
                .map(last_puts_off)
                .map(DefaultKeyedRateLimiter::keyed),
            put_off: Mutex::default(),
            accounts_put_off: Mutex::default(),
        }
    }

    fn address(&self, address: ClientAddress) -> ApiResult<()> {
        check(self.addresses.as_ref(), &address.key()).map_err(|wait| ApiError::too_many("too_many_requests", wait))
    }

    pub(crate) fn caller(&self, principal: &Principal) -> ApiResult<()> {
        check(self.callers.as_ref(), &principal.name()).map_err(|wait| ApiError::too_many("too_many_requests", wait))
    }

    /// Whether an address may show a key, a token or a password.
    pub(crate) fn may_try(&self, address: ClientAddress) -> ApiResult<()> {
        let now = self.clock.now();
        let mut put_off = self.put_off.lock();
        match put_off.get(&address.key()) {
            Some(until) if *until > now => Err(ApiError::too_many(
                "too_many_failures",
                seconds(until.saturating_since(now)),
            )),
            Some(_) => {
                put_off.remove(&address.key());
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// What an address showed was wrong.
    pub(crate) fn failed(&self, address: ClientAddress) {
        metrics::counter!(super::metric::AUTH_FAILURES).increment(1);
        let Err(wait) = check(self.failures.as_ref(), &address.key()) else {
            return;
        };
        let until = self.clock.now().saturating_add(Duration::from_secs(wait));
        put_off_until(&mut self.put_off.lock(), address.key(), until);
        tracing::warn!(address = %address.ip, wait, "too many failures; tries are refused for a while");
    }

    /// What an address showed was wrong, and it could not have been guessed: whoever shows the right thing is let in whatever
    /// others at the same address do. Refuses if there were too many already.
    pub(crate) fn wrong(&self, address: ClientAddress) -> ApiResult<()> {
        self.may_try(address)?;
        self.failed(address);
        Ok(())
    }

    /// For how many seconds nobody may log in to an account from a new place.
    pub(crate) fn account_put_off(&self, email: &str) -> Option<u64> {
        let now = self.clock.now();
        let put_off = self.accounts_put_off.lock();
        let until = put_off.get(&account(email)).filter(|until| **until > now)?;
        Some(seconds(until.saturating_since(now)))
    }

    /// A password was wrong for an account, whether there is one or not.
    pub(crate) fn account_failed(&self, email: &str) {
        let account = account(email);
        let Err(wait) = check(self.accounts.as_ref(), &account) else {
            return;
        };
        let until = self.clock.now().saturating_add(Duration::from_secs(wait));
        put_off_until(&mut self.accounts_put_off.lock(), account, until);
        tracing::warn!(
            wait,
            "too many wrong passwords for one account; log-ins from new places are refused for a while"
        );
    }

    /// Forgets those who have not asked for a while.
    pub(crate) fn tidy(&self) {
        if let Some(limiter) = &self.addresses {
            limiter.retain_recent();
        }
        if let Some(limiter) = &self.callers {
            limiter.retain_recent();
        }
        if let Some(limiter) = &self.failures {
            limiter.retain_recent();
        }
        if let Some(limiter) = &self.accounts {
            limiter.retain_recent();
        }
        let now = self.clock.now();
        self.put_off.lock().retain(|_, until| *until > now);
        self.accounts_put_off.lock().retain(|_, until| *until > now);
    }
}

/// The last that is allowed is the one that puts off.
fn last_puts_off(most: NonZeroU32) -> Quota {
    let before = NonZeroU32::new(most.get() - 1).unwrap_or(NonZeroU32::MIN);
    Quota::per_minute(most).allow_burst(before)
}

/// As accounts are found by it, and no longer than an address may be.
fn account(email: &str) -> String {
    email.trim().to_lowercase().chars().take(254).collect()
}

fn put_off_until<K: std::hash::Hash + Eq + Clone>(put_off: &mut HashMap<K, Arrival>, key: K, until: Arrival) {
    if put_off.len() >= PUT_OFF
        && let Some(oldest) = put_off
            .iter()
            .min_by_key(|(_, until)| **until)
            .map(|(key, _)| key.clone())
    {
        put_off.remove(&oldest);
    }
    put_off.insert(key, until);
}

/// Counts one; how many seconds to wait, if it is one too many.
fn check<K: std::hash::Hash + Eq + Clone>(limiter: Option<&DefaultKeyedRateLimiter<K>>, key: &K) -> Result<(), u64> {
    match limiter {
        Some(limiter) => {
            let clock = DefaultClock::default();
            limiter
                .check_key(key)
                .map_err(|not_until| seconds(not_until.wait_time_from(clock.now())))
        }
        None => Ok(()),
    }
}

/// Rounded up.
fn seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

/// Middleware: counts an address's requests.
pub(crate) async fn limit_addresses(State(app): State<App>, request: Request, next: Next) -> Response {
    match app.limits.address(ClientAddress::of(request.extensions())) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(config: &LimitsConfig) -> Limits {
        Limits::new(config, SystemClock::start())
    }

    fn from(last: u8) -> ClientAddress {
        ClientAddress {
            ip: IpAddr::from([192, 0, 2, last]),
            local: false,
        }
    }

    #[test]
    fn one_address_too_often_leaves_others_alone() {
        let limits = limits(&LimitsConfig {
            requests_per_second: 1,
            ..LimitsConfig::default()
        });
        let taken = (0..100).filter(|_| limits.address(from(1)).is_ok()).count();
        assert!((10..=12).contains(&taken), "{taken}");
        assert!(limits.address(from(2)).is_ok());
        let refusal = limits.address(from(1)).expect_err("too many");
        assert_eq!(refusal.code(), "too_many_requests");
    }

    #[test]
    fn failures_put_off_and_successes_do_not() {
        let limits = limits(&LimitsConfig {
            failures_per_minute: 3,
            ..LimitsConfig::default()
        });
        for _ in 0..3 {
            limits.may_try(from(1)).expect("three are allowed");
            limits.failed(from(1));
        }
        assert_eq!(
            limits.may_try(from(1)).expect_err("put off").code(),
            "too_many_failures"
        );
        limits.may_try(from(2)).expect("another address");
    }

    #[test]
    fn zero_is_no_limit() {
        let limits = limits(&LimitsConfig {
            requests_per_second: 0,
            failures_per_minute: 0,
            ..LimitsConfig::default()
        });
        for _ in 0..10_000 {
            limits.address(from(1)).expect("no limit");
            limits.failed(from(1));
        }
        limits.may_try(from(1)).expect("no limit");
    }
}
