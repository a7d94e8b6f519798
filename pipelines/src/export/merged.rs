//! One indexed journal out of all segments: what the `mcap` tools, Foxglove and we ourselves read.

use std::{
    collections::{BTreeMap, HashMap},
    fs::File,
    io::{self, BufReader, BufWriter},
    path::Path,
    sync::Arc,
};

use greffier_media::{
    journal::{Channel, Message, SegmentReader, Tail, Topic, TrackChannel},
    time::WallTime,
};
use mcap::{McapError, WriteOptions, records::MessageHeader};

use super::{Exported, Exporter};
use crate::publish::Draft;

/// What makes one channel of the channels of many segments: topic and metadata.
type Key = (Topic, BTreeMap<String, String>);

pub(super) struct Merged {
    draft: Draft,
    out: mcap::Writer<BufWriter<File>>,
    /// Numbers of channels by what they are, and how many messages each has.
    channels: HashMap<Key, (u16, u32)>,
    /// The channel of the message before: most messages are of the same few.
    last: Option<(Arc<Channel>, Key)>,
    messages: u64,
}

impl Merged {
    pub fn create(folder: &Path) -> io::Result<Self> {
        let draft = Draft::new(folder, "recording.mcap");
        let out = WriteOptions::new()
            .profile("greffier")
            .compression(None)
            .create(BufWriter::new(File::create(draft.path())?))
            .map_err(to_io)?;
        Ok(Self {
            draft,
            out,
            channels: HashMap::new(),
            last: None,
            messages: 0,
        })
    }
}

impl Exporter for Merged {
    fn message(&mut self, message: &Message) -> io::Result<()> {
        let key = match &self.last {
            Some((channel, key)) if Arc::ptr_eq(channel, &message.channel) => key,
            _ => {
                let metadata = message
                    .channel
                    .track
                    .as_ref()
                    .map(TrackChannel::to_metadata)
                    .unwrap_or_default();
                let key = (message.channel.topic.clone(), metadata);
                &self.last.insert((Arc::clone(&message.channel), key)).1
            }
        };
        if !self.channels.contains_key(key) {
            let (topic, metadata) = key;
            let id = self
                .out
                .add_channel(0, &topic.to_string(), topic.encoding(), metadata)
                .map_err(to_io)?;
            self.channels.insert(key.clone(), (id, 0));
        }
        let (id, count) = self
            .channels
            .get_mut(key)
            .ok_or_else(|| io::Error::other("a channel without a number"))?;
        let log_time = message.arrival.as_nanos();
        let header = MessageHeader {
            channel_id: *id,
            sequence: *count,
            log_time,
            publish_time: message.sent.map_or(log_time, WallTime::as_nanos),
        };
        *count = count.wrapping_add(1);
        self.messages += 1;
        self.out.write_to_known_channel(&header, &message.data).map_err(to_io)
    }

    fn finish(mut self: Box<Self>) -> io::Result<Vec<Exported>> {
        self.out.finish().map_err(to_io)?;
        Ok(vec![Exported {
            draft: self.draft,
            media_type: "application/octet-stream",
            messages: self.messages,
            track: None,
        }])
    }

    fn count(&self) -> fn(&Path) -> io::Result<u64> {
        |path| {
            let mut reader = SegmentReader::new(BufReader::new(File::open(path)?));
            let mut count = 0;
            while let Some(chunk) = reader.next_chunk()? {
                count += chunk.messages().count() as u64;
            }
            match reader.tail() {
                Some(Tail::Complete) => Ok(count),
                _ => Err(io::Error::other(
                    "the journal that was written does not end as it should",
                )),
            }
        }
    }
}

fn to_io(error: McapError) -> io::Error {
    match error {
        McapError::Io(error) => error,
        other => io::Error::other(other),
    }
}
