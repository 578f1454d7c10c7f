//! Against servers with certificates of all kinds.

use std::fs;
use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::server::WebPkiClientVerifier;

use super::*;

/// Somebody who makes certificates.
struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, in PEM.
struct Pair {
    certificate: String,
    key: String,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("a certificate"))
    }

    fn issue(&self, names: &[&str]) -> Pair {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(names).expect("names");
        let certificate = params.signed_by(&key, &self.0).expect("a certificate");
        Pair { certificate: certificate.pem(), key: key.serialize_pem() }
    }
}

/// A Secret `it` with these keys.
fn secret(keys: &[(&str, &str)]) -> (TempDir, Secrets) {
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir(folder.path().join("it")).expect("a folder");
    for (key, content) in keys {
        fs::write(folder.path().join("it").join(key), content).expect("a file");
    }
    let secrets = Secrets::at(folder.path());
    (folder, secrets)
}

fn load(keys: &[(&str, &str)], server_name: Option<&str>) -> Result<Tls, String> {
    let (_folder, secrets) = secret(keys);
    let mut written = serde_json::json!({ "secret": "it" });
    if let Some(name) = server_name {
        written["serverName"] = name.into();
    }
    let tls: experiment::Tls = serde_json::from_value(written).expect("valid");
    Tls::load(&tls, &secrets).map_err(|error| error.to_string())
}

/// What a client that knows the server by `names` is told, and what the server's first answer tells it.
async fn meet(tls: &Tls, names: &[&str], server: ServerConfig) -> Result<(), String> {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("a bound address");
    let acceptor = TlsAcceptor::from(Arc::new(server));
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.expect("a client");
        if let Ok(mut stream) = acceptor.accept(stream).await {
            let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, b"!").await;
        }
    });
    let way = tls.to(names.iter().map(|name| (*name).to_owned()).collect());
    let told = |error: io::Error| way.explain(&error).unwrap_or_else(|| error.to_string());
    let stream = TcpStream::connect(address).await.expect("it listens");
    let mut stream = way.secure(stream).await.map_err(told)?;
    tokio::io::AsyncReadExt::read_u8(&mut stream).await.map_err(told)?;
    Ok(())
}

/// A server with this certificate, which wants one of `clients` where there is one.
fn server(own: &Pair, clients: Option<&Authority>) -> ServerConfig {
    let chain = vec![CertificateDer::from_pem_slice(own.certificate.as_bytes()).expect("a certificate")];
    let key = PrivateKeyDer::from_pem_slice(own.key.as_bytes()).expect("a key");
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .expect("protocols");
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            roots.add(authority.0.der().clone()).expect("a certificate");
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            builder.with_client_cert_verifier(verifier.expect("roots"))
        }
    };
    builder.with_single_cert(chain, key).expect("a certificate and its key")
}

const POD: [&str; 3] = ["db-0.db.shop.svc.cluster.local", "db-0.db.shop.svc", "db.shop.svc"];

#[tokio::test]
async fn a_certificate_for_the_pod_or_for_its_service_is_good() {
    let authority = Authority::new();
    let tls = load(&[("ca.crt", &authority.0.pem())], None).expect("an authority");
    for names in [&["*.db.shop.svc.cluster.local"][..], &["db-0.db.shop.svc"], &["x", "db.shop.svc"]] {
        let own = authority.issue(names);
        assert_eq!(meet(&tls, &POD, server(&own, None)).await, Ok(()), "{names:?}");
    }
}

#[tokio::test]
async fn a_certificate_for_somebody_else_is_refused_with_both_names() {
    let authority = Authority::new();
    let tls = load(&[("ca.crt", &authority.0.pem())], None).expect("an authority");
    let own = authority.issue(&["other.shop.svc"]);
    let told = meet(&tls, &POD, server(&own, None)).await.expect_err("another name");
    for words in ["db-0.db.shop.svc.cluster.local", "other.shop.svc", "tls.serverName"] {
        assert!(told.contains(words), "{told}");
    }
    let named = load(&[("ca.crt", &authority.0.pem())], Some("other.shop.svc")).expect("an authority");
    assert_eq!(meet(&named, &POD, server(&own, None)).await, Ok(()));
    let told = meet(&named, &POD, server(&authority.issue(&POD), None)).await;
    assert!(told.is_err(), "the name that is given is the only one");
}

