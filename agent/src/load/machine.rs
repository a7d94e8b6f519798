//! Another machine that plays: a `greffier serve` whose configuration allows it, told over a `WebSocket`.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::http::header::AUTHORIZATION;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};
use url::Url;

use super::LoadError;
use super::helper::{ALIVE_EVERY, LONGEST_LINE, MISSED_AT_MOST, Said, Told};
use super::worker::WorkerConfig;
use crate::clock;
use crate::supervisor::{Supervisor, TaskKind};

/// A machine, and what proves that we may ask it.
#[derive(Debug, Clone)]
pub struct Machine {
    /// Of its Greffier: `https://load-2.example.org`.
    pub url: Url,
    /// One of its API keys, with the scope `admin`.
    pub api_key: SecretString,
}

/// How far another machine's clock is before ours.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Offset {
    /// Microseconds.
    pub by: i64,
    /// It may be wrong by so much.
    pub error: Duration,
}

/// The way to a machine, once it knows what it is to play.
pub(super) struct Line {
    pub orders: mpsc::Sender<String>,
    /// What it says; why it says no more.
    pub words: mpsc::Receiver<Result<String, String>>,
    pub offset: Offset,
}

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

const CONNECT_WITHIN: Duration = Duration::from_secs(10);
const EXCHANGES: u32 = 20;
/// Orders are few; words come once a second.
const QUEUE: usize = 16;

impl Machine {
    /// What reports call it.
    pub fn name(&self) -> String {
        let host = self.url.host_str().unwrap_or_default();
        self.url.port().map_or(host.to_owned(), |port| format!("{host}:{port}"))
    }

    /// Connects, compares clocks, and tells it what to play.
    pub(super) async fn call(&self, config: WorkerConfig, supervisor: &Supervisor) -> Result<Line, LoadError> {
        let failed = |message: String| LoadError::Machine {
            machine: self.name(),
            message,
        };
        let late = |_| failed(format!("no answer within {} s", CONNECT_WITHIN.as_secs()));
        let opening = timeout(CONNECT_WITHIN, async {
            let mut socket = self.connect().await?;
            let offset = compare_clocks(&mut socket).await?;
            Ok::<_, String>((socket, offset))
        });
        let (mut socket, offset) = opening.await.map_err(late)?.map_err(failed)?;
        let play = serde_json::to_string(&Told::Play(Box::new(config))).map_err(|error| failed(error.to_string()))?;
        socket
            .send(Message::text(play))
            .await
            .map_err(|error| failed(error.to_string()))?;
        let (orders, told) = mpsc::channel(QUEUE);
        let (says, words) = mpsc::channel(QUEUE);
        supervisor.spawn(TaskKind::Participant, &self.name(), |_| async move {
            // It ends with the test, which ends in order when the process is to stop.
            carry(socket, told, says).await;
            Ok::<(), std::convert::Infallible>(())
        });
        Ok(Line { orders, words, offset })
    }

    async fn connect(&self) -> Result<Socket, String> {
        let mut url = self.url.clone();
        let scheme = if matches!(url.scheme(), "https" | "wss") {
            "wss"
        } else {
            "ws"
        };
        let path = format!("{}/api/loadtests/worker", url.path().trim_end_matches('/'));
        url.set_path(&path);
        let secured = url
            .as_str()
            .split_once("://")
            .map(|(_, rest)| format!("{scheme}://{rest}"));
        let mut request = secured
            .ok_or("it has no address")?
            .into_client_request()
            .map_err(|error| error.to_string())?;
        let bearer = format!("Bearer {}", self.api_key.expose_secret());
        let mut bearer = HeaderValue::from_str(&bearer).map_err(|_| "its API key holds what no header can")?;
        bearer.set_sensitive(true);
        request.headers_mut().insert(AUTHORIZATION, bearer);
        let config = WebSocketConfig::default()
            .max_message_size(Some(LONGEST_LINE))
            .max_frame_size(Some(LONGEST_LINE));
        match connect_async_with_config(request, Some(config), true).await {
            Ok((socket, _)) => Ok(socket),
            Err(Error::Http(answer)) => {
                let problem: Option<serde_json::Value> = answer
                    .body()
                    .as_deref()
                    .and_then(|body| serde_json::from_slice(body).ok());
                let detail = problem.as_ref().and_then(|problem| problem["detail"].as_str());
                Err(match detail {
                    Some(detail) => format!("it answers {}: {detail}", answer.status()),
                    None => format!("it answers {}; is it a Greffier?", answer.status()),
                })
            }
            Err(error) => Err(format!("it cannot be reached: {error}")),
        }
    }
}

