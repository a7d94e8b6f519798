//! Local addresses, and the candidate lines made of them (RFC 8839 §5.1).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use nix::ifaddrs::getifaddrs;
use nix::net::if_::InterfaceFlags;

/// Bridges and links to virtual machines and containers on this host: nobody outside reaches them.
const VIRTUAL: &[&str] = &[
    "docker", "br-", "veth", "virbr", "cni", "flannel", "cali", "lxc", "lxd", "podman", "ifb",
];

/// More addresses mean more checks, not more ways out.
const MAX_ADDRESSES: usize = 4;

/// Addresses of the interfaces that are up; the loopback address only where there is no other.
pub(super) fn local_addresses() -> Vec<IpAddr> {
    let mut found = Vec::new();
    match getifaddrs() {
        Ok(interfaces) => {
            for interface in interfaces {
                let up = interface
                    .flags
                    .contains(InterfaceFlags::IFF_UP | InterfaceFlags::IFF_RUNNING);
                let virtual_link = VIRTUAL
                    .iter()
                    .any(|prefix| interface.interface_name.starts_with(prefix));
                let Some(address) = interface.address.as_ref().filter(|_| up && !virtual_link) else {
                    continue;
                };
                let ip = match (address.as_sockaddr_in(), address.as_sockaddr_in6()) {
                    (Some(v4), _) => IpAddr::V4(v4.ip()),
                    (_, Some(v6)) => IpAddr::V6(v6.ip()),
                    _ => continue,
                };
                if is_offered(ip) && !found.contains(&ip) {
                    found.push(ip);
                }
            }
        }
        Err(error) => log::warn!("network interfaces cannot be listed: {error}"),
    }
    // IPv4 first: it is what most servers announce.
    found.sort_by_key(IpAddr::is_ipv6);
    found.truncate(MAX_ADDRESSES);
    if found.is_empty() {
        found.push(IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
    found
}

fn is_offered(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => !ip.is_loopback() && !ip.is_link_local() && !ip.is_unspecified(),
        IpAddr::V6(ip) => !ip.is_loopback() && !ip.is_unicast_link_local() && !ip.is_unspecified(),
    }
}

/// The address this system would send from to reach `remote`. Nothing is sent.
pub(super) fn route_to(remote: SocketAddr) -> Option<IpAddr> {
    let any: IpAddr = if remote.is_ipv4() {
        Ipv4Addr::UNSPECIFIED.into()
    } else {
        Ipv6Addr::UNSPECIFIED.into()
    };
    let probe = UdpSocket::bind((any, 0)).ok()?;
    probe.connect(remote).ok()?;
    Some(probe.local_addr().ok()?.ip())
}

/// The address in a candidate line, where it is a literal one (not a name to be resolved).
pub(super) fn candidate_address(line: &str) -> Option<SocketAddr> {
    let mut fields = line.split_ascii_whitespace().skip(4);
    let ip: IpAddr = fields.next()?.parse().ok()?;
    Some(SocketAddr::new(ip, fields.next()?.parse().ok()?))
}

/// RFC 8445 §5.1.2.1, host candidates, component 1. Later addresses are less preferred.
fn priority(rank: usize, tcp: bool) -> u32 {
    // RFC 6544 §4.2: TCP below UDP; active candidates are the most useful of the TCP ones.
    let local_preference = if tcp {
        (6 << 13) | 8191u32.saturating_sub(rank as u32)
    } else {
        65_535 - rank as u32
    };
    (126 << 24) | (local_preference.min(65_535) << 8) | 255
}

pub(super) fn udp_candidate(rank: usize, address: SocketAddr) -> String {
    let priority = priority(rank, false);
    format!(
        "candidate:{} 1 udp {priority} {} {} typ host",
        rank + 1,
        address.ip(),
        address.port()
    )
}

/// An active TCP candidate has no port; 9 stands for it (RFC 6544 §4.5).
pub(super) fn tcp_candidate(rank: usize, ip: IpAddr) -> String {
    let priority = priority(rank, true) - (1 << 24);
    format!(
        "candidate:{} 1 tcp {priority} {ip} 9 typ host tcptype active",
        rank + 101
    )
}

/// A relayed address: the last choice, the more so the more the way to the server costs. Where we are ourselves is
/// nobody's business (RFC 8839 §5.1).
pub(super) fn relay_candidate(rank: usize, cost: u32, relayed: SocketAddr) -> String {
    let local_preference = 65_535 - cost * 8192 - rank as u32;
    let priority = (local_preference << 8) | 255;
    let nowhere = if relayed.is_ipv4() { "0.0.0.0" } else { "::" };
    format!(
        "candidate:{} 1 udp {priority} {} {} typ relay raddr {nowhere} rport 9",
        rank + 201,
        relayed.ip(),
        relayed.port()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn candidates_read_back() {
        let address: SocketAddr = "192.0.2.7:5000".parse().expect("an address");
        let line = udp_candidate(0, address);
        assert_eq!(candidate_address(&line), Some(address));
        crate::ice_candidate::IceCandidate::parse("0", 0, &line).expect("well formed");
        crate::ice_candidate::IceCandidate::parse("0", 0, &tcp_candidate(3, address.ip())).expect("well formed");
        let line = relay_candidate(1, 2, address);
        assert_eq!(candidate_address(&line), Some(address));
        crate::ice_candidate::IceCandidate::parse("0", 0, &line).expect("well formed");
        assert_eq!(candidate_address("candidate:1 1 udp 1 name.local 5000 typ host"), None);
        assert!(priority(0, false) > priority(1, false) && priority(3, false) > priority(0, true));
    }

    #[test]
    fn loopback_is_reached_from_loopback() {
        let remote = SocketAddr::from((Ipv4Addr::LOCALHOST, 7));
        assert_eq!(route_to(remote), Some(IpAddr::V4(Ipv4Addr::LOCALHOST)));
        assert!(!local_addresses().is_empty());
    }
}
