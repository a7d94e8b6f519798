//! What a process costs, as Linux tells it: CPU time, memory, datagrams its sockets had to drop.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A process that is looked at through `/proc`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Process {
    pid: u32,
}

/// What a process had used when it was looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// User and system time of all its threads.
    pub cpu: Duration,
    /// Resident set size in bytes.
    pub rss: u64,
    /// Datagrams the kernel dropped because a socket's buffer was full, over the sockets that are open now.
    pub socket_drops: u64,
}

/// What all processors of the machine have done since they were started, in ticks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Processors {
    busy: u64,
    all: u64,
}

/// `USER_HZ`: what `/proc` counts CPU time in, on every Linux there is.
const TICKS_PER_SECOND: u64 = 100;

impl Process {
    pub fn new(pid: u32) -> Self {
        Self { pid }
    }

    pub fn current() -> Self {
        Self::new(std::process::id())
    }

    pub fn pid(self) -> u32 {
        self.pid
    }

    fn folder(self) -> PathBuf {
        Path::new("/proc").join(self.pid.to_string())
    }

    /// # Errors
    /// When there is no such process, or it is somebody else's.
    pub fn usage(self) -> io::Result<Usage> {
        let folder = self.folder();
        let stat = fs::read_to_string(folder.join("stat"))?;
        let status = fs::read_to_string(folder.join("status"))?;
        let broken = || io::Error::other("/proc does not look as it should");
        Ok(Usage {
            cpu: cpu_time(&stat).ok_or_else(broken)?,
            rss: resident(&status).ok_or_else(broken)?,
            socket_drops: self.socket_drops()?,
        })
    }

