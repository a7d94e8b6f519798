//! What people write and programs send: chat, data packets, text streams.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use greffier_media::ids::ParticipantIdentity;
use greffier_media::journal::event::{ChatMessage, DataMessage, StreamMessage};
use greffier_media::time::{Arrival, WallTime};
use livekit::StreamReader;
use livekit::prelude::{DataPacketKind, RoomEvent as SdkEvent};
use serde::Deserialize;

use super::describe;
use super::queue::{Entry, Era, Overflow, Queue};
use crate::supervisor::{Supervisor, TaskKind};

/// Topics on which LiveKit's own components chat: text streams now, JSON data packets before, often both.
const CHAT_STREAM: &str = "lk.chat";
const CHAT_DATA: &str = "lk-chat-topic";
/// A text stream is kept up to this size; what comes after is left out and said to be missing.
const MAX_TEXT: usize = 1 << 20;
/// A stream whose sender says nothing for so long is over.
const STREAM_SILENCE: Duration = Duration::from_secs(30);
/// One whose sender says something now and then must end, too.
const STREAM_LONGEST: Duration = Duration::from_mins(5);
/// Text streams that are read at a time, in a recording and from one sender. Each may take [`MAX_TEXT`] in memory, so together
/// they take no more than 32 MiB, and no sender keeps the others from being heard. Those that come when all are taken are
/// left out and counted: their senders chose to send so many at once.
const STREAMS: usize = 32;
const STREAMS_OF_ONE: usize = 8;
/// Clients send one chat message in two forms; as many ids are remembered as could be under way.
const REMEMBERED: usize = 128;

/// Turns the SDK's messages into entries, each chat message once.
#[derive(Default)]
pub(crate) struct Messages {
    chats: Arc<parking_lot::Mutex<VecDeque<String>>>,
    streams: Arc<Streams>,
}

/// Senders of the text streams that are being read.
#[derive(Default)]
struct Streams(parking_lot::Mutex<Vec<ParticipantIdentity>>);

/// The right to read one text stream.
struct OpenStream {
    streams: Arc<Streams>,
    from: ParticipantIdentity,
}

/// A chat message as older clients put it into a data packet.
#[derive(Deserialize)]
struct LegacyChat {
    id: String,
    /// Milliseconds since the Unix epoch.
    timestamp: Option<u64>,
    message: String,
}

impl Messages {
    pub fn on_event(
        &mut self,
        now: Arrival,
        event: SdkEvent,
        queue: &Arc<Queue>,
        supervisor: &Supervisor,
    ) -> Option<Entry> {
        match event {
            SdkEvent::ChatMessage { message, participant } => self.chat(
                now,
                ChatMessage {
                    id: message.id,
                    from: participant.and_then(|p| describe::identity(&p.identity())),
                    sent_at: u64::try_from(message.timestamp).ok().map(WallTime::from_millis),
                    text: message.message,
                    edited: message.edit_timestamp.is_some(),
                    deleted: message.deleted.unwrap_or(false),
                },
            ),
            SdkEvent::DataReceived {
                payload,
                topic,
                kind,
                participant,
            } => {
                let from = participant.and_then(|p| describe::identity(&p.identity()));
                if topic.as_deref() == Some(CHAT_DATA)
                    && let Ok(legacy) = serde_json::from_slice::<LegacyChat>(&payload)
                {
                    return self.chat(now, legacy.into_chat(from));
                }
                let reliable = kind == DataPacketKind::Reliable;
                let data = DataMessage {
                    from,
                    topic,
                    reliable,
                    payload: payload.to_vec(),
                };
                Some(Entry::Data(now, Box::new(data)))
            }
            SdkEvent::TextStreamOpened {
                reader,
                topic,
                participant_identity,
            } => {
                let from = describe::identity(&participant_identity)?;
                let reader = reader.take()?;
                // One that begins during a pause was begun to be said then.
                let begun = queue.era()?;
                let Some(open) = self.streams.open(&from) else {
                    queue.add_overflow(Overflow {
                        messages: 1,
                        ..Overflow::default()
                    });
                    return None;
                };
                let info = reader.info().clone();
                let message = StreamMessage {
                    stream: info.id.clone(),
                    from,
                    topic,
                    sent_at: u64::try_from(info.timestamp.timestamp_millis())
                        .ok()
                        .map(WallTime::from_millis),
                    attributes: info.attributes().into_iter().collect(),
                    text: String::new(),
                    incomplete: false,
                };
                let (queue, chats) = (Arc::clone(queue), Arc::clone(&self.chats));
                supervisor.spawn(TaskKind::RecordingHelper, "text-stream", |token| async move {
                    tokio::select! {
                        () = token.cancelled() => {}
                        message = read(reader, message) => keep(now, message, begun, &chats, &queue),
                    }
                    drop(open);
                    Ok::<(), std::convert::Infallible>(())
                });
                None
            }
            _ => None,
        }
    }

