//! TLS in front of a server of a test: certificates of an authority of its own, and who comes without one of them is
//! turned away.

#![expect(clippy::disallowed_methods, reason = "a test aborts the tasks it starts")]

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair};
use rustls::{
    RootCertStore, ServerConfig,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    server::WebPkiClientVerifier,
};
use std::{io, net::SocketAddr, path::PathBuf, sync::Arc};
use tempfile::TempDir;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_rustls::TlsAcceptor;

/// An authority, and what it has signed for a client, in files.
pub struct TestAuthority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    files: TempDir,
}

impl std::fmt::Debug for TestAuthority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TestAuthority").field("files", &self.files).finish_non_exhaustive()
    }
}

impl TestAuthority {
    /// One that nobody knows.
    ///
    /// # Errors
    ///
    /// If its files cannot be written.
    pub fn new() -> io::Result<Self> {
        let mut params = named("An authority of a test")?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().map_err(io::Error::other)?;
        let issuer = CertifiedIssuer::self_signed(params, key).map_err(io::Error::other)?;
        let this = Self { issuer, files: tempfile::tempdir()? };
        std::fs::write(this.certificate(), this.issuer.pem())?;
        let client_key = KeyPair::generate().map_err(io::Error::other)?;
        let client = named("A client")?.signed_by(&client_key, &this.issuer).map_err(io::Error::other)?;
        let (certificate, key) = this.client();
        std::fs::write(certificate, client.pem())?;
        std::fs::write(key, client_key.serialize_pem())?;
        Ok(this)
    }

    /// Its own certificate.
    #[must_use]
    pub fn certificate(&self) -> PathBuf {
        self.files.path().join("authority.pem")
    }

    /// The certificate and the key of a client.
    #[must_use]
    pub fn client(&self) -> (PathBuf, PathBuf) {
        (self.files.path().join("client.pem"), self.files.path().join("client.key"))
    }

    /// A server for `localhost` that lets its own clients in and speaks this protocol (`h2`, `http/1.1`).
    fn acceptor(&self, protocol: &str) -> io::Result<TlsAcceptor> {
        let key = KeyPair::generate().map_err(io::Error::other)?;
        let params = CertificateParams::new(vec!["localhost".to_owned()]).map_err(io::Error::other)?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(io::Error::other)?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut known = RootCertStore::empty();
        known.add(self.issuer.der().clone()).map_err(io::Error::other)?;
        let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(known), provider.clone());
        let clients = clients.build().map_err(io::Error::other)?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_client_cert_verifier(clients)
            .with_single_cert(vec![certificate.der().clone()], key)
            .map_err(io::Error::other)?;
        config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

fn named(name: &str) -> io::Result<CertificateParams> {
    let mut params = CertificateParams::new(Vec::<String>::new()).map_err(io::Error::other)?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    Ok(params)
}

/// Ends TLS and passes what was in it on to a server that knows nothing of it.
#[derive(Debug)]
pub struct TlsFront {
    /// With `https` and `localhost`.
    pub url: String,
    serving: JoinHandle<()>,
}

impl TlsFront {
    /// Before the server at this address, which speaks this protocol (`h2`, `http/1.1`).
    ///
    /// # Errors
    ///
    /// If no port can be had.
    pub async fn before(server: SocketAddr, protocol: &str, authority: &TestAuthority) -> io::Result<Self> {
        let acceptor = authority.acceptor(protocol)?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("https://localhost:{}", listener.local_addr()?.port());
        let serving = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    // Who is turned away sees why; nobody else has to.
                    let Ok(mut socket) = acceptor.accept(socket).await else { return };
                    let Ok(mut server) = TcpStream::connect(server).await else { return };
                    let _broke_off = copy_bidirectional(&mut socket, &mut server).await;
                });
            }
        });
        Ok(Self { url, serving })
    }
}

impl Drop for TlsFront {
    fn drop(&mut self) {
        self.serving.abort();
    }
}
