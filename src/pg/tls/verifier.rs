//! Verifies the certificate of a server.

use std::sync::Arc;

use rustls::{
    CertificateError, DigitallySignedStruct, Error as TlsError, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
};

use super::certificate::ParsedCertificate;

/// The trusted authorities.
#[derive(Debug)]
pub(super) struct TrustedRoots {
    pub(super) authorities: Arc<WebPkiServerVerifier>,
    /// Those of a file, which may contain the certificate of the server itself.
    pub(super) certificates: Vec<CertificateDer<'static>>,
}

/// Verifies what `sslmode` requires.
#[derive(Debug)]
pub(super) struct Verifier {
    pub(super) provider: Arc<CryptoProvider>,
    pub(super) trusted: Option<TrustedRoots>,
    pub(super) checks_name: bool,
}

impl Verifier {
    /// Accepts what rustls rejects and OpenSSL accepts: a self-signed certificate that is its own authority, and X.509
    /// v1.
    fn is_trusted(
        &self,
        trusted: &TrustedRoots,
        server: &ParsedCertificate,
        der: &CertificateDer,
        now: UnixTime,
    ) -> bool {
        let algorithms = self.provider.signature_verification_algorithms;
        let is_own_authority =
            server.is_self_issued() && trusted.certificates.iter().any(|known| known == der);
        let is_signed = || {
            let authorities = trusted.certificates.iter().filter_map(ParsedCertificate::of);
            server.is_v1()
                && authorities.into_iter().any(|authority| {
                    authority.is_valid_at(now) && server.is_signed_by(&authority, algorithms.all)
                })
        };
        server.is_valid_at(now) && (is_own_authority || is_signed())
    }

    fn verify_handshake(
        &self,
        verdict: Result<HandshakeSignatureValid, TlsError>,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        match verdict {
            Err(TlsError::InvalidCertificate(reason)) if reason != CertificateError::BadSignature => {
                // rustls does not read such a certificate, but its key may be valid.
                let mapping = self.provider.signature_verification_algorithms.mapping;
                let of_scheme = mapping.iter().filter(|(scheme, _)| *scheme == signature.scheme);
                let mut algorithms = of_scheme.flat_map(|(_, algorithms)| algorithms.iter().copied());
                let key = ParsedCertificate::of(certificate);
                let is_good = key.is_some_and(|key| {
                    algorithms.any(|algorithm| key.has_signed(message, signature.signature(), algorithm))
                });
                if is_good {
                    return Ok(HandshakeSignatureValid::assertion());
                }
                Err(TlsError::InvalidCertificate(reason))
            }
            verdict => verdict,
        }
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        let Some(trusted) = &self.trusted else {
            return Ok(ServerCertVerified::assertion());
        };
        let verdict = trusted.authorities.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        );
        let Err(reason) = verdict else { return verdict };
        let Some(server) = ParsedCertificate::of(end_entity) else { return Err(reason) };
        // rustls checks the name last: with this error the certificate was signed by an authority.
        let is_signed = matches!(
            reason,
            TlsError::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. }
            )
        );
        if !is_signed && !self.is_trusted(trusted, &server, end_entity, now) {
            return Err(reason);
        }
        if self.checks_name && !server.is_for(server_name) {
            return Err(TlsError::InvalidCertificate(CertificateError::NotValidForName));
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        let algorithms = &self.provider.signature_verification_algorithms;
        let verdict = verify_tls12_signature(message, certificate, signature, algorithms);
        self.verify_handshake(verdict, message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        let algorithms = &self.provider.signature_verification_algorithms;
        let verdict = verify_tls13_signature(message, certificate, signature, algorithms);
        self.verify_handshake(verdict, message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