    fn socket_drops(self) -> io::Result<u64> {
        let inodes = self.sockets()?;
        let tables = ["net/udp", "net/udp6"].map(|table| self.folder().join(table));
        let mut drops = 0;
        for table in tables {
            match fs::read_to_string(table) {
                Ok(table) => drops += drops_of(&table, &inodes),
                // A machine without IPv6.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(drops)
    }

    /// Inodes of the sockets it has open.
    fn sockets(self) -> io::Result<HashSet<u64>> {
        let mut inodes = HashSet::new();
        for entry in fs::read_dir(self.folder().join("fd"))? {
            // Closed in the meantime.
            let Ok(target) = fs::read_link(entry?.path()) else {
                continue;
            };
            let inode: Option<u64> = target
                .to_str()
                .and_then(|t| t.strip_prefix("socket:[")?.strip_suffix("]")?.parse().ok());
            inodes.extend(inode);
        }
        Ok(inodes)
    }

    /// The TCP ports it listens at.
    ///
    /// # Errors
    /// When `/proc` cannot be read.
    pub fn listens_at(self) -> io::Result<Vec<u16>> {
        let sockets = self.sockets()?;
        let mut ports = Vec::new();
        for table in ["net/tcp", "net/tcp6"].map(|table| self.folder().join(table)) {
            match fs::read_to_string(table) {
                Ok(table) => ports.extend(ports_of(&table, &sockets)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        ports.sort_unstable();
        ports.dedup();
        Ok(ports)
    }

    /// The process that listens at a TCP port of this machine, if we may see it.
    ///
    /// # Errors
    /// When `/proc` cannot be read.
    pub fn listening_at(port: u16) -> io::Result<Option<Self>> {
        let mut listening = HashSet::new();
        for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
            match fs::read_to_string(table) {
                Ok(table) => listening.extend(listeners(&table, port)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        for entry in fs::read_dir("/proc")? {
            let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            let process = Self::new(pid);
            // Not ours to look into, or gone.
            let Ok(sockets) = process.sockets() else { continue };
            if !sockets.is_disjoint(&listening) {
                return Ok(Some(process));
            }
        }
        Ok(None)
    }
}

impl Processors {
    /// # Errors
    /// When `/proc` cannot be read.
    pub fn now() -> io::Result<Self> {
        let stat = fs::read_to_string("/proc/stat")?;
        Self::of(&stat).ok_or_else(|| io::Error::other("/proc/stat is empty"))
    }

    /// The first line sums all processors up: user, nice, system, idle, iowait, irq, softirq, steal.
    fn of(stat: &str) -> Option<Self> {
        let line = stat.lines().next()?;
        let ticks: Vec<u64> = line
            .split_whitespace()
            .skip(1)
            .take(8)
            .filter_map(|n| n.parse().ok())
            .collect();
        let all: u64 = ticks.iter().sum();
        let idle: u64 = ticks.iter().skip(3).take(2).sum();
        Some(Self { busy: all - idle, all })
    }

    /// The share, of 1, of all processors' time that went into anything.
    pub fn busy_since(self, earlier: Self) -> f64 {
        self.busy.saturating_sub(earlier.busy) as f64 / self.all.saturating_sub(earlier.all).max(1) as f64
    }
}

/// Fields 14 and 15 of `/proc/<pid>/stat`; the name in parentheses may hold anything.
fn cpu_time(stat: &str) -> Option<Duration> {
    let mut fields = stat.rsplit_once(") ")?.1.split(' ').skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(Duration::from_millis((user + system) * 1000 / TICKS_PER_SECOND))
}

fn resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kibibytes * 1024)
}

/// The last column of the table, of the sockets with these inodes (column 10).
fn drops_of(table: &str, inodes: &HashSet<u64>) -> u64 {
    let drops = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let inode = fields.get(9)?.parse().ok()?;
        let drops: u64 = fields.last()?.parse().ok()?;
        inodes.contains(&inode).then_some(drops)
    };
    table.lines().skip(1).filter_map(drops).sum()
}

/// Inodes of the sockets that listen at the port.
fn listeners(table: &str, port: u16) -> Vec<u64> {
    let listening = table.lines().skip(1).filter_map(listening);
    listening
        .filter(|(local, _)| *local == port)
        .map(|(_, inode)| inode)
        .collect()
}

/// Ports at which the sockets with these inodes listen.
fn ports_of(table: &str, inodes: &HashSet<u64>) -> Vec<u16> {
    let listening = table.lines().skip(1).filter_map(listening);
    listening
        .filter(|(_, inode)| inodes.contains(inode))
        .map(|(port, _)| port)
        .collect()
}

/// Port and inode of a socket that listens (state 0A).
fn listening(line: &str) -> Option<(u16, u64)> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let port = u16::from_str_radix(fields.get(1)?.rsplit_once(':')?.1, 16).ok()?;
    (*fields.get(3)? == "0A").then_some((port, fields.get(9)?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn we_can_look_at_ourselves() {
        let usage = Process::current().usage().expect("our own /proc");
        assert!(usage.rss > 100_000, "{usage:?}");
    }

    #[test]
    fn who_listens_is_found_by_the_port() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("bound").port();
        assert_eq!(Process::listening_at(port).expect("/proc"), Some(Process::current()));
        assert!(Process::current().listens_at().expect("/proc").contains(&port));
    }

    #[test]
    fn the_tables_are_read_by_their_columns() {
        let stat = "12 (a) b) S 1 1 1 0 -1 4194560 1 0 0 0 250 50 0 0 20 0 3 0 100 1 1";
        assert_eq!(cpu_time(stat), Some(Duration::from_secs(3)));
        assert_eq!(resident("Name:\tx\nVmRSS:\t    2048 kB\n"), Some(2 << 20));
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n\
                     1: 0100007F:1F90 00000000:0000 07 00000000:00000000 00:00000000 00000000 0 0 42 2 0000 17\n\
                     2: 0100007F:1F91 00000000:0000 07 00000000:00000000 00:00000000 00000000 0 0 43 2 0000 5\n";
        assert_eq!(drops_of(table, &HashSet::from([42])), 17);
        let tcp = "  sl  local_address rem_address   st\n\
                   0: 0100007F:1EC8 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 77 1 0 100\n";
        assert_eq!(listeners(tcp, 7880), [77]);
        let before = Processors::of("cpu  10 0 10 70 10 0 0 0 5 5\ncpu0 1 2 3\n").expect("a line");
        let after = Processors::of("cpu  20 0 15 140 20 3 1 1 9 9\n").expect("a line");
        assert!((after.busy_since(before) - 0.2).abs() < 1e-9, "{after:?}");
        assert_eq!(Processors::of(""), None);
    }
}
