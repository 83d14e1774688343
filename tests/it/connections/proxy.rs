//! Proxies for a server without TLS: each accepts TLS, or only TLS, or only clients with a certificate.

use std::{
    collections::{HashMap, hash_map::Entry},
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use rustls::{
    RootCertStore, ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
    sign::{CertifiedKey, SingleCertAndKey},
    version::{TLS12, TLS13},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream, UnixListener},
    runtime::Runtime,
};
use tokio_rustls::TlsAcceptor;

const SSL_REQUEST: u32 = 80_877_103;
const GSS_REQUEST: u32 = 80_877_104;

/// Which clients a proxy accepts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    Any,
    OnlyTls,
    OnlyTls12,
    OnlyTls13,
    OnlyKnown,
}

/// The proxies and their connections, by the port that the server sees.
pub struct Proxies {
    server: (String, u16),
    dir: PathBuf,
    ports: Vec<u16>,
    with_tls: Arc<Mutex<HashMap<u16, bool>>>,
    runtime: Runtime,
}

impl Proxies {
    pub fn new(server: (&str, u16), dir: &Path) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        Self {
            server: (server.0.to_owned(), server.1),
            dir: dir.to_owned(),
            ports: Vec::new(),
            with_tls: Arc::default(),
            runtime: runtime.unwrap(),
        }
    }

    /// Starts a proxy; `None` if this machine has no such address.
    pub fn open(&mut self, host: &str, certificate: Option<&str>, rule: Rule) -> Option<u16> {
        let tls = certificate.map(|name| acceptor(&self.dir, name, rule));
        let listener = self.runtime.block_on(TcpListener::bind((host, 0))).ok()?;
        let port = listener.local_addr().unwrap().port();
        let (server, seen) = (self.server.clone(), self.with_tls.clone());
        self.runtime.spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(serve(client, tls.clone(), rule, server.clone(), seen.clone()));
            }
        });
        self.ports.push(port);
        Some(port)
    }

    /// Starts a proxy on a Unix socket.
    pub fn open_socket(&self, path: &Path) {
        let _inside = self.runtime.enter();
        let listener = UnixListener::bind(path).unwrap();
        let (server, seen) = (self.server.clone(), self.with_tls.clone());
        self.runtime.spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(serve(client, None, Rule::Any, server.clone(), seen.clone()));
            }
        });
    }

    pub fn port(&self, index: usize) -> u16 {
        self.ports[index]
    }

    /// The database, role and port of an answer, with the connection of that port instead of its number.
    pub fn with_tls(&self, answer: &str) -> String {
        if answer.starts_with("error") || answer == "ok" {
            return answer.to_owned();
        }
        let (rest, port) = answer.rsplit_once(' ').unwrap();
        let with_tls = self.with_tls.lock().unwrap()[&port.parse().unwrap()];
        format!("{rest} {}", if with_tls { "tls" } else { "plain" })
    }
}

fn acceptor(dir: &Path, name: &str, rule: Rule) -> TlsAcceptor {
    let provider = Arc::new(ring::default_provider());
    let certificate = |name: &str| CertificateDer::from_pem_file(dir.join(format!("{name}.crt"))).unwrap();
    let key = PrivateKeyDer::from_pem_slice(&fs::read(dir.join(format!("{name}.key"))).unwrap()).unwrap();
    let key = provider.key_provider.load_private_key(key).unwrap();
    let versions: &[_] = match rule {
        Rule::OnlyTls12 => &[&TLS12],
        Rule::OnlyTls13 => &[&TLS13],
        Rule::Any | Rule::OnlyTls | Rule::OnlyKnown => &[&TLS13, &TLS12],
    };
    let config =
        ServerConfig::builder_with_provider(provider.clone()).with_protocol_versions(versions).unwrap();
    let config = if rule == Rule::OnlyKnown {
        let mut roots = RootCertStore::empty();
        roots.add(certificate("ca")).unwrap();
        let known = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        config.with_client_cert_verifier(known.build().unwrap())
    } else {
        config.with_no_client_auth()
    };
    let own = CertifiedKey::new(vec![certificate(name)], key);
    TlsAcceptor::from(Arc::new(config.with_cert_resolver(Arc::new(SingleCertAndKey::from(own)))))
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    mut client: S,
    tls: Option<TlsAcceptor>,
    rule: Rule,
    server: (String, u16),
    seen: Arc<Mutex<HashMap<u16, bool>>>,
) -> Option<()> {
    let mut first = [0; 8];
    loop {
        client.read_exact(&mut first).await.ok()?;
        match (u32::from_be_bytes([first[4], first[5], first[6], first[7]]), &tls) {
            (SSL_REQUEST, Some(tls)) => {
                client.write_all(b"S").await.ok()?;
                let mut client = tls.accept(client).await.ok()?;
                client.read_exact(&mut first).await.ok()?;
                return pass_on(client, first, true, server, seen).await;
            }
            (SSL_REQUEST | GSS_REQUEST, _) => client.write_all(b"N").await.ok()?,
            _ if rule != Rule::Any => {
                let fields = b"SFATAL\0VFATAL\0C28000\0Mno entry for this connection, no encryption\0\0";
                client.write_all(b"E").await.ok()?;
                client.write_all(&u32::try_from(fields.len() + 4).unwrap().to_be_bytes()).await.ok()?;
                client.write_all(fields).await.ok()?;
                return client.shutdown().await.ok();
            }
            _ => return pass_on(client, first, false, server, seen).await,
        }
    }
}

async fn pass_on<S: AsyncRead + AsyncWrite + Unpin>(
    mut client: S,
    first: [u8; 8],
    with_tls: bool,
    server: (String, u16),
    seen: Arc<Mutex<HashMap<u16, bool>>>,
) -> Option<()> {
    // The system may give the port of an earlier connection again, whose answer is looked up later.
    let mut server = loop {
        let connected = TcpStream::connect(&server).await.ok()?;
        if let Entry::Vacant(port) = seen.lock().unwrap().entry(connected.local_addr().unwrap().port()) {
            port.insert(with_tls);
            break connected;
        }
    };
    server.write_all(&first).await.ok()?;
    copy_bidirectional(&mut client, &mut server).await.ok().map(drop)
}
