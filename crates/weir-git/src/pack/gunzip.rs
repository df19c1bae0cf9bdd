//! Unpacks a request's body as it comes.

use std::io::Write as _;

use bytes::{Buf as _, Bytes};
use flate2::write::GzDecoder;
use futures_util::StreamExt as _;

use crate::files::ByteStream;
use crate::limits::GUNZIP_STEP_BYTES;

struct State {
    body: ByteStream,
    input: Bytes,
    decoder: GzDecoder<Vec<u8>>,
}

/// The content of a gzip stream. Input is taken in small steps, so that a bomb cannot fill the memory.
pub(crate) fn gunzip(body: ByteStream) -> ByteStream {
    let state = State { body, input: Bytes::new(), decoder: GzDecoder::new(Vec::new()) };
    Box::pin(futures_util::stream::try_unfold(state, async |mut state| {
        loop {
            if state.input.is_empty() {
                let Some(piece) = state.body.next().await else {
                    state.decoder.try_finish()?;
                    let rest = std::mem::take(state.decoder.get_mut());
                    return Ok((!rest.is_empty()).then(|| (Bytes::from(rest), state)));
                };
                state.input = piece?;
            }
            let step = state.input.len().min(GUNZIP_STEP_BYTES);
            state.decoder.write_all(state.input.get(..step).unwrap_or_default())?;
            state.input.advance(step);
            if !state.decoder.get_ref().is_empty() {
                let output = std::mem::take(state.decoder.get_mut());
                return Ok(Some((Bytes::from(output), state)));
            }
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};

    async fn unpack(packed: &[u8], step: usize) -> std::io::Result<(Vec<u8>, usize)> {
        let pieces: Vec<_> = packed.chunks(step).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
        let mut stream = gunzip(Box::pin(futures_util::stream::iter(pieces)));
        let (mut all, mut biggest) = (Vec::new(), 0);
        while let Some(piece) = stream.next().await {
            let piece = piece?;
            biggest = biggest.max(piece.len());
            all.extend_from_slice(&piece);
        }
        Ok((all, biggest))
    }

    fn pack(content: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    #[tokio::test]
    async fn content_comes_out_however_it_is_cut() {
        let content: Vec<u8> = (0..50_000u32).flat_map(u32::to_le_bytes).collect();
        let packed = pack(&content);
        for step in [1, 7, 4096, packed.len()] {
            assert_eq!(unpack(&packed, step).await.unwrap().0, content, "in steps of {step}");
        }
    }

    #[tokio::test]
    async fn a_bomb_comes_out_in_bounded_pieces() {
        let packed = pack(&vec![0; 4 * 1024 * 1024]);
        let (all, biggest) = unpack(&packed, packed.len()).await.unwrap();
        assert_eq!(all.len(), 4 * 1024 * 1024);
        assert!(biggest <= GUNZIP_STEP_BYTES * 1100, "one piece has {biggest} bytes");
    }

    #[tokio::test]
    async fn a_cut_or_foreign_body_is_an_error() {
        let packed = pack(b"hello");
        assert!(unpack(&packed[..packed.len() - 3], 4096).await.is_err());
        assert!(unpack(b"0000 not gzip at all", 4096).await.is_err());
    }
}
