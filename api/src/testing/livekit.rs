//! A stand-in for the `LiveKit` server's room API: rooms and people as a test says, and what it was asked to do.

use std::{collections::BTreeMap, convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Bytes,
    extract::{Path, State},
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::post,
};
use greffier_agent::{
    clock,
    supervisor::{Supervisor, TaskKind},
};
use livekit_protocol as proto;
use parking_lot::Mutex;
use prost::Message;

/// Clones share everything.
#[derive(Clone, Default)]
pub(crate) struct FakeLiveKit(Arc<Mutex<Rooms>>);

#[derive(Default)]
struct Rooms {
    people: BTreeMap<String, Vec<proto::ParticipantInfo>>,
    asked: Vec<String>,
}

impl FakeLiveKit {
    /// Begins to answer, for as long as the test runs.
    pub(crate) async fn start() -> (Self, SocketAddr) {
        let fake = Self::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let routes = Router::new()
            .route("/twirp/livekit.RoomService/{method}", post(answer))
            .with_state(fake.clone());
        Supervisor::new().spawn(TaskKind::HttpServer, "livekit", |_| async move {
            axum::serve(listener, routes).await.unwrap();
            Ok::<(), Infallible>(())
        });
        (fake, address)
    }

    /// Somebody is in a room from now on, and nobody is told.
    pub(crate) fn comes(&self, room: &str, identity: &str) {
        self.came(room, identity, Duration::ZERO);
    }

    /// The same, and they came so long ago.
    pub(crate) fn came(&self, room: &str, identity: &str, ago: Duration) {
        let mut rooms = self.0.lock();
        let people = rooms.people.entry(room.to_owned()).or_default();
        people.push(proto::ParticipantInfo {
            sid: format!("PA_{identity}_{}", people.len()),
            identity: identity.to_owned(),
            name: identity.to_owned(),
            joined_at_ms: i64::try_from(clock::unix().saturating_sub(ago).as_millis()).unwrap(),
            permission: Some(proto::ParticipantPermission {
                can_publish: true,
                ..Default::default()
            }),
            ..Default::default()
        });
    }

    pub(crate) fn goes(&self, room: &str, identity: &str) {
        let mut rooms = self.0.lock();
        let people = rooms.people.entry(room.to_owned()).or_default();
        people.retain(|one| one.identity != identity);
    }

    pub(crate) fn is_in(&self, room: &str, identity: &str) -> bool {
        let rooms = self.0.lock();
        let mut people = rooms.people.get(room).into_iter().flatten();
        people.any(|one| one.identity == identity)
    }

    /// Whether somebody who is in a room may send media; `None` if they are not there.
    pub(crate) fn may_publish(&self, room: &str, identity: &str) -> Option<bool> {
        let rooms = self.0.lock();
        let person = rooms.people.get(room)?.iter().find(|one| one.identity == identity)?;
        Some(person.permission.as_ref()?.can_publish)
    }

    /// What it was asked to do, in order; asking alone does not count.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.0.lock().asked.clone()
    }
}

async fn answer(State(fake): State<FakeLiveKit>, Path(method): Path<String>, body: Bytes) -> Response {
    let mut rooms = fake.0.lock();
    let answer = match method.as_str() {
        "ListRooms" => Some(rooms.list(&read(&body))),
        "ListParticipants" => rooms.participants(&read(&body)),
        "GetParticipant" => rooms.participant(&read(&body)),
        "CreateRoom" => Some(rooms.create(&read(&body))),
        "RemoveParticipant" => rooms.remove(&read(&body)),
        "UpdateParticipant" => rooms.update(read(&body)),
        "DeleteRoom" => {
            let asked: proto::DeleteRoomRequest = read(&body);
            rooms.asked.push(format!("DeleteRoom {}", asked.room));
            rooms.people.remove(&asked.room);
            Some(proto::DeleteRoomResponse::default().encode_to_vec())
        }
        _ => None,
    };
    if let Some(answer) = answer {
        return ([(header::CONTENT_TYPE, "application/protobuf")], answer).into_response();
    }
    let problem = r#"{"code":"not_found","msg":"there is no such thing"}"#;
    let headers = [(header::CONTENT_TYPE, "application/json")];
    (StatusCode::NOT_FOUND, headers, problem).into_response()
}

fn read<T: Message + Default>(body: &Bytes) -> T {
    T::decode(body.clone()).unwrap()
}

impl Rooms {
    fn list(&self, asked: &proto::ListRoomsRequest) -> Vec<u8> {
        let wanted = |name: &&String| asked.names.is_empty() || asked.names.contains(name);
        let rooms = self.people.keys().filter(wanted).map(|name| proto::Room {
            name: name.clone(),
            sid: format!("RM_{name}"),
            // As the server does, it counts late.
            num_participants: 1,
            creation_time: 1_700_000_000,
            ..Default::default()
        });
        proto::ListRoomsResponse { rooms: rooms.collect() }.encode_to_vec()
    }

    fn participants(&self, asked: &proto::ListParticipantsRequest) -> Option<Vec<u8>> {
        let participants = self.people.get(&asked.room)?.clone();
        Some(proto::ListParticipantsResponse { participants }.encode_to_vec())
    }

    fn participant(&self, asked: &proto::RoomParticipantIdentity) -> Option<Vec<u8>> {
        let people = self.people.get(&asked.room)?;
        Some(
            people
                .iter()
                .find(|one| one.identity == asked.identity)?
                .encode_to_vec(),
        )
    }

    fn create(&mut self, asked: &proto::CreateRoomRequest) -> Vec<u8> {
        self.asked
            .push(format!("CreateRoom {} {}", asked.name, asked.max_participants));
        proto::Room::default().encode_to_vec()
    }

    fn remove(&mut self, asked: &proto::RoomParticipantIdentity) -> Option<Vec<u8>> {
        let people = self.people.get_mut(&asked.room)?;
        let before = people.len();
        people.retain(|one| one.identity != asked.identity);
        if people.len() == before {
            return None;
        }
        self.asked
            .push(format!("RemoveParticipant {} {}", asked.room, asked.identity));
        Some(proto::RemoveParticipantResponse::default().encode_to_vec())
    }

    fn update(&mut self, asked: proto::UpdateParticipantRequest) -> Option<Vec<u8>> {
        let people = self.people.get_mut(&asked.room)?;
        let person = people.iter_mut().find(|one| one.identity == asked.identity)?;
        if let Some(permission) = asked.permission {
            person.permission = Some(permission);
        }
        let answer = person.encode_to_vec();
        self.asked
            .push(format!("UpdateParticipant {} {}", asked.room, asked.identity));
        Some(answer)
    }
}
