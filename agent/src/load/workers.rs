//! Those who play: child processes, and other machines. They are told by lines of JSON and answer with lines of JSON.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream, SelectAll, Stream};
use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::mpsc;
use tokio_util::codec::{FramedRead, LinesCodec};

use super::LoadError;
use super::helper::{LONGEST_LINE, Said, Told};
use super::machine::{Machine, Offset};
use super::report::MachineReport;
use super::worker::{Order, Word, WorkerConfig};
use crate::supervisor::Supervisor;

/// All who play one test.
#[derive(Default)]
pub(super) struct Workers {
    hands: Vec<Hand>,
    heard: SelectAll<BoxStream<'static, (usize, Heard)>>,
}

/// Something that one of them says, or why it says no more.
pub(super) enum Heard {
    Word(Word),
    Lost(String),
}

struct Hand {
    way: Way,
    has_ended: bool,
    /// Of another machine.
    report: Option<MachineReport>,
}

enum Way {
    Child(Box<Child>, ChildStdin),
    Machine(mpsc::Sender<String>, Offset),
}

const END_WITHIN: Duration = Duration::from_secs(30);

/// Starts a process that plays.
pub(super) fn spawn(
    program: &Path,
) -> Result<(Child, ChildStdin, FramedRead<tokio::process::ChildStdout, LinesCodec>), LoadError> {
    let mut child = Command::new(program)
        .arg("load-worker")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(LoadError::Start)?;
    let (Some(orders), Some(words)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(LoadError::Worker("it has no pipes".to_owned()));
    };
    let words = FramedRead::new(words, LinesCodec::new_with_max_length(LONGEST_LINE));
    Ok((child, orders, words))
}

/// Tells a process something.
pub(super) async fn write(orders: &mut ChildStdin, what: &impl serde::Serialize) -> std::io::Result<()> {
    let mut line = serde_json::to_vec(what)?;
    line.push(b'\n');
    orders.write_all(&line).await
}

/// Lets a process end by itself, and ends it if it does not.
pub(super) async fn end(mut child: Child, orders: ChildStdin) {
    drop(orders);
    if tokio::time::timeout(END_WITHIN, child.wait()).await.is_err()
        && let Err(error) = child.kill().await
    {
        tracing::warn!(%error, "a process of the test does not end");
    }
}

impl Workers {
    pub async fn start(&mut self, program: &Path, config: &WorkerConfig) -> Result<(), LoadError> {
        let (child, mut orders, words) = spawn(program)?;
        write(&mut orders, config).await.map_err(LoadError::Start)?;
        let gone = "a process ended early; what it wrote stands above";
        self.hear(
            words.map(|line| line.map_err(|error| error.to_string())),
            gone.to_owned(),
        );
        self.hands.push(Hand {
            way: Way::Child(Box::new(child), orders),
            has_ended: false,
            report: None,
        });
        Ok(())
    }

    pub async fn call(
        &mut self,
        machine: &Machine,
        config: WorkerConfig,
        supervisor: &Supervisor,
    ) -> Result<(), LoadError> {
        let line = machine.call(config, supervisor).await?;
        let words = stream::unfold(
            line.words,
            |mut words| async move { Some((words.recv().await?, words)) },
        );
        self.hear(words, "it hung up".to_owned());
        self.hands.push(Hand {
            way: Way::Machine(line.orders, line.offset),
            has_ended: false,
            report: Some(MachineReport::new(machine.name(), line.offset.by, line.offset.error)),
        });
        Ok(())
    }

    fn hear(&mut self, lines: impl Stream<Item = Result<String, String>> + Send + 'static, gone: String) {
        let who = self.hands.len();
        let heard = lines.map(|line| match line {
            Ok(line) => match Said::read(&line) {
                Ok(Said::Word(word)) => Heard::Word(word),
                Ok(Said::Refused(why)) => Heard::Lost(why),
                Ok(Said::Clock { .. }) => Heard::Lost("it tells the time unasked".to_owned()),
                Err(error) => Heard::Lost(format!("it said something strange: {error}")),
            },
            Err(why) => Heard::Lost(why),
        });
        let heard = heard.chain(stream::once(async { Heard::Lost(gone) }));
        self.heard.push(heard.map(move |heard| (who, heard)).boxed());
    }

    pub fn count(&self) -> usize {
        self.hands.len()
    }