    fn chat(&self, now: Arrival, chat: ChatMessage) -> Option<Entry> {
        let changes = chat.edited || chat.deleted;
        (changes || is_new(&self.chats, &chat.id)).then(|| Entry::Chat(now, Box::new(chat)))
    }
}

impl LegacyChat {
    fn into_chat(self, from: Option<ParticipantIdentity>) -> ChatMessage {
        ChatMessage {
            id: self.id,
            from,
            sent_at: self.timestamp.map(WallTime::from_millis),
            text: self.message,
            edited: false,
            deleted: false,
        }
    }
}

/// Whether an id comes for the first time.
fn is_new(seen: &parking_lot::Mutex<VecDeque<String>>, id: &str) -> bool {
    let mut seen = seen.lock();
    if seen.iter().any(|known| known == id) {
        return false;
    }
    if seen.len() == REMEMBERED {
        seen.pop_front();
    }
    seen.push_back(id.to_owned());
    true
}

impl Streams {
    /// `None` if too many are being read.
    fn open(self: &Arc<Self>, from: &ParticipantIdentity) -> Option<OpenStream> {
        let mut senders = self.0.lock();
        let of_one = senders.iter().filter(|sender| *sender == from).count();
        if senders.len() >= STREAMS || of_one >= STREAMS_OF_ONE {
            return None;
        }
        senders.push(from.clone());
        Some(OpenStream {
            streams: Arc::clone(self),
            from: from.clone(),
        })
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        let mut senders = self.streams.0.lock();
        if let Some(at) = senders.iter().position(|sender| *sender == self.from) {
            senders.swap_remove(at);
        }
    }
}

/// Reads a text stream to its end, or for as long and as much as is kept of one.
async fn read<E>(
    mut chunks: impl Stream<Item = Result<String, E>> + Unpin,
    mut message: StreamMessage,
) -> StreamMessage {
    let longest = tokio::time::sleep(STREAM_LONGEST);
    tokio::pin!(longest);
    loop {
        let next = tokio::select! {
            biased;
            () = &mut longest => None,
            next = tokio::time::timeout(STREAM_SILENCE, chunks.next()) => next.ok(),
        };
        match next {
            Some(Some(Ok(chunk))) if message.text.len() + chunk.len() <= MAX_TEXT => message.text.push_str(&chunk),
            Some(None) => return message,
            // Too much, an error, silence, or no end of it.
            Some(Some(_)) | None => {
                message.incomplete = true;
                return message;
            }
        }
    }
}

