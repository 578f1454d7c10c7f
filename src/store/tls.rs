//! TLS to members of a store, by the same library as to the API server.
//!
//! A member is trusted when its certificate was made by the Secret's authority and carries one of the names that the
//! member has in its cluster, or the one that the experiment gives. There is no way to trust without looking.

use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;

use secrecy::{ExposeSecret, SecretSlice};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::sign::{CertifiedKey, SingleCertAndKey};
use tokio_rustls::rustls::{
    self, AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, InvalidMessage,
    RootCertStore, SignatureScheme,
};

use super::secrets::{SecretError, Secrets};
use crate::experiment::{self, SecretName};

const AUTHORITY: &str = "ca.crt";
const CERTIFICATE: &str = "tls.crt";
const KEY: &str = "tls.key";

/// Whom to trust, and who we are.
#[derive(Clone)]
pub(super) struct Tls {
    secret: SecretName,
    provider: Arc<CryptoProvider>,
    verifier: Arc<WebPkiServerVerifier>,
    own: Option<Arc<SingleCertAndKey>>,
    /// The one name to ask for, where the experiment gives it.
    server_name: Option<ServerName<'static>>,
}

impl Tls {
    /// Reads what the Secret holds.
    pub(super) fn load(tls: &experiment::Tls, secrets: &Secrets) -> Result<Self, SecretError> {
        let secret = &tls.secret;
        let provider = Arc::new(ring::default_provider());
        let mut roots = RootCertStore::empty();
        for authority in certificates(secret, AUTHORITY, &secrets.get(secret, AUTHORITY)?)? {
            let added = roots.add(authority);
            added.map_err(|error| {
                wrong(secret, AUTHORITY, format!("holds a certificate that is none: {error}"))
            })?;
        }
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .build()
            .map_err(|error| wrong(secret, AUTHORITY, error.to_string()))?;
        let half = |has, lacks| SecretError::Half { secret: secret.clone(), has, lacks };
        let own = match (secrets.find(secret, CERTIFICATE)?, secrets.find(secret, KEY)?) {
            (None, None) => None,
            (Some(_), None) => return Err(half(CERTIFICATE, KEY)),
            (None, Some(_)) => return Err(half(KEY, CERTIFICATE)),
            (Some(certificate), Some(key)) => Some(own(secret, &provider, &certificate, &key)?),
        };
        let named = tls.server_name.as_ref().map(|name| {
            ServerName::try_from(name.as_str().to_owned()).map_err(|_| SecretError::ServerName(name.clone()))
        });
        Ok(Self { secret: secret.clone(), provider, verifier, own, server_name: named.transpose()? })
    }

    /// Connections to a member that has these names. The first one is asked for.
    pub(super) fn to(&self, names: Vec<String>) -> Way {
        let names: Vec<_> = match &self.server_name {
            Some(name) => vec![name.clone()],
            None => names.into_iter().filter_map(|name| ServerName::try_from(name).ok()).collect(),
        };
        let first = names.first().cloned();
        let verifier = OneOf { names, verifier: Arc::clone(&self.verifier) };
        let config = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()
            .expect("the provider has the protocols of its own library")
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let config = match &self.own {
            Some(own) => config.with_client_cert_resolver(Arc::clone(own) as _),
            None => config.with_no_client_auth(),
        };
        Way {
            secret: self.secret.clone(),
            shows_certificate: self.own.is_some(),
            connector: TlsConnector::from(Arc::new(config)),
            name: first,
        }
    }
}

/// A way to one endpoint.
pub(super) struct Way {
    secret: SecretName,
    shows_certificate: bool,
    connector: TlsConnector,
    name: Option<ServerName<'static>>,
}

impl Way {
    /// Makes a connection secure.
    pub(super) async fn secure(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let unknown =
            || io::Error::other("it has no name that a certificate could carry: write tls.serverName");
        let name = self.name.clone().ok_or_else(unknown)?;
        self.connector.connect(name, stream).await
    }

