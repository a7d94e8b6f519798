//! What the server says of who is in our rooms, on its way to the SDK; and the farewell that the SDK needs (see [`super::room`]).

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Weak};

use livekit_api::access_token::Claims;
use livekit_net::{Header, TransportError, WsClient, WsConnectResult, WsConnection};
use livekit_protocol::leave_request::Action;
use livekit_protocol::participant_info::State;
use livekit_protocol::signal_response::Message;
use livekit_protocol::{DisconnectReason, ParticipantInfo, ParticipantUpdate, SignalResponse};
use parking_lot::Mutex;
use prost::Message as _;
use tokio::sync::Notify;
use url::Url;

/// Of the fields of `SignalResponse`, those that tell who is in the room, as a message begins with them on the wire: the
/// field's number and that a length follows.
const JOIN: u8 = 1 << 3 | 2;
const UPDATE: u8 = 5 << 3 | 2;
const LEAVE: u8 = 8 << 3 | 2;

/// Which connection is meant.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    host: String,
    port: u16,
    room: String,
    identity: String,
}

impl Key {
    /// `None` when it is no address or no token, which the SDK will say itself.
    fn new(url: &str, token: &str) -> Option<Self> {
        let url = Url::parse(url).ok()?;
        let claims = Claims::from_unverified(token).ok()?;
        Some(Self {
            host: url.host_str()?.to_owned(),
            port: url.port_or_known_default()?,
            room: claims.video.room,
            identity: claims.sub,
        })
    }
}

/// Who is in a room with us, as the server told last.
pub(super) struct Company {
    /// By their sid; `None` once all have been said to have gone.
    present: Mutex<Option<HashMap<String, ParticipantInfo>>>,
    farewell: Notify,
}

/// What is done with a message.
enum Heard {
    Pass,
    /// This comes first.
    After(Vec<u8>),
    /// It is of people whom the SDK has just forgotten.
    Withhold,
}

impl Default for Company {
    fn default() -> Self {
        Self {
            present: Mutex::new(Some(HashMap::new())),
            farewell: Notify::new(),
        }
    }
}

impl Company {
    /// Watches the connections for `token`, from the next one on, for as long as the company is kept.
    pub fn of(url: &str, token: &str) -> Arc<Self> {
        let company = Arc::<Self>::default();
        if let (Some(signalling), Some(key)) = (&*SIGNALLING, Key::new(url, token)) {
            let mut companies = signalling.companies.lock();
            companies.retain(|_, company| company.strong_count() > 0);
            companies.insert(key, Arc::downgrade(&company));
        }
        company
    }

    /// Has the SDK told that everybody has gone.
    pub fn say_farewell(&self) {
        self.farewell.notify_one();
    }

    /// Takes in what a message tells. Before one that ends the room for all comes the news that they have gone, which the
    /// server may leave out then.
    fn hear(&self, frame: &[u8]) -> Heard {
        if !matches!(frame.first(), Some(&(JOIN | UPDATE | LEAVE))) {
            return Heard::Pass;
        }
        let Some(message) = SignalResponse::decode(frame).ok().and_then(|response| response.message) else {
            return Heard::Pass;
        };
        match message {
            Message::Join(join) => {
                let others = join.other_participants.into_iter();
                *self.present.lock() = Some(others.map(|info| (info.sid.clone(), info)).collect());
                Heard::Pass
            }
            Message::Update(update) => match &mut *self.present.lock() {
                None => Heard::Withhold,
                Some(present) => {
                    for info in update.participants {
                        if info.state == State::Disconnected as i32 {
                            present.remove(&info.sid);
                        } else {
                            present.insert(info.sid.clone(), info);
                        }
                    }
                    Heard::Pass
                }
            },
            Message::Leave(leave) => {
                let reason = leave.reason();
                let for_all = matches!(reason, DisconnectReason::RoomDeleted | DisconnectReason::RoomClosed);
                if for_all && leave.action() == Action::Disconnect {
                    Heard::After(self.all_gone(reason))
                } else {
                    Heard::Pass
                }
            }
            _ => Heard::Pass,
        }
    }

    /// The message that everybody has gone.
    fn all_gone(&self, reason: DisconnectReason) -> Vec<u8> {
        let present = self.present.lock().take().unwrap_or_default();
        let mut participants: Vec<_> = present.into_values().collect();
        for info in &mut participants {
            info.set_state(State::Disconnected);
            info.set_disconnect_reason(reason);
        }
        SignalResponse {
            message: Some(Message::Update(ParticipantUpdate { participants })),
        }
        .encode_to_vec()
    }
}

/// The SDK's own WebSocket client, watched. There is one in a process.
struct Signalling {
    client: Arc<dyn WsClient>,
    companies: Mutex<HashMap<Key, Weak<Company>>>,
}

/// Registers itself with the SDK when it is first used; `None` if the SDK has no client of its own.
static SIGNALLING: LazyLock<Option<Arc<Signalling>>> = LazyLock::new(|| {
    let signalling = Arc::new(Signalling {
        client: livekit_net::ws_client()?,
        companies: Mutex::default(),
    });
    livekit_net::set_ws_client(Arc::<Signalling>::clone(&signalling));
    Some(signalling)
});

#[async_trait::async_trait]
impl WsClient for Signalling {
    async fn connect(
        &self,
        url: String,
        headers: Vec<Header>,
        timeout_ms: u64,
    ) -> Result<WsConnectResult, TransportError> {
        let company = headers
            .iter()
            .find_map(|header| header.value.strip_prefix("Bearer "))
            .and_then(|token| Key::new(&url, token))
            .and_then(|key| self.companies.lock().get(&key).and_then(Weak::upgrade));
        let WsConnectResult { connection } = self.client.connect(url, headers, timeout_ms).await?;
        let Some(company) = company else {
            return Ok(WsConnectResult { connection });
        };
        let line = Line {
            connection,
            company,
            next: Mutex::default(),
        };
        Ok(WsConnectResult {
            connection: Arc::new(line),
        })
    }
}

