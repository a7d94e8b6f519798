//! Where a request comes from, when proxies stand between.

use std::{
    convert::Infallible,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use axum::{
    extract::{ConnectInfo, FromRequestParts, Request, State},
    http::{Extensions, HeaderMap, request::Parts, uri::Authority},
    middleware::Next,
    response::Response,
};
use ipnet::IpNet;
use url::Url;

use crate::services::App;

/// The address of whoever asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ClientAddress {
    pub ip: IpAddr,
    /// The connection itself comes from this machine, and no proxy says that it asks for somebody else.
    pub local: bool,
}

impl ClientAddress {
    /// Of a request that went through [`find_address`]; all others count as one.
    pub(crate) fn of(extensions: &Extensions) -> Self {
        extensions.get().copied().unwrap_or(Self {
            ip: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            local: false,
        })
    }

    /// What limits count: an IPv6 subscriber has 2⁶⁴ addresses and is one all the same.
    pub(crate) fn key(self) -> IpAddr {
        match self.ip.to_canonical() {
            IpAddr::V6(address) => {
                let network = u128::from(address) & !u128::from(u64::MAX);
                IpAddr::V6(Ipv6Addr::from(network))
            }
            v4 @ IpAddr::V4(_) => v4,
        }
    }
}

/// How whoever asks reaches the server: what links begin with that they are given.
#[derive(Debug, Clone)]
pub(crate) struct BaseUrl(pub String);

impl FromRequestParts<App> for BaseUrl {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Infallible> {
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        let is_proxied = peer.is_some_and(|peer| is_trusted(&peer.0.ip().to_canonical(), &app.config.trusted_proxies));
        let asked = asked_for(
            &parts.headers,
            parts.uri.authority(),
            is_proxied,
            app.config.tls.is_some(),
        );
        Ok(Self(match (&app.config.public_url, asked) {
            (None, Some(asked)) => asked,
            _ => app.config.base_url(),
        }))
    }
}

fn is_trusted(ip: &IpAddr, trusted: &[IpNet]) -> bool {
    trusted.iter().any(|network| network.contains(ip))
}

/// The address that a request was sent to. A proxy's word counts if it is trusted.
fn asked_for(headers: &HeaderMap, authority: Option<&Authority>, is_proxied: bool, tls: bool) -> Option<String> {
    let header = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    // Each proxy adds its own at the end; what the client asked the first of them for stands first.
    let forwarded = |name: &str| header(name).filter(|_| is_proxied)?.split(',').next().map(str::trim);
    let host = forwarded("x-forwarded-host")
        .or_else(|| header("host"))
        .or_else(|| authority.map(Authority::as_str))?;
    let scheme = match forwarded("x-forwarded-proto") {
        Some(proto) if proto.eq_ignore_ascii_case("https") => "https",
        Some(proto) if proto.eq_ignore_ascii_case("http") => "http",
        _ if tls => "https",
        _ => "http",
    };
    let url = Url::parse(&format!("{scheme}://{host}")).ok()?;
    // Host and port, and nothing else: it ends up in links.
    let is_plain = url.path() == "/"
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none()
        && url.host_str().is_some_and(|host| !host.is_empty())
        && !host.contains(['/', '\\', '@', '?', '#', '%']);
    is_plain.then(|| url.origin().ascii_serialization())
}

impl<S: Send + Sync> FromRequestParts<S> for ClientAddress {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::of(&parts.extensions))
    }
}

/// Middleware: tells handlers and limits the [`ClientAddress`].
pub(crate) async fn find_address(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let peer = request
        .extensions()
        .get::<ConnectInfo<SocketAddr>>()
        .map(|info| info.0.ip().to_canonical());
    if let Some(peer) = peer {
        let address = behind(peer, request.headers(), &app.config.trusted_proxies);
        request.extensions_mut().insert(address);
    }
    next.run(request).await
}

