//! Reads certificates of every version of X.509: rustls only reads version 3, and `openssl x509 -req` makes version 1.

use rustls::pki_types::{CertificateDer, ServerName, SignatureVerificationAlgorithm, UnixTime};
use x509_cert::{
    Certificate, Version,
    der::{Decode, Encode, asn1::AnyRef, oid::db::rfc4519::CN},
    ext::pkix::{BasicConstraints, SubjectAltName, name::GeneralName},
    spki::AlgorithmIdentifierOwned,
};

pub(super) struct ParsedCertificate(Certificate);

impl ParsedCertificate {
    pub(super) fn of(certificate: &CertificateDer<'_>) -> Option<Self> {
        Certificate::from_der(certificate).ok().map(Self)
    }

    pub(super) fn is_v1(&self) -> bool {
        self.0.tbs_certificate.version == Version::V1
    }

    pub(super) fn is_self_issued(&self) -> bool {
        self.0.tbs_certificate.issuer == self.0.tbs_certificate.subject
    }

    pub(super) fn is_valid_at(&self, now: UnixTime) -> bool {
        let validity = &self.0.tbs_certificate.validity;
        let seconds = now.as_secs();
        (validity.not_before.to_unix_duration().as_secs()..=validity.not_after.to_unix_duration().as_secs())
            .contains(&seconds)
    }

    /// Whether this certificate was issued with the name and the key of the authority.
    pub(super) fn is_signed_by(
        &self,
        authority: &Self,
        algorithms: &[&dyn SignatureVerificationAlgorithm],
    ) -> bool {
        let (certificate, issuer) = (&self.0.tbs_certificate, &authority.0.tbs_certificate);
        let may_sign = match issuer.get::<BasicConstraints>() {
            Ok(Some((_, constraints))) => constraints.ca,
            Ok(None) => authority.is_v1(),
            Err(_) => false,
        };
        let (Ok(message), Some(signed_with)) =
            (certificate.to_der(), identifier(&self.0.signature_algorithm))
        else {
            return false;
        };
        let signature = self.0.signature.raw_bytes();
        let mut fitting =
            algorithms.iter().filter(|algorithm| algorithm.signature_alg_id().as_ref() == signed_with);
        certificate.issuer == issuer.subject
            && may_sign
            && fitting.any(|algorithm| authority.has_signed(&message, signature, *algorithm))
    }

    /// Whether this certificate's key made the signature.
    pub(super) fn has_signed(
        &self,
        message: &[u8],
        signature: &[u8],
        algorithm: &dyn SignatureVerificationAlgorithm,
    ) -> bool {
        let key = &self.0.tbs_certificate.subject_public_key_info;
        identifier(&key.algorithm).is_some_and(|own| algorithm.public_key_alg_id().as_ref() == own)
            && algorithm.verify_signature(key.subject_public_key.raw_bytes(), message, signature).is_ok()
    }

    /// Whether it is for this name: an alternative name, or without those the common name. libpq's rule.
    pub(super) fn is_for(&self, name: &ServerName<'_>) -> bool {
        let name = name.to_str();
        let name = name.as_ref();
        let alternatives = self.0.tbs_certificate.get::<SubjectAltName>();
        let Ok(alternatives) = alternatives else { return false };
        let alternatives = alternatives.map(|(_, names)| names.0).unwrap_or_default();
        let mut has_names = false;
        for alternative in &alternatives {
            let is_it = match alternative {
                GeneralName::DnsName(pattern) => matches(pattern.as_str(), name),
                GeneralName::IpAddress(bytes) => address(bytes.as_bytes()).is_some_and(|own| own == name),
                GeneralName::OtherName(_)
                | GeneralName::Rfc822Name(_)
                | GeneralName::DirectoryName(_)
                | GeneralName::EdiPartyName(_)
                | GeneralName::UniformResourceIdentifier(_)
                | GeneralName::RegisteredId(_) => continue,
            };
            if is_it {
                return true;
            }
            has_names = true;
        }
        !has_names && self.common_name().is_some_and(|own| matches(&own, name))
    }

    fn common_name(&self) -> Option<String> {
        let parts = self.0.tbs_certificate.subject.0.iter().flat_map(|part| part.0.iter());
        let name = parts.rev().find(|part| part.oid == CN)?;
        std::str::from_utf8(name.value.value()).ok().map(ToOwned::to_owned)
    }
}

/// The identifier as rustls has it: without the header of its sequence.
fn identifier(algorithm: &AlgorithmIdentifierOwned) -> Option<Vec<u8>> {
    let der = algorithm.to_der().ok()?;
    AnyRef::from_der(&der).ok().map(|any| any.value().to_vec())
}

fn address(bytes: &[u8]) -> Option<String> {
    if let Ok(four) = <[u8; 4]>::try_from(bytes) {
        return Some(std::net::Ipv4Addr::from(four).to_string());
    }
    <[u8; 16]>::try_from(bytes).ok().map(|sixteen| std::net::Ipv6Addr::from(sixteen).to_string())
}

/// `*.example.com` matches every name with one more part.
fn matches(pattern: &str, name: &str) -> bool {
    match pattern.strip_prefix("*.") {
        Some(domain) => name.split_once('.').is_some_and(|(_, rest)| rest.eq_ignore_ascii_case(domain)),
        None => pattern.eq_ignore_ascii_case(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_matches_one_part_of_a_name() {
        assert!(matches("db.example", "DB.example") && matches("*.example", "db.example"));
        assert!(!matches("*.example", "a.b.example") && !matches("*.example", "example"));
        assert!(!matches("db.*", "db.example") && !matches("*", "db"));
    }
}
