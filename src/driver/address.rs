//! Host and port as people write them, in all the forms that the drivers of hosts take.
//!
//! Pure. Absent: the words of a complaint, which show the forms as the driver's own devices have them.

/// The host and the port of `written`; `usual` where no port is named, `None` where this is no address.
///
/// A bare IPv6 address has no port, one in brackets may have one.
#[must_use]
pub fn host_and_port(written: &str, usual: u16) -> Option<(String, u16)> {
    let address = written.trim();
    let (host, port) = match address.strip_prefix('[') {
        Some(rest) => {
            let (host, tail) = rest.split_once(']')?;
            (host, if tail.is_empty() { None } else { Some(tail.strip_prefix(':')?) })
        }
        None => match address.split_once(':') {
            Some((_, port)) if port.contains(':') => (address, None),
            Some((host, port)) => (host, Some(port)),
            None => (address, None),
        },
    };
    let port: u16 = match port {
        Some(port) => port.parse().ok()?,
        None => usual,
    };
    let odd = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '/' | '[' | ']' | '@' | '?' | '#');
    (!host.is_empty() && !host.contains(odd) && port != 0).then(|| (host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_forms_of_an_address_are_understood_and_others_refused() {
        let good = [
            (" ups.example ", "ups.example", 80),
            ("192.0.2.1:8080", "192.0.2.1", 8080),
            ("2001:db8::1", "2001:db8::1", 80),
            ("[2001:db8::1]", "2001:db8::1", 80),
            ("[2001:db8::1]:161", "2001:db8::1", 161),
        ];
        for (written, host, port) in good {
            assert_eq!(host_and_port(written, 80), Some((host.to_owned(), port)), "{written}");
        }
        let wrong = ["", ":80", "a:0", "a:65536", "a:", "a b", "a/b", "[::1", "[::1]80", "http://a", "u@a"];
        for written in wrong {
            assert_eq!(host_and_port(written, 80), None, "{written}");
        }
    }
}