fn keep(now: Arrival, message: StreamMessage, begun: Era, chats: &parking_lot::Mutex<VecDeque<String>>, queue: &Queue) {
    if message.topic == CHAT_STREAM {
        if is_new(chats, &message.stream) {
            let StreamMessage {
                stream: id,
                from,
                sent_at,
                text,
                ..
            } = message;
            let chat = ChatMessage {
                id,
                from: Some(from),
                sent_at,
                text,
                edited: false,
                deleted: false,
            };
            queue.push_content(Entry::Chat(now, Box::new(chat)), Some(begun));
        }
        return;
    }
    queue.push_content(Entry::Text(now, Box::new(message)), Some(begun));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chat_message_in_two_forms_is_one() {
        let messages = Messages::default();
        let chat = |id: &str, edited| ChatMessage {
            id: id.into(),
            from: None,
            sent_at: None,
            text: "hello".into(),
            edited,
            deleted: false,
        };
        assert!(messages.chat(Arrival::ZERO, chat("a", false)).is_some());
        assert!(messages.chat(Arrival::ZERO, chat("a", false)).is_none());
        assert!(
            messages.chat(Arrival::ZERO, chat("a", true)).is_some(),
            "an edit is news"
        );
        for n in 0..REMEMBERED {
            assert!(messages.chat(Arrival::ZERO, chat(&format!("m{n}"), false)).is_some());
        }
        assert_eq!(messages.chats.lock().len(), REMEMBERED, "what is remembered is bounded");
    }

    fn identity(name: &str) -> ParticipantIdentity {
        ParticipantIdentity::new(name).expect("an identity")
    }

    fn message(topic: &str) -> StreamMessage {
        StreamMessage {
            stream: "one".into(),
            from: identity("ana"),
            topic: topic.into(),
            sent_at: None,
            attributes: std::collections::BTreeMap::new(),
            text: String::new(),
            incomplete: false,
        }
    }

    #[test]
    fn a_text_that_a_pause_fell_into_is_not_kept() {
        use greffier_media::journal::event::RoomEvent;
        let queue = Queue::new(1 << 20, false);
        let chats = parking_lot::Mutex::default();
        let begun = queue.era().expect("it is not paused");
        let at = Arrival::from_millis;
        queue.set_paused(true, at(1), RoomEvent::RecordingPaused { by: None });
        queue.set_paused(false, at(2), RoomEvent::RecordingResumed { by: None });
        for topic in [CHAT_STREAM, "notes"] {
            keep(Arrival::ZERO, message(topic), begun, &chats, &queue);
        }
        assert_eq!(queue.take(Vec::new()).len(), 2, "the marks of the pause alone");
    }

    #[test]
    fn so_many_texts_are_read_at_a_time_and_no_more() {
        let streams = Arc::new(Streams::default());
        let mut open: Vec<_> = (0..100).filter_map(|_| streams.open(&identity("ana"))).collect();
        assert_eq!(open.len(), STREAMS_OF_ONE);
        for n in 0..100 {
            open.extend(streams.open(&identity(&format!("p{n}"))));
        }
        assert_eq!(open.len(), STREAMS);
        open.pop();
        assert!(streams.open(&identity("ben")).is_some(), "one that ended makes room");
    }

    #[tokio::test(start_paused = true)]
    async fn a_text_without_end_is_cut_off() {
        use futures_util::stream;
        let endless = stream::repeat_with(|| Ok::<_, ()>("x".repeat(1 << 15)));
        let text = read(endless, message("notes")).await;
        assert!(text.incomplete && text.text.len() == MAX_TEXT, "{}", text.text.len());
        let dripping = stream::unfold((), |()| async {
            tokio::time::sleep(STREAM_SILENCE / 2).await;
            Some((Ok::<_, ()>("x".to_owned()), ()))
        });
        let text = read(Box::pin(dripping), message("notes")).await;
        assert!(text.incomplete && text.text.len() < 30, "{}", text.text.len());
        let whole = stream::iter(["a", "b"].map(|part| Ok::<_, ()>(part.to_owned())));
        let text = read(whole, message("notes")).await;
        assert!(!text.incomplete && text.text == "ab");
    }

    #[test]
    fn old_clients_chat_in_data_packets() {
        let legacy: LegacyChat =
            serde_json::from_str(r#"{"id":"x","timestamp":1700000000000,"message":"grüß","ignoreLegacy":true}"#)
                .expect("their shape");
        let chat = legacy.into_chat(None);
        assert_eq!((chat.id.as_str(), chat.text.as_str()), ("x", "grüß"));
        assert_eq!(chat.sent_at, Some(WallTime::from_millis(1_700_000_000_000)));
    }
}
