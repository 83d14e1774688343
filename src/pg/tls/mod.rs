//! TLS as in libpq: exactly what each `sslmode` verifies.

mod certificate;
mod verifier;

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
    sync::Arc,
};

use rustls::{
    ClientConfig, Error as TlsError, InconsistentKeys, RootCertStore,
    client::WebPkiServerVerifier,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    sign::{CertifiedKey, SingleCertAndKey},
};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{Endpoint, Error, SslMode, parameters::tls_versions};
use verifier::{TrustedRoots, Verifier};

/// The TLS connector for this server.
pub(super) fn connector(endpoint: &Endpoint) -> Result<MakeRustlsConnect, Error> {
    let provider = Arc::new(ring::default_provider());
    let asks = match endpoint.sslmode {
        SslMode::Disable => false,
        // With a root certificate every mode verifies the server, as in libpq.
        SslMode::Allow | SslMode::Prefer | SslMode::Require => {
            endpoint.sslrootcert.as_deref().is_some_and(|file| file == "system" || Path::new(file).exists())
        }
        SslMode::VerifyCa | SslMode::VerifyFull => true,
    };
    let verifier = Verifier {
        trusted: if asks { Some(trusted(endpoint, &provider)?) } else { None },
        checks_name: endpoint.sslmode == SslMode::VerifyFull,
        provider: provider.clone(),
    };
    let config = ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&tls_versions(&endpoint.parameters))
        .map_err(|error| root_error(endpoint)(&error))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let mut config = match client_certificate(endpoint, &provider)? {
        Some(own) => config.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(own))),
        None => config.with_no_client_auth(),
    };
    config.enable_sni = endpoint.parameters.get("sslsni").is_none_or(|word| word == "1");
    // `sslnegotiation=direct` needs it.
    config.alpn_protocols = vec![b"postgresql".to_vec()];
    Ok(MakeRustlsConnect::new(config))
}

/// A connector for connections without TLS.
pub(super) fn unused() -> MakeRustlsConnect {
    let provider = Arc::new(ring::default_provider());
    let verifier = Verifier { trusted: None, checks_name: false, provider: provider.clone() };
    let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = versions.expect("the provider knows the versions").dangerous();
    let config = config.with_custom_certificate_verifier(Arc::new(verifier));
    MakeRustlsConnect::new(config.with_no_client_auth())
}

fn trusted(endpoint: &Endpoint, provider: &Arc<CryptoProvider>) -> Result<TrustedRoots, Error> {
    let mut certificates = Vec::new();
    let mut roots = RootCertStore::empty();
    match endpoint.sslrootcert.as_deref().filter(|file| *file != "system") {
        Some(file) => {
            for certificate in
                CertificateDer::pem_file_iter(file).map_err(|error| root_error(endpoint)(&error))?
            {
                let certificate = certificate.map_err(|error| root_error(endpoint)(&error))?;
                roots.add(certificate.clone()).map_err(|error| root_error(endpoint)(&error))?;
                certificates.push(certificate);
            }
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    let authorities = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build();
    Ok(TrustedRoots { authorities: authorities.map_err(|error| root_error(endpoint)(&error))?, certificates })
}

fn root_error(endpoint: &Endpoint) -> impl Fn(&dyn std::fmt::Display) -> Error {
    let file = endpoint.sslrootcert.clone().filter(|file| file != "system");
    let file = file.unwrap_or_else(|| "the system's certificates".into());
    move |reason| Error::TlsFile { parameter: "sslrootcert", file: file.clone(), reason: reason.to_string() }
}

/// The client certificate of the endpoint. As in libpq, one whose file does not exist is ignored.
fn client_certificate(endpoint: &Endpoint, provider: &CryptoProvider) -> Result<Option<CertifiedKey>, Error> {
    let file = |name: &str| endpoint.parameters.get(name);
    let Some(certificate) = file("sslcert").filter(|file| Path::new(file).exists()) else { return Ok(None) };
    let Some(key) = file("sslkey") else {
        return Err(bad("sslcert", certificate, &"there is no sslkey for it"));
    };
    let chain = CertificateDer::pem_file_iter(certificate).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let chain = chain.map_err(|error| bad("sslcert", certificate, &error))?;
    if chain.is_empty() {
        return Err(bad("sslcert", certificate, &"it has no certificate"));
    }
    check_is_private(key)?;
    // rustls does not read encrypted keys: it finds no key in the file.
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| bad("sslkey", key, &error))?;
    let signer =
        provider.key_provider.load_private_key(private).map_err(|error| bad("sslkey", key, &error))?;
    let own = CertifiedKey::new(chain, signer);
    if let Err(TlsError::InconsistentKeys(InconsistentKeys::KeyMismatch)) = own.keys_match() {
        return Err(bad("sslkey", key, &"it is not the key of the certificate"));
    }
    Ok(Some(own))
}

/// As in libpq, others may not read the key, but a key of root may be readable by a group.
fn check_is_private(key: &str) -> Result<(), Error> {
    let data = fs::metadata(key).map_err(|error| bad("sslkey", key, &error))?;
    let of_others = if data.uid() == 0 { 0o037 } else { 0o077 };
    if data.permissions().mode() & of_others != 0 {
        return Err(bad("sslkey", key, &"others can read it; `chmod 600` it"));
    }
    Ok(())
}

fn bad(parameter: &'static str, file: &str, reason: &dyn std::fmt::Display) -> Error {
    Error::TlsFile { parameter, file: file.to_owned(), reason: reason.to_string() }
}
