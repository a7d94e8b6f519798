//! A network of its own for a process, joined to this machine by one virtual link that loses packets at random.
//!
//! A namespace with a veth pair, and nftables rules inside it that count and drop UDP (`numgen random`): exact, seen by the
//! kernel, and without a proxy that ICE would have to be told of. Only UDP is dropped: signalling over TCP would only be
//! slowed down by it. The kernel's `netem` would offer delay too, but is absent from many (this does not need it).

use std::ffi::OsStr;
use std::fs::{File, TryLockError};
use std::net::Ipv4Addr;
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::missing::Missing;

/// So many networks at the same time; the n-th is 10.231.n.0/30.
const NETWORKS: u8 = 200;

/// Which way packets go, seen from whoever is in the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// To it.
    Down,
    /// From it.
    Up,
}

impl Direction {
    /// Name of the table that counts and drops.
    fn table(self) -> &'static str {
        match self {
            Direction::Down => "down",
            Direction::Up => "up",
        }
    }
}

/// UDP packets that came by, and how many of them were dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Loss {
    pub seen: u64,
    pub dropped: u64,
}

impl Loss {
    /// Dropped packets in percent.
    pub fn percent(self) -> f64 {
        100.0 * self.dropped as f64 / self.seen.max(1) as f64
    }
}

/// A network namespace and the link to it. Gone when the last clone is dropped.
#[derive(Clone, Debug)]
pub struct Network(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    name: String,
    number: u8,
    _held: File,
}

impl Network {
    /// A network that loses nothing yet. Needs root (or `CAP_NET_ADMIN` and `CAP_SYS_ADMIN`).
    pub fn new() -> Result<Self> {
        let (number, held) = take_number()?;
        // Whoever held the number before may have been killed before it could remove its namespace.
        let name = format!("greffier-test-{number}");
        let (outer, inner) = (outside(number), inside(number));
        remove(&name, number);
        if let Err(error) = ip(&["netns", "add", &name]) {
            return Err(Missing::new(format!("a network namespace ({error:#})"), "run as root").into());
        }
        let this = Self(Arc::new(Inner {
            name: name.clone(),
            number,
            _held: held,
        }));
        ip(&[
            "link", "add", &outer, "type", "veth", "peer", "name", &inner, "netns", &name,
        ])?;
        ip(&["addr", "add", &format!("{}/30", this.address()), "dev", &outer])?;
        ip(&["link", "set", &outer, "up"])?;
        ip(&[
            "-n",
            &name,
            "addr",
            "add",
            &format!("{}/30", this.inner_address()),
            "dev",
            &inner,
        ])?;
        ip(&["-n", &name, "link", "set", &inner, "up"])?;
        ip(&["-n", &name, "link", "set", "lo", "up"])?;
        this.lose(Direction::Down, 0.0)?;
        this.lose(Direction::Up, 0.0)?;
        Ok(this)
    }

    /// A network that loses so many percent of the UDP packets in both directions.
    pub fn losing(percent: f64) -> Result<Self> {
        let this = Self::new()?;
        this.lose(Direction::Down, percent)?;
        this.lose(Direction::Up, percent)?;
        Ok(this)
    }