/// From the last proxy back: the first address that is not a trusted proxy's is the client's. What stands before it is
/// whatever the client wrote.
fn behind(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> ClientAddress {
    let forwarded: Vec<&str> = headers
        .get_all("x-forwarded-for")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .collect();
    let mut ip = peer;
    for hop in forwarded.iter().rev() {
        if !is_trusted(&ip, trusted) {
            break;
        }
        match hop.trim().parse::<IpAddr>() {
            Ok(hop) => ip = hop.to_canonical(),
            Err(_) => break,
        }
    }
    let local = ip.is_loopback() && forwarded.is_empty() && !headers.contains_key("forwarded");
    ClientAddress { ip, local }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_trusted_proxies_are_believed() {
        let trusted: Vec<IpNet> = vec!["10.0.0.0/8".parse().unwrap()];
        for (peer, forwarded, wanted) in [
            ("192.0.2.1", "", "192.0.2.1"),
            ("192.0.2.1", "198.51.100.7", "192.0.2.1"),
            ("10.0.0.1", "198.51.100.7", "198.51.100.7"),
            ("10.0.0.1", "203.0.113.9, 198.51.100.7, 10.2.3.4", "198.51.100.7"),
            ("10.0.0.1", "nonsense", "10.0.0.1"),
            ("10.0.0.1", "", "10.0.0.1"),
            ("::ffff:10.0.0.1", "2001:db8::1", "2001:db8::1"),
        ] {
            let mut headers = HeaderMap::new();
            if !forwarded.is_empty() {
                headers.insert("x-forwarded-for", forwarded.parse().unwrap());
            }
            let peer: IpAddr = peer.parse().unwrap();
            let found = behind(peer.to_canonical(), &headers, &trusted);
            assert_eq!(found.ip.to_string(), wanted, "{peer} {forwarded}");
        }
    }

    #[test]
    fn links_begin_with_what_was_asked_for() {
        for (host, forwarded_host, forwarded_proto, is_proxied, wanted) in [
            ("meet.example.org", "", "", false, Some("http://meet.example.org")),
            ("192.0.2.7:8000", "", "", false, Some("http://192.0.2.7:8000")),
            ("[2001:db8::1]:8000", "", "", false, Some("http://[2001:db8::1]:8000")),
            (
                "inner:8000",
                "meet.example.org",
                "https",
                true,
                Some("https://meet.example.org"),
            ),
            (
                "inner:8000",
                "meet.example.org, other",
                "https, http",
                true,
                Some("https://meet.example.org"),
            ),
            (
                "inner:8000",
                "evil.example.org",
                "https",
                false,
                Some("http://inner:8000"),
            ),
            ("", "", "", false, None),
            ("a/b", "", "", false, None),
            ("user@evil.example.org", "", "", false, None),
            ("evil.example.org?x=", "", "", false, None),
            ("evil.example.org\\x", "", "", false, None),
            ("a b", "", "", false, None),
        ] {
            let mut headers = HeaderMap::new();
            for (name, value) in [
                ("host", host),
                ("x-forwarded-host", forwarded_host),
                ("x-forwarded-proto", forwarded_proto),
            ] {
                if !value.is_empty() {
                    headers.insert(name, value.parse().unwrap());
                }
            }
            let found = asked_for(&headers, None, is_proxied, false);
            assert_eq!(found.as_deref(), wanted, "{host} {forwarded_host}");
        }
        let mut headers = HeaderMap::new();
        headers.insert("host", "meet.example.org".parse().unwrap());
        let found = asked_for(&headers, None, false, true);
        assert_eq!(found.as_deref(), Some("https://meet.example.org"), "over TLS");
    }

    #[test]
    fn this_machine_is_local_unless_it_asks_for_another() {
        let local = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let mut headers = HeaderMap::new();
        assert!(behind(local, &headers, &[]).local);
        headers.insert("x-forwarded-for", "127.0.0.1".parse().unwrap());
        assert!(!behind(local, &headers, &[]).local);
    }

    #[test]
    fn one_subscriber_is_one() {
        let key = |ip: &str| {
            ClientAddress {
                ip: ip.parse().unwrap(),
                local: false,
            }
            .key()
            .to_string()
        };
        assert_eq!(key("2001:db8:1:2:3:4:5:6"), key("2001:db8:1:2:ffff::1"));
        assert_ne!(key("2001:db8:1:2::1"), key("2001:db8:1:3::1"));
        assert_eq!(key("::ffff:192.0.2.1"), "192.0.2.1");
    }
}
