//! What the server says about itself at its Prometheus endpoint.

use std::collections::BTreeMap;
use std::time::Duration;

use url::Url;

use super::process::Process;

/// Metrics that a report shows beside ours: the name of the sum, and which lines it is the sum of.
const SUMS: &[(&str, &str, &[&str])] = &[
    (
        "packets_in",
        "livekit_packet_total",
        &["direction=\"incoming\"", "transmission=\"initial\""],
    ),
    (
        "packets_out",
        "livekit_packet_total",
        &["direction=\"outgoing\"", "transmission=\"initial\""],
    ),
    ("bytes_in", "livekit_packet_bytes", &["direction=\"incoming\""]),
    ("bytes_out", "livekit_packet_bytes", &["direction=\"outgoing\""]),
    (
        "retransmitted",
        "livekit_packet_total",
        &["transmission=\"retransmit\""],
    ),
    ("nacks", "livekit_nack_total", &[]),
    ("plis", "livekit_pli_total", &[]),
    ("rooms", "livekit_room_total", &[]),
    ("participants", "livekit_participant_total", &[]),
    // Of hidden participants too.
    ("joins", "livekit_participant_join_total", &["state=\"rtc_active\""]),
    ("cpu_seconds", "process_cpu_seconds_total", &[]),
    ("memory_bytes", "process_resident_memory_bytes", &[]),
    ("goroutines", "go_goroutines", &[]),
];

/// The sums now.
pub(super) async fn sample(url: &Url) -> Result<BTreeMap<String, f64>, reqwest::Error> {
    Ok(sums(&read(url).await?))
}

async fn read(url: &Url) -> Result<String, reqwest::Error> {
    let client = reqwest::Client::builder().timeout(Duration::from_secs(3)).build()?;
    client.get(url.clone()).send().await?.error_for_status()?.text().await
}

/// Where a server on this machine tells about itself, if it does: the other ports that its process listens at are asked.
pub(super) async fn find(server: &Url) -> Option<Url> {
    let port = server.port_or_known_default()?;
    let looking =
        tokio::task::spawn_blocking(move || Process::listening_at(port)?.map(Process::listens_at).transpose());
    let ports = looking.await.ok()?.ok()??;
    for other in ports.into_iter().filter(|other| *other != port) {
        let mut url = server.clone();
        // A web socket's address has the same host.
        let _ = url.set_scheme("http");
        let _ = url.set_port(Some(other));
        url.set_path("/metrics");
        match read(&url).await {
            Ok(text) if text.contains("livekit_") => return Some(url),
            Ok(_) => {}
            Err(error) => tracing::debug!(%error, other, "no figures at this port"),
        }
    }
    None
}

fn sums(text: &str) -> BTreeMap<String, f64> {
    let mut found = BTreeMap::new();
    for (name, metric, labels) in SUMS {
        let of_metric = |line: &&str| {
            let rest = line.strip_prefix(metric)?;
            let (labelled, value) = rest.rsplit_once(' ')?;
            let whole = labelled.is_empty() || labelled.starts_with('{');
            (whole && labels.iter().all(|label| labelled.contains(label))).then(|| value.parse::<f64>().ok())?
        };
        let values: Vec<f64> = text.lines().filter_map(|line| of_metric(&line)).collect();
        if !values.is_empty() {
            found.insert((*name).to_owned(), values.iter().sum());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labelled_lines_are_summed_and_longer_names_are_not() {
        let text = "# HELP livekit_packet_total packets\n\
                    livekit_packet_total{direction=\"incoming\",transmission=\"initial\"} 10\n\
                    livekit_packet_total{direction=\"incoming\",transmission=\"retransmit\"} 2\n\
                    livekit_packet_total{direction=\"outgoing\",transmission=\"initial\"} 5\n\
                    livekit_room_total 1\nlivekit_room_total_more 9\nprocess_cpu_seconds_total 1.5e+01\n";
        let sums = sums(text);
        for (name, sum) in [
            ("packets_in", 10.0),
            ("retransmitted", 2.0),
            ("rooms", 1.0),
            ("cpu_seconds", 15.0),
        ] {
            assert!((sums[name] - sum).abs() < 1e-9, "{name}: {}", sums[name]);
        }
        assert!(!sums.contains_key("nacks"));
    }
}
