//! The loop that empties the outbox.

use std::time::Duration;

use futures_util::{StreamExt, stream};
use greffier_media::time::Clock;
use greffier_store::webhooks::{Delivery, DeliveryState};
use greffier_store::{DeliveryError, Store};
use reqwest::{Client, redirect};
use tokio_util::sync::CancellationToken;

use super::Outbox;
use crate::clock::SystemClock;

/// How long a receiver may take to answer.
const TIMEOUT: Duration = Duration::from_secs(15);
/// If this process dies while it delivers, the delivery is due again after this.
const LEASE: Duration = Duration::from_mins(1);
/// Retries are due at times nobody announces.
const LOOK_EVERY: Duration = Duration::from_secs(5);
const AT_ONCE: usize = 8;

/// Why a receiver did not take a delivery.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("the address is no longer configured")]
    Unknown,
    #[error("the receiver answered {0}")]
    Status(reqwest::StatusCode),
    #[error("the receiver could not be reached: {0}")]
    Unreachable(String),
}

impl Outbox {
    /// Delivers what is due, until cancelled.
    ///
    /// # Errors
    /// When the HTTP client cannot be made. What goes wrong later is logged and tried again.
    pub async fn deliver(
        self,
        store: Store,
        clock: SystemClock,
        token: CancellationToken,
    ) -> Result<(), reqwest::Error> {
        let client = Client::builder()
            .timeout(TIMEOUT)
            .redirect(redirect::Policy::none())
            .user_agent(concat!("greffier/", env!("CARGO_PKG_VERSION")))
            .build()?;
        loop {
            match store.webhooks().claim_due(AT_ONCE as u64, LEASE).await {
                Ok(due) if due.is_empty() => {
                    tokio::select! {
                        () = token.cancelled() => return Ok(()),
                        () = self.wake.notified() => {}
                        () = tokio::time::sleep(LOOK_EVERY) => {}
                    }
                }
                Ok(due) => {
                    let each = stream::iter(due)
                        .for_each_concurrent(AT_ONCE, |delivery| self.one(&client, &store, clock, delivery));
                    tokio::select! {
                        () = token.cancelled() => return Ok(()),
                        () = each => {}
                    }
                }
                Err(error) => {
                    tracing::error!(%error, "the outbox cannot be read");
                    tokio::select! {
                        () = token.cancelled() => return Ok(()),
                        () = tokio::time::sleep(LOOK_EVERY) => {}
                    }
                }
            }
        }
    }

    async fn one(&self, client: &Client, store: &Store, clock: SystemClock, delivery: Delivery) {
        let sent = self.send(client, clock, &delivery).await;
        let noted = match &sent {
            Ok(()) => store
                .webhooks()
                .delivered(delivery.id)
                .await
                .map(|()| DeliveryState::Delivered),
            Err(refusal) => store.webhooks().failed(delivery.id, &refusal.to_string()).await,
        };
        report(&delivery, sent, noted);
    }

    async fn send(&self, client: &Client, clock: SystemClock, delivery: &Delivery) -> Result<(), Refusal> {
        let key = self.key(&delivery.url).ok_or(Refusal::Unknown)?;
        let id = delivery.id.to_string();
        let now = i64::try_from(clock.now().as_millis() / 1000).unwrap_or(i64::MAX);
        let answer = client
            .post(&delivery.url)
            .header("content-type", "application/json")
            .header("webhook-id", &id)
            .header("webhook-timestamp", now.to_string())
            .header("webhook-signature", key.sign(&id, now, &delivery.body))
            .body(delivery.body.clone())
            .send()
            .await
            .map_err(|error| Refusal::Unreachable(error.without_url().to_string()))?;
        if answer.status().is_success() {
            Ok(())
        } else {
            Err(Refusal::Status(answer.status()))
        }
    }
}

fn report(delivery: &Delivery, sent: Result<(), Refusal>, noted: Result<DeliveryState, DeliveryError>) {
    let Delivery {
        id,
        event,
        url,
        attempts,
        ..
    } = delivery;
    match (sent, noted) {
        (Ok(()), Ok(_)) => tracing::debug!(%id, event, url, "webhook delivered"),
        (Err(refusal), Ok(DeliveryState::Failed)) => {
            tracing::error!(%id, event, url, attempts, error = %refusal, "webhook given up");
        }
        (Err(refusal), Ok(_)) => {
            tracing::warn!(%id, event, url, attempts, error = %refusal, "webhook will be tried again");
        }
        (_, Err(error)) => tracing::error!(%id, event, url, %error, "how a webhook went could not be noted"),
    }
}