    /// How many still play.
    pub fn running(&self) -> usize {
        self.hands.iter().filter(|hand| !hand.has_ended).count()
    }

    /// The next word of any that still plays, or that it plays no more; `None` when all have ended.
    pub async fn next(&mut self) -> Option<(usize, Heard)> {
        loop {
            let (who, mut heard) = self.heard.next().await?;
            let Some(hand) = self.hands.get_mut(who).filter(|hand| !hand.has_ended) else {
                continue;
            };
            hand.note(&mut heard);
            return Some((who, heard));
        }
    }

    /// Waits until all have what they are to send, and have the same.
    pub async fn wait_until_ready(&mut self) -> Result<(), LoadError> {
        let mut media: Vec<Option<String>> = vec![None; self.hands.len()];
        while media.iter().any(Option::is_none) {
            match self.next().await {
                Some((who, Heard::Word(Word::Ready(digest)))) => media[who] = Some(digest),
                Some((_, Heard::Word(Word::Failed(why)) | Heard::Lost(why))) => return Err(LoadError::Worker(why)),
                Some((_, Heard::Word(_))) => {}
                None => return Err(LoadError::Worker("all have ended".to_owned())),
            }
        }
        let other = (1..media.len()).find(|n| media[*n] != media[0]);
        other.map_or(Ok(()), |n| {
            let name = |n: usize| {
                self.hands[n]
                    .report
                    .as_ref()
                    .map_or("this machine".to_owned(), |r| r.name.clone())
            };
            Err(LoadError::OtherMedia(name(0), name(n)))
        })
    }

    /// How long an order may be on its way.
    pub fn longest_way(&self) -> Duration {
        let ways = self.hands.iter().map(|hand| match &hand.way {
            Way::Child(..) => Duration::ZERO,
            // The error is one way; another for a bad moment, and the fastest of many is not the usual one.
            Way::Machine(_, offset) => Duration::from_millis(200) + offset.error * 4,
        });
        ways.max().unwrap_or_default()
    }

    /// All begin at this moment of our clock.
    pub async fn begin(&mut self, at: Duration) {
        for hand in &mut self.hands {
            let at = match &hand.way {
                Way::Child(..) => u64::try_from(at.as_millis()).unwrap_or(u64::MAX),
                Way::Machine(_, offset) => offset.there(at),
            };
            hand.tell(Order::Begin(at)).await;
        }
    }

    pub async fn tell(&mut self, order: Order) {
        for hand in self.hands.iter_mut().filter(|hand| !hand.has_ended) {
            hand.tell(order).await;
        }
    }

    /// Lets all go; what is to be said of other machines.
    pub async fn end(self) -> Vec<MachineReport> {
        let mut reports = Vec::new();
        for hand in self.hands {
            reports.extend(hand.report);
            match hand.way {
                Way::Child(child, orders) => end(*child, orders).await,
                Way::Machine(orders, _) => drop(orders),
            }
        }
        reports
    }
}

impl Hand {
    /// Keeps what is to be said of a machine, and puts its name before its complaints.
    fn note(&mut self, heard: &mut Heard) {
        match heard {
            Heard::Word(Word::Tick(tick)) => {
                self.report.iter_mut().for_each(|report| report.saw(&tick.tester));
            }
            Heard::Word(Word::Done(measured)) => {
                self.has_ended = true;
                self.report.iter_mut().for_each(|report| report.measured(measured));
            }
            Heard::Word(Word::Failed(why)) | Heard::Lost(why) => {
                self.has_ended = true;
                if let Some(report) = &mut self.report {
                    *why = format!("{}: {why}", report.name);
                    report.failure = Some(why.clone());
                }
            }
            Heard::Word(Word::Ready(_)) => {}
        }
    }

    async fn tell(&mut self, order: Order) {
        let told = match &mut self.way {
            Way::Child(_, orders) => write(orders, &order).await.map_err(|error| error.to_string()),
            Way::Machine(orders, _) => match serde_json::to_string(&Told::Order(order)) {
                Ok(line) => orders.send(line).await.map_err(|error| error.to_string()),
                Err(error) => Err(error.to_string()),
            },
        };
        if let Err(error) = told {
            // What is heard of it says why.
            tracing::warn!(error, "somebody who plays does not listen");
        }
    }
}
