//! Ports for servers of parallel tests, without races.
//!
//! Asking the system for a free port and closing it again invites another test to take it before the server does. Here
//! each server holds a block of numbers by a lock file, which the system frees when the process ends, however it ends. The
//! blocks lie below the range from which outgoing connections get theirs (32768 and up).

use std::fs::{File, TryLockError};
use std::net::{TcpListener, UdpSocket};

use anyhow::{Context, Result, bail};

/// First port of the first block.
const FIRST: u16 = 20_000;
/// Ports in a block: one for HTTP, one for ICE-TCP, a few for webhooks and probes, the rest for UDP.
const SIZE: u16 = 256;
/// So many blocks, the last of which ends below 32768.
const BLOCKS: u16 = 49;
/// Where a block's UDP ports begin.
const UDP_OFFSET: u16 = 16;

/// A block of ports that is ours as long as this value lives.
#[derive(Debug)]
pub struct Ports {
    first: u16,
    _held: File,
}

impl Ports {
    /// Takes the first block that no other test holds and in which nothing else listens.
    pub fn take() -> Result<Self> {
        let folder = std::env::temp_dir().join("greffier-test-ports");
        std::fs::create_dir_all(&folder).context("cannot make the folder of port locks")?;
        for block in 0..BLOCKS {
            let path = folder.join(format!("{block}.lock"));
            let file = File::options().create(true).truncate(false).write(true).open(&path)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => continue,
                Err(TryLockError::Error(error)) => return Err(error).context("cannot lock a block of ports"),
            }
            let ports = Self {
                first: FIRST + block * SIZE,
                _held: file,
            };
            if ports.all_free() {
                return Ok(ports);
            }
        }
        bail!("no block of {SIZE} free ports among {BLOCKS}")
    }

    fn all_free(&self) -> bool {
        (self.first..self.first + UDP_OFFSET).all(|port| TcpListener::bind(("0.0.0.0", port)).is_ok())
            && (self.udp().0..=self.udp().1).all(|port| UdpSocket::bind(("0.0.0.0", port)).is_ok())
    }

    /// HTTP and signalling.
    pub fn http(&self) -> u16 {
        self.first
    }

    /// ICE over TCP.
    pub fn tcp(&self) -> u16 {
        self.first + 1
    }

    /// Prometheus metrics.
    pub fn metrics(&self) -> u16 {
        self.first + 2
    }

    /// A port on which nothing listens, ever.
    pub fn silent(&self) -> u16 {
        self.first + 3
    }

    /// For whatever the test itself serves, e.g. webhooks; the next eleven are for that as well.
    pub fn own(&self) -> u16 {
        self.first + 4
    }

    /// First and last UDP port.
    pub fn udp(&self) -> (u16, u16) {
        (self.first + UDP_OFFSET, self.first + SIZE - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_gets_a_port_that_is_taken() {
        let (a, b) = (Ports::take().expect("a block"), Ports::take().expect("another"));
        assert_ne!(a.http(), b.http());
        assert!(a.http().abs_diff(b.http()) >= SIZE);
        let _listening = TcpListener::bind(("127.0.0.1", a.own())).expect("nothing listens there");
        // Its lock is free again, but something listens in it: passed over.
        let listened_to = a.http();
        drop(a);
        let again = Ports::take().expect("a block");
        assert_ne!(again.http(), listened_to);
        assert_ne!(again.http(), b.http());
    }
}