/// One WebSocket connection of a room.
struct Line {
    connection: Arc<dyn WsConnection>,
    company: Arc<Company>,
    /// What comes next, after something was put before it.
    next: Mutex<Option<Vec<u8>>>,
}

#[async_trait::async_trait]
impl WsConnection for Line {
    async fn send(&self, frame: Vec<u8>) -> Result<(), TransportError> {
        self.connection.send(frame).await
    }

    async fn recv(&self) -> Result<Option<Vec<u8>>, TransportError> {
        if let Some(frame) = self.next.lock().take() {
            return Ok(Some(frame));
        }
        loop {
            let frame = tokio::select! {
                biased;
                () = self.company.farewell.notified() => {
                    return Ok(Some(self.company.all_gone(DisconnectReason::ClientInitiated)));
                }
                frame = self.connection.recv() => frame?,
            };
            let Some(frame) = frame else { return Ok(None) };
            match self.company.hear(&frame) {
                Heard::Pass => return Ok(Some(frame)),
                Heard::After(news) => {
                    *self.next.lock() = Some(frame);
                    return Ok(Some(news));
                }
                Heard::Withhold => {}
            }
        }
    }

    async fn close(&self) {
        self.connection.close().await;
    }
}

#[cfg(test)]
mod tests {
    use livekit_protocol::{JoinResponse, LeaveRequest};

    use super::*;

    fn info(sid: &str, state: State) -> ParticipantInfo {
        let mut info = ParticipantInfo {
            sid: sid.to_owned(),
            identity: sid.to_lowercase(),
            name: format!("Name of {sid}"),
            ..ParticipantInfo::default()
        };
        info.set_state(state);
        info
    }

    fn frame(message: Message) -> Vec<u8> {
        SignalResponse { message: Some(message) }.encode_to_vec()
    }

    fn join(sids: &[&str]) -> Vec<u8> {
        let other_participants = sids.iter().map(|sid| info(sid, State::Active)).collect();
        frame(Message::Join(JoinResponse {
            other_participants,
            ..JoinResponse::default()
        }))
    }

    fn leave(reason: DisconnectReason, action: Action) -> Vec<u8> {
        let mut leave = LeaveRequest::default();
        leave.set_reason(reason);
        leave.set_action(action);
        frame(Message::Leave(leave))
    }

    fn gone(frame: &[u8]) -> Vec<(String, String, i32)> {
        let message = SignalResponse::decode(frame).expect("a message").message;
        let Some(Message::Update(update)) = message else {
            panic!("{message:?} says nothing of participants");
        };
        let mut gone: Vec<_> = update
            .participants
            .into_iter()
            .inspect(|info| assert_eq!(info.state(), State::Disconnected))
            .map(|info| (info.sid, info.name, info.disconnect_reason))
            .collect();
        gone.sort();
        gone
    }

    #[test]
    fn the_farewell_names_those_who_are_there_as_they_are() {
        let company = Company::default();
        assert!(matches!(company.hear(&join(&["PA_1", "PA_2"])), Heard::Pass));
        let update = ParticipantUpdate {
            participants: vec![info("PA_1", State::Disconnected), info("PA_3", State::Joined)],
        };
        let update = frame(Message::Update(update));
        assert!(matches!(company.hear(&update), Heard::Pass));
        let reason = DisconnectReason::ClientInitiated;
        let named = |sid: &str| (sid.to_owned(), format!("Name of {sid}"), reason as i32);
        assert_eq!(gone(&company.all_gone(reason)), [named("PA_2"), named("PA_3")]);
        assert!(gone(&company.all_gone(reason)).is_empty(), "it is said once");
        let late = company.hear(&update);
        assert!(
            matches!(late, Heard::Withhold),
            "nobody is brought back by what was on its way"
        );
        assert!(
            matches!(company.hear(&join(&[])), Heard::Pass),
            "another connection begins anew"
        );
        assert!(matches!(company.hear(&update), Heard::Pass));
    }

    #[test]
    fn a_room_that_is_ended_for_all_is_emptied_first() {
        for (reason, action, emptied) in [
            (DisconnectReason::RoomDeleted, Action::Disconnect, 1),
            (DisconnectReason::RoomClosed, Action::Disconnect, 1),
            (DisconnectReason::RoomDeleted, Action::Reconnect, 0),
            (DisconnectReason::ParticipantRemoved, Action::Disconnect, 0),
            (DisconnectReason::ServerShutdown, Action::Disconnect, 0),
        ] {
            let company = Company::default();
            company.hear(&join(&["PA_1"]));
            let before = match company.hear(&leave(reason, action)) {
                Heard::After(news) => gone(&news).len(),
                Heard::Pass => 0,
                Heard::Withhold => panic!("the end is not withheld"),
            };
            assert_eq!(before, emptied, "{reason:?} {action:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_left_to_the_sdk(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..64), first in proptest::sample::select(vec![JOIN, UPDATE, LEAVE])) {
            let company = Company::default();
            let _ = company.hear(&bytes);
            let _ = company.hear(&[&[first][..], &bytes].concat());
        }
    }

    #[test]
    fn what_tells_of_people_is_known_by_its_first_byte() {
        for (message, byte) in [
            (join(&[]), JOIN),
            (frame(Message::Update(ParticipantUpdate::default())), UPDATE),
            (leave(DisconnectReason::RoomClosed, Action::Disconnect), LEAVE),
        ] {
            assert_eq!(message.first(), Some(&byte));
        }
    }
}