async fn compare_clocks(socket: &mut Socket) -> Result<Offset, String> {
    let mut exchanges = Vec::new();
    for number in 0..EXCHANGES {
        let ask = serde_json::to_string(&Told::Clock(number)).map_err(|error| error.to_string())?;
        let sent = clock::unix();
        socket
            .send(Message::text(ask))
            .await
            .map_err(|error| error.to_string())?;
        loop {
            let message = socket
                .next()
                .await
                .ok_or("it hung up")?
                .map_err(|error| error.to_string())?;
            let Message::Text(text) = message else { continue };
            match Said::read(&text) {
                Ok(Said::Clock { number: of, micros }) if of == number => {
                    exchanges.push((sent, micros, clock::unix()));
                    break;
                }
                Ok(Said::Refused(why)) => return Err(why),
                _ => return Err("it answers something else; are both of the same version?".to_owned()),
            }
        }
    }
    Offset::by(&exchanges).ok_or_else(|| "its clock cannot be told".to_owned())
}

impl Offset {
    /// By exchanges: when we asked, what it answered (microseconds), when we knew. The fastest tells: its answer was made
    /// half-way, give or take half of the way.
    fn by(exchanges: &[(Duration, u64, Duration)]) -> Option<Self> {
        let took = |(sent, _, received): &(Duration, u64, Duration)| received.saturating_sub(*sent);
        let fastest = exchanges.iter().min_by_key(|exchange| took(exchange))?;
        let (sent, theirs, _) = fastest;
        let half = took(fastest) / 2;
        let ours = i64::try_from((*sent + half).as_micros()).ok()?;
        Some(Self {
            by: i64::try_from(*theirs).ok()?.checked_sub(ours)?,
            error: half,
        })
    }

    /// A moment of our clock by its clock: milliseconds since the Unix epoch.
    pub fn there(self, at: Duration) -> u64 {
        let ours = i64::try_from(at.as_micros()).unwrap_or(i64::MAX);
        u64::try_from(ours.saturating_add(self.by) / 1000).unwrap_or(0)
    }
}

/// Carries orders there and words back, until either end lets go.
async fn carry(mut socket: Socket, mut orders: mpsc::Receiver<String>, words: mpsc::Sender<Result<String, String>>) {
    let mut alive = interval(ALIVE_EVERY);
    alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut missed = 0;
    let why = loop {
        let sent = tokio::select! {
            order = orders.recv() => {
                let Some(order) = order else {
                    // The other end may be gone as well.
                    drop(socket.close(None).await);
                    return;
                };
                socket.send(Message::text(order)).await
            }
            _ = alive.tick() => {
                missed += 1;
                if missed > MISSED_AT_MOST {
                    break format!("it was not heard for {} s", (ALIVE_EVERY * MISSED_AT_MOST).as_secs());
                }
                socket.send(Message::Ping(Bytes::new())).await
            }
            message = socket.next() => {
                missed = 0;
                match message {
                    Some(Ok(Message::Text(line))) => {
                        if words.send(Ok(line.to_string())).await.is_err() {
                            return;
                        }
                        Ok(())
                    }
                    Some(Ok(Message::Close(_))) | None => break "it hung up".to_owned(),
                    Some(Ok(_)) => Ok(()),
                    Some(Err(error)) => Err(error),
                }
            }
        };
        if let Err(error) = sent {
            break format!("the connection to it broke: {error}");
        }
    };
    // Nobody listens any more if the test is over.
    drop(words.send(Err(why)).await);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fastest_exchange_tells_the_offset_and_its_own_error() {
        let ms = Duration::from_millis;
        let exchanges = [
            (ms(1_000), 6_090_000, ms(1_100)),
            (ms(2_000), 7_005_000, ms(2_010)),
            (ms(3_000), 8_001_000, ms(3_200)),
        ];
        let offset = Offset::by(&exchanges).expect("exchanges");
        assert_eq!(
            offset,
            Offset {
                by: 5_000_000,
                error: ms(5)
            }
        );
        assert_eq!(offset.there(ms(10_000)), 15_000);
        let behind = Offset {
            by: -2_000_000,
            error: ms(1),
        };
        assert_eq!(behind.there(ms(10_000)), 8_000);
        assert_eq!(Offset::by(&[]), None);
    }

    #[test]
    fn machines_are_called_by_where_they_are() {
        for (url, name) in [
            ("https://load-2.example.org/", "load-2.example.org"),
            ("http://10.0.0.2:8000", "10.0.0.2:8000"),
        ] {
            let machine = Machine {
                url: url.parse().expect("a url"),
                api_key: "k".into(),
            };
            assert_eq!(machine.name(), name);
        }
    }
}
