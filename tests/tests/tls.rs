//! HTTPS without anything before it: a certificate that browsers believe, and another one while it runs.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use greffier_tests::greffier::{Caller, text_of};
use greffier_tests::stage::wait_for;
use greffier_tests::{Deadline, Greffier, Missing, Server, need};
use reqwest::Certificate;
use reqwest::blocking::{Client, Response};

const SOON: Duration = Duration::from_secs(20);
/// It is told to look every second.
const RELOADED_WITHIN: Duration = Duration::from_secs(10);

/// Files that Greffier reads, and a certificate that clients believe.
struct Files {
    certificate: PathBuf,
    key: PathBuf,
}

impl Files {
    /// Puts a new certificate for this machine where the old one was; gives it.
    fn renew(&self) -> Result<Vec<u8>> {
        let (certificate, key) = (beside(&self.certificate), beside(&self.key));
        let output = Missing::tool("openssl")?
            .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"])
            .args(["-days", "2", "-subj", "/CN=Greffier", "-addext", "subjectAltName=IP:127.0.0.1"])
            // No authority: what it signs is itself alone.
            .args(["-addext", "basicConstraints=critical,CA:FALSE"])
            .arg("-keyout")
            .arg(&key)
            .arg("-out")
            .arg(&certificate)
            .output()?;
        anyhow::ensure!(output.status.success(), "{}", text_of(&output));
        let made = std::fs::read(&certificate)?;
        std::fs::rename(key, &self.key)?;
        std::fs::rename(certificate, &self.certificate)?;
        Ok(made)
    }
}

/// As programs that renew certificates do: written beside, then renamed.
fn beside(path: &Path) -> PathBuf {
    path.with_extension("new")
}

/// Asks, and believes this certificate alone.
fn ask(greffier: &Greffier, believed: &[u8], path: &str) -> Result<Response> {
    // A connection of its own for each: those that are open keep the certificate they began with.
    let client = Client::builder()
        .no_proxy()
        .timeout(Duration::from_secs(5))
        .tls_certs_only([Certificate::from_pem(believed)?])
        .build()?;
    Ok(client.get(format!("{}{path}", https(greffier))).send()?)
}

fn https(greffier: &Greffier) -> String {
    greffier.url().replace("http://", "https://")
}

#[test]
fn https_is_served_and_a_renewed_certificate_taken_without_a_restart() {
    let Some(server) = need(Server::setup().start()) else {
        return;
    };
    let folder = server.folder().sub("tls").expect("a folder");
    let files = Files {
        certificate: folder.join("cert.pem"),
        key: folder.join("key.pem"),
    };
    let Some(first) = need(files.renew()) else { return };
    let launched = Greffier::setup(&server)
        .set("api.tls.certificate", files.certificate.display())
        .set("api.tls.key", files.key.display())
        .set("api.tls.reload", "1s")
        .launch();
    let Some(mut greffier) = need(launched) else { return };

    let ready = wait_for("an answer over HTTPS", SOON, || {
        Ok(ask(&greffier, &first, "/readyz").ok())
    })
    .expect("ready");
    assert_eq!(ready.status(), 200);
    // Links lead there, and browsers send the cookie nowhere else.
    let setup = greffier.setup_link().expect("it is printed");
    assert!(setup.starts_with(&https(&greffier)), "{setup}");
    let client = Client::builder()
        .no_proxy()
        .tls_certs_only([Certificate::from_pem(&first).expect("a certificate")])
        .build()
        .expect("a client");
    let done = Caller::nobody(client, https(&greffier)).set_up(&setup).expect(201);
    let cookie = done.header("set-cookie");
    assert!(cookie.contains("Secure") && cookie.contains("HttpOnly"), "{cookie}");
    // Plain HTTP gets no answer that could be taken for one.
    let plain = Client::builder()
        .no_proxy()
        .timeout(Duration::from_secs(5))
        .build()
        .expect("a client");
    let answer = plain.get(format!("{}/readyz", greffier.url())).send();
    assert!(answer.is_err() || answer.is_ok_and(|answer| !answer.status().is_success()));

    let second = files.renew().expect("another certificate");
    wait_for("the new certificate", RELOADED_WITHIN, || {
        Ok(ask(&greffier, &second, "/readyz").ok())
    })
    .expect("taken");
    assert!(
        ask(&greffier, &first, "/readyz").is_err(),
        "the old one is shown no more"
    );

    // A broken file is said, and changes nothing.
    std::fs::write(&files.certificate, "no certificate").expect("written");
    greffier
        .service()
        .wait_for_line("what is wrong", Deadline::within(RELOADED_WITHIN), |line| {
            line.contains("certificate cannot be read again")
        })
        .expect("it is in the log");
    assert_eq!(ask(&greffier, &second, "/readyz").expect("as before").status(), 200);
    let third = files.renew().expect("a third certificate");
    wait_for("the third certificate", RELOADED_WITHIN, || {
        Ok(ask(&greffier, &third, "/readyz").ok())
    })
    .expect("taken");
    greffier.expect_healthy();
    assert!(greffier.stop().expect("it ends").success());
}

#[test]
fn a_certificate_that_cannot_be_used_is_named_at_the_start() {
    let Some(server) = need(Server::setup().start()) else {
        return;
    };
    let missing = server.folder().join("nowhere.pem");
    let launched = Greffier::setup(&server)
        .set("api.tls.certificate", missing.display())
        .set("api.tls.key", missing.display())
        .launch();
    let Some(mut greffier) = need(launched) else { return };
    greffier
        .service()
        .wait_for_line("the file's name", Deadline::within(SOON), |line| {
            line.contains("nowhere.pem")
        })
        .expect("it says which file");
    wait_for(
        "its end",
        SOON,
        || Ok((!greffier.service().is_running()?).then_some(())),
    )
    .expect("it does not go on without");
}
