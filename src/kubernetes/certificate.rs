//! The client certificate for the Admin services of one cluster, from the Secret that `spec.clusterRef.tlsSecretRef` names.

use group0_api::tls::{Client, Pem};
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use std::time::{Duration, Instant};

/// A changed Secret is taken up within this. It is read and not watched, so that the right to read this one is enough.
const READ_EVERY: Duration = Duration::from_secs(10);

/// What is known of it.
#[derive(Debug, Default)]
pub struct Certificate {
    read: Option<Instant>,
    version: Option<(String, String)>,
    client: Option<Client>,
    broken: Option<String>,
}

impl Certificate {
    /// Reads it if that is due. Whether connections must be made anew. While it cannot be read the former one is used.
    pub async fn refresh(&mut self, secrets: &Api<Secret>, name: Option<&str>) -> bool {
        let Some(name) = name else { return std::mem::take(self).client.is_some() };
        let is_due = self.read.is_none_or(|at| at.elapsed() >= READ_EVERY);
        let is_another = self.version.as_ref().is_some_and(|(known, _)| known != name);
        if !is_due && !is_another {
            return false;
        }
        self.read = Some(Instant::now());
        match parse(secrets, name).await {
            Ok((version, _)) if self.version.as_ref().is_some_and(|known| known.0 == name && known.1 == version) => false,
            Ok((version, client)) => {
                (self.version, self.client, self.broken) = (Some((name.to_owned(), version)), Some(client), None);
                true
            }
            Err(why) => {
                let why = format!("the Secret {name} cannot be used: {why}");
                tracing::warn!(secret = name, why, "the client certificate cannot be read");
                self.broken = Some(why);
                false
            }
        }
    }

    /// What to connect with: nothing where none is asked for, an error where it is needed and cannot be had.
    pub fn client(&self, name: Option<&str>) -> Result<Option<Client>, String> {
        match (name, &self.client) {
            (None, _) => Ok(None),
            (Some(_), Some(client)) => Ok(Some(client.clone())),
            (Some(_), None) => Err(self.broken.clone().unwrap_or_else(|| "its certificate has not been read yet".to_owned())),
        }
    }
}

async fn parse(secrets: &Api<Secret>, name: &str) -> Result<(String, Client), String> {
    let secret = secrets.get_opt(name).await.map_err(|error| super::in_words_of(&error))?;
    let secret = secret.ok_or("there is no such Secret; spec.clusterRef.tlsSecretRef names it")?;
    let data = secret.data.unwrap_or_default();
    let part = |key: &str| data.get(key).map(|bytes| bytes.0.as_slice()).ok_or_else(|| format!("it lacks {key}"));
    let pem = Pem { certificate: part("tls.crt")?, keyfile: part("tls.key")?, truststore: part("ca.crt")? };
    let client = Client::from_pem(&pem).map_err(|error| error.to_string())?;
    Ok((secret.metadata.resource_version.unwrap_or_default(), client))
}
