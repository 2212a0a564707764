//! Authorities made for one test, and what they issue. Test targets of other packages take this file in by its path.

#![allow(dead_code, reason = "each test target takes the part that it needs")]

use group0_api::tls::{Files, Pem};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use std::{fs, path::Path};

/// An authority of its own.
pub struct Authority {
    /// Its certificate, as PEM: what a truststore holds.
    pub certificate: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate with its key, as PEM, and whom its owner trusts.
#[derive(Clone)]
pub struct Issued {
    /// The certificate.
    pub certificate: String,
    /// Its key.
    pub keyfile: String,
    /// Authorities.
    pub truststore: String,
}

impl Authority {
    /// With this name.
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::new([]).expect("no names are fine");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().expect("randomness");
        let certificate = params.self_signed(&key).expect("a certificate").pem();
        Self { certificate, issuer: Issuer::new(params, key) }
    }

    /// A certificate for this DNS name, whose owner trusts this authority alone.
    pub fn issue(&self, name: &str) -> Issued {
        self.sign(&CertificateParams::new([name.to_owned()]).expect("a DNS name"))
    }

    /// The same, expired long ago.
    pub fn issue_expired(&self, name: &str) -> Issued {
        let mut params = CertificateParams::new([name.to_owned()]).expect("a DNS name");
        params.not_after = rcgen::date_time_ymd(2001, 1, 1);
        self.sign(&params)
    }

    fn sign(&self, params: &CertificateParams) -> Issued {
        let key = KeyPair::generate().expect("randomness");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate").pem();
        Issued { certificate, keyfile: key.serialize_pem(), truststore: self.certificate.clone() }
    }
}

impl Issued {
    /// The same, whose owner trusts this authority alone.
    pub fn trusting(&self, authority: &Authority) -> Self {
        Self { truststore: authority.certificate.clone(), ..self.clone() }
    }

    /// As bytes.
    pub fn pem(&self) -> Pem<'_> {
        Pem { certificate: self.certificate.as_bytes(), keyfile: self.keyfile.as_bytes(), truststore: self.truststore.as_bytes() }
    }

    /// In files of this folder, which replace former ones.
    pub fn write(&self, folder: &Path) -> Files {
        fs::create_dir_all(folder).expect("the test's folder can be written");
        let write = |name: &str, text: &str| {
            fs::write(folder.join(name), text).expect("the test's folder can be written");
            folder.join(name)
        };
        Files {
            certificate: write("tls.crt", &self.certificate),
            keyfile: write("tls.key", &self.keyfile),
            truststore: write("ca.crt", &self.truststore),
        }
    }
}
