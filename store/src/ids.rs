//! Ids that only the store hands out; the rest are [`greffier_media::ids`].

use std::{fmt, str::FromStr};

use greffier_media::time::Arrival;
use serde::{Deserialize, Serialize};
use ulid::Ulid;

/// Why a string is not the id it was taken for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected `{prefix}` and a ULID")]
pub struct StoreIdError {
    prefix: &'static str,
}

macro_rules! ulid_id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(into = "String", try_from = "String")]
        pub struct $name(Ulid);

        impl $name {
            pub(crate) fn generate(now: Arrival) -> Self {
                Self(Ulid::from_parts(now.as_millis(), random()))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}"), self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = StoreIdError;

            fn from_str(text: &str) -> Result<Self, StoreIdError> {
                let ulid = text.strip_prefix($prefix).and_then(|ulid| Ulid::from_string(ulid).ok());
                // One id has one spelling.
                ulid.map(Self)
                    .filter(|id| id.to_string() == text)
                    .ok_or(StoreIdError { prefix: $prefix })
            }
        }

        impl TryFrom<String> for $name {
            type Error = StoreIdError;

            fn try_from(text: String) -> Result<Self, StoreIdError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.to_string()
            }
        }
    };
}

ulid_id! {
    /// One data directory. Rows say which one has their files, so that many processes can share a database.
    NodeId, "node_"
}
ulid_id! {
    /// One webhook on its way to one address.
    DeliveryId, "dlv_"
}
ulid_id! {
    /// One claim of a job or delivery: who claimed it before, and came back late, has another.
    LeaseToken, "lease_"
}

ulid_id! {
    /// A person.
    UserId, "usr_"
}
ulid_id! {
    /// A log-in that goes on until it is ended: on one device, as a rule.
    SessionId, "ses_"
}
ulid_id! {
    /// An invitation to have an account.
    UserInvitationId, "uinv_"
}
ulid_id! {
    /// A key for machines.
    ApiKeyId, "key_"
}
ulid_id! {
    /// A room, whatever it is called.
    RoomId, "room_"
}
ulid_id! {
    /// An invitation into a room.
    RoomInvitationId, "inv_"
}
ulid_id! {
    /// Somebody who waits to be let into a room.
    WaitingId, "wait_"
}
ulid_id! {
    /// A session of a room: from the first who comes to the last who goes.
    CallId, "call_"
}
ulid_id! {
    /// Something that happened in a call.
    CallEventId, "cev_"
}
ulid_id! {
    /// Something one person is told.
    NotificationId, "ntf_"
}
ulid_id! {
    /// A line of the audit log.
    AuditId, "aud_"
}
ulid_id! {
    /// A load test.
    LoadTestId, "load_"
}

/// Bits nobody can guess. (ULIDs take 80 of them.)
pub(crate) fn random() -> u128 {
    rand::random()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_read_back_in_one_spelling() {
        let id = NodeId::generate(Arrival::from_millis(1_760_000_000_000));
        let text = id.to_string();
        assert!(text.starts_with("node_01"), "{text}");
        assert_eq!(text.parse(), Ok(id));
        for bad in [
            text.to_lowercase(),
            text.replace("node_", "dlv_"),
            format!("{text}0"),
            String::new(),
        ] {
            assert!(bad.parse::<NodeId>().is_err(), "{bad}");
        }
        assert_ne!(id, NodeId::generate(Arrival::from_millis(1_760_000_000_000)));
    }
}
