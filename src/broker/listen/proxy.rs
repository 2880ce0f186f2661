//! The PROXY protocol, version 2: a proxy says in front of everything else whom it speaks for.
//!
//! By the specification of HAProxy (`proxy-protocol.txt`). Version 1, its text form, is recognised and refused:
//! reading it takes guesses about where it ends. Extensions (TLVs) are checked for their lengths and left out.
//! Invariant: not a byte behind the header is read.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::io::{AsyncRead, AsyncReadExt};

/// What every header begins with.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

/// Largest part behind the first 16 bytes: addresses, and room for extensions such as a client's certificate.
const MAX_REST: usize = 4_096;

/// Bytes of the addresses of a Unix socket.
const UNIX: usize = 216;

/// Why a header is refused.
#[derive(Debug, thiserror::Error)]
pub(super) enum BadHeader {
    #[error("the connection ended in the PROXY header: {0}")]
    Lost(#[from] io::Error),
    #[error("not a PROXY header; is the sender set to `send-proxy-v2`?")]
    None,
    #[error("a PROXY header of version 1; set the proxy to `send-proxy-v2`")]
    Version1,
    #[error("a damaged PROXY header: {0}")]
    Damaged(&'static str),
}

/// Reads the header. Returns the client's address; `None`: the proxy speaks for itself, or does not say.
pub(super) async fn read<S: AsyncRead + Unpin>(stream: &mut S) -> Result<Option<SocketAddr>, BadHeader> {
    let mut head = [0; 16];
    // In two steps: the shortest header of version 1 has 15 bytes.
    stream.read_exact(&mut head[..12]).await?;
    if head[..12] != SIGNATURE {
        return Err(if head.starts_with(b"PROXY ") { BadHeader::Version1 } else { BadHeader::None });
    }
    stream.read_exact(&mut head[12..]).await?;
    let length = usize::from(u16::from_be_bytes([head[14], head[15]]));
    if length > MAX_REST {
        return Err(BadHeader::Damaged("longer than 4,096 bytes"));
    }
    let mut rest = vec![0; length];
    stream.read_exact(&mut rest).await?;
    parse(head[12], head[13], &rest)
}

/// Reads what the header says: version and command, family and transport, addresses and extensions.
fn parse(command: u8, family: u8, rest: &[u8]) -> Result<Option<SocketAddr>, BadHeader> {
    use BadHeader::Damaged;
    let local = match command {
        0x20 => true,
        0x21 => false,
        _ => return Err(Damaged("version or command is not known")),
    };
    let too_short = Damaged("shorter than its addresses");
    let (address, extensions) = match family {
        // Unspecified: what follows is not for anybody to read.
        0x00 => return Ok(None),
        0x11 => {
            let (block, extensions) = rest.split_first_chunk::<12>().ok_or(too_short)?;
            let [a, b, c, d, _, _, _, _, high, low, ..] = *block;
            (Some((IpAddr::V4(Ipv4Addr::new(a, b, c, d)), [high, low])), extensions)
        }
        0x21 => {
            let (block, extensions) = rest.split_first_chunk::<36>().ok_or(too_short)?;
            let mut source = [0; 16];
            source.copy_from_slice(&block[..16]);
            (Some((IpAddr::V6(Ipv6Addr::from(source)), [block[32], block[33]])), extensions)
        }
        // Clients of a Unix socket are on the proxy's machine; a path says nothing of where that is.
        0x31 => (None, rest.get(UNIX..).ok_or(too_short)?),
        _ => return Err(Damaged("its family or transport is not one of TCP and Unix sockets")),
    };
    check_extensions(extensions)?;
    Ok(address
        .filter(|_| !local)
        .map(|(ip, port)| SocketAddr::new(ip.to_canonical(), u16::from_be_bytes(port))))
}

/// Each has a type, a length and that many bytes.
fn check_extensions(mut rest: &[u8]) -> Result<(), BadHeader> {
    while !rest.is_empty() {
        let Some((&[_, high, low], behind)) = rest.split_first_chunk() else {
            return Err(BadHeader::Damaged("an extension is cut off"));
        };
        let length = usize::from(u16::from_be_bytes([high, low]));
        rest = behind.get(length..).ok_or(BadHeader::Damaged("an extension is cut off"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn header(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [&SIGNATURE[..], &[command, family], &length, rest].concat()
    }

    async fn took(mut bytes: &[u8]) -> (Result<Option<SocketAddr>, String>, usize) {
        let all = bytes.len();
        let result = read(&mut bytes).await.map_err(|error| error.to_string());
        (result, all - bytes.len())
    }

    #[tokio::test]
    async fn addresses_are_read_and_nothing_behind_them() {
        let v4 = [&[192, 0, 2, 7, 10, 0, 0, 1, 0x30, 0x39, 0, 80][..], &[0x04, 0, 2, 9, 9]].concat();
        let v6 =
            [&Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 7).octets()[..], &[0; 16], &[0x30, 0x39, 0, 80]]
                .concat();
        for (bytes, expected) in [
            (header(0x21, 0x11, &v4), Some("192.0.2.7:12345")),
            (header(0x21, 0x21, &v6), Some("[2001:db8::7]:12345")),
            (header(0x20, 0x11, &v4), None),
            (header(0x20, 0x00, &[]), None),
            (header(0x21, 0x00, &[1, 2, 3]), None),
            (header(0x21, 0x31, &[0; UNIX]), None),
        ] {
            let (read, count) = took(&[&bytes[..], b"MQTT"].concat()).await;
            assert_eq!((read, count), (Ok(expected.map(|text| text.parse().unwrap())), bytes.len()));
        }
    }

    #[tokio::test]
    async fn what_is_no_header_is_refused_with_its_reason() {
        let v4 = [1; 12];
        for (bytes, what) in [
            (b"PROXY TCP4 192.0.2.7 192.0.2.1 1 2\r\n".to_vec(), "version 1"),
            (b"PROXY UNKNOWN\r\n".to_vec(), "version 1"),
            (vec![0x10; 40], "not a PROXY header"),
            (header(0x11, 0x11, &v4), "version or command"),
            (header(0x22, 0x11, &v4), "version or command"),
            (header(0x21, 0x12, &v4), "family or transport"),
            (header(0x21, 0x11, &v4[..11]), "shorter"),
            (header(0x21, 0x21, &v4), "shorter"),
            (header(0x21, 0x31, &v4), "shorter"),
            (header(0x21, 0x11, &[&v4[..], &[4, 0]].concat()), "cut off"),
            (header(0x21, 0x11, &[&v4[..], &[4, 0, 2, 1]].concat()), "cut off"),
            (header(0x21, 0x11, &vec![0; MAX_REST + 1]), "longer"),
            (header(0x21, 0x11, &v4)[..20].to_vec(), "ended"),
            (Vec::new(), "ended"),
        ] {
            let (read, _) = took(&bytes).await;
            assert!(read.as_ref().is_err_and(|told| told.contains(what)), "{what}: {read:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(
            command in any::<u8>(), family in any::<u8>(), rest in proptest::collection::vec(any::<u8>(), 0..300),
        ) {
            let _ = parse(command, family, &rest);
            if let Ok(Some(address)) = parse(0x21, 0x11, &rest) {
                prop_assert_eq!(address.port(), u16::from_be_bytes([rest[8], rest[9]]));
            }
        }

        #[test]
        fn extensions_that_fit_are_left_out(lengths in proptest::collection::vec(0_u8..40, 0..8)) {
            let mut rest = vec![7; 12];
            for length in lengths {
                rest.extend([0xe0, 0, length]);
                rest.resize(rest.len() + usize::from(length), 1);
            }
            prop_assert_eq!(parse(0x21, 0x11, &rest).unwrap().unwrap().to_string(), "7.7.7.7:1799");
            rest.push(1);
            prop_assert!(parse(0x21, 0x11, &rest).is_err());
        }
    }
}
