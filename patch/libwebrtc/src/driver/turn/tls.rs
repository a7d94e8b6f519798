//! What a `turns:` server's certificate is checked against.

use std::sync::Arc;

use rustls::{ClientConfig, ClientConnection, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use thiserror::Error;

#[derive(Debug, Error)]
pub(super) enum TlsError {
    #[error("the additional roots are not certificates in PEM: {0}")]
    Pem(#[from] rustls_pki_types::pem::Error),
    #[error("there is no certificate among the additional roots")]
    NoRoot,
    #[error("{0} is no name that a certificate can be for")]
    Name(String),
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
}

/// Begins a session with `host`, a name or an address. `roots` (PEM) are trusted beside Mozilla's.
pub(super) fn client(host: &str, roots: &[u8]) -> Result<ClientConnection, TlsError> {
    let mut store = RootCertStore::empty();
    store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    let known = store.len();
    for certificate in CertificateDer::pem_slice_iter(roots) {
        store.add(certificate?)?;
    }
    if !roots.is_empty() && store.len() == known {
        return Err(TlsError::NoRoot);
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(store)
        .with_no_client_auth();
    let name = ServerName::try_from(host.to_owned()).map_err(|_| TlsError::Name(host.to_owned()))?;
    Ok(ClientConnection::new(Arc::new(config), name)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roots_that_are_none_are_told() {
        assert!(client("turn.example.org", b"").is_ok());
        assert!(client("127.0.0.1", b"").is_ok());
        assert!(matches!(client("turn.example.org", b"hello"), Err(TlsError::NoRoot)));
        let broken = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(matches!(client("turn.example.org", broken), Err(TlsError::Tls(_))));
        assert!(matches!(client("-", b""), Err(TlsError::Name(_))));
    }
}