    /// This machine's address on the link: where a server must listen to be reached from inside.
    pub fn address(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, 231, self.0.number, 1)
    }

    /// The address of whoever is inside.
    pub fn inner_address(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, 231, self.0.number, 2)
    }

    /// From now on loses so many percent of the UDP packets in this direction; the counters start anew.
    pub fn lose(&self, direction: Direction, percent: f64) -> Result<()> {
        ensure!((0.0..=100.0).contains(&percent), "{percent} % is no part");
        let table = direction.table();
        // At the device, past the sockets: a packet dropped earlier on its way out is an error to its sender, which real
        // networks do not tell.
        let hook = match direction {
            Direction::Down => "ingress",
            Direction::Up => "egress",
        };
        let device = inside(self.0.number);
        // In hundredths of a percent; `numgen random` draws evenly from 0 to 9999.
        let threshold = format!("{:.0}", percent * 100.0);
        // nft refuses a comparison that is never true.
        let drop = match threshold.as_str() {
            "0" => String::new(),
            some => format!("numgen random mod 10000 < {some} counter name dropped drop"),
        };
        // A table declared before it is deleted may be there already or not.
        let rules = format!(
            "table netdev {table} {{}}\n\
             delete table netdev {table}\n\
             table netdev {table} {{\n\
               counter seen {{}}\n\
               counter dropped {{}}\n\
               chain {hook} {{\n\
                 type filter hook {hook} device \"{device}\" priority 0\n\
                 meta l4proto udp counter name seen {drop}\n\
               }}\n\
             }}\n"
        );
        self.nft(&[&rules]).map(|_| ())
    }

    /// What came by in this direction since [`Network::lose`].
    pub fn loss(&self, direction: Direction) -> Result<Loss> {
        let table = direction.table();
        let answer = self.nft(&["-j", "list", "counters", "table", "netdev", table])?;
        let answer: Value = serde_json::from_str(&answer).context("nft's answer is no JSON")?;
        let counter = |name: &str| {
            answer["nftables"]
                .as_array()
                .into_iter()
                .flatten()
                .find(|entry| entry["counter"]["name"] == name)
                .and_then(|entry| entry["counter"]["packets"].as_u64())
                .with_context(|| format!("nft tells no counter {name}"))
        };
        Ok(Loss {
            seen: counter("seen")?,
            dropped: counter("dropped")?,
        })
    }

    /// A command that runs `program` inside the network.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Result<Command> {
        let mut command = Missing::tool("ip")?;
        self.enter(&mut command).arg(program);
        Ok(command)
    }

    /// Adds to `ip` what enters the network; a program and its arguments are to follow.
    pub(crate) fn enter<'a>(&self, ip: &'a mut Command) -> &'a mut Command {
        ip.args(["netns", "exec", &self.0.name])
    }

    /// Runs nft inside the network.
    fn nft(&self, arguments: &[&str]) -> Result<String> {
        Missing::tool("nft")?;
        let output = self
            .command("nft")?
            .args(arguments)
            .output()
            .context("cannot run nft")?;
        let errors = String::from_utf8_lossy(&output.stderr);
        if !output.status.success() {
            let lack = errors.contains("not supported") || errors.contains("No such file or directory");
            ensure!(
                !lack,
                Missing::new(format!("nftables with numgen ({})", errors.trim()), "another kernel")
            );
            bail!("nft {}: {}", arguments.join(" "), errors.trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        remove(&self.name, self.number);
    }
}

/// The link's device on this machine. libwebrtc takes devices of this name for those of virtual machines and leaves them
/// alone: else the peers of other tests would go through it, and fall silent when this test ends and removes it.
fn outside(number: u8) -> String {
    format!("vnic-gt{number}")
}

/// The link's device inside the network.
fn inside(number: u8) -> String {
    format!("gt{number}i")
}

/// Removes a link and a namespace if they are there. What cannot be removed is left to the next holder of the number.
fn remove(name: &str, number: u8) {
    // The link would go with the namespace too, but some time after.
    let _ = ip(&["link", "del", &outside(number)]);
    let _ = ip(&["netns", "del", name]);
}

fn ip(arguments: &[&str]) -> Result<()> {
    let output = Missing::tool("ip")?.args(arguments).output().context("cannot run ip")?;
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "ip {}: {}", arguments.join(" "), error.trim());
    Ok(())
}

/// A number that no other test holds, and the lock that holds it.
fn take_number() -> Result<(u8, File)> {
    let folder = std::env::temp_dir().join("greffier-test-networks");
    std::fs::create_dir_all(&folder).context("cannot make the folder of network locks")?;
    for number in 0..NETWORKS {
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(folder.join(format!("{number}.lock")))?;
        match file.try_lock() {
            Ok(()) => return Ok((number, file)),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(error).context("cannot lock a network's number"),
        }
    }
    bail!("all {NETWORKS} networks are in use")
}
