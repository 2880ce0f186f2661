//! The user that a client certificate names.
//!
//! The certificate was verified before it comes here. Invariant: a name is not empty, at most
//! [`MAX_NAME`] bytes long and free of control characters; a certificate that names two common names
//! names nobody.

use std::sync::Arc;

use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::config::CertificateIdentity;

/// Longest user name in bytes.
const MAX_NAME: usize = 256;

/// The user that the certificate, in DER, names; `None`: nobody.
pub(super) fn user(certificate: &[u8], from: CertificateIdentity) -> Option<Arc<str>> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let name = match from {
        CertificateIdentity::Cn => common_name(&certificate),
        CertificateIdentity::San => alternative_name(&certificate),
    };
    name.filter(|name| !name.is_empty() && name.len() <= MAX_NAME && !name.chars().any(char::is_control))
        .map(Into::into)
}

fn common_name<'c>(certificate: &'c X509Certificate<'_>) -> Option<&'c str> {
    let mut names = certificate.subject().iter_common_name();
    let name = names.next()?.as_str().ok();
    if names.next().is_some() { None } else { name }
}

fn alternative_name<'c>(certificate: &'c X509Certificate<'_>) -> Option<&'c str> {
    let names = &certificate.subject_alternative_name().ok()??.value.general_names;
    let dns =
        names.iter().find_map(|name| if let GeneralName::DNSName(text) = name { Some(*text) } else { None });
    let mail = || {
        names
            .iter()
            .find_map(|name| if let GeneralName::RFC822Name(text) = name { Some(*text) } else { None })
    };
    let uri =
        || names.iter().find_map(|name| if let GeneralName::URI(text) = name { Some(*text) } else { None });
    dns.or_else(mail).or_else(uri)
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    use super::*;

    fn certificate(common: Option<&str>, other: Vec<SanType>) -> Vec<u8> {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        if let Some(common) = common {
            params.distinguished_name.push(DnType::CommonName, common);
        }
        params.subject_alt_names = other;
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    #[test]
    fn names_are_found_where_they_are_said_to_be() {
        let dns = || SanType::DnsName("press.example.com".try_into().unwrap());
        let mail = || SanType::Rfc822Name("press@example.com".try_into().unwrap());
        let both = certificate(Some("press"), vec![mail(), dns()]);
        assert_eq!(user(&both, CertificateIdentity::Cn).as_deref(), Some("press"));
        assert_eq!(user(&both, CertificateIdentity::San).as_deref(), Some("press.example.com"));
        let mail_only = certificate(None, vec![mail()]);
        assert_eq!(user(&mail_only, CertificateIdentity::San).as_deref(), Some("press@example.com"));
        assert_eq!(user(&mail_only, CertificateIdentity::Cn), None);
    }

    #[test]
    fn bad_names_name_nobody() {
        for bad in ["", "a\nb", &"x".repeat(MAX_NAME + 1)] {
            assert_eq!(user(&certificate(Some(bad), Vec::new()), CertificateIdentity::Cn), None, "{bad:?}");
        }
        assert_eq!(user(&certificate(Some("x"), Vec::new()), CertificateIdentity::San), None);
    }

    proptest::proptest! {
        #[test]
        fn garbage_names_nobody_and_does_no_harm(
            bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300),
        ) {
            proptest::prop_assert_eq!(user(&bytes, CertificateIdentity::Cn), None);
        }
    }
}
