//! Addresses and networks in the configuration: `192.0.2.10`, `10.0.0.0/8`, `2001:db8::/32`.

use std::net::IpAddr;

use serde::Deserialize;

/// One address, or all that share their first bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Network {
    /// Mapped into IPv6.
    first: u128,
    /// Bits that count, from the left.
    bits: u32,
}

impl Network {
    /// Whether an address lies in it.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        mask(number(address), self.bits) == self.first
    }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

fn mask(number: u128, bits: u32) -> u128 {
    number & u128::MAX.checked_shl(128 - bits).unwrap_or(0)
}

impl TryFrom<String> for Network {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no address or network, such as 192.0.2.10 or 10.0.0.0/8");
        let (address, bits) =
            text.split_once('/').map_or((&*text, None), |(address, bits)| (address, Some(bits)));
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let width = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(width), str::parse).map_err(|_| wrong())?;
        if bits > width {
            return Err(wrong());
        }
        // An IPv4 address stands behind 96 fixed bits.
        let (first, bits) = (number(address), 128 - width + bits);
        if mask(first, bits) != first {
            return Err(format!("`{text}` has bits set behind the length of its network"));
        }
        Ok(Self { first, bits })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> Result<Network, String> {
        Network::try_from(text.to_owned())
    }

    #[test]
    fn networks_hold_their_addresses_and_no_others() {
        for (text, inside, outside) in [
            ("192.0.2.10", "192.0.2.10", "192.0.2.11"),
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.0"),
            ("0.0.0.0/0", "203.0.113.1", "2001:db8::1"),
            ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::"),
            ("::/0", "2001:db8::1", ""),
            ("127.0.0.1", "::ffff:127.0.0.1", "127.0.0.2"),
        ] {
            let network = network(text).unwrap();
            assert!(network.contains(inside.parse().unwrap()), "{text} {inside}");
            assert!(outside.parse().map_or(true, |address| !network.contains(address)), "{text} {outside}");
        }
        for bad in
            ["", "x", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/-1", "10.0.0.1/8", "2001:db8::1/32", "10.0.0/8"]
        {
            assert!(network(bad).is_err(), "{bad}");
        }
    }
}
