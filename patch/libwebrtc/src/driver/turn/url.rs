//! Where a TURN server is (RFC 7065): `turn:host:port?transport=udp|tcp`, `turns:host:port?transport=tcp`.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use thiserror::Error;

const PORT: u16 = 3478;
const TLS_PORT: u16 = 5349;

/// How we reach the server. What it relays is UDP in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Transport {
    Udp,
    Tcp,
    Tls,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TurnUrl {
    /// A name or an address, without the brackets of IPv6.
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) transport: Transport,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum UrlError {
    #[error("it begins neither with turn: nor with turns:")]
    Scheme,
    #[error("it names no host")]
    Host,
    #[error("its port is not a number from 1 to 65535")]
    Port,
    #[error("only ?transport=udp and ?transport=tcp are known")]
    Query,
    #[error("TURN over DTLS is not built: turns: needs ?transport=tcp")]
    Dtls,
}

impl TurnUrl {
    /// The server's address, where it needs no resolver.
    pub(super) fn ip(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }
}

impl FromStr for TurnUrl {
    type Err = UrlError;

    fn from_str(url: &str) -> Result<Self, UrlError> {
        let (scheme, rest) = url.split_once(':').ok_or(UrlError::Scheme)?;
        let tls = match scheme.to_ascii_lowercase().as_str() {
            "turn" => false,
            "turns" => true,
            _ => return Err(UrlError::Scheme),
        };
        let (place, query) = match rest.split_once('?') {
            Some((place, query)) => (place, Some(query)),
            None => (rest, None),
        };
        let transport = match query.map(str::to_ascii_lowercase).as_deref() {
            None | Some("transport=tcp") if tls => Transport::Tls,
            Some("transport=udp") if tls => return Err(UrlError::Dtls),
            None | Some("transport=udp") => Transport::Udp,
            Some("transport=tcp") => Transport::Tcp,
            Some(_) => return Err(UrlError::Query),
        };
        let (host, port) = split_port(place)?;
        let port = match port {
            None => {
                if tls {
                    TLS_PORT
                } else {
                    PORT
                }
            }
            Some(port) if port.bytes().all(|b| b.is_ascii_digit()) => {
                port.parse().ok().filter(|port| *port != 0).ok_or(UrlError::Port)?
            }
            Some(_) => return Err(UrlError::Port),
        };
        Ok(Self {
            host: host.to_owned(),
            port,
            transport,
        })
    }
}

/// Host and port of `host`, `host:port`, `[::1]` and `[::1]:port`.
fn split_port(place: &str) -> Result<(&str, Option<&str>), UrlError> {
    if let Some(rest) = place.strip_prefix('[') {
        let (host, after) = rest.split_once(']').ok_or(UrlError::Host)?;
        host.parse::<Ipv6Addr>().map_err(|_| UrlError::Host)?;
        return match after.strip_prefix(':') {
            Some(port) => Ok((host, Some(port))),
            None if after.is_empty() => Ok((host, None)),
            None => Err(UrlError::Port),
        };
    }
    let (host, port) = match place.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (place, None),
    };
    // RFC 3986 reg-name, of which nothing else is a name that can be resolved.
    let is_name = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
    if host.is_empty() || !host.bytes().all(is_name) {
        return Err(UrlError::Host);
    }
    Ok((host, port))
}

impl fmt::Display for TurnUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, transport) = match self.transport {
            Transport::Udp => ("turn", "udp"),
            Transport::Tcp => ("turn", "tcp"),
            Transport::Tls => ("turns", "tcp"),
        };
        let host = &self.host;
        let port = self.port;
        if host.contains(':') {
            write!(f, "{scheme}:[{host}]:{port}?transport={transport}")
        } else {
            write!(f, "{scheme}:{host}:{port}?transport={transport}")
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(url: &str) -> Result<(String, u16, Transport), UrlError> {
        url.parse::<TurnUrl>().map(|url| (url.host, url.port, url.transport))
    }

    #[test]
    fn what_servers_announce_is_read() {
        for (url, host, port, transport) in [
            ("turn:127.0.0.1:3478?transport=udp", "127.0.0.1", 3478, Transport::Udp),
            ("turn:turn.example.org", "turn.example.org", 3478, Transport::Udp),
            (
                "turn:turn.example.org:80?transport=tcp",
                "turn.example.org",
                80,
                Transport::Tcp,
            ),
            (
                "turns:turn.example.org:443?transport=tcp",
                "turn.example.org",
                443,
                Transport::Tls,
            ),
            ("turns:turn.example.org", "turn.example.org", 5349, Transport::Tls),
            ("TURN:[2001:db8::1]:3479", "2001:db8::1", 3479, Transport::Udp),
            ("turn:[::1]?transport=UDP", "::1", 3478, Transport::Udp),
        ] {
            assert_eq!(read(url), Ok((host.to_owned(), port, transport)), "{url}");
        }
    }

    #[test]
    fn what_cannot_be_used_says_why() {
        for (url, error) in [
            ("", UrlError::Scheme),
            ("stun:127.0.0.1", UrlError::Scheme),
            ("turn", UrlError::Scheme),
            ("turn:", UrlError::Host),
            ("turn::3478", UrlError::Host),
            ("turn:a b", UrlError::Host),
            ("turn:user@host", UrlError::Host),
            ("turn://host", UrlError::Host),
            ("turn:[::1", UrlError::Host),
            ("turn:[host]", UrlError::Host),
            ("turn:[::1]3478", UrlError::Port),
            ("turn:host:", UrlError::Port),
            ("turn:host:0", UrlError::Port),
            ("turn:host:+1", UrlError::Port),
            ("turn:host:65536", UrlError::Port),
            ("turn:2001:db8::1", UrlError::Port),
            ("turn:host?transport=sctp", UrlError::Query),
            ("turns:host?transport=sctp", UrlError::Query),
            ("turns:host?transport=udp", UrlError::Dtls),
        ] {
            assert_eq!(read(url), Err(error), "{url}");
        }
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(url in "(turns?:)?\\PC{0,40}") {
            let _ = url.parse::<TurnUrl>();
        }

        #[test]
        fn what_is_written_is_read(
            host in "([a-z][a-z0-9-]{0,9}\\.){0,3}[a-z]{1,9}|[0-9]{1,2}\\.0\\.0\\.1|::[0-9a-f]{1,4}",
            port in 1u16..,
            transport in prop_oneof![Just(Transport::Udp), Just(Transport::Tcp), Just(Transport::Tls)],
        ) {
            let url = TurnUrl { host, port, transport };
            prop_assert_eq!(url.to_string().parse(), Ok(url));
        }
    }
}
