//! TLS and passwords, against mosquitto.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

use super::mosquitto::Mosquitto;
use super::tool::may_skip;
use super::{directory, failure, measure};

/// A CA with the certificate of a broker, and one of a client.
struct Certificates {
    directory: tempfile::TempDir,
}

impl Certificates {
    fn new(broker_name: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let ca_key = KeyPair::generate().unwrap();
        let mut ca = CertificateParams::new(Vec::new()).unwrap();
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        ca.distinguished_name
            .push(rcgen::DnType::CommonName, "a test's CA");
        let ca_certificate = ca.self_signed(&ca_key).unwrap();
        let issuer = Issuer::new(ca, ca_key);
        let write = |name: &str, text: String| {
            fs::write(directory.path().join(name), text).unwrap();
        };
        write("ca.pem", ca_certificate.pem());
        for (name, of) in [("broker", broker_name), ("client", "a-client")] {
            let key = KeyPair::generate().unwrap();
            let params = CertificateParams::new(vec![of.to_owned()]).unwrap();
            write(
                &format!("{name}.pem"),
                params.signed_by(&key, &issuer).unwrap().pem(),
            );
            write(&format!("{name}.key"), key.serialize_pem());
        }
        Self { directory }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Starts a broker with them.
    fn broker(&self, extra: &str) -> Option<Mosquitto> {
        let broker = Mosquitto::start(|path: &Path| {
            for name in ["ca.pem", "broker.pem", "broker.key"] {
                fs::copy(self.path(name), path.join(name)).unwrap();
            }
            let path = path.display();
            format!(
                "cafile {path}/ca.pem\ncertfile {path}/broker.pem\nkeyfile {path}/broker.key\n\
                 allow_anonymous true\n{extra}"
            )
        });
        if broker.is_none() {
            may_skip("mosquitto");
        }
        broker
    }
}

#[test]
fn tls_with_an_own_ca_and_a_client_certificate() {
    let certificates = Certificates::new("localhost");
    let Some(broker) = certificates.broker("require_certificate true") else {
        return;
    };
    let url = format!("mqtts://localhost:{}", broker.port);
    let [ca, cert, key] = ["ca.pem", "client.pem", "client.key"].map(|n| certificates.path(n));
    let [ca, cert, key] = [&ca, &cert, &key].map(|path| directory(path));
    let output = measure(&[
        &url,
        "--ca",
        ca,
        "--cert",
        cert,
        "--key",
        key,
        "--count",
        "50",
        "--rate",
        "500",
        "--payload",
        "5000",
        "--json",
    ]);
    let result: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    for cell in result["cells"].as_array().unwrap() {
        assert_eq!(cell["delivered"], 50, "{cell}");
    }
    // Without the client's certificate.
    let error = failure(&[&url, "--ca", ca], 1);
    assert!(
        error.contains("--cert") || error.to_lowercase().contains("certificate"),
        "{error}"
    );
    // Without the CA.
    let error = failure(&[&url], 1);
    assert!(error.contains("--ca"), "{error}");
    // Plain MQTT on the same port.
    let error = failure(&[&broker.url(), "--connect-timeout", "2s"], 1);
    assert!(
        error.contains("closed the connection") || error.contains("no MQTT"),
        "{error}"
    );
}

#[test]
fn a_certificate_for_another_name_is_told_with_both_names() {
    let certificates = Certificates::new("broker.example");
    let Some(broker) = certificates.broker("") else {
        return;
    };
    let url = format!("mqtts://localhost:{}", broker.port);
    let ca = certificates.path("ca.pem");
    let error = failure(&[&url, "--ca", directory(&ca)], 1);
    assert!(
        error.contains("localhost") && error.contains("broker.example"),
        "{error}"
    );
    // Files that hold something else.
    let key = certificates.path("client.key");
    let error = failure(&[&url, "--ca", directory(&key)], 1);
    assert!(error.contains("no certificate"), "{error}");
    let error = failure(&[&url, "--ca", "/nowhere.pem"], 1);
    assert!(error.contains("/nowhere.pem"), "{error}");
}

#[test]
fn user_and_password_come_from_a_file_or_the_environment() {
    let hashed = |path: &Path| {
        let file = path.join("users");
        let made = Command::new("mosquitto_passwd")
            .args(["-b", "-c", file.to_str().unwrap(), "alice", "sesame"])
            .status();
        made.is_ok_and(|status| status.success())
    };
    let mut can_hash = false;
    let broker = Mosquitto::start(|path| {
        can_hash = hashed(path);
        format!(
            "allow_anonymous false\npassword_file {}/users",
            path.display()
        )
    });
    let Some(broker) = broker.filter(|_| can_hash) else {
        return may_skip("mosquitto with mosquitto_passwd");
    };
    let url = broker.url();
    let quick = [url.as_str(), "--count", "20", "--rate", "200", "--qos", "0"];
    let error = failure(&quick, 1);
    assert!(error.contains("MQTTSCOPE_USERNAME"), "{error}");
    let files = tempfile::tempdir().unwrap();
    let file = files.path().join("credentials");
    fs::write(&file, "alice\nsesame\n").unwrap();
    let mut arguments = quick.to_vec();
    arguments.extend(["--credentials", directory(&file)]);
    let dir = tempfile::tempdir().unwrap();
    arguments.extend(["-o", directory(dir.path())]);
    measure(&arguments);
    let manifest = fs::read_to_string(dir.path().join("manifest.json")).unwrap();
    assert!(
        !manifest.contains("alice") && !manifest.contains("sesame"),
        "{manifest}"
    );
    let status = Command::new(env!("CARGO_BIN_EXE_mqttscope"))
        .arg("probe")
        .args(quick)
        .env("MQTTSCOPE_USERNAME", "alice")
        .env("MQTTSCOPE_PASSWORD", "sesame")
        .output()
        .unwrap()
        .status;
    assert!(matches!(status.code(), Some(0 | 3)), "{status:?}");
    let error = failure(&[&url, "--credentials", "/nowhere"], 1);
    assert!(error.contains("/nowhere"), "{error}");
}
