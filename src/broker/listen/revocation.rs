//! How long revocation lists are good for.
//!
//! rustls reads the lists and refuses who stands in them. Here only the date is looked at on which their authority
//! promised the next ones: an old list does not know who was revoked since. Invariant: that is told once per list file.

use tokio_rustls::rustls::pki_types::CertificateRevocationListDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use x509_parser::prelude::FromDer;
use x509_parser::revocation_list::CertificateRevocationList;

/// When the lists of a file have to be replaced.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Due {
    /// Seconds since 1970; `None`: the lists do not say.
    next_update: Option<i64>,
    told: bool,
}

impl Due {
    /// The earliest date of the lists in a PEM file. What cannot be read there is told by who uses the lists.
    pub(super) fn read(pem: &[u8]) -> Self {
        let lists = CertificateRevocationListDer::pem_slice_iter(pem).filter_map(Result::ok);
        let dates = lists.filter_map(|list| {
            let (_, list) = CertificateRevocationList::from_der(&list).ok()?;
            Some(list.next_update()?.timestamp())
        });
        Self { next_update: dates.min(), told: false }
    }

    /// Whether somebody has to be told now that a list is out of date.
    pub(super) fn ask(&mut self, now: i64) -> bool {
        let late = self.next_update.is_some_and(|date| date <= now);
        let news = late && !self.told;
        self.told |= late;
        news
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{
        BasicConstraints, CertificateParams, CertificateRevocationListParams, IsCa, Issuer, KeyIdMethod,
        KeyPair, KeyUsagePurpose, SerialNumber, date_time_ymd,
    };

    use super::*;

    fn list(year: i32) -> String {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::CrlSign];
        let issuer = Issuer::new(params, KeyPair::generate().unwrap());
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2020, 1, 1),
            next_update: date_time_ymd(year, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: Vec::new(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&issuer).unwrap().pem().unwrap()
    }

    #[test]
    fn the_first_list_that_is_late_is_told_once() {
        let mut due = Due::read([list(2031), list(2030)].concat().as_bytes());
        let date = date_time_ymd(2030, 1, 1).unix_timestamp();
        assert!(!due.ask(date - 1) && due.ask(date) && !due.ask(date + 1));
        assert_eq!(Due::read(b"nothing"), Due::default());
        assert!(!Due::default().ask(i64::MAX));
    }
}
