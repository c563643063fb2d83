//! TLS to the broker: rustls with ring, an own CA or the system's, a client certificate.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{CertificateError, ClientConfig, ClientConnection, RootCertStore};

use super::error::TlsError;

/// Where systems keep the certificates that they trust, in one file.
const SYSTEM_ROOTS: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
    "/etc/ssl/ca-bundle.pem",
];

/// What the user says of TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// Certificates of the CAs to trust (PEM); the system's otherwise.
    pub ca: Option<PathBuf>,
    /// The client's certificate chain (PEM).
    pub certificate: Option<PathBuf>,
    /// Its key (PEM).
    pub key: Option<PathBuf>,
}

/// A file of TLS that cannot be used.
#[derive(Debug)]
pub struct TlsFileError {
    path: PathBuf,
    detail: String,
}

impl fmt::Display for TlsFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.detail)
    }
}

impl std::error::Error for TlsFileError {}

/// Makes TLS sessions for one broker.
#[derive(Clone)]
pub struct Tls {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("name", &self.name).finish()
    }
}

impl Tls {
    /// Reads the files. `host` is what the broker's certificate must be for.
    ///
    /// # Errors
    ///
    /// A file cannot be read or holds nothing of its kind, or the host is no name.
    pub fn new(host: &str, files: &TlsFiles) -> Result<Self, TlsFileError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |detail: String| TlsFileError { path, detail }
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| failed(Path::new("TLS"))(error.to_string()))?
            .with_root_certificates(roots(files.ca.as_deref())?);
        let config = match (&files.certificate, &files.key) {
            (Some(certificate), Some(key)) => {
                let chain = certificates(certificate)?;
                let key_der = PrivateKeyDer::from_pem_file(key)
                    .map_err(|error| failed(key)(format!("no private key in PEM: {error}")))?;
                builder
                    .with_client_auth_cert(chain, key_der)
                    .map_err(|error| failed(key)(error.to_string()))?
            }
            _ => builder.with_no_client_auth(),
        };
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| failed(Path::new(host))("no name that a certificate can be for".into()))?;
        Ok(Self {
            config: Arc::new(config),
            name,
        })
    }

    /// The configuration of every session.
    pub(super) fn config(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.config)
    }

    /// A session for one connection.
    pub(super) fn session(&self) -> Result<ClientConnection, TlsError> {
        ClientConnection::new(Arc::clone(&self.config), self.name.clone())
            .map_err(|error| TlsError::Other(error.to_string()))
    }
}

fn roots(ca: Option<&Path>) -> Result<RootCertStore, TlsFileError> {
    let mut store = RootCertStore::empty();
    let path = match ca {
        Some(path) => path.to_owned(),
        None => match SYSTEM_ROOTS
            .iter()
            .map(Path::new)
            .find(|path| path.exists())
        {
            Some(path) => path.to_owned(),
            // Then nothing is trusted, and the handshake says so.
            None => return Ok(store),
        },
    };
    let (added, ignored) = store.add_parsable_certificates(certificates(&path)?);
    if added == 0 {
        return Err(TlsFileError {
            path,
            detail: format!("none of its {ignored} certificates can be used"),
        });
    }
    Ok(store)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsFileError> {
    let failed = |detail: String| TlsFileError {
        path: path.to_owned(),
        detail,
    };
    let text = fs::read(path).map_err(|error| failed(format!("cannot be read: {error}")))?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let found = found.map_err(|error| failed(format!("no certificates in PEM: {error}")))?;
    if found.is_empty() {
        return Err(failed("holds no certificate in PEM".into()));
    }
    Ok(found)
}

impl From<rustls::Error> for TlsError {
    fn from(error: rustls::Error) -> Self {
        use rustls::Error as E;
        match error {
            E::InvalidCertificate(CertificateError::NotValidForNameContext {
                expected,
                presented,
            }) => Self::Name {
                wanted: expected.to_str().into_owned(),
                presented,
            },
            E::InvalidCertificate(CertificateError::NotValidForName) => Self::Name {
                wanted: "that was asked for".into(),
                presented: Vec::new(),
            },
            E::InvalidCertificate(CertificateError::UnknownIssuer) => Self::UnknownIssuer,
            E::InvalidCertificate(
                CertificateError::Expired
                | CertificateError::ExpiredContext { .. }
                | CertificateError::NotValidYet
                | CertificateError::NotValidYetContext { .. },
            ) => Self::Expired,
            E::InvalidMessage(_) => Self::NotTls,
            error => Self::Other(error.to_string()),
        }
    }
}
