//! The framing of Git's protocol: four hexadecimal digits of length, then the payload.

use bytes::{BufMut, BytesMut};

use crate::error::Error;
use crate::limits::MAX_PKT_LINE_BYTES;

/// The most payload of one side-band packet: the longest line less its length and the band's number.
const MAX_BAND_BYTES: usize = MAX_PKT_LINE_BYTES - 5;

/// One packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Packet<'a> {
    /// `0000`, the end of a list.
    Flush,
    /// `0001` or `0002`, separators of the second version.
    Separator,
    /// A payload.
    Data(&'a [u8]),
}

/// Takes one packet off the front of a buffer: the packet and how many bytes it takes. `None` if more is needed.
pub(crate) fn parse(buffer: &[u8]) -> Result<Option<(Packet<'_>, usize)>, Error> {
    let Some(digits) = buffer.get(..4) else { return Ok(None) };
    if !digits.iter().all(u8::is_ascii_hexdigit) {
        return Err(Error::Protocol("bad line length character"));
    }
    let digits = std::str::from_utf8(digits).map_err(|_| Error::Protocol("bad line length character"))?;
    let length = usize::from_str_radix(digits, 16).map_err(|_| Error::Protocol("bad line length"))?;
    match length {
        0 => Ok(Some((Packet::Flush, 4))),
        1 | 2 => Ok(Some((Packet::Separator, 4))),
        4..=MAX_PKT_LINE_BYTES => Ok(buffer.get(4..length).map(|payload| (Packet::Data(payload), length))),
        _ => Err(Error::Protocol("bad line length")),
    }
}

/// Appends a packet; the payload fits one.
pub(crate) fn data(buffer: &mut BytesMut, payload: &[u8]) {
    buffer.put_slice(format!("{:04x}", payload.len() + 4).as_bytes());
    buffer.put_slice(payload);
}

/// Appends a flush packet.
pub(crate) fn flush(buffer: &mut BytesMut) {
    buffer.put_slice(b"0000");
}

/// Appends a payload of any length on a side-band.
pub(crate) fn band(buffer: &mut BytesMut, number: u8, payload: &[u8], max: usize) {
    for piece in payload.chunks(max.min(MAX_BAND_BYTES)) {
        buffer.put_slice(format!("{:04x}", piece.len() + 5).as_bytes());
        buffer.put_u8(number);
        buffer.put_slice(piece);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn packets_are_framed_by_their_length() {
        for (text, expected) in [
            ("", None),
            ("000", None),
            ("0000", Some((Packet::Flush, 4))),
            ("0001rest", Some((Packet::Separator, 4))),
            ("0004", Some((Packet::Data(b""), 4))),
            ("0006a\nrest", Some((Packet::Data(b"a\n"), 6))),
            ("000Aabcdef", Some((Packet::Data(b"abcdef"), 10))),
            ("0007ab", None),
        ] {
            assert_eq!(parse(text.as_bytes()).unwrap(), expected, "{text}");
        }
        for text in ["zzzz", "0003", "ffff", "+004", "00 4", "fff1"] {
            assert!(parse(text.as_bytes()).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(payload in proptest::collection::vec(any::<u8>(), 0..3000)) {
            let mut buffer = BytesMut::new();
            data(&mut buffer, &payload);
            let (packet, taken) = parse(&buffer).unwrap().unwrap();
            prop_assert_eq!(packet, Packet::Data(&payload));
            prop_assert_eq!(taken, buffer.len());
            for cut in 0..buffer.len() {
                prop_assert_eq!(parse(&buffer[..cut]).unwrap(), None);
            }
        }

        #[test]
        fn any_bytes_end_in_an_answer_that_makes_progress(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let mut rest = &bytes[..];
            while let Ok(Some((_, taken))) = parse(rest) {
                prop_assert!(taken >= 4 && taken <= rest.len());
                rest = &rest[taken..];
            }
        }

        #[test]
        fn a_band_carries_any_length(length in 0usize..140_000) {
            let payload = vec![b'x'; length];
            let mut buffer = BytesMut::new();
            band(&mut buffer, 2, &payload, usize::MAX);
            let (mut rest, mut carried) = (&buffer[..], 0);
            while let Some((Packet::Data(packet), taken)) = parse(rest).unwrap() {
                prop_assert_eq!(packet[0], 2);
                carried += packet.len() - 1;
                rest = &rest[taken..];
            }
            prop_assert_eq!(carried, length);
        }
    }
}
