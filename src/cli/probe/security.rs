//! How client and broker know each other: certificates, user name and password.

use std::fs;

use super::args::SecurityArgs;
use super::failure::ProbeFailure;
use crate::cli::error::Failure;
use crate::probe::{BrokerUrl, Credentials, Tls, TlsFiles};

/// Reads the files, so that one that is missing is told of before anything is measured.
pub(in crate::cli) fn security(
    url: &BrokerUrl,
    arguments: &SecurityArgs,
) -> Result<(Option<Tls>, Credentials), Failure> {
    let files = TlsFiles {
        ca: arguments.ca.clone(),
        certificate: arguments.cert.clone(),
        key: arguments.key.clone(),
    };
    if !url.tls && files != TlsFiles::default() {
        return Err(ProbeFailure::Plan(
            "--ca, --cert and --key are for TLS: write mqtts:// for mqtt://".into(),
        )
        .into());
    }
    let tls = (url.tls)
        .then(|| Tls::new(&url.host, &files).map_err(ProbeFailure::Tls))
        .transpose()?;
    Ok((tls, credentials(arguments)?))
}

fn credentials(arguments: &SecurityArgs) -> Result<Credentials, Failure> {
    if let Some(path) = &arguments.credentials {
        let text = fs::read_to_string(path).map_err(|source| ProbeFailure::Credentials {
            path: path.clone(),
            source,
        })?;
        let mut lines = text.lines().map(|line| line.trim_end_matches('\r'));
        let mut next = || lines.next().filter(|line| !line.is_empty());
        return Ok(Credentials {
            user_name: next().map(str::to_owned),
            password: next().map(str::to_owned),
        });
    }
    let variable = |name| std::env::var(name).ok().filter(|text| !text.is_empty());
    Ok(Credentials {
        user_name: variable("MQTTSCOPE_USERNAME"),
        password: variable("MQTTSCOPE_PASSWORD"),
    })
}
