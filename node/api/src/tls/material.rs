//! PEM in, what both sides of a handshake are configured with out.

use super::error::{Part, TlsError};
use std::sync::Arc;
use tokio_rustls::rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    client::Resumption,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{NoServerSessionStorage, WebPkiClientVerifier},
    sign::{CertifiedKey, SingleCertAndKey},
    version::TLS13,
};

/// gRPC is HTTP/2.
const ALPN: &[u8] = b"h2";

/// An identity as bytes; in Kubernetes the values of a Secret.
#[derive(Clone, Copy)]
pub struct Pem<'a> {
    /// The certificate, followed by those between it and the authority: `tls.crt`.
    pub certificate: &'a [u8],
    /// Its private key: `tls.key`.
    pub keyfile: &'a [u8],
    /// The authorities that are trusted: `ca.crt`.
    pub truststore: &'a [u8],
}

/// Both sides of a handshake, of one identity.
#[derive(Clone)]
pub(super) struct Material {
    pub(super) server: Arc<ServerConfig>,
    pub(super) client: Arc<ClientConfig>,
}

impl Material {
    pub(super) fn parse(pem: &Pem<'_>) -> Result<Self, TlsError> {
        let provider = Arc::new(ring::default_provider());
        let key = Arc::new(SingleCertAndKey::from(certified_key(pem, &provider)?));
        let trusted = Arc::new(authorities(pem.truststore)?);
        Ok(Self { server: Arc::new(server(&provider, &key, &trusted)?), client: Arc::new(client(&provider, key, trusted)?) })
    }
}

fn certified_key(pem: &Pem<'_>, provider: &CryptoProvider) -> Result<CertifiedKey, TlsError> {
    let chain = certificates(Part::Certificate, pem.certificate)?;
    let key = PrivateKeyDer::from_pem_slice(pem.keyfile).map_err(|error| TlsError::new(Part::Keyfile, error))?;
    let wrong = |error| TlsError::new(Part::Keyfile, format!("it cannot be used with the certificate: {error}"));
    CertifiedKey::from_der(chain, key, provider).map_err(wrong)
}

fn authorities(pem: &[u8]) -> Result<RootCertStore, TlsError> {
    let mut store = RootCertStore::empty();
    for certificate in certificates(Part::Truststore, pem)? {
        store.add(certificate).map_err(|error| TlsError::new(Part::Truststore, error))?;
    }
    Ok(store)
}

fn certificates(part: Part, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match all {
        Ok(none) if none.is_empty() => Err(TlsError::new(part, "there is no certificate in it")),
        Ok(some) => Ok(some),
        Err(error) => Err(TlsError::new(part, error)),
    }
}

fn server(
    provider: &Arc<CryptoProvider>,
    key: &Arc<SingleCertAndKey>,
    trusted: &Arc<RootCertStore>,
) -> Result<ServerConfig, TlsError> {
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::clone(trusted), Arc::clone(provider)).build();
    let mut config = ServerConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(&[&TLS13])
        .map_err(|error| TlsError::new(Part::Certificate, error))?
        .with_client_cert_verifier(verifier.map_err(|error| TlsError::new(Part::Truststore, error))?)
        .with_cert_resolver(Arc::<SingleCertAndKey>::clone(key));
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

fn client(
    provider: &Arc<CryptoProvider>,
    key: Arc<SingleCertAndKey>,
    trusted: Arc<RootCertStore>,
) -> Result<ClientConfig, TlsError> {
    let mut config = ClientConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(&[&TLS13])
        .map_err(|error| TlsError::new(Part::Certificate, error))?
        .with_root_certificates(trusted)
        .with_client_cert_resolver(key);
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.resumption = Resumption::disabled();
    Ok(config)
}