#[tokio::test]
async fn another_authority_is_refused_with_the_secret_that_does_not_hold_it() {
    let tls = load(&[("ca.crt", &Authority::new().0.pem())], None).expect("an authority");
    let told = meet(&tls, &POD, server(&Authority::new().issue(&POD), None)).await.expect_err("unknown");
    assert_eq!(told, "its certificate was not made by an authority in `ca.crt` of Secret `it`");
}

#[tokio::test]
async fn a_server_that_wants_a_certificate_gets_it_or_is_explained() {
    let (servers, clients) = (Authority::new(), Authority::new());
    let own = servers.issue(&POD);
    let ours = clients.issue(&["client"]);
    let ca = ("ca.crt", &*servers.0.pem());
    let both = load(&[ca, ("tls.crt", &ours.certificate), ("tls.key", &ours.key)], None).expect("all keys");
    assert_eq!(meet(&both, &POD, server(&own, Some(&clients))).await, Ok(()));
    let without = load(&[ca], None).expect("an authority");
    let told = meet(&without, &POD, server(&own, Some(&clients))).await.expect_err("no certificate");
    assert_eq!(told, "it wants a client certificate: add `tls.crt` and `tls.key` to Secret `it`");
    let theirs = servers.issue(&["client"]);
    let wrong = load(&[ca, ("tls.crt", &theirs.certificate), ("tls.key", &theirs.key)], None);
    let told = meet(&wrong.expect("all keys"), &POD, server(&own, Some(&clients))).await.expect_err("wrong");
    assert!(told.starts_with("it does not take the client certificate"), "{told}");
}

#[tokio::test]
async fn a_server_without_tls_is_told_apart() {
    let tls = load(&[("ca.crt", &Authority::new().0.pem())], None).expect("an authority");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("a bound address");
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a client");
        let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
    });
    let way = tls.to(vec!["db".into()]);
    let error = way.secure(TcpStream::connect(address).await.expect("it listens")).await.expect_err("no TLS");
    assert_eq!(
        way.explain(&error).as_deref(),
        Some("it does not speak TLS: leave out tls, or name the port that does")
    );
}

#[test]
fn what_a_secret_lacks_or_holds_instead_is_told_without_its_content() {
    let (authority, other) = (Authority::new(), Authority::new());
    let (ca, own, theirs) = (authority.0.pem(), authority.issue(&["a"]), other.issue(&["a"]));
    let ca = ("ca.crt", &*ca);
    for (keys, words) in [
        (&[][..], "has no key `ca.crt`: it is empty"),
        (&[("tls.crt", &*own.certificate)], "has no key `ca.crt`: it has `tls.crt`"),
        (&[("ca.crt", &*own.key)], "`ca.crt` of Secret `it` holds no certificate in PEM"),
        (&[("ca.crt", "hunter2")], "`ca.crt` of Secret `it` holds no certificate in PEM"),
        (&[ca, ("tls.crt", &own.certificate)], "has `tls.crt` and no `tls.key`"),
        (&[ca, ("tls.key", &own.key)], "has `tls.key` and no `tls.crt`"),
        (&[ca, ("tls.crt", &own.certificate), ("tls.key", "hunter2")], "holds no private key in PEM"),
        (
            &[ca, ("tls.crt", &own.certificate), ("tls.key", &theirs.key)],
            "`tls.key` of Secret `it` does not belong to its `tls.crt`",
        ),
    ] {
        let told = load(keys, None).expect_err(words);
        assert!(told.contains(words), "{told}");
        assert!(!told.contains("hunter2") && !told.contains("BEGIN"), "{told}");
    }
    let all = load(&[ca, ("tls.crt", &own.certificate), ("tls.key", &own.key)], None).expect("all keys");
    assert_eq!(format!("{all:?}"), r#"Tls { secret: SecretName("it"), .. }"#);
}

#[test]
fn a_secret_that_is_not_there_is_told() {
    let tls: experiment::Tls = serde_json::from_str(r#"{"secret":"it"}"#).expect("valid");
    let told = Tls::load(&tls, &Secrets::at(Path::new("/nowhere"))).expect_err("no folder").to_string();
    assert_eq!(told, "there is no Secret `it`");
}
