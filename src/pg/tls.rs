//! TLS as libpq has it: what `sslmode` promises, and no more.

use std::sync::Arc;

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error as TlsError, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{Endpoint, Error, SslMode};

/// What makes the TLS connections to this server.
pub(super) fn connector(endpoint: &Endpoint) -> Result<MakeRustlsConnect, Error> {
    let provider = Arc::new(ring::default_provider());
    let verifier: Arc<dyn ServerCertVerifier> = match endpoint.sslmode {
        // Nothing to verify, or, as with libpq, encryption without asking who is there. A named root certificate
        // makes `require` ask, as it does there.
        SslMode::Disable | SslMode::Allow | SslMode::Prefer => {
            Arc::new(Lenient { provider: provider.clone(), authority: None })
        }
        SslMode::Require if endpoint.sslrootcert.is_none() => {
            Arc::new(Lenient { provider: provider.clone(), authority: None })
        }
        SslMode::Require | SslMode::VerifyCa => {
            let authority = Some(strict(endpoint, &provider)?);
            Arc::new(Lenient { provider: provider.clone(), authority })
        }
        SslMode::VerifyFull => strict(endpoint, &provider)?,
    };
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| root_cert_error(endpoint, &error))?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

fn strict(endpoint: &Endpoint, provider: &Arc<CryptoProvider>) -> Result<Arc<WebPkiServerVerifier>, Error> {
    let mut roots = RootCertStore::empty();
    match &endpoint.sslrootcert {
        Some(file) => {
            let certificates =
                CertificateDer::pem_file_iter(file).map_err(|error| root_cert_error(endpoint, &error))?;
            for certificate in certificates {
                let certificate = certificate.map_err(|error| root_cert_error(endpoint, &error))?;
                roots.add(certificate).map_err(|error| root_cert_error(endpoint, &error))?;
            }
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .build()
        .map_err(|error| root_cert_error(endpoint, &error))
}

fn root_cert_error(endpoint: &Endpoint, error: &dyn std::fmt::Display) -> Error {
    let file = endpoint.sslrootcert.clone().unwrap_or_else(|| "the system's certificates".into());
    Error::RootCert { file, reason: error.to_string() }
}

/// Verifies the authority at most, never the name.
#[derive(Debug)]
struct Lenient {
    provider: Arc<CryptoProvider>,
    authority: Option<Arc<WebPkiServerVerifier>>,
}

impl ServerCertVerifier for Lenient {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        let Some(authority) = &self.authority else {
            return Ok(ServerCertVerified::assertion());
        };
        match authority.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            // The name is looked at last: whoever gets here was signed by the authority.
            Err(TlsError::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            verdict => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