    /// What went wrong, for a person: what TLS says in its own words, with what to do about it. Some refusals, above all
    /// that of a client's certificate, come only with the first answer.
    pub(super) fn explain(&self, error: &(dyn Error + 'static)) -> Option<String> {
        let mut cause = Some(error);
        while let Some(current) = cause {
            let inner = current.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
            let found = current.downcast_ref::<rustls::Error>();
            let found = found.or_else(|| inner.and_then(|inner| inner.downcast_ref::<rustls::Error>()));
            if let Some(found) = found {
                return Some(self.words(found));
            }
            cause = current.source();
        }
        None
    }

    fn words(&self, error: &rustls::Error) -> String {
        let secret = &self.secret;
        match error {
            rustls::Error::InvalidCertificate(why) => match why {
                // The second one: an authority of the same name, with another key.
                CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                    format!(
                        "its certificate was not made by an authority in `{AUTHORITY}` of Secret `{secret}`"
                    )
                }
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                    format!("{error}: name one that it carries by tls.serverName")
                }
                _ => format!("its certificate is not good: {error}"),
            },
            // Some servers miss a certificate in the words for a bad one.
            rustls::Error::AlertReceived(alert) if is_about_us(*alert) => {
                if self.shows_certificate {
                    format!(
                        "it does not take the client certificate, `{CERTIFICATE}` of Secret `{secret}`: {error}"
                    )
                } else {
                    format!(
                        "it wants a client certificate: add `{CERTIFICATE}` and `{KEY}` to Secret `{secret}`"
                    )
                }
            }
            rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
                "it does not speak TLS: leave out tls, or name the port that does".into()
            }
            _ => format!("TLS failed: {error}"),
        }
    }
}

/// Whether a server says this of a client's certificate.
fn is_about_us(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::CertificateRequired
            | AlertDescription::BadCertificate
            | AlertDescription::UnknownCA
            | AlertDescription::DecryptError
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::AccessDenied
    )
}

/// Takes a certificate that is good for any of several names.
#[derive(Debug)]
struct OneOf {
    names: Vec<ServerName<'static>>,
    verifier: Arc<WebPkiServerVerifier>,
}

impl ServerCertVerifier for OneOf {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        asked: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verify = |name: &ServerName<'_>| {
            self.verifier.verify_server_cert(end_entity, intermediates, name, ocsp_response, now)
        };
        let first = verify(asked);
        let other_name = |error: &rustls::Error| {
            matches!(
                error,
                rustls::Error::InvalidCertificate(
                    CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. }
                )
            )
        };
        match first {
            Err(error) if other_name(&error) => {
                self.names.iter().find_map(|name| verify(name).ok()).ok_or(error)
            }
            first => first,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}

fn own(
    secret: &SecretName,
    provider: &CryptoProvider,
    certificate: &SecretSlice<u8>,
    key: &SecretSlice<u8>,
) -> Result<Arc<SingleCertAndKey>, SecretError> {
    let chain = certificates(secret, CERTIFICATE, certificate)?;
    let key = PrivateKeyDer::from_pem_slice(key.expose_secret())
        .map_err(|_| wrong(secret, KEY, "holds no private key in PEM".into()))?;
    let certified = CertifiedKey::from_der(chain, key, provider);
    let certified = certified.map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => {
            wrong(secret, KEY, format!("does not belong to its `{CERTIFICATE}`"))
        }
        other => wrong(secret, KEY, format!("cannot be used: {other}")),
    })?;
    Ok(Arc::new(SingleCertAndKey::from(certified)))
}

fn certificates(
    secret: &SecretName,
    key: &'static str,
    pem: &SecretSlice<u8>,
) -> Result<Vec<CertificateDer<'static>>, SecretError> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.expose_secret()).collect();
    match read {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) | Err(_) => Err(wrong(secret, key, "holds no certificate in PEM".into())),
    }
}

fn wrong(secret: &SecretName, key: &'static str, why: String) -> SecretError {
    SecretError::Content { secret: secret.clone(), key, why }
}

impl fmt::Debug for Tls {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Tls").field("secret", &self.secret).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
