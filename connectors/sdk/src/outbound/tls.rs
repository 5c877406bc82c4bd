//! Whom we believe to be the other side. ERP servers on a LAN carry self-signed certificates that nobody can verify;
//! pinning the one certificate is then stronger than verification, and both are better than believing anyone.

use std::{error::Error, fmt, io, sync::Arc};

use rustls::{
    ClientConfig, DigitallySignedStruct, DistinguishedName, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use sha2::{Digest, Sha256};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tls {
    /// By the certificate authorities of this machine.
    Verify,
    /// This certificate and no other, whoever signed it and whatever name it carries.
    Pin(Fingerprint),
    /// Anyone. For a test bench.
    Insecure,
}

/// SHA-256 of a certificate's DER form, as `openssl x509 -fingerprint -sha256` prints it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    pub fn of(certificate: &[u8]) -> Fingerprint {
        Fingerprint(Sha256::digest(certificate).into())
    }

    /// 64 hexadecimal digits, with or without colons, with or without `sha256:` in front.
    pub fn parse(text: &str) -> Option<Fingerprint> {
        let text = text.trim();
        let digits: Vec<u8> = text
            .strip_prefix("sha256:")
            .unwrap_or(text)
            .chars()
            .filter(|character| !matches!(character, ':' | ' '))
            .map(|character| character.to_digit(16).map(|digit| digit as u8))
            .collect::<Option<_>>()?;
        let bytes: Vec<u8> = digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect();
        if digits.len() != 64 {
            return None;
        }
        Some(Fingerprint(bytes.try_into().ok()?))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, byte) in self.0.iter().enumerate() {
            if place > 0 {
                f.write_str(":")?;
            }
            write!(f, "{byte:02X}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

impl Tls {
    /// `None`: the HTTP library's own verification.
    pub(super) fn client_config(self) -> Result<Option<ClientConfig>, rustls::Error> {
        let pin = match self {
            Tls::Verify => return Ok(None),
            Tls::Pin(fingerprint) => Some(fingerprint),
            Tls::Insecure => None,
        };
        let provider = Arc::new(aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(OneCertificate { pin, provider }))
            .with_no_client_auth();
        Ok(Some(config))
    }
}

/// Whether a call failed because we do not believe the server's certificate: no retry mends that.
pub(super) fn is_refused_certificate(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(inner) = cause {
        if let Some(found) = inner.downcast_ref::<rustls::Error>() {
            return matches!(found, rustls::Error::InvalidCertificate(_) | rustls::Error::General(_));
        }
        // `source` of an I/O error passes over the error that it was made from.
        cause = match inner.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(made_from) => Some(made_from),
            None => inner.source(),
        };
    }
    false
}

/// Accepts the pinned certificate (or any, without a pin). That the server holds the certificate's key is still
/// proven by the signature of the handshake.
#[derive(Debug)]
struct OneCertificate {
    pin: Option<Fingerprint>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for OneCertificate {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let found = Fingerprint::of(end_entity);
        match self.pin {
            Some(pin) if pin != found => Err(rustls::Error::General(format!(
                "the server's certificate is not the pinned one; its SHA-256 fingerprint is {found}"
            ))),
            _ => Ok(ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }

    fn root_hint_subjects(&self) -> Option<&[DistinguishedName]> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints_are_read_as_openssl_prints_them() {
        let print = Fingerprint::of(b"certificate");
        let text = print.to_string();
        assert_eq!(text.len(), 95);
        assert_eq!(Fingerprint::parse(&text), Some(print));
        assert_eq!(Fingerprint::parse(&format!("sha256:{}", text.replace(':', "").to_lowercase())), Some(print));
        assert_eq!(Fingerprint::parse("AB:CD"), None);
        assert_eq!(Fingerprint::parse(&text.replace('A', "G").replace('1', "x")), None);
    }
}
